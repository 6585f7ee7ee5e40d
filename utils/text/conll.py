"""CoNLL-2012 files: documents of sentences, words, speakers and coreference chains.

A file holds documents between `#begin document (NAME); part NNN` and `#end document`, one word a
line, sentences apart by empty lines. The columns of a line are apart by tabs or by white space: the
fourth is the word, the tenth the speaker, where the line is that long. The last one that is not
empty opens and closes mentions: `(3` opens one of chain 3, `3)` closes it, `(3)` is a mention of
one word; several stand beside each other, with `|` between them or nothing; `-` or `_` is none.
Words are counted from 0 over the document, the last one of a span inclusive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from utils.errors import InputError
from utils.files import write_text
from utils.printable import quote

WordSpan = tuple[int, int]  # (first, last) words of the document, the last inclusive
_BEGIN = re.compile(r"#\s*begin document\s+\((?P<name>.*)\);(?:\s*part\s+(?P<part>\d{1,9}))?\s*$")
_END = re.compile(r"#\s*end document")
_BRACKET = re.compile(r"\((?P<single>[^()|]+)\)|\((?P<opened>[^()|]+)|(?P<closed>[^()|]+)\)|\|")
_NOTHING = ("-", "_", "")
_WORD, _SPEAKER = 3, 9


class ConllError(InputError):
    """A file that is not CoNLL-2012; the message names the file and the line."""


@dataclass(frozen=True, slots=True)
class ConllSentence:
    """A sentence of a document.

    Attributes:
        words: a text for each; empty where a line has no such column.
        speaker: of all its words; None where there is none or several.
    """

    words: tuple[str, ...]
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class ConllDocument:
    """What a file says of one document.

    Attributes:
        name: as the file writes it.
        part: its number among the parts of what is so named; None where there is none.
        sentences: none of them empty.
        chains: spans of (first, last) words, in the order in which the chains open: of those that
            open at one word, first those with a mention of just this word.
    """

    name: str
    part: int | None
    sentences: tuple[ConllSentence, ...]
    chains: tuple[tuple[WordSpan, ...], ...]

    @property
    def words(self) -> tuple[str, ...]:
        """The words of all sentences."""
        return tuple(word for sentence in self.sentences for word in sentence.words)


@dataclass(frozen=True, slots=True)
class DocumentLines:
    """The lines of one document, not looked into yet.

    Attributes:
        path: the file.
        number: of the line that begins it, counted from 1.
        name, part: as in `ConllDocument`.
        lines: what follows that line.
        broken: why the document does not end; empty where it does.
    """

    path: Path
    number: int
    name: str
    part: int | None
    lines: tuple[str, ...]
    broken: str = ""

    def parse(self) -> ConllDocument:
        """Read the columns.

        Raises:
            ConllError: the document does not end, or a bracket is not matched.
        """
        if self.broken:
            raise ConllError(self.broken)
        sentences: list[list[list[str]]] = [[]]
        mentions = _Mentions()
        for number, line in enumerate(self.lines, start=self.number + 1):
            if not line.strip():
                sentences.append([])
            elif not line.startswith("#"):
                mentions.read(line.split()[-1], number, self.path)
                columns = line.split("\t") if "\t" in line else line.split()
                sentences[-1].append([column.strip() for column in columns])
        mentions.check_closed(self.path)
        return ConllDocument(
            self.name,
            self.part,
            tuple(_sentence(rows) for rows in sentences if rows),
            tuple(map(tuple, mentions.chains.values())),
        )


def split_documents(path: Path) -> list[DocumentLines]:
    """Split a file into its documents, each still to be parsed.

    Raises:
        ConllError: the file cannot be read, holds a word outside of a document, or no document.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise ConllError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConllError(f"{path}: not UTF-8: {error}") from error
    documents: list[DocumentLines] = []
    begin: re.Match[str] | None = None
    first = 0
    for number, line in enumerate(lines, start=1):
        place = f"{path}, line {number}"
        if next_begin := _BEGIN.match(line):
            if begin is not None:
                broken = f"{place}: a document begins before {quote(begin['name'])} has ended"
                documents.append(_document_lines(path, begin, first, lines[first:number], broken))
            begin, first = next_begin, number
        elif begin is not None and _END.match(line):
            documents.append(_document_lines(path, begin, first, lines[first : number - 1]))
            begin = None
        elif begin is None and line.strip() and not line.startswith("#"):
            raise ConllError(f"{place}: found {quote(line)}, expected a document to begin")
    if begin is not None:
        broken = f"{path}, line {first}: document {quote(begin['name'])} does not end"
        documents.append(_document_lines(path, begin, first, lines[first:], broken))
    if not documents:
        raise ConllError(f'{path}: no document, expected "#begin document (NAME); part 0"')
    return documents


def without_repeats(chains: Iterable[Iterable[WordSpan]]) -> list[list[WordSpan]]:
    """Keep each span of some chains only once, in the chain that opened first.

    So does the official scorer 8.01. Spans are sorted; a chain without any left is dropped.

    Args:
        chains: in the order in which they open.
    """
    seen: set[WordSpan] = set()
    kept = []
    for chain in chains:
        spans = sorted(set(chain) - seen)
        seen.update(spans)
        if spans:
            kept.append(spans)
    return kept


