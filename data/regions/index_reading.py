"""The index of a split's regions, read from its published files, which are checked together."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.files import BadRecord, DataError, bad_record, read_image_rows
from data.hdf5_files import held_dataset, open_hdf5
from data.regions.detections import NO_DETECTIONS, Detections, Wrong, read_detections
from data.regions.file_names import RegionFiles
from data.regions.index import RegionIndex
from utils.printable import quote

# How far a box may reach over the image before it is of another scale, as a share of its side.
_SCALE_TOLERANCE = 0.02


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
