"""What a folder of a data set holds, what it lacks, and whether a training could start from it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py

from data.files import DataError
from data.hdf5_files import open_hdf5
from data.mentions.found import cache_path, with_found_mentions
from data.narration import Narration
from data.readers import get_reader, read_narrations
from data.readers.dataset_reader import DatasetReader
from data.readers.expected_files import ExpectedFiles

_HDF5_ENDINGS = (".h5", ".hdf5")
_UNITS = ("bytes", "KB", "MB", "GB", "TB")


@dataclass(frozen=True)
class DataCheck:
    """What was found in a folder.

    Attributes:
        lines: to print.
        options: of `main.py`, for a training on all of the folder that can be read; None where
            none can start.
    """

    lines: tuple[str, ...]
    options: tuple[str, ...] | None


@dataclass(frozen=True, eq=False)
class _Part:
    """A split as a training reads it.

    Attributes:
        lines: to print.
        narrations: none where they, or the mentions of unlabelled ones, cannot be read.
        has_regions: None where they are there and cannot be read.
    """

    lines: tuple[str, ...]
    narrations: Sequence[Narration]
    has_regions: bool | None


def check_data(dataset: str, data_root: Path, *, skip_bad_records: bool = False) -> DataCheck:
    """Look for the files of a data set, and read each of its splits as a training does.

    Args:
        skip_bad_records: count bad records instead of taking a split with one for unreadable.

    Raises:
        DataError: there is no such data set or folder; it holds the same thing in two ways.
    """
    reader = get_reader(dataset)
    unlabelled = reader.unlabelled_split
    if not data_root.is_dir():
        raise DataError(f"{data_root} is no folder, expected the one of the data set's files")
    expected = reader.expected_files(data_root)
    if unlabelled is not None:
        expected.append(_found_mentions(data_root, unlabelled))
    parts = {
        split: _read_part(reader, data_root, split, skip_bad_records) for split in reader.splits
    }
    lines = [line for files in expected for line in _describe(files, data_root)]
    lines += [line for part in parts.values() for line in part.lines]
    unlabelled_part = None if unlabelled is None else parts[unlabelled]
    own = reader.held_out_split
    held_out_part = None if own is None else parts[own]
    options = _options(parts[reader.labelled_split], unlabelled_part, held_out_part)
    return DataCheck(tuple(lines), options)


def _options(
    labelled: _Part, unlabelled: _Part | None, held_out: _Part | None
) -> tuple[str, ...] | None:
    """Return the options of a training on the parts that can be read; None where none can.

    Args:
        unlabelled, held_out: None where the data set has no such part.
    """
    usable = []
    if any(narration.mentions and narration.is_labelled for narration in labelled.narrations):
        usable.append(labelled)
    if unlabelled is not None and unlabelled.narrations:
        usable.append(unlabelled)
    if not usable:
        return None
    use_regions = bool(usable[0].has_regions)
    # With regions, a part whose own are broken cannot be read.
    used = [part for part in usable if not use_regions or part.has_regions is not None]
    options = {
        "--use-ssl": labelled in used,
        "--held-out=0": held_out is not None and not held_out.narrations,
        "--no-unlabelled": unlabelled is not None and unlabelled not in used,
        "--no-regions": not use_regions,
    }
    return tuple(option for option, wanted in options.items() if wanted)


def _found_mentions(data_root: Path, split: str) -> ExpectedFiles:
    return ExpectedFiles(
        f"mentions found in {split}",
        (cache_path(data_root, split),),
        "`prepare.py mentions` finds them",
        "no unlabelled part: --no-unlabelled",
    )


def _read_part(reader: DatasetReader, data_root: Path, split: str, skip_bad_records: bool) -> _Part:
    narrations: Sequence[Narration] = ()
    lines = []
    try:
        reading = read_narrations(reader.name, data_root, split, skip_bad_records=skip_bad_records)
        lines += reading.report.lines()
        narrations = reading.narrations
        if split == reader.unlabelled_split:
            narrations = with_found_mentions(narrations, cache_path(data_root, split))
            lines.append(f"  found mentions: {sum(len(n.mentions) for n in narrations):,}")
    except DataError as error:
        narrations = ()
        lines.append(f"{reader.name} {split} cannot be used: {error}")
    sizes = {n.image_id: n.image_size for n in narrations if n.image_size and n.image_id}
    try:
        store = reader.open_regions(
            data_root,
            split,
            max_regions=sys.maxsize,
            image_sizes=sizes,
            skip_bad_records=skip_bad_records,
        )
    except DataError as error:
        return _Part((*lines, f"{reader.name} {split}, regions: {error}"), narrations, None)
    if store is None:
        return _Part(tuple(lines), narrations, False)
    with store:
        lines.append(
            f"{reader.name} {split}, regions: {len(store):,} pictures, features of "
            f"{store.feature_size:,} numbers; {len(store.skipped):,} pictures without theirs"
        )
    return _Part(tuple(lines), narrations, True)


def _describe(files: ExpectedFiles, data_root: Path) -> Iterator[str]:
    """Say which of the files are there, and what is to be done and lost without the others."""
    missing = [path for path in files.paths if not path.exists()]
    yield f"{files.what}: {'missing' if missing else 'there'}"
    for path in files.paths:
        state = "missing" if path in missing else _content(path)
        yield f"  {path.relative_to(data_root)}: {state}"
    if missing:
        yield f"  to be had: {files.source}"
        yield f"  without: {files.without}"


def _content(path: Path) -> str:
    """Return the size of a file and its arrays, or how many files a folder holds."""
    if path.is_dir():
        return f"{sum(inside.is_file() for inside in path.rglob('*')):,} files"
    size = _size(path.stat().st_size)
    return f"{size}; {_arrays(path)}" if path.suffix in _HDF5_ENDINGS else size


def _size(count: float) -> str:
    for unit in _UNITS[:-1]:
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} {_UNITS[-1]}"


def _arrays(path: Path) -> str:
    """Return the names, shapes and types of the arrays of an HDF5 file."""
    try:
        with open_hdf5(path) as file:
            arrays = [held for held in file.values() if isinstance(held, h5py.Dataset)]
            return ", ".join(f"{a.name[1:]} {list(a.shape)} {a.dtype}" for a in arrays)
    except Exception as error:
        # A broken file ends in nearly any kind of error.
        return f"not HDF5 ({error})"
