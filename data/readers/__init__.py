"""Readers of data sets: each turns its files into `Narration` objects.

Adding a data set is adding a file here and its name to `DATASETS`. A reader module has

- `SPLITS`: the names of its splits;
- `LABELLED_SPLIT`: the one whose chains are trained on;
- `UNLABELLED_SPLIT`: the one that is trained on without chains; None where there is none;
- where thresholds and the best epoch have a split of their own to be chosen on, `HELD_OUT_SPLIT`,
  its name;
- `TEST_SPLIT`: the one that is tested on where nobody says otherwise;
- `read(data_root, split, report) -> list[Narration]`;
- `expected_files(data_root) -> list[ExpectedFiles]`, all that a folder of the data set may hold;
- where it has regions, `open_regions(data_root, split, **options) -> RegionStore | None`, the
  options those of `RegionStore.read_files`;
- where regions are described in frames of videos, `read_frames(data_root, split) -> dict[str,
  tuple[RegionFrame, ...]]`, that of each region by the narration's id;
- where there is an unlabelled split, `files(data_root, split)`, all files and folders that it is
  read from;
- where texts come with the narrations that are none, such as titles,
  `further_texts(data_root, split, report) -> Iterator[str]`;
- where the truth of the unlabelled split can be known, `read_truth(data_root)`;
- where narrations can have mouse traces, `trace_folder(data_root)`;
- where pronouns are annotated with candidates, to score their resolution by,
  `read_pronouns(data_root, split, report) -> dict[str, tuple[AnnotatedPronoun, ...]]` by the
  narration's id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from data.files import DataError
from data.narration import Narration
from data.readers import (
    cin,
    conll,
    litbank,
    vd_ref,
    vispro,
)
from data.readers.expected_files import ExpectedFiles
from data.readers.report import ReadReport
from data.readers.tiktalk import reader as tiktalk
from data.readers.tiktalk.regions import RegionFrame
from data.regions.store import RegionStore
from utils.text.annotated_pronouns import AnnotatedPronoun

DATASETS: dict[str, ModuleType] = {
    "cin": cin,
    "vd_ref": vd_ref,
    "vispro": vispro,
    "litbank": litbank,
    "conll": conll,
    "tiktalk": tiktalk,
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


def read_narrations(
    dataset: str, data_root: Path, split: str, *, skip_bad_records: bool = False
) -> Reading:
    """Read one split of a data set.

    Args:
        dataset: a name in `DATASETS`.
        data_root: the folder that holds its files.
        skip_bad_records: leave bad records out and report them, instead of ending at the first.

    Raises:
        DataError: there is no such data set or split; a file is missing or broken; no narration is
            left.
        BadRecord: a record is wrong.
    """
    report = ReadReport(dataset, split, skip_bad_records)
    narrations = _reader_of(dataset, split).read(Path(data_root), split, report)
    if not narrations:
        raise DataError(
            "\n".join([f"no narration of {dataset} {split} in {data_root}", *report.lines()])
        )
    return Reading(tuple(narrations), report)


def open_regions(dataset: str, data_root: Path, split: str, **options: Any) -> RegionStore | None:
    """Open the regions of a split's images.

    Args:
        options: of `RegionStore.read_files`.

    Returns:
        None where the data set has no regions, or where none of the split's region files is there:
        its narrations are then read as texts alone. Whoever needs regions says so.

    Raises:
        DataError: there is no such data set or split; some of the files are missing, or broken.
        BadRecord: an image's detections are wrong.
    """
    read: Callable[..., RegionStore | None] | None
    read = getattr(_reader_of(dataset, split), "open_regions", None)
    return None if read is None else read(Path(data_root), split, **options)


def read_frames(dataset: str, data_root: Path, split: str) -> dict[str, tuple[RegionFrame, ...]]:
    """The frames of videos that the regions of each narration are described in.

    Returns:
        Those of each narration's regions by its id; empty where regions are not of videos.

    Raises:
        DataError: there is no such data set or split, no regions, or a file is broken.
        BadRecord: a record is wrong.
    """
    read: Callable[..., dict[str, tuple[RegionFrame, ...]]] | None
    read = getattr(_reader_of(dataset, split), "read_frames", None)
    return {} if read is None else read(Path(data_root), split)


def files_of_split(dataset: str, data_root: Path, split: str) -> list[Path]:
    """The files and folders that a data set's unlabelled split is read from, there or not.

    Raises:
        DataError: there is no such data set or split.
    """
    files: list[Path] = _reader_of(dataset, split).files(data_root, split)
    return files


def expected_files(dataset: str, data_root: Path) -> list[ExpectedFiles]:
    """All files that a folder of the data set may hold, there or not.

    Raises:
        DataError: there is no such data set; the folder holds the same thing in two ways.
    """
    files: list[ExpectedFiles] = _reader(dataset).expected_files(data_root)
    return files


def splits_of(dataset: str) -> tuple[str, ...]:
    """The names of a data set's splits.

    Raises:
        DataError: there is no such data set.
    """
    splits: tuple[str, ...] = _reader(dataset).SPLITS
    return splits


def labelled_split(dataset: str) -> str:
    """The split whose chains are trained on.

    Raises:
        DataError: there is no such data set.
    """
    split: str = _reader(dataset).LABELLED_SPLIT
    return split


def unlabelled_split(dataset: str) -> str | None:
    """The split that is trained on without chains; None where the data set has none.

    Raises:
        DataError: there is no such data set.
    """
    split: str | None = _reader(dataset).UNLABELLED_SPLIT
    return split


def read_truth(dataset: str, data_root: Path) -> dict[str, Narration]:
    """What is known of the unlabelled split by whoever made it, to measure with.

    Returns:
        Labelled narrations by id; empty where nothing is known, as in every real data set.

    Raises:
        DataError: the data set's file of it is broken.
        BadRecord: a record is wrong.
    """
    read: Callable[[Path], dict[str, Narration]] | None
    read = getattr(_reader(dataset), "read_truth", None)
    return {} if read is None else read(Path(data_root))


def read_pronouns(
    dataset: str, data_root: Path, split: str, *, skip_bad_records: bool = False
) -> dict[str, tuple[AnnotatedPronoun, ...]]:
    """The pronouns of a split that are annotated with candidates.

    Returns:
        Those of each narration by its id; empty where the data set has no such annotation.

    Raises:
        DataError: there is no such data set or split; the file is missing or broken.
        BadRecord: a record is wrong.
    """
    reader = _reader_of(dataset, split)
    if not hasattr(reader, "read_pronouns"):
        return {}
    report = ReadReport(dataset, split, skip_bad_records)
    found: dict[str, tuple[AnnotatedPronoun, ...]]
    found = reader.read_pronouns(Path(data_root), split, report)
    return found


def further_texts(dataset: str, data_root: Path, split: str) -> list[str]:
    """Texts of a split that come with its narrations and are none, such as titles.

    Raises:
        DataError: there is no such data set or split; the file is missing or broken.
        BadRecord: a record is wrong.
    """
    reader = _reader_of(dataset, split)
    if not hasattr(reader, "further_texts"):
        return []
    return list(reader.further_texts(Path(data_root), split, ReadReport(dataset, split)))


def trace_folder(dataset: str, data_root: Path) -> Path | None:
    """Where the mouse traces of a data set are looked for; None where it has none.

    Raises:
        DataError: there is no such data set.
    """
    find: Callable[[Path], Path] | None = getattr(_reader(dataset), "trace_folder", None)
    return None if find is None else find(Path(data_root))


def held_out_split(dataset: str) -> str | None:
    """The split that thresholds and the best epoch are chosen on; None where there is none.

    Raises:
        DataError: there is no such data set.
    """
    split: str | None = getattr(_reader(dataset), "HELD_OUT_SPLIT", None)
    return split


def default_test_split(dataset: str) -> str:
    """The split that is tested on where nobody says otherwise.

    Raises:
        DataError: there is no such data set.
    """
    split: str = _reader(dataset).TEST_SPLIT
    return split


def _reader(dataset: str) -> ModuleType:
    if dataset not in DATASETS:
        raise DataError(f"there is no data set {dataset!r}, only {', '.join(DATASETS)}")
    return DATASETS[dataset]


def _reader_of(dataset: str, split: str) -> ModuleType:
    reader = _reader(dataset)
    if split not in reader.SPLITS:
        raise DataError(f"{dataset} has no split {split!r}, only {', '.join(reader.SPLITS)}")
    return reader
