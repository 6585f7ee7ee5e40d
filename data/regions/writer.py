"""Writing region stores in the published files."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from data.files import DataError, published_id, read_id
from data.regions.detections import Wrong, parse_detections
from data.regions.file_names import region_files
from data.regions.store import RegionStore
from utils.files import replaced_when_whole
from utils.printable import quote

ROWS_PER_CHUNK = 32  # of the features as they are written: 256 KiB at 2048 numbers of 32 bits


class ImageRegions(NamedTuple):
    """The regions of one image, as `write_region_store` takes them.

    Attributes:
        image_id: text, or a whole number.
        boxes_xyxy: [regions, 4] pixels.
        classes: the detector's label of each region.
        attributes: one for each region; None where the detector gives none.
        features: [regions, feature size].
        about: further fields of the image in the detections, which no region store reads, if any.
    """

    image_id: str | int
    boxes_xyxy: np.ndarray
    classes: Iterable[str]
    attributes: Iterable[str] | None
    features: np.ndarray
    about: Mapping[str, Any] | None = None


def write_region_store(
    folder: Path,
    split: str,
    images: Iterable[ImageRegions],
    precision: type[np.floating] = np.float32,
) -> None:
    """Write the regions of a split's images, one after the other, in the published files.

    Where an image is wrong, none of the three files is touched.

    Args:
        folder: where the files go; made where it is missing.
        split: or the name of a shard (`shard_name`).
        images: at least one; each with features of the same size.
        precision: of the features, np.float32 as published or np.float16 for half the space.

    Raises:
        DataError: an image's arrays do not fit together, an id is not fit or appears twice, or a
            feature is too large for the precision.
    """
    folder.mkdir(parents=True, exist_ok=True)
    features_path, index_path, detections_path = region_files(folder, split)
    # The index takes its place last: a store that is only there in part is refused by readers.
    with (
        replaced_when_whole(index_path) as index,
        replaced_when_whole(detections_path) as detections,
        replaced_when_whole(features_path) as features,
    ):
        image_ids = _write_features_and_detections(features, detections, images, precision)
        rows = {published_id(image_id): row for row, image_id in enumerate(image_ids)}
        index.write_bytes(pickle.dumps(rows, protocol=4))


def images_of(store: RegionStore) -> Iterator[ImageRegions]:
    """Yield what a store holds, in the order of its files, to be written anew."""
    index = store.index
    for place, image_id in enumerate(store.image_ids):
        regions = store.read(image_id, None)
        first = index.offsets[place]
        yield ImageRegions(
            image_id,
            index.boxes_xyxy[first : first + len(regions)],
            regions.labels,
            regions.attributes or None,
            regions.features,
        )


def _write_features_and_detections(
    features_path: Path,
    detections_path: Path,
    images: Iterable[ImageRegions],
    precision: type[np.floating],
) -> list[str]:
    """Write both files, one image at a time; return the image ids in their order."""
    starts = [0]
    image_ids: dict[str, None] = {}
    with (
        h5py.File(features_path, "w") as file,
        detections_path.open("w", encoding="utf-8") as detections,
    ):
        dataset: h5py.Dataset | None = None
        for image in images:
            image_id, entry, features = _checked(image, precision)
            if image_id in image_ids:
                raise DataError(f"{image_id} is there twice")
            if dataset is None:
                dataset = _new_features(file, features.shape[1], precision)
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


def _new_features(file: h5py.File, feature_size: int, precision: type[np.floating]) -> h5py.Dataset:
    return file.create_dataset(
        "features",
        shape=(0, feature_size),
        maxshape=(None, feature_size),
        chunks=(ROWS_PER_CHUNK, feature_size),
        dtype=precision,
    )


def _checked(
    image: ImageRegions, precision: type[np.floating]
) -> tuple[str, dict[str, Any], np.ndarray]:
    """Return an image's id, its entry of the detections, and its features [regions, size]."""
    given_id, boxes, classes, attributes, features, about = image
    image_id = read_id(given_id)
    if image_id is None:
        raise DataError(f"{quote(given_id)} is not fit to be an image id")
    entry: dict[str, Any] = {"bboxes": np.asarray(boxes).tolist(), "classes": list(classes)}
    if attributes is not None:
        entry["attrs"] = list(attributes)
    detections = parse_detections(entry, {})
    if isinstance(detections, Wrong):
        raise DataError(f"{image_id}: found {detections.found}, expected {detections.expected}")
    features = np.asarray(features, dtype=np.float32)
    if features.ndim != 2 or len(features) != len(entry["classes"]) or not features.shape[1]:
        raise DataError(
            f"{image_id} has features {features.shape}, expected ({len(entry['classes'])}, size)"
        )
    if not np.isfinite(features).all():
        raise DataError(f"the features of {image_id} are not all finite")
    limit = np.finfo(precision).max
    if np.abs(features).max(initial=0) > limit:
        raise DataError(f"a feature of {image_id} is larger than {limit:g}, the most that fits")
    return image_id, {**(about or {}), **entry}, features.astype(precision, copy=False)
