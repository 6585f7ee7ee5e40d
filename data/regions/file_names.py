"""The names of region files.

Three files a split, side by side in one folder:

- `<split>_features_compress.hdf5`: `features` [regions of all images, feature size], and
  `pos_bboxes` [images, 2], the first row of each image and the row after its last;
- `<split>_imgid2idx.pkl`: image id -> row of `pos_bboxes`;
- `<split>_detection_dict.json`: image id -> `bboxes`, `classes` and `attrs`.

Or as many such threes as there are shards, `<split>-00000-of-00008_features_compress.hdf5` and so
on, each with images of its own.
"""

from __future__ import annotations

import glob
import re
from pathlib import Path
from typing import NamedTuple

from data.files import DataError


class RegionFiles(NamedTuple):
    """The files of a split's regions, or of one shard."""

    features: Path
    image_index: Path
    detections: Path


def region_files(folder: Path, split: str) -> RegionFiles:
    """Return the paths of a split's files, or of one shard's where `split` is its name."""
    return RegionFiles(
        folder / f"{split}_features_compress.hdf5",
        folder / f"{split}_imgid2idx.pkl",
        folder / f"{split}_detection_dict.json",
    )


def shard_name(split: str, number: int, count: int) -> str:
    """Return what stands for the split in the names of the files of one of `count` shards."""
    return f"{split}-{number:05d}-of-{count:05d}"


def find_region_files(folder: Path, split: str) -> list[RegionFiles]:
    """Find the files of a split's regions, three for each shard; none where there is no file.

    Raises:
        DataError: some are missing, or there is a whole as well as shards, or shards of two kinds.
    """
    found = names_of_region_files(folder, split)
    missing = [path for files in found for path in files if not path.exists()]
    if missing:
        raise DataError(f"region files are missing: {', '.join(map(str, missing))}")
    return found


def names_of_region_files(folder: Path, split: str) -> list[RegionFiles]:
    """Return what `find_region_files` does, where not all of the files need be there.

    Raises:
        DataError: there is a whole as well as shards, or shards of two kinds.
    """
    shard = re.compile(rf"{re.escape(split)}-\d{{5}}-of-(\d{{5}})_.*")
    shards = folder.glob(f"{glob.escape(split)}-*") if folder.is_dir() else ()
    counts = {int(match[1]) for path in shards if (match := shard.fullmatch(path.name))}
    kinds = [f"{count} shards" for count in sorted(counts)]
    if any(path.exists() for path in region_files(folder, split)):
        kinds.append("one piece")
    if len(kinds) > 1:
        raise DataError(
            f"{folder} holds the regions of {split} in {' and in '.join(kinds)}, expected them once"
        )
    if not counts:
        return [region_files(folder, split)] if kinds else []
    count = counts.pop()
    return [region_files(folder, shard_name(split, n, count)) for n in range(count)]


def expected_region_paths(folder: Path, split: str) -> tuple[Path, ...]:
    """Return the paths of a split's region files, there or not; of one piece where there is none.

    Raises:
        DataError: there is a whole as well as shards, or shards of two kinds.
    """
    found = names_of_region_files(folder, split) or [region_files(folder, split)]
    return tuple(path for files in found for path in files)
