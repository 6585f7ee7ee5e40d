"""The files that a data set consists of, so that what is missing can be said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ExpectedFiles:
    """Files and folders that are read together.

    Attributes:
        what: what they hold.
        paths: each of them, there or not.
        source: where they are to be had.
        without: what cannot be done without them.
    """

    what: str
    paths: tuple[Path, ...]
    source: str
    without: str


def expected_texts(paths: Mapping[str, Path], source: str) -> list[ExpectedFiles]:
    """List the files of a data set of texts that is labelled throughout.

    Args:
        paths: the file or folder of `train`, `val` and `test`.
        source: where they are to be had.
    """
    without = {
        "train": "nothing to train on",
        "val": "no `test_coref.py --split val`",
        "test": "`test_coref.py` needs `--split val`",
    }
    return [
        ExpectedFiles(f"texts and chains of {split}", (path,), source, without[split])
        for split, path in paths.items()
    ]
