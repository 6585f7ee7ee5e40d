"""CoNLL-2012 files: documents of sentences, words, speakers and coreference chains.

A file holds documents between `#begin document (NAME); part NNN` and `#end document`, one word a
line, sentences apart by empty lines. Whatever else stands after `#begin document` is a name too.
The columns of a line are apart by tabs, or by spaces where it has no tab; no other white space ends
one, as words may hold it. The fourth is the word, the fifth its part of speech, the tenth the
speaker, where the line is that long. The last one that is not empty opens and closes mentions:
`(3` opens one of chain 3, `3)` closes it, `(3)` is a mention of one word; several stand beside each
other, with `|` between them or nothing; `-` or `_` is none. `(3+5)` has a split antecedent: it
means chains 3 and 5 together, and is in no chain. Words are counted from 0 over the document, the
last one of a span inclusive.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from utils.errors import InputError
from utils.files import decode_text, split_lines, write_text
from utils.printable import quote

Mention = TypeVar("Mention", bound=Hashable)
WordSpan = tuple[int, int]  # (first, last) words of the document, the last inclusive
_BEGIN = re.compile(r"#\s*begin\s+document\b\s*(?P<document>.*?)\s*$", re.IGNORECASE)
_LIKE_BEGIN = re.compile(r"#\s*begin\b", re.IGNORECASE)
_PART = r"(?:\s*;\s*part\s+(?P<part>[0-9]{1,9}))?\s*;?"
_NAMES = (re.compile(rf"\((?P<name>.*)\){_PART}"), re.compile(rf"(?P<name>.*?){_PART}"))
_END = re.compile(r"#\s*end\s+document", re.IGNORECASE)
_CHAIN = r"[^()|+]+(?:\+[^()|+]+)*"
_BRACKET = re.compile(rf"\((?P<single>{_CHAIN})\)|\((?P<opened>{_CHAIN})|(?P<closed>{_CHAIN})\)|\|")
_NOTHING = ("-", "_", "")
_SPLIT = "+"
_BLANKS = re.compile(r"[ \t]+")
_BORDERS = " \t"
_WORD, _PART_OF_SPEECH, _SPEAKER = 3, 4, 9
_EXPECTED = "#begin document (NAME); part 0"


class ConllError(InputError):
    """A file that is not CoNLL-2012; the message names the file and the line."""


@dataclass(frozen=True, slots=True)
class ConllSentence:
    """A sentence of a document.

    Attributes:
        words: a text for each; empty where a line has no such column.
        speaker: of all its words; None where there is none or several.
        parts_of_speech: of its words, as the file writes them; empty where it has none.
        heads: of each word the index in the sentence of the word that it depends on, None of a
            root; empty where there is no tree, as CoNLL-2012 files have none.
        relations: the labels of these dependencies.
    """

    words: tuple[str, ...]
    speaker: str | None = None
    parts_of_speech: tuple[str, ...] = ()
    heads: tuple[int | None, ...] = ()
    relations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SplitAntecedent:
    """A mention that means several chains together: "they", after Ann and Bo.

    Attributes:
        span: (first, last) words.
        chains: the places of these chains in the document; from the number of its chains on, they
            are chains without a mention.
    """

    span: WordSpan
    chains: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ConllDocument:
    """What a file says of one document.

    Attributes:
        name: as the file writes it.
        part: its number among the parts of what is so named; None where there is none.
        sentences: none of them empty.
        chains: spans of (first, last) words, in the order in which the chains open: of those that
            open at one word, first those with a mention of just this word.
        split_antecedents: the mentions that mean several chains, in the order of their last words.
    """

    name: str
    part: int | None
    sentences: tuple[ConllSentence, ...]
    chains: tuple[tuple[WordSpan, ...], ...]
    split_antecedents: tuple[SplitAntecedent, ...] = ()

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
            if not line.strip(_BORDERS):
                sentences.append([])
            elif not line.startswith("#"):
                mentions.read(_BLANKS.split(line.strip(_BORDERS))[-1], number, self.path)
                columns = line.split("\t") if "\t" in line else _BLANKS.split(line.strip(_BORDERS))
                sentences[-1].append([column.strip(_BORDERS) for column in columns])
        mentions.check_closed(self.path)
        return ConllDocument(
            self.name,
            self.part,
            tuple(_sentence(rows) for rows in sentences if rows),
            tuple(map(tuple, mentions.chains.values())),
            tuple(mentions.split_antecedents()),
        )


def split_documents(path: Path) -> list[DocumentLines]:
    """Split a file into its documents, each still to be parsed.

    Raises:
        ConllError: the file cannot be read, holds a word outside of a document, a document without
            a name, or no document.
    """
    try:
        text = decode_text(path.read_bytes())
    except OSError as error:
        raise ConllError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConllError(f"{path}: not UTF-8: {error}") from error
    lines = split_lines(text)
    documents: list[DocumentLines] = []
    begun: DocumentLines | None = None
    unknown = ""  # the last line outside of documents that may have been meant to begin one
    for number, line in enumerate(lines, start=1):
        place = f"{path}, line {number}"
        if begin := _BEGIN.match(line):
            if begun is not None:
                broken = f"{place}: a document begins before {quote(begun.name)} has ended"
                documents.append(_with_lines(begun, lines[begun.number : number], broken))
            name, part = _name_and_part(begin["document"])
            if not name:
                raise ConllError(f'{place}: found {quote(line)}, expected "{_EXPECTED}"')
            begun, unknown = DocumentLines(path, number, name, part, ()), ""
        elif begun is not None and _END.match(line):
            documents.append(_with_lines(begun, lines[begun.number : number - 1]))
            begun = None
        elif begun is None and _LIKE_BEGIN.match(line):
            unknown = f'{place}: found {quote(line)}, expected "{_EXPECTED}"'
        elif begun is None and line.strip(_BORDERS) and not line.startswith("#"):
            found = f"{place}: found {quote(line)}, expected a document to begin"
            raise ConllError(unknown or found)
    if begun is not None:
        broken = f"{path}, line {begun.number}: document {quote(begun.name)} does not end"
        documents.append(_with_lines(begun, lines[begun.number :], broken))
    if not documents:
        raise ConllError(f'{path}: no document, expected "{_EXPECTED}"')
    return documents


def without_repeats(chains: Iterable[Iterable[Mention]]) -> list[list[Mention]]:
    """Keep each mention of some chains only once, in the chain that opened first.

    A chain without any left is dropped. The official scorer does otherwise:
    `metrics/coreference/repeated_mentions.py`.

    Args:
        chains: in the order in which they open.
    """
    seen: set[Mention] = set()
    kept = []
    for chain in chains:
        mentions = [mention for mention in dict.fromkeys(chain) if mention not in seen]
        seen.update(mentions)
        if mentions:
            kept.append(mentions)
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

    Spaces, tabs and line ends within a name, a word or a speaker become "_", as they would end the
    column. Chains are numbered from 0 in each document, whatever they open.
    """
    write_text(path, "".join(map(_written, documents)))


