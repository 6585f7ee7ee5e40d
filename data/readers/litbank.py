"""LitBank: the first 2,000 words or so of 100 novels and stories, with chains and singletons.

The data root, or `conll/` or `coref/conll/` in it, holds a CoNLL-2012 file for each document, which
`data/readers/conll.py` reads; documents are not divided.

LitBank is published with ten ways to split it (github.com/dbamman/lrec2020-coref); the splits here
are those of the first one, by the number of the book that a file's name begins with. A document of
another number belongs to the training split.
"""

from __future__ import annotations

from pathlib import Path

from data.files import DataError
from data.narration import Narration
from data.readers.conll import read_files
from data.readers.dataset_reader import DatasetReader
from data.readers.expected_files import ExpectedFiles
from data.readers.report import ReadReport

# Of the books in the Gutenberg library.
_NUMBERS = {
    "val": frozenset("44 60 158 208 351 768 940 2814 6053 15265".split()),
    "test": frozenset("238 271 711 730 1023 1155 1661 2807 6593 16357".split()),
}
_FOLDERS = ("coref/conll", "conll", ".")


class LitBankReader(DatasetReader):
    """Read the documents of LitBank's first way to split it, as narrations without regions."""

    name = "litbank"

    def read(self, data_root: Path, split: str, report: ReadReport) -> list[Narration]:
        """Read the documents of a split."""
        folders = [data_root / folder for folder in _FOLDERS]
        paths = next(filter(None, (sorted(folder.glob("*.conll")) for folder in folders)), None)
        if paths is None:
            places = ", ".join(str(folder) for folder in folders)
            raise DataError(f"found no files *.conll in any of {places}, expected LitBank's")
        report.notes.append("the splits are those of the first of LitBank's ten published ways")
        return read_files([path for path in paths if _split_of(path) == split], report)

    def expected_files(self, data_root: Path) -> list[ExpectedFiles]:
        """List the folder of the documents, there or not."""
        folders = [data_root / folder for folder in _FOLDERS]
        found = next((folder for folder in folders if any(folder.glob("*.conll"))), folders[0])
        source = "LitBank: its repository, the folder coref/conll"
        return [ExpectedFiles("texts and chains", (found,), source, "nothing to train on")]


def _split_of(path: Path) -> str:
    number = path.name.split("_")[0]
    return next((split for split, numbers in _NUMBERS.items() if number in numbers), "train")
