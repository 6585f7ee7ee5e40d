"""Data sets in CoNLL-2012 files, such as OntoNotes.

Each split is a file `<split>.conll` in the data root, or a folder `<split>` whose files that end in
`.conll` or `gold_conll` are read, whatever folders they are in. The columns are described in
`utils/text/conll.py`.

A narration is the words of a document, joined by single spaces; its id is the document's name, "/"
written as "_", and of a part that is not part 0, "_" and the part's number. Where a span is there
more than once, it stays in the chain that opened first.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from data.files import BadRecord, DataError, bad_record, read_id
from data.narration import Narration
from data.readers.conll_documents import narration_of
from data.readers.dataset_reader import DatasetReader
from data.readers.expected_files import ExpectedFiles, expected_texts
from data.readers.report import ReadReport
from utils.printable import quote
from utils.text.conll import (
    ConllError,
    DocumentLines,
    split_documents,
)

_ENDINGS = (".conll", "gold_conll")


class ConllReader(DatasetReader):
    """Read the documents of CoNLL-2012 files, as narrations without regions."""

    name = "conll"

    def read(self, data_root: Path, split: str, report: ReadReport) -> list[Narration]:
        """Read the documents of a split's file, or of all files in its folder."""
        file, folder = data_root / f"{split}.conll", data_root / split
        if file.is_file():
            return read_files([file], report)
        paths = sorted(path for path in folder.rglob("*") if path.name.endswith(_ENDINGS))
        if not paths:
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
    annotated = 0
    for path in paths:
        for lines in _split(path):
            with report.skipping():
                narration, mentions = _narration(lines, narrations)
                narrations[narration.id] = narration
                annotated += mentions
    _count(list(narrations.values()), annotated, report)
    return list(narrations.values())


def _split(path: Path) -> list[DocumentLines]:
    try:
        return split_documents(path)
    except ConllError as error:
        raise DataError(str(error)) from error


def _narration(lines: DocumentLines, seen: Iterable[str]) -> tuple[Narration, int]:
    """Return a document as a narration, and how many mentions are annotated in it."""
    try:
        document = lines.parse()
    except ConllError as error:
        raise BadRecord(str(error)) from error
    record = f"document {quote(lines.name)} (line {lines.number})"
    name = lines.name.replace("/", "_")
    narration_id = read_id(f"{name}_{lines.part}" if lines.part else name)
    if narration_id is None:
        raise bad_record(lines.path, record, f"the name {quote(lines.name)}", "one fit for an id")
    if narration_id in seen:
        raise bad_record(lines.path, record, f"the id {narration_id} before it too", "it once")
    if not document.words or not all(document.words):
        found = "a line without a word" if document.words else "no words"
        raise bad_record(lines.path, record, found, "a word in the fourth column of each line")
    return narration_of(document, narration_id), sum(map(len, document.chains))


def _count(narrations: list[Narration], annotated: int, report: ReadReport) -> None:
    report.count("narrations", len(narrations))
    report.count("words", sum(len(narration.words) for narration in narrations))
    report.count_chains(narrations)
    kept = sum(len(narration.mentions) for narration in narrations)
    report.count("mentions dropped as repeats", annotated - kept)
