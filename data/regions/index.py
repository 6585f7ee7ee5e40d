"""Where the regions of a split's images stand: the published files, checked against each other.

Three files a split, side by side in one folder:

- `<split>_features_compress.hdf5`: `features` [regions of all images, feature size], and
  `pos_bboxes` [images, 2], the first row of each image and the row after its last;
- `<split>_imgid2idx.pkl`: image id -> row of `pos_bboxes`;
- `<split>_detection_dict.json`: image id -> `bboxes`, `classes` and `attrs`.

Or as many such threes as there are shards, `<split>-00000-of-00008_features_compress.hdf5` and so
on, each with images of its own.
"""

from __future__ import annotations

import functools
import glob
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data.files import BadRecord, DataError, bad_record, read_image_rows
from data.hdf5_files import held_dataset, open_hdf5
from data.regions.detections import (
    NO_ATTRIBUTE,
    NO_DETECTIONS,
    Detections,
    Wrong,
    read_detections,
)
from utils.json_files import is_text, read_json
from utils.printable import quote

# How far a box may reach over the image before it is of another scale, as a share of its side.
_SCALE_TOLERANCE = 0.02
_WORDS = "words.json"


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


@dataclass(frozen=True, eq=False)
class RegionIndex:
    """The images of a region store: the rows of their features, their boxes and labels.

    The regions of image p are the rows from `offsets[p]` to `offsets[p + 1]` of what is kept for
    each region. Everything but `words` may be mapped from files (`open`): then it takes no memory
    but for what is read, and processes share that.
    """

    image_ids: np.ndarray  # [images] bytes, UTF-8
    order: np.ndarray  # [images] int64, the images in the order of their ids
    files: np.ndarray  # [images] int32, which of the store's files has the features
    first_rows: np.ndarray  # [images] int64, of the features in that file
    offsets: np.ndarray  # [images + 1] int64
    extents: np.ndarray  # [images, 2] float32, largest x2 and y2 in pixels, at least 1
    boxes_xyxy: np.ndarray  # [rows, 4] float32, pixels
    labels: np.ndarray  # [rows] int32, numbers of words
    attributes: np.ndarray  # [rows] int32, numbers of words; NO_ATTRIBUTE where there are none
    words: tuple[str, ...]
    folder: Path | None = None  # where it is mapped from

    def __len__(self) -> int:
        return len(self.image_ids)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.folder is not None:
            # Another process maps the files for itself.
            return RegionIndex.open, (self.folder,)
        return RegionIndex, tuple(getattr(self, f.name) for f in fields(self))

    def place_of(self, image_id: object) -> int | None:
        """Return the image's place; None where there is none of this id."""
        key = image_id.encode("utf-8", "surrogatepass") if isinstance(image_id, str) else b""
        if not 0 < len(key) <= self.image_ids.dtype.itemsize:
            return None
        rank = int(np.searchsorted(self.image_ids, np.bytes_(key), sorter=self.order))
        if rank == len(self):
            return None
        place = int(self.order[rank])
        return place if 0 <= place < len(self) and self.image_ids[place] == key else None

    def save(self, folder: Path) -> None:
        """Write files that `open` maps into a folder that is there."""
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name))
        (folder / _WORDS).write_text(json.dumps(self.words), encoding="utf-8")

    @classmethod
    def open(cls, folder: Path) -> RegionIndex:
        """Map the files that `save` wrote.

        Raises:
            DataError: a file is missing or broken.
        """
        try:
            arrays = {name: _mapped(folder / f"{name}.npy") for name in _ARRAYS}
        except Exception as error:
            # A broken header ends in nearly any kind of error.
            raise DataError(f"{folder} does not hold an index of regions: {error}") from error
        words = read_json(folder / _WORDS, DataError)
        if not isinstance(words, list) or not all(map(is_text, words)):
            raise DataError(f"{folder / _WORDS} holds {quote(words)}, expected a list of words")
        index = cls(**arrays, words=tuple(words), folder=folder)
        index._check_shapes(folder)
        return index

    def check(self, place: int, files: int) -> None:
        """Refuse what is wrong with an image of an index that is mapped.

        Args:
            files: how many files of features there are.

        Raises:
            DataError: something is, and the image is not safe to read.
        """
        if self.folder is None:
            return
        first, end = self.offsets[place : place + 2].tolist()
        rows = slice(first, end)
        right = 0 <= first <= end <= len(self.boxes_xyxy) and 0 <= self.files[place] < files
        right = right and np.isfinite(self.boxes_xyxy[rows]).all()
        right = right and (self.extents[place] >= 1).all()
        for numbers, least in ((self.labels, 0), (self.attributes, NO_ATTRIBUTE)):
            of_image = numbers[rows]
            right = right and ((of_image >= least) & (of_image < len(self.words))).all()
        if not right:
            raise DataError(f"{self.folder}: picture {place} is not what was written")

    def _check_shapes(self, folder: Path) -> None:
        """Refuse arrays that do not fit together, and an order of images that there are not."""
        images, rows = len(self.image_ids), len(self.boxes_xyxy)
        expected = {
            "image_ids": ("S", (images,)),
            "order": ("i", (images,)),
            "files": ("i", (images,)),
            "first_rows": ("i", (images,)),
            "offsets": ("i", (images + 1,)),
            "extents": ("f", (images, 2)),
            "boxes_xyxy": ("f", (rows, 4)),
            "labels": ("i", (rows,)),
            "attributes": ("i", (rows,)),
        }
        for name, (kind, shape) in expected.items():
            array = getattr(self, name)
            if (array.dtype.kind, array.shape) != (kind, shape):
                raise DataError(
                    f"{folder / name}.npy is {array.dtype}, {array.shape}, expected {shape} "
                    f"of the kind {kind}"
                )
        if images and not 0 <= self.order.min() <= self.order.max() < images:
            raise DataError(f"{folder / 'order'}.npy is no order of {images} pictures")