def _name_and_part(document: str) -> tuple[str, int | None]:
    """Take what names a document apart: `(NAME); part 1`, with brackets and part or without."""
    match = next(filter(None, (names.fullmatch(document) for names in _NAMES)))
    return match["name"], None if match["part"] is None else int(match["part"])


def _with_lines(begun: DocumentLines, lines: Sequence[str], broken: str = "") -> DocumentLines:
    return replace(begun, lines=tuple(lines), broken=broken)


def _written(document: ConllDocument) -> str:
    brackets = iter(_brackets(document))
    part = document.part or 0
    lines = [f"#begin document ({document.name}); part {part:03}"]
    name = re.sub(r"^#", "_", document.name)  # a line that began with "#" would be a comment
    for sentence in document.sentences:
        tags = sentence.parts_of_speech or ["-"] * len(sentence.words)
        for index, (word, tag) in enumerate(zip(sentence.words, tags, strict=True)):
            columns = [name, str(part), str(index), word, tag, *["-"] * 4, sentence.speaker]
            lines.append("\t".join([*map(_cell, columns), "-", "-", next(brackets)]))
        lines.append("")
    return "\n".join([*lines, "#end document", ""])


def _cell(value: str | None) -> str:
    """Return a value as a column, which white space would end."""
    return re.sub(r"[ \t\r\n]+", "_", value or "-")


