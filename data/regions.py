"""The region store: what a detector found in the pictures of a split, in the published files.

Three files a split, side by side in one folder:

- `<split>_features_compress.hdf5`: `features` [regions of all pictures, feature size], and
  `pos_bboxes` [pictures, 2], the first row of each picture and the row after its last;
- `<split>_imgid2idx.pkl`: image id -> row of `pos_bboxes`;
- `<split>_detection_dict.json`: image id -> `bboxes` (x1, y1, x2, y2 in pixels), `classes`, and
  `attrs`, which may be missing.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from data.files import (
    BadRecord,
    DataError,
    bad_record,
    is_text,
    read_id,
    read_image_rows,
    read_json,
    shown,
)
from data.narration import Regions
from utils.files import replaced_when_whole

LARGEST_COORDINATE = 1e7  # pixels; no picture is that large
# How far a box may reach over the picture before it is of another scale, as a share of its side.
_SCALE_TOLERANCE = 0.02
ROWS_PER_CHUNK = 32  # of the features as they are written: 256 KiB at 2048 numbers
_CHUNK_CACHE_BYTES = 16 * 2**20  # the default holds less than the regions of two pictures
_NO_ATTRIBUTE = -1


class PictureRegions(NamedTuple):
    """The regions of one picture, as `write_region_store` takes them.

    Attributes:
        image_id: text, or a whole number.
        boxes_xyxy: [regions, 4] pixels.
        classes: the detector's label of each region.
        attributes: one for each region; None where the detector gives none.
        features: [regions, feature size].
    """

    image_id: str | int
    boxes_xyxy: np.ndarray
    classes: Iterable[str]
    attributes: Iterable[str] | None
    features: np.ndarray


def region_paths(folder: Path, split: str) -> tuple[Path, Path, Path]:
    """The files of a split's store: features, index and detections."""
    return (
        folder / f"{split}_features_compress.hdf5",
        folder / f"{split}_imgid2idx.pkl",
        folder / f"{split}_detection_dict.json",
    )