_ARRAYS = tuple(f.name for f in fields(RegionIndex) if f.name not in ("words", "folder"))


def _mapped(path: Path) -> np.ndarray:
    # As a plain array: a slice of a memmap costs several times as much.
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


class ReadIndex(NamedTuple):
    """What reading the files of a store found.

    Attributes:
        regions: of all its images.
        feature_size: how many numbers describe a region.
        skipped: what is wrong with each image that is read as one without regions.
    """

    regions: RegionIndex
    feature_size: int
    skipped: list[str]


def read_region_index(
    files: Sequence[RegionFiles],
    *,
    max_regions: int,
    image_sizes: Mapping[str, tuple[int, int]],
    skip_bad_records: bool,
) -> ReadIndex:
    """Read everything but the features; the arguments are those of `RegionStore`.

    Raises:
        DataError: a file is missing or broken, or the files do not fit together.
        BadRecord: an image's rows or detections are wrong, and such are not skipped.
    """
    words: dict[str, int] = {}
    places: dict[str, int] = {}
    skipped: list[str] = []
    file_numbers, first_rows, images = [], [], []
    feature_size = 0
    for number, of_shard in enumerate(files):
        rows = read_image_rows(of_shard.image_index)
        for image_id in rows:
            if image_id in places:
                raise DataError(
                    f"{of_shard.image_index} holds {image_id}, which an earlier shard has"
                )
            places[image_id] = len(places)
        spans, misplaced, size = _row_spans(of_shard, rows)
        if number and size != feature_size:
            raise DataError(
                f"{of_shard.features} has features of {size} numbers, expected {feature_size} as "
                f"in {files[0].features}"
            )
        feature_size = size
        detections = read_detections(of_shard.detections, words)
        for image_id, (start, end) in zip(rows, spans.tolist(), strict=True):
            found = detections.pop(image_id, None)
            try:
                if image_id in misplaced:
                    raise misplaced[image_id]
                known_size = image_sizes.get(image_id)
                image = _checked(of_shard, image_id, found, end - start, known_size)
            except BadRecord as problem:
                if not skip_bad_records:
                    raise
                skipped.append(str(problem))
                image = NO_DETECTIONS
            images.append(image)
        first_rows.append(spans[:, 0])
        file_numbers.append(np.full(len(rows), number, dtype=np.int32))
    index = _joined(images, tuple(words), max_regions, list(places), file_numbers, first_rows)
    return ReadIndex(index, feature_size, skipped)


