"""Where the regions of a split's images stand, in arrays that files may hold."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from data.files import DataError
from data.regions.detections import NO_ATTRIBUTE
from utils.json_files import is_text, read_json
from utils.printable import quote

_WORDS = "words.json"


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