class RegionStore:
    """The regions of a split's pictures, read one picture at a time.

    Boxes and labels are kept in memory, as arrays; features stay in their file. The file is opened
    by the process that reads, at its first picture: a store may be handed to workers, forked or
    spawned, before or after it was read from.

    Args:
        features_path: the HDF5 file.
        index_path: the pickled dict of ids.
        detections_path: the JSON file.
        max_regions: the most regions of a picture; the first ones are kept.
        image_sizes: (width, height) of pictures in pixels, where they are known: boxes that reach
            far over them are wrong, as those of a scaled picture are.
        skip_bad_records: read a picture whose detections are wrong as one without regions, instead
            of ending at the first.

    Attributes:
        skipped: what is wrong with each such picture.

    Raises:
        DataError: a file is missing or broken, or the three do not fit together.
        BadRecord: a picture's detections are wrong.
    """

    def __init__(
        self,
        features_path: Path,
        index_path: Path,
        detections_path: Path,
        max_regions: int = 100,
        *,
        image_sizes: Mapping[str, tuple[int, int]] | None = None,
        skip_bad_records: bool = False,
    ) -> None:
        self.features_path = Path(features_path)
        self.index_path = Path(index_path)
        self.detections_path = Path(detections_path)
        self.max_regions = max_regions
        rows = read_image_rows(self.index_path)
        self._places = {image_id: place for place, image_id in enumerate(rows)}
        self._starts, counts, self._feature_size = self._row_spans(rows)
        self.skipped: list[str] = []
        self._table = self._detection_table(counts, image_sizes or {}, skip_bad_records)
        self._file: h5py.File | None = None
        self._file_process = 0

    def __enter__(self) -> RegionStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_file_process": 0}

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self._places)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._places

    @property
    def image_ids(self) -> tuple[str, ...]:
        """The ids of the pictures, as the index has them."""
        return tuple(self._places)

    @property
    def feature_size(self) -> int:
        """How many numbers describe a region."""
        return self._feature_size

    def read(self, image_id: str, image_size: tuple[int, int] | None) -> Regions:
        """The regions of one picture, its boxes relative to it and clipped to it.

        Args:
            image_size: (width, height) in pixels; where None, the picture is taken to end where its
                regions do.

        Raises:
            DataError: there is no such picture, or its features cannot be read or are not finite.
        """
        if image_id not in self._places:
            raise DataError(f"{self.index_path} has no picture {shown(image_id)}")
        place = self._places[image_id]
        table = self._table
        rows = slice(table.offsets[place], table.offsets[place + 1])
        width_height = table.extents[place] if image_size is None else np.asarray(image_size)
        relative = table.boxes_xyxy[rows] / np.tile(width_height, 2)
        attributes = table.attributes[rows].tolist()
        attributes_known = bool(attributes) and attributes[0] != _NO_ATTRIBUTE
        return Regions(
            boxes_xyxy=relative.clip(0, 1).astype(np.float32),
            labels=tuple(map(table.words.__getitem__, table.labels[rows].tolist())),
            attributes=tuple(map(table.words.__getitem__, attributes)) if attributes_known else (),
            features=self._read_features(image_id, int(self._starts[place]), len(relative)),
        )

    def close(self) -> None:
        """Close the file that this process has open; the next read opens it again."""
        if self._file is not None and self._file_process == os.getpid():
            self._file.close()
        self._file = None

    def _read_features(self, image_id: str, start: int, count: int) -> np.ndarray:
        """Rows [count, feature size] float32, as one slice of the file."""
        features = np.empty((count, self._feature_size), dtype=np.float32)
        if not count:
            return features
        try:
            dataset = self._open()["features"]
            dataset.read_direct(features, np.s_[start : start + count])
        except Exception as error:
            # A broken file ends in nearly any kind of error.
            raise DataError(
                f"{self.features_path}: the features of {image_id} cannot be read: {error}"
            ) from error
        if not np.isfinite(features).all():
            raise DataError(f"{self.features_path}: the features of {image_id} are not all finite")
        return features

    def _open(self) -> h5py.File:
        # A file opened before a fork shares its place with the parent's, so a child opens its own.
        if self._file is None or self._file_process != os.getpid():
            self._file = h5py.File(
                self.features_path, "r", locking="best-effort", rdcc_nbytes=_CHUNK_CACHE_BYTES
            )
            self._file_process = os.getpid()
        return self._file

    def _row_spans(self, rows: dict[str, int]) -> tuple[np.ndarray, np.ndarray, int]:
        """First row [pictures] and number of rows [pictures] of each picture; the feature size."""
        features_shape, spans = _read_layout(self.features_path)
        places = np.fromiter(rows.values(), dtype=np.int64, count=len(rows))
        _refuse_first(
            (places < 0) | (places >= len(spans)),
            self._places,
            lambda image_id: (
                f"{self.index_path}: {image_id} has row {rows[image_id]}, but pos_bboxes of "
                f"{self.features_path} has {len(spans)} rows"
            ),
        )
        spans = spans[places]
        starts, ends = spans[:, 0], spans[:, 1]
        _refuse_first(
            (starts < 0) | (ends < starts) | (ends > features_shape[0]),
            self._places,
            lambda image_id: (
                f"{self.features_path}: the regions of {image_id} are rows "
                f"{spans[self._places[image_id]].tolist()} of {features_shape[0]}"
            ),
        )
        return starts, ends - starts, features_shape[1]

    def _detection_table(
        self, counts: np.ndarray, sizes: Mapping[str, tuple[int, int]], skip_bad_records: bool
    ) -> _DetectionTable:
        words: dict[str, int] = {}
        detections = _read_detections(self.detections_path, words)
        found = []
        for image_id, count in zip(self._places, counts.tolist(), strict=True):
            try:
                picture = detections.get(image_id)
                found.append(self._checked(image_id, picture, count, sizes.get(image_id)))
            except BadRecord as problem:
                if not skip_bad_records:
                    raise
                self.skipped.append(str(problem))
                found.append(_NO_DETECTIONS)
        return _DetectionTable.joined(found, tuple(words), self.max_regions)

    def _checked(
        self,
        image_id: str,
        picture: _Detections | _Wrong | None,
        count: int,
        size: tuple[int, int] | None,
    ) -> _Detections:
        """The detections of a picture, known to be as many as its features, and inside it."""

        def bad(found: str, expected: str) -> BadRecord:
            return bad_record(self.detections_path, image_id, found, expected)

        if picture is None:
            raise bad("nothing", f"its regions: it is in {self.index_path}")
        if isinstance(picture, _Wrong):
            raise bad(picture.found, picture.expected)
        boxes = picture.boxes_xyxy
        if len(boxes) != count:
            raise bad(f"{len(boxes)} regions", f"{count}, as many as in {self.features_path}")
        if size is not None:
            x, y = boxes[:, 2:].max(axis=0, initial=0.0)
            width, height = size
            if max(x / width, y / height) > 1 + _SCALE_TOLERANCE:
                raise bad(
                    f"boxes up to x {x:g} and y {y:g}",
                    f"boxes inside its {width} x {height} pixels",
                )
        return picture


@dataclass(frozen=True, slots=True)
class _Detections:
    """What the detector says of one picture; labels and attributes are numbers of words."""

    boxes_xyxy: np.ndarray  # [regions, 4] float32, pixels
    labels: np.ndarray  # [regions] int32
    attributes: np.ndarray  # [regions] int32, all _NO_ATTRIBUTE where the picture has none


