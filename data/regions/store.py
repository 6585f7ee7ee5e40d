"""The region store: what a detector found in the images of a split, read an image at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from data.files import BadRecord, DataError
from data.hdf5_files import open_hdf5
from data.narration import Regions
from data.regions.detections import NO_ATTRIBUTE
from data.regions.file_names import RegionFiles
from data.regions.index import RegionIndex
from data.regions.index_reading import read_region_index
from utils.printable import quote

_CHUNK_CACHE_BYTES = 16 * 2**20  # the default holds less than the regions of two images
MAX_REGIONS = 100  # of an image, in the published release


class RegionStore:
    """The regions of a split's images, read one image at a time.

    Features stay in their files, each of which is opened by the process that reads, at its first
    image: a store may be handed to workers, forked or spawned, before or after it was read from.

    Args:
        features_paths: the HDF5 files, in the order that the index counts them in.
        index: of all images.
        feature_size: how many numbers describe a region.
        skipped: what is wrong with each image that is read as one without regions.
        skip_bad_records: read an image whose features turn out wrong as one without regions too,
            and say so once in each process.
        made_of: what the regions were made by, where that was written down.
    """

    def __init__(
        self,
        features_paths: Sequence[Path],
        index: RegionIndex,
        feature_size: int,
        skipped: Sequence[str] = (),
        *,
        skip_bad_records: bool = False,
        made_of: Mapping[str, Any] | None = None,
    ) -> None:
        self.features_paths = tuple(features_paths)
        self.index = index
        self.feature_size = feature_size
        self.skipped = tuple(skipped)
        self.skip_bad_records = skip_bad_records
        self.made_of = made_of
        self._open_files: dict[int, h5py.File] = {}
        self._process = 0
        self._said: set[str] = set()

    @classmethod
    def read_files(
        cls,
        files: Sequence[RegionFiles],
        max_regions: int = MAX_REGIONS,
        *,
        image_sizes: Mapping[str, tuple[int, int]] | None = None,
        skip_bad_records: bool = False,
        made_of: Mapping[str, Any] | None = None,
    ) -> RegionStore:
        """Open the store of a split's files, or of those of all its shards.

        Args:
            max_regions: the most regions of an image; the first ones are kept.
            image_sizes: (width, height) of images in pixels, where they are known: boxes that
                reach far over them are wrong, as those of a scaled image are.
            skip_bad_records: read an image whose rows, detections or features are wrong as one
                without regions, instead of ending at the first.
            made_of: what the regions were made by, where that was written down.

        Raises:
            DataError: a file is missing or broken, or the files do not fit together.
            BadRecord: an image's rows or detections are wrong.
        """
        index, feature_size, skipped = read_region_index(
            files,
            max_regions=max_regions,
            image_sizes=image_sizes or {},
            skip_bad_records=skip_bad_records,
        )
        return cls(
            [of_shard.features for of_shard in files],
            index,
            feature_size,
            skipped,
            skip_bad_records=skip_bad_records,
            made_of=made_of,
        )

    def __enter__(self) -> RegionStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open_files": {}, "_process": 0, "_said": set()}

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.index)

    def __contains__(self, image_id: object) -> bool:
        return self.index.place_of(image_id) is not None

    @property
    def image_ids(self) -> tuple[str, ...]:
        """Return the ids of the images, in the order of their files."""
        return tuple(image_id.decode() for image_id in self.index.image_ids.tolist())

    def read(self, image_id: str, image_size: tuple[int, int] | None) -> Regions:
        """Read the regions of one image, their boxes relative to it and clipped to it.

        Args:
            image_size: (width, height) in pixels; where None, the image is taken to end where its
                regions do.

        Raises:
            DataError: there is no such image, or its features cannot be read.
            BadRecord: its features are not finite, and such images are not skipped.
        """
        index = self.index
        place = index.place_of(image_id)
        if place is None:
            files = " and ".join(map(str, self.features_paths[:2]))
            raise DataError(f"{files}: there is no picture {quote(image_id)}")
        index.check(place, len(self.features_paths))
        first, end = index.offsets[place : place + 2].tolist()
        try:
            features = self._read_features(image_id, place, end - first)
        except BadRecord as problem:
            if not self.skip_bad_records:
                raise
            self._say_once(image_id, problem)
            end, features = first, np.zeros((0, self.feature_size), dtype=np.float32)
        rows = slice(first, end)
        width_height = index.extents[place] if image_size is None else np.asarray(image_size)
        relative = index.boxes_xyxy[rows] / np.tile(width_height, 2)
        attributes = index.attributes[rows].tolist()
        attributes_known = bool(attributes) and attributes[0] != NO_ATTRIBUTE
        return Regions(
            boxes_xyxy=relative.clip(0, 1).astype(np.float32),
            labels=tuple(map(index.words.__getitem__, index.labels[rows].tolist())),
            attributes=tuple(map(index.words.__getitem__, attributes)) if attributes_known else (),
            features=features,
        )

    def close(self) -> None:
        """Close the files that this process has open; the next read opens its file again."""
        if self._process == os.getpid():
            for file in self._open_files.values():
                file.close()
        self._open_files = {}

    def _read_features(self, image_id: str, place: int, count: int) -> np.ndarray:
        """Read features [count, feature size] float32 as one slice of the file."""
        number, start = int(self.index.files[place]), int(self.index.first_rows[place])
        if not count:
            return np.zeros((0, self.feature_size), dtype=np.float32)
        path = self.features_paths[number]
        try:
            dataset = self._open(number)["features"]
            # NumPy widens half precision in a tenth of the time that HDF5 takes.
            stored = np.float16 if dataset.dtype == np.float16 else np.float32
            features = np.empty((count, self.feature_size), dtype=stored)
            dataset.read_direct(features, np.s_[start : start + count])
        except Exception as error:
            # A broken file ends in nearly any kind of error.
            raise DataError(
                f"{path}: the features of {image_id} cannot be read: {error}"
            ) from error
        if not np.isfinite(features).all():
            raise BadRecord(f"{path}: the features of {image_id} are not all finite")
        return features.astype(np.float32, copy=False)

    def _say_once(self, image_id: str, problem: BadRecord) -> None:
        if image_id not in self._said:
            self._said.add(image_id)
            print(f"read without its regions: {problem}", file=sys.stderr, flush=True)

    def _open(self, number: int) -> h5py.File:
        # A file opened before a fork shares its place with the parent's, so a child opens its own.
        if self._process != os.getpid():
            self._open_files = {}
            self._process = os.getpid()
        if number not in self._open_files:
            path = self.features_paths[number]
            self._open_files[number] = open_hdf5(path, rdcc_nbytes=_CHUNK_CACHE_BYTES)
        return self._open_files[number]


class GivenRegions:
    """The regions of images that are in memory, read as those of a `RegionStore` are.

    Args:
        by_image: regions by the ids of their images.
    """

    def __init__(self, by_image: Mapping[str, Regions]) -> None:
        self._by_image = by_image

    def read(self, image_id: str, image_size: tuple[int, int] | None) -> Regions:
        """Return the regions of one image, whatever its size."""
        return self._by_image[image_id]