def _brackets(document: ConllDocument) -> list[str]:
    """Write the last column of each word: outer mentions open before and close after inner ones."""
    mentions = [(mention.span, mention.chains) for mention in document.split_antecedents]
    mentions += [(span, (chain,)) for chain, spans in enumerate(document.chains) for span in spans]
    opened: dict[int, list[tuple[int, str]]] = defaultdict(list)
    closed: dict[int, list[tuple[int, str]]] = defaultdict(list)
    single: dict[int, list[str]] = defaultdict(list)
    for (first, last), chains in sorted(mentions, key=lambda mention: mention[1]):
        name = _SPLIT.join(map(str, chains))
        if first == last:
            single[first].append(f"({name})")
        else:
            opened[first].append((-last, f"({name}"))
            closed[last].insert(0, (-first, f"{name})"))
    return [
        "|".join(
            [bracket for _, bracket in sorted(opened[word], key=itemgetter(0))]
            + single[word]
            + [bracket for _, bracket in sorted(closed[word], key=itemgetter(0))]
        )
        or "-"
        for word in range(len(document.words))
    ]


def _sentence(rows: Sequence[Sequence[str]]) -> ConllSentence:
    """Read a sentence from the columns of its lines."""
    words, tags, speakers = (
        tuple(row[column] if len(row) > column + 1 else "" for row in rows)
        for column in (_WORD, _PART_OF_SPEECH, _SPEAKER)
    )
    speaker = speakers[0] if len(set(speakers)) == 1 else ""
    return ConllSentence(
        words,
        None if speaker in _NOTHING else speaker,
        () if all(tag in _NOTHING for tag in tags) else tags,
    )


class _Mentions:
    """The mentions of a document while it is read.

    Attributes:
        chains: the spans of each chain, in the order in which the chains open.
    """

    def __init__(self) -> None:
        self.chains: dict[str, list[WordSpan]] = {}
        self._split: list[tuple[WordSpan, list[str]]] = []
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
                if bracket[kind] and _SPLIT not in bracket[kind]:
                    self.chains.setdefault(bracket[kind], [])
        for bracket in brackets:
            if chain := bracket["single"]:
                self._add(chain, (word, word))
            elif chain := bracket["opened"]:
                self._open.setdefault(chain, []).append((word, line))
            elif chain := bracket["closed"]:
                if not self._open.get(chain):
                    raise ConllError(
                        f"{place}: {quote(f'{chain})')} closes a mention that is not open"
                    )
                first, _ = self._open[chain].pop()
                self._add(chain, (first, word))

    def _add(self, chain: str, span: WordSpan) -> None:
        """Add a mention of a chain, or of those that `+` is between."""
        if _SPLIT in chain:
            self._split.append((span, chain.split(_SPLIT)))
        else:
            self.chains[chain].append(span)

    def split_antecedents(self) -> Iterator[SplitAntecedent]:
        """Yield the mentions that mean several chains; those that never open are numbered last."""
        place = {chain: index for index, chain in enumerate(self.chains)}
        for span, chains in self._split:
            of_chains = tuple(place.setdefault(chain, len(place)) for chain in chains)
            yield SplitAntecedent(span, of_chains)

    def check_closed(self, path: Path) -> None:
        """Refuse a document that ends within a mention."""
        for chain, starts in self._open.items():
            for _, line in starts:
                raise ConllError(
                    f"{path}, line {line}: {quote(f'({chain}')} opens a mention that is not closed"
                )