_NO_DETECTIONS = _Detections(
    np.zeros((0, 4), dtype=np.float32), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32)
)


class _Wrong(NamedTuple):
    """Why something is not the detections of a picture."""

    found: str
    expected: str


@dataclass(frozen=True, slots=True)
class _DetectionTable:
    """The detections of all pictures, one after the other; those of picture p are the rows from
    offsets[p] to offsets[p + 1]."""

    offsets: np.ndarray  # [pictures + 1] int64
    extents: np.ndarray  # [pictures, 2] float32, largest x2 and y2 in pixels, at least 1
    boxes_xyxy: np.ndarray  # [rows, 4] float32, pixels
    labels: np.ndarray  # [rows] int32
    attributes: np.ndarray  # [rows] int32
    words: tuple[str, ...]

    @staticmethod
    def joined(
        pictures: list[_Detections], words: tuple[str, ...], max_regions: int
    ) -> _DetectionTable:
        kept = [min(len(picture.boxes_xyxy), max_regions) for picture in pictures]
        extents = [picture.boxes_xyxy[:, 2:].max(axis=0, initial=1.0) for picture in pictures]

        def rows(name: str, empty: np.ndarray) -> np.ndarray:
            return np.concatenate([empty, *(getattr(p, name)[:max_regions] for p in pictures)])

        return _DetectionTable(
            offsets=np.cumsum([0, *kept]),
            extents=np.reshape(np.asarray(extents, dtype=np.float32), (-1, 2)),
            boxes_xyxy=rows("boxes_xyxy", np.zeros((0, 4), dtype=np.float32)),
            labels=rows("labels", np.zeros(0, dtype=np.int32)),
            attributes=rows("attributes", np.zeros(0, dtype=np.int32)),
            words=words,
        )


def _read_layout(path: Path) -> tuple[tuple[int, int], np.ndarray]:
    """The shape of the features, and pos_bboxes [pictures, 2] int64."""
    try:
        with h5py.File(path, "r", locking="best-effort") as file:
            shape, dtype = file["features"].shape, file["features"].dtype
            spans = file["pos_bboxes"][:]
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
    return shape, spans.astype(np.int64)


def _refuse_first(
    wrong: np.ndarray, image_ids: Iterable[str], message: Callable[[str], str]
) -> None:
    """Raise with the message for the first picture that is marked as wrong."""
    if wrong.any():
        place = int(wrong.argmax())
        raise DataError(message(list(image_ids)[place]))


def _read_detections(path: Path, words: dict[str, int]) -> dict[str, _Detections | _Wrong]:
    """Detections by image id, or what is wrong with them.

    Each picture becomes arrays as soon as it is parsed: as lists of Python numbers the detections
    of thirty thousand pictures would fill gigabytes.

    Args:
        words: collects the labels and attributes, each with its number.
    """

    def parsed(pairs: list[tuple[str, Any]]) -> _Detections | _Wrong | list[tuple[str, Any]]:
        fields = dict(pairs)
        return _parse_detections(fields, words) if "bboxes" in fields else pairs

    pairs = read_json(path, parsed)
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        raise DataError(f"{path} holds {shown(pairs)}, expected an object of image ids")
    detections: dict[str, _Detections | _Wrong] = {}
    for key, picture in pairs:
        if read_id(key) is None:
            raise DataError(f"{path} holds the key {shown(key)}, expected an image id")
        if key in detections:
            raise bad_record(path, key, "its detections twice", "once")
        if not isinstance(picture, _Detections | _Wrong):
            picture = _Wrong(shown(picture), "an object with bboxes and classes")
        detections[key] = picture
    return detections


def _parse_detections(fields: dict[str, Any], words: dict[str, int]) -> _Detections | _Wrong:
    """One picture's detections as arrays, or what is wrong with them."""
    boxes = _parse_boxes(fields["bboxes"])
    if boxes is None:
        return _Wrong(
            f"bboxes {shown(fields['bboxes'])}",
            "lists x1, y1, x2, y2 of finite numbers of pixels with x1 <= x2 and y1 <= y2",
        )
    count = len(boxes)
    labels, attributes = fields.get("classes"), fields.get("attrs")
    if not _are_words(labels, count) or not all(labels):
        return _Wrong(f"classes {shown(labels)}", f"{count} texts, one a box")
    if attributes is None:
        return _Detections(boxes, _numbers(labels, words), np.full(count, _NO_ATTRIBUTE, np.int32))
    if not _are_words(attributes, count):
        return _Wrong(f"attrs {shown(attributes)}", f"{count} texts, one a box")
    return _Detections(boxes, _numbers(labels, words), _numbers(attributes, words))