def _joined(
    images: list[Detections],
    words: tuple[str, ...],
    max_regions: int,
    image_ids: list[str],
    file_numbers: list[np.ndarray],
    first_rows: list[np.ndarray],
) -> RegionIndex:
    kept = [min(len(image.boxes_xyxy), max_regions) for image in images]
    extents = [image.boxes_xyxy[:, 2:].max(axis=0, initial=1.0) for image in images]
    ids = np.asarray([image_id.encode() for image_id in image_ids], dtype=np.bytes_)

    def rows(name: str) -> np.ndarray:
        empty = getattr(NO_DETECTIONS, name)
        return np.concatenate([empty, *(getattr(p, name)[:max_regions] for p in images)])

    return RegionIndex(
        image_ids=ids,
        order=np.argsort(ids, kind="stable"),
        files=np.concatenate([np.zeros(0, np.int32), *file_numbers]),
        first_rows=np.concatenate([np.zeros(0, np.int64), *first_rows]),
        offsets=np.cumsum([0, *kept]),
        extents=np.reshape(np.asarray(extents, dtype=np.float32), (-1, 2)),
        boxes_xyxy=rows("boxes_xyxy"),
        labels=rows("labels"),
        attributes=rows("attributes"),
        words=words,
    )


def _row_spans(
    files: RegionFiles, rows: dict[str, int]
) -> tuple[np.ndarray, dict[str, BadRecord], int]:
    """Read which rows of the features are those of each image.

    Returns:
        The first row of each image and the one after its last, [images, 2] int64, zeros where
        these are wrong; what is wrong, by image id; and the feature size.
    """
    (count, feature_size), published = _read_layout(files.features)
    # Python's numbers, which have no largest one.
    of_rows = published.tolist()
    spans = np.zeros((len(rows), 2), dtype=np.int64)
    wrong: dict[str, BadRecord] = {}
    for place, (image_id, row) in enumerate(rows.items()):
        if not 0 <= row < len(of_rows):
            wrong[image_id] = BadRecord(
                f"{files.image_index}: {image_id} has row {quote(row)}, but pos_bboxes of "
                f"{files.features} has {len(of_rows)} rows"
            )
            continue
        start, end = of_rows[row]
        if 0 <= start <= end <= count:
            spans[place] = start, end
        else:
            wrong[image_id] = BadRecord(
                f"{files.features}: the regions of {image_id} are rows {of_rows[row]} of {count}"
            )
    return spans, wrong, feature_size


def _checked(
    files: RegionFiles,
    image_id: str,
    image: Detections | Wrong | None,
    count: int,
    size: tuple[int, int] | None,
) -> Detections:
    """Check that an image has as many detections as features, all of them inside it."""
    bad = functools.partial(bad_record, files.detections, image_id)
    if image is None:
        raise bad("nothing", f"its regions: it is in {files.image_index}")
    if isinstance(image, Wrong):
        raise bad(image.found, image.expected)
    boxes = image.boxes_xyxy
    if len(boxes) != count:
        raise bad(f"{len(boxes)} regions", f"{count}, as many as in {files.features}")
    if size is not None:
        x, y = boxes[:, 2:].max(axis=0, initial=0.0)
        width, height = size
        if max(x / width, y / height) > 1 + _SCALE_TOLERANCE:
            raise bad(
                f"boxes up to x {x:g} and y {y:g}", f"boxes inside its {width} x {height} pixels"
            )
    return image


def _read_layout(path: Path) -> tuple[tuple[int, int], np.ndarray]:
    """Read the shape of the features, and pos_bboxes [images, 2], whole numbers of any type."""
    try:
        with open_hdf5(path) as file:
            shape, dtype = file["features"].shape, file["features"].dtype
            spans = held_dataset(file, "pos_bboxes")[:]
    except Exception as error:
        # A broken file ends in nearly any kind of error.
        raise DataError(
            f"{path} cannot be read as HDF5 with features and pos_bboxes: {error}"
        ) from error
    if len(shape) != 2 or dtype.kind != "f":
        raise DataError(f"{path}: features is {dtype}, {shape}, expected floats [regions, size]")
    if spans.ndim != 2 or spans.shape[1] != 2 or spans.dtype.kind not in "iu":
        raise DataError(
            f"{path}: pos_bboxes is {spans.dtype}, {spans.shape}, expected whole numbers "
            "[pictures, 2]"
        )
    return shape, spans
