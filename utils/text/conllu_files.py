"""CoNLL-U files, read and written.

A sentence is comments that begin with "#" and lines of ten columns apart by tabs, ended by an empty
line. A line is a word (1), an empty node (1.1), which stands for what is not said, or the range of
a multiword token (1-2). A comment "# newdoc id = NAME" begins a document, and
"# global.Entity = eid-etype-head-other" says what a bracket of `Entity=` in the last column holds
(`utils/text/entity_brackets.py`), from there to the next such comment. A file whose name ends in
".xz" is packed. Lines are written as they were read.

Format: universaldependencies.org/format.html, ufal.mff.cuni.cz/corefud.
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.files import decode_text, replaced_when_whole, split_lines
from utils.printable import quote
from utils.text.conllu import ConlluDocument, ConlluError, ConlluRow, ConlluSentence
from utils.text.entity_brackets import read_coreference

ENDINGS = (".conllu", ".conllu.xz")
_COLUMNS = 10
_NEWDOC = re.compile(r"#\s*newdoc(?:\s+id\s*=\s*(?P<name>.*?))?\s*$")
_GLOBAL_ENTITY = re.compile(r"#\s*global\.Entity\s*=\s*(?P<fields>\S+)\s*$")
_NUMBER = r"0|[1-9][0-9]{0,5}"
_ID = re.compile(rf"(?P<number>{_NUMBER})(?:\.(?P<empty>{_NUMBER})|-(?P<last>{_NUMBER}))?")

Block = tuple[int, list[str]]  # the number of the first line of a sentence, and its lines


@dataclass(frozen=True, slots=True)
class ConlluLines:
    """The lines of one document, not looked into yet.

    Attributes:
        path: the file.
        name, fields: as in `ConlluDocument`.
        blocks: the lines of each sentence, with the number of the first one, counted from 1.
    """

    path: Path
    name: str | None
    fields: tuple[str, ...]
    blocks: tuple[Block, ...]

    def parse(self) -> ConlluDocument:
        """Read the columns and the coreference.

        Raises:
            ConlluError: a line is wrong, or a bracket is not matched.
        """
        sentences: list[ConlluSentence] = []
        places: list[str] = []
        for first, lines in self.blocks:
            comments = [line for line in lines if line.startswith("#")]
            sentence = ConlluSentence(
                tuple(comments), _rows(lines[len(comments) :], self.path, first + len(comments))
            )
            sentences.append(sentence)
            places += [
                f"{self.path}, line {number}"
                for number, row in enumerate(sentence.rows, start=first + len(comments))
                if not row.is_multiword
            ]
        document = ConlluDocument(self.name, self.fields, tuple(sentences))
        return read_coreference(document, places)


def read_blocks(path: Path) -> list[Block]:
    """Read the lines of each sentence of a file, nothing of them checked yet.

    A byte-order mark and the ends of lines of any system are no text.

    Raises:
        ConlluError: the file cannot be read.
    """
    try:
        content = path.read_bytes()
        text = decode_text(lzma.decompress(content) if path.suffix == ".xz" else content)
    except OSError as error:
        raise ConlluError(f"{path} cannot be read: {error.strerror}") from error
    except lzma.LZMAError as error:
        raise ConlluError(f"{path}: not packed by xz: {error}") from error
    except UnicodeDecodeError as error:
        raise ConlluError(f"{path}: not UTF-8: {error}") from error
    blocks: list[Block] = []
    is_within = False
    for number, line in enumerate(split_lines(text), start=1):
        if not line.strip(" "):
            is_within = False
        elif is_within:
            blocks[-1][1].append(line)
        else:
            blocks.append((number, [line]))
            is_within = True
    return blocks


def read_row(line: str, place: str) -> ConlluRow:
    """Split a line of a sentence into its columns.

    Args:
        place: of the line, for the error.

    Raises:
        ConlluError: it has not ten of them.
    """
    row = ConlluRow(tuple(line.split("\t")))
    if len(row.columns) != _COLUMNS:
        found = f"{len(row.columns)} columns apart by tabs in {quote(line)}"
        raise ConlluError(f"{place}: found {found}, expected {_COLUMNS}")
    return row


def split_documents(path: Path) -> list[ConlluLines]:
    """Split a file into its documents, each still to be parsed.

    What is before the first "# newdoc" is a document without a name.

    Raises:
        ConlluError: the file cannot be read or holds no sentence.
    """
    documents: list[tuple[str | None, tuple[str, ...], list[Block]]] = []
    fields: tuple[str, ...] = ()
    for number, lines in read_blocks(path):
        comments = [line for line in lines if line.startswith("#")]
        newdoc = next(filter(None, map(_NEWDOC.match, comments)), None)
        for named in filter(None, map(_GLOBAL_ENTITY.match, comments)):
            fields = tuple(named["fields"].split("-"))
        if newdoc or not documents:
            documents.append((newdoc["name"] if newdoc else None, fields, []))
        documents[-1][2].append((number, lines))
    if not documents:
        raise ConlluError(f"{path}: no sentence, expected lines of ten columns")
    return [ConlluLines(path, name, fields, tuple(blocks)) for name, fields, blocks in documents]


def read_documents(path: Path) -> list[ConlluDocument]:
    """Read all documents of a file.

    Raises:
        ConlluError: the file cannot be read, or a document is wrong.
    """
    return [lines.parse() for lines in split_documents(path)]


def write_documents(path: Path, documents: Iterable[ConlluDocument]) -> None:
    """Write documents as `read_documents` reads them; a file that is there already is replaced."""
    content = "".join(map(document_text, documents)).encode()
    with replaced_when_whole(path) as temporary:
        temporary.write_bytes(lzma.compress(content) if path.suffix == ".xz" else content)


def document_text(document: ConlluDocument) -> str:
    """Return a document as it stands in a file."""
    return "".join(
        "\n".join([*sentence.comments, *("\t".join(row.columns) for row in sentence.rows), "\n"])
        for sentence in document.sentences
    )


def _rows(lines: Sequence[str], path: Path, first: int) -> tuple[ConlluRow, ...]:
    """Split the lines of a sentence into columns, and check the order of their numbers."""
    rows = []
    words, empty, covered = 0, 0, 0  # numbers of the last word, empty node and multiword token
    for number, line in enumerate(lines, start=first):
        place = f"{path}, line {number}"
        row = read_row(line, place)
        if "" in row.columns:
            raise ConlluError(f"{place}: found an empty column in {quote(line)}, expected '_'")
        match = _ID.fullmatch(row.id)
        if match and match["last"]:
            is_next = max(words, covered) + 1 <= int(match["number"]) == words + 1
            is_next = is_next and int(match["last"]) >= int(match["number"])
            covered = int(match["last"])
        elif match and match["empty"]:
            empty += 1
            is_next = int(match["number"]) == words and int(match["empty"]) == empty
        else:
            words, empty = words + 1, 0
            is_next = match is not None and int(match["number"]) == words
        if not is_next:
            raise ConlluError(
                f"{place}: found {quote(row.id)}, expected the number of what follows"
            )
        rows.append(row)
    if not words or covered > words:
        found = f"a multiword token up to word {covered}" if words else "no words"
        raise ConlluError(f"{path}, line {first}: found {found} in a sentence of {words}")
    heads = {"_", *map(str, range(words + 1))}
    for number, row in enumerate(rows, start=first):
        if row.columns[6] not in heads:
            found = f"the head {quote(row.columns[6])}"
            raise ConlluError(
                f"{path}, line {number}: found {found}, expected one of {words} words"
            )
    return tuple(rows)
