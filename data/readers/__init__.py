"""Readers of data sets: each turns its files into `Narration` objects.

Adding a data set is adding a `DatasetReader` in a file here, and it to `DATASETS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data.files import DataError
from data.narration import Narration
from data.readers.cin.reader import CinReader
from data.readers.conll import ConllReader
from data.readers.corefud import CorefUDReader
from data.readers.dataset_reader import DatasetReader
from data.readers.litbank import LitBankReader
from data.readers.report import ReadReport
from data.readers.tiktalk.reader import TikTalkReader
from data.readers.vd_ref import VDRefReader
from data.readers.vispro import VisProReader

DATASETS: dict[str, DatasetReader] = {
    reader.name: reader
    for reader in (
        CinReader(),
        VDRefReader(),
        VisProReader(),
        LitBankReader(),
        ConllReader(),
        CorefUDReader(),
        TikTalkReader(),
    )
}


@dataclass(frozen=True)
class Reading:
    """The narrations of one split, and what was found on the way.

    Attributes:
        narrations: in the order of their files.
        report: counts, what was left out and why.
    """

    narrations: tuple[Narration, ...]
    report: ReadReport


def get_reader(dataset: str) -> DatasetReader:
    """Return the reader of a data set by its name.

    Raises:
        DataError: there is no such data set.
    """
    if dataset not in DATASETS:
        raise DataError(f"there is no data set {dataset!r}, only {', '.join(DATASETS)}")
    return DATASETS[dataset]


def read_narrations(
    dataset: str, data_root: Path, split: str, *, skip_bad_records: bool = False
) -> Reading:
    """Read one split of a data set, with a report.

    Args:
        dataset: a name in `DATASETS`.
        data_root: the folder that holds its files.
        skip_bad_records: leave bad records out and report them, instead of ending at the first.

    Raises:
        DataError: there is no such data set or split; a file is missing or broken; no narration is
            left.
        BadRecord: a record is wrong.
    """
    reader = get_reader(dataset)
    reader.check_split(split)
    report = ReadReport(dataset, split, skip_bad_records)
    narrations = reader.read(data_root, split, report)
    if not narrations:
        raise DataError(
            "\n".join([f"no narration of {dataset} {split} in {data_root}", *report.lines()])
        )
    return Reading(tuple(narrations), report)
