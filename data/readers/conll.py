"""Data sets in CoNLL-2012 files, such as OntoNotes.

Each split is a file `<split>.conll` in the data root, or a folder `<split>` whose files that end in
`.conll` or `gold_conll` are read, whatever folders they are in; where there is none of these, those
that end in `auto_conll`, as WinoBias's do. The columns are described in `utils/text/conll.py`.

A narration is the words of a document, joined by single spaces; its id is the document's name, "/"
written as "_", and of a part that is not part 0, "_" and the part's number. Where another document
has this id already, "-2" follows, "-3" and so on. Where a span is there more than once, it stays in
the chain that opened first; a mention with a split antecedent is left out. The report counts both.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Container, Iterable
from pathlib import Path

from data.files import BadRecord, DataError, bad_record, read_id
from data.narration import Narration
from data.readers.conll_documents import narration_of
from data.readers.dataset_reader import DatasetReader
from data.readers.expected_files import ExpectedFiles, expected_texts
from data.readers.report import ReadReport
from utils.printable import quote
from utils.text.conll import (
    ConllDocument,
    ConllError,
    DocumentLines,
    split_documents,
)

# Of the second kind only where there is none of the first: OntoNotes has both of each document.
_ENDINGS = ((".conll", "gold_conll"), ("auto_conll",))


class ConllReader(DatasetReader):
    """Read the documents of CoNLL-2012 files, as narrations without regions."""

    name = "conll"

    def read(self, data_root: Path, split: str, report: ReadReport) -> list[Narration]:
        """Read the documents of a split's file, or of all files in its folder."""
        file, folder = data_root / f"{split}.conll", data_root / split
        if file.is_file():
            return read_files([file], report)
        found = sorted(folder.rglob("*"))
        of_kinds = ([path for path in found if path.name.endswith(kind)] for kind in _ENDINGS)
        paths = next(filter(None, of_kinds), None)
        if paths is None:
            raise DataError(
                f"found neither {file} nor CoNLL files in {folder}, expected one of them"
            )
        return read_files(paths, report)

    def expected_files(self, data_root: Path) -> list[ExpectedFiles]:
        """List the file or the folder of each split, there or not."""
        files = {split: data_root / f"{split}.conll" for split in self.splits}
        folders = {split: data_root / split for split in self.splits}
        paths = {
            split: folders[split] if folders[split].is_dir() and not file.is_file() else file
            for split, file in files.items()
        }
        source = "CoNLL-2012 files of any data set; OntoNotes 5.0: the Linguistic Data Consortium"
        return expected_texts(paths, source)


def read_files(paths: Iterable[Path], report: ReadReport) -> list[Narration]:
    """Read the documents of files in their order, counted in the report.

    Raises:
        DataError: a file cannot be read or is not CoNLL-2012.
        BadRecord: a document is wrong, and the report does not skip such.
    """
    narrations: dict[str, Narration] = {}
    documents: dict[tuple[str, int | None], ConllDocument] = {}
    for path in paths:
        for lines in _split(path):
            with report.skipping():
                document = _document(lines, documents)
                narration = narration_of(document, _free_id(lines, narrations))
                narrations[narration.id] = narration
                documents[document.name, document.part] = document
    _count(list(narrations.values()), documents.values(), report)
    return list(narrations.values())


def _split(path: Path) -> list[DocumentLines]:
    try:
        return split_documents(path)
    except ConllError as error:
        raise DataError(str(error)) from error


def _document(lines: DocumentLines, seen: Container[tuple[str, int | None]]) -> ConllDocument:
    """Parse a document.

    Args:
        seen: name and part of those before it.
    """
    try:
        document = lines.parse()
    except ConllError as error:
        raise BadRecord(str(error)) from error
    if (document.name, document.part) in seen:
        raise bad_record(lines.path, _record(lines), "this document before it too", "it once")
    if not document.words or not all(document.words):
        found = "a line without a word" if document.words else "no words"
        expected = "a word in the fourth column of each line"
        raise bad_record(lines.path, _record(lines), found, expected)
    return document


def _free_id(lines: DocumentLines, taken: Container[str]) -> str:
    """Return the id of a document: of its name and part, numbered where another one has it."""
    wanted = _plain_id(lines)
    numbered = (f"{wanted}-{number}" for number in itertools.count(2))
    free = next(each for each in itertools.chain([wanted], numbered) if each not in taken)
    narration_id = read_id(free)
    if narration_id is None:
        found = f"the name {quote(lines.name)}"
        raise bad_record(lines.path, _record(lines), found, "one fit for an id")
    return narration_id


def _plain_id(document: DocumentLines | ConllDocument) -> str:
    name = document.name.replace("/", "_")
    return f"{name}_{document.part}" if document.part else name


def _record(lines: DocumentLines) -> str:
    return f"document {quote(lines.name)} (line {lines.number})"


def _count(
    narrations: list[Narration], documents: Collection[ConllDocument], report: ReadReport
) -> None:
    report.count("narrations", len(narrations))
    report.count("words", sum(len(narration.words) for narration in narrations))
    report.count_chains(narrations)
    kept = sum(len(narration.mentions) for narration in narrations)
    annotated = sum(len(chain) for document in documents for chain in document.chains)
    report.count("mentions dropped as repeats", annotated - kept)
    if split := sum(len(document.split_antecedents) for document in documents):
        report.notes.append(f"mentions with a split antecedent, in no chain, left out: {split:,}")
    if renamed := sum(n.id != _plain_id(d) for n, d in zip(narrations, documents, strict=True)):
        report.notes.append(f"documents whose id another one had, numbered: {renamed:,}")