def _parse_boxes(boxes: Any) -> np.ndarray | None:
    """Boxes [regions, 4] float32, or None where they are not boxes."""
    if boxes == []:
        return np.zeros((0, 4), dtype=np.float32)
    try:
        array = np.asarray(boxes)
    except (ValueError, OverflowError):  # rows of different lengths; numbers beyond 64 bits
        return None
    if array.dtype.kind not in "if" or array.ndim != 2 or array.shape[1] != 4:
        return None
    if not (np.abs(array) < LARGEST_COORDINATE).all() or (array[:, :2] > array[:, 2:]).any():
        return None
    return array.astype(np.float32)


def _are_words(values: Any, count: int) -> bool:
    return type(values) is list and len(values) == count and all(map(is_text, values))


def _numbers(values: list[str], words: dict[str, int]) -> np.ndarray:
    """The number of each word [values] int32; new words are added."""
    numbers = (words.setdefault(value, len(words)) for value in values)
    return np.fromiter(numbers, dtype=np.int32, count=len(values))


def write_region_store(folder: Path, split: str, pictures: Iterable[PictureRegions]) -> None:
    """Write the regions of a split's pictures, one after the other, in the published files.

    Where a picture is wrong, none of the three files is touched.

    Args:
        folder: where the files go; made where it is missing.
        pictures: at least one; each with features of the same size.

    Raises:
        DataError: a picture's arrays do not fit together, an id is not fit or appears twice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    features_path, index_path, detections_path = region_paths(folder, split)
    # The index takes its place last: a store that is only there in part is refused by readers.
    with (
        replaced_when_whole(index_path) as index,
        replaced_when_whole(detections_path) as detections,
        replaced_when_whole(features_path) as features,
    ):
        image_ids = _write_features_and_detections(features, detections, pictures)
        rows = {_as_published(image_id): row for row, image_id in enumerate(image_ids)}
        index.write_bytes(pickle.dumps(rows, protocol=4))


def _write_features_and_detections(
    features_path: Path, detections_path: Path, pictures: Iterable[PictureRegions]
) -> list[str]:
    """Write both files, one picture at a time; return the image ids in their order."""
    starts = [0]
    image_ids: dict[str, None] = {}
    with (
        h5py.File(features_path, "w") as file,
        detections_path.open("w", encoding="utf-8") as detections,
    ):
        dataset: h5py.Dataset | None = None
        for picture in pictures:
            image_id, entry, features = _checked(picture)
            if image_id in image_ids:
                raise DataError(f"{image_id} is there twice")
            if dataset is None:
                dataset = _new_features(file, features.shape[1])
            if features.shape[1] != dataset.shape[1]:
                raise DataError(
                    f"{image_id} has features of {features.shape[1]} numbers, expected "
                    f"{dataset.shape[1]}"
                )
            dataset.resize(starts[-1] + len(features), axis=0)
            dataset[starts[-1] :] = features
            detections.write(", " if image_ids else "{")
            detections.write(f"{json.dumps(image_id)}: {json.dumps(entry)}")
            starts.append(starts[-1] + len(features))
            image_ids[image_id] = None
        if dataset is None:
            raise DataError(f"{features_path.parent}: there is no picture to write")
        detections.write("}\n")
        file["pos_bboxes"] = np.stack([starts[:-1], starts[1:]], axis=1)
    return list(image_ids)


def _new_features(file: h5py.File, feature_size: int) -> h5py.Dataset:
    return file.create_dataset(
        "features",
        shape=(0, feature_size),
        maxshape=(None, feature_size),
        chunks=(ROWS_PER_CHUNK, feature_size),
        dtype=np.float32,
    )


def _checked(picture: PictureRegions) -> tuple[str, dict[str, Any], np.ndarray]:
    """A picture's id, its entry of the detections, and its features [regions, size] float32."""
    given_id, boxes, classes, attributes, features = picture
    image_id = read_id(given_id)
    if image_id is None:
        raise DataError(f"{shown(given_id)} is not fit to be an image id")
    entry: dict[str, Any] = {"bboxes": np.asarray(boxes).tolist(), "classes": list(classes)}
    if attributes is not None:
        entry["attrs"] = list(attributes)
    detections = _parse_detections(entry, {})
    if isinstance(detections, _Wrong):
        raise DataError(f"{image_id}: found {detections.found}, expected {detections.expected}")
    features = np.asarray(features, dtype=np.float32)
    if features.ndim != 2 or len(features) != len(entry["classes"]) or not features.shape[1]:
        raise DataError(
            f"{image_id} has features {features.shape}, expected ({len(entry['classes'])}, size)"
        )
    if not np.isfinite(features).all():
        raise DataError(f"the features of {image_id} are not all finite")
    return image_id, entry, features


def _as_published(image_id: str) -> str | int:
    """The id as the published index holds it: a number where it is one."""
    is_number = image_id.isascii() and image_id.isdecimal() and len(image_id) < 19
    return int(image_id) if is_number and str(int(image_id)) == image_id else image_id