def crossing_pairs(document: ConllDocument) -> int:
    """Count the pairs of mentions of one chain that overlap and are not nested.

    The format does not say which of two open brackets of a chain a closing one belongs to; readers
    take the last one, so such a pair is read as two nested mentions.
    """
    return sum(
        first < other_first <= last < other_last
        for chain in document.chains
        for (first, last), (other_first, other_last) in combinations(sorted(set(chain)), 2)
    )


def write_documents(path: Path, documents: Iterable[ConllDocument]) -> None:
    """Write documents as `split_documents` reads them; a file that is there already is replaced.

    White space within a name, a word or a speaker becomes "_", as it would end the column. Chains
    are numbered from 0 in each document, whatever they open.
    """
    write_text(path, "".join(map(_written, documents)))


def _document_lines(
    path: Path, begin: re.Match[str], number: int, lines: list[str], broken: str = ""
) -> DocumentLines:
    part = None if begin["part"] is None else int(begin["part"])
    return DocumentLines(path, number, begin["name"], part, tuple(lines), broken)


def _written(document: ConllDocument) -> str:
    brackets = iter(_brackets(document.chains, len(document.words)))
    part = document.part or 0
    lines = [f"#begin document ({document.name}); part {part:03}"]
    for sentence in document.sentences:
        for index, word in enumerate(sentence.words):
            columns = [document.name, str(part), str(index), word, *["-"] * 5, sentence.speaker]
            lines.append("\t".join([*map(_cell, columns), "-", "-", next(brackets)]))
        lines.append("")
    return "\n".join([*lines, "#end document", ""])


def _cell(value: str | None) -> str:
    """Return a value as a column; a line that began with "#" would be a comment."""
    return re.sub(r"\s+|^#", "_", value or "-")


def _brackets(chains: Sequence[Sequence[WordSpan]], words: int) -> list[str]:
    """Write the last column of each word: outer mentions open before and close after inner ones."""
    opened: list[list[tuple[int, int]]] = [[] for _ in range(words)]
    closed: list[list[tuple[int, int]]] = [[] for _ in range(words)]
    single: list[list[int]] = [[] for _ in range(words)]
    for chain, spans in enumerate(chains):
        for first, last in spans:
            if first == last:
                single[first].append(chain)
            else:
                opened[first].append((-last, chain))
                closed[last].append((-first, -chain))
    return [
        "|".join(
            [f"({chain}" for _, chain in sorted(opened[word])]
            + [f"({chain})" for chain in sorted(single[word])]
            + [f"{-chain})" for _, chain in sorted(closed[word])]
        )
        or "-"
        for word in range(words)
    ]


def _sentence(rows: Sequence[Sequence[str]]) -> ConllSentence:
    """Read the words and the speaker of a sentence from the columns of its lines."""
    words = (row[_WORD] if len(row) > _WORD + 1 else "" for row in rows)
    speakers = {row[_SPEAKER] if len(row) > _SPEAKER + 1 else "" for row in rows}
    speaker = speakers.pop() if len(speakers) == 1 else ""
    return ConllSentence(tuple(words), None if speaker in _NOTHING else speaker)


class _Mentions:
    """The mentions of a document while it is read.

    Attributes:
        chains: the spans of each chain, in the order in which the chains open.
    """

    def __init__(self) -> None:
        self.chains: dict[str, list[WordSpan]] = {}
        self._words = 0
        # For each chain, word and line of its mentions that are not closed yet.
        self._open: dict[str, list[tuple[int, int]]] = {}

    def read(self, column: str, line: int, path: Path) -> None:
        """Add what the last column of the next word opens and closes."""
        word = self._words
        self._words += 1
        if column in _NOTHING:
            return
        brackets = list(_BRACKET.finditer(column))
        place = f"{path}, line {line}"
        if "".join(bracket[0] for bracket in brackets) != column:
            found = f"the last column is {quote(column)}"
            raise ConllError(f"{place}: {found}, expected brackets or '-'")
        for kind in ("single", "opened"):
            for bracket in brackets:
                if bracket[kind]:
                    self.chains.setdefault(bracket[kind], [])
        for bracket in brackets:
            if chain := bracket["single"]:
                self.chains[chain].append((word, word))
            elif chain := bracket["opened"]:
                self._open.setdefault(chain, []).append((word, line))
            elif chain := bracket["closed"]:
                if not self._open.get(chain):
                    raise ConllError(
                        f"{place}: {quote(f'{chain})')} closes a mention that is not open"
                    )
                first, _ = self._open[chain].pop()
                self.chains[chain].append((first, word))

    def check_closed(self, path: Path) -> None:
        """Refuse a document that ends within a mention."""
        for chain, starts in self._open.items():
            for _, line in starts:
                raise ConllError(
                    f"{path}, line {line}: {quote(f'({chain}')} opens a mention that is not closed"
                )
