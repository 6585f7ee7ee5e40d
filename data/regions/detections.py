"""The detections of images: boxes with labels and attributes.

`<split>_detection_dict.json` holds by image id `bboxes` (x1, y1, x2, y2 in pixels), `classes`, and
`attrs`, which may be missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from data.files import DataError, bad_record, read_id
from utils.json_files import is_text, read_json
from utils.printable import quote

LARGEST_COORDINATE = 1e7  # pixels; no image is that large
NO_ATTRIBUTE = -1


@dataclass(frozen=True, slots=True)
class Detections:
    """The detections of one image; labels and attributes are numbers of words."""

    boxes_xyxy: np.ndarray  # [regions, 4] float32, pixels
    labels: np.ndarray  # [regions] int32
    attributes: np.ndarray  # [regions] int32, all NO_ATTRIBUTE where the image has none


NO_DETECTIONS = Detections(
    np.zeros((0, 4), dtype=np.float32), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32)
)


class Wrong(NamedTuple):
    """Why something is not the detections of an image."""

    found: str
    expected: str


def read_detections(path: Path, words: dict[str, int]) -> dict[str, Detections | Wrong]:
    """Read the detections by image id, or what is wrong with them.

    Each image becomes arrays as soon as it is parsed: as lists of Python numbers the detections
    of thirty thousand images would fill gigabytes.

    Args:
        words: collects the labels and attributes, each with its number.
    """

    def parsed(pairs: list[tuple[str, Any]]) -> Detections | Wrong | list[tuple[str, Any]]:
        fields = dict(pairs)
        return parse_detections(fields, words) if "bboxes" in fields else pairs

    pairs = read_json(path, DataError, parsed)
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        raise DataError(f"{path} holds {quote(pairs)}, expected an object of image ids")
    detections: dict[str, Detections | Wrong] = {}
    for key, image in pairs:
        if read_id(key) is None:
            raise DataError(f"{path} holds the key {quote(key)}, expected an image id")
        if key in detections:
            raise bad_record(path, key, "its detections twice", "once")
        if not isinstance(image, Detections | Wrong):
            image = Wrong(quote(image), "an object with bboxes and classes")
        detections[key] = image
    return detections


def parse_detections(fields: dict[str, Any], words: dict[str, int]) -> Detections | Wrong:
    """Return one image's detections as arrays, or what is wrong with them."""
    boxes = _parse_boxes(fields["bboxes"])
    if boxes is None:
        return Wrong(
            f"bboxes {quote(fields['bboxes'])}",
            "lists x1, y1, x2, y2 of finite numbers of pixels with x1 <= x2 and y1 <= y2",
        )
    count = len(boxes)
    labels, attributes = fields.get("classes"), fields.get("attrs")
    if not _are_words(labels, count) or not all(labels):
        return Wrong(f"classes {quote(labels)}", f"{count} texts, one a box")
    if attributes is None:
        return Detections(boxes, _numbers(labels, words), np.full(count, NO_ATTRIBUTE, np.int32))
    if not _are_words(attributes, count):
        return Wrong(f"attrs {quote(attributes)}", f"{count} texts, one a box")
    return Detections(boxes, _numbers(labels, words), _numbers(attributes, words))


def _parse_boxes(boxes: Any) -> np.ndarray | None:
    """Return boxes [regions, 4] float32, or None where they are not boxes."""
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


def _are_words(values: Any, count: int) -> TypeGuard[list[str]]:
    return type(values) is list and len(values) == count and all(map(is_text, values))


def _numbers(values: list[str], words: dict[str, int]) -> np.ndarray:
    """Return the number of each word [values] int32; new words are added."""
    numbers = (words.setdefault(value, len(words)) for value in values)
    return np.fromiter(numbers, dtype=np.int32, count=len(values))
