"""Labelled boxes of images in COCO's JSON form, to train a detector on.

`images` (`id`, `file_name`), `categories` (`id`, `name`) and `annotations` (`image_id`,
`category_id`, `bbox` as [x, y, width, height] in pixels, and, which is ours and optional,
`attribute`, such as a colour). Other fields are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.files import DataError, bad_record, read_id
from utils.json_files import is_text, read_json
from utils.printable import quote

# A side of a box that is shorter shows nothing, and is not learned from.
_LEAST_SIDE = 1.0  # pixels


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """The boxes of an image.

    Attributes:
        image_id: of the image.
        file_name: within the folder of images.
        boxes_xyxy: [boxes, 4] float32, pixels.
        labels: one a box.
        attributes: one a box, empty where it has none.
    """

    image_id: str
    file_name: str
    boxes_xyxy: np.ndarray
    labels: tuple[str, ...]
    attributes: tuple[str, ...]


def read_labelled_boxes(path: Path) -> list[LabelledImage]:
    """Read the images that have boxes, in the order of the file.

    Raises:
        DataError: the file cannot be read or is not of this form.
        BadRecord: an image, category or box is wrong.
    """
    content = read_json(path, DataError)
    lists = ("images", "categories", "annotations")
    if not isinstance(content, dict) or not all(type(content.get(n)) is list for n in lists):
        raise DataError(f"{path} holds {quote(content)}, expected lists {', '.join(lists)}")
    file_names: dict[str, str] = {}
    for number, image in enumerate(content["images"]):
        image_id, name = _id_of(path, f"images[{number}]", image, "id"), image.get("file_name")
        # A name is an id of the file system: it must not lead out of the folder.
        if read_id(name) != name:
            raise bad_record(path, image_id, f"file_name {quote(name)}", "the name of a file")
        file_names[image_id] = name
    categories: dict[str, str] = {}
    for number, category in enumerate(content["categories"]):
        key, name = _id_of(path, f"categories[{number}]", category, "id"), category.get("name")
        if not is_text(name) or not name:
            raise bad_record(path, f"category {key}", f"name {quote(name)}", "a text")
        categories[key] = name
    found: dict[str, list[tuple[list[float], str, str]]] = {}
    for number, annotation in enumerate(content["annotations"]):
        record = f"annotations[{number}]"
        image_id = _id_of(path, record, annotation, "image_id", file_names)
        label = categories[_id_of(path, record, annotation, "category_id", categories)]
        attribute = annotation.get("attribute", "")
        if not is_text(attribute):
            raise bad_record(path, record, f"attribute {quote(attribute)}", "a text")
        box = _box(path, record, annotation.get("bbox"))
        if min(box[2] - box[0], box[3] - box[1]) >= _LEAST_SIDE:
            found.setdefault(image_id, []).append((box, label, attribute))
    if not found:
        raise DataError(f"{path} has no boxes")
    return [
        LabelledImage(
            image_id,
            file_names[image_id],
            np.asarray([box for box, _, _ in found[image_id]], dtype=np.float32),
            tuple(label for _, label, _ in found[image_id]),
            tuple(attribute for _, _, attribute in found[image_id]),
        )
        for image_id in file_names
        if image_id in found
    ]


def _id_of(
    path: Path, record: str, fields: Any, key: str, known: Mapping[str, str] | None = None
) -> str:
    """Return an id of a record; one of those that are known, where some are given."""
    value = read_id(fields.get(key)) if isinstance(fields, dict) else None
    if value is None or (known is not None and value not in known):
        expected = "an id" if known is None else "an id that the file lists"
        raise bad_record(path, record, quote(fields), f"{key}, {expected}")
    return value


def _box(path: Path, record: str, box: Any) -> list[float]:
    """x1, y1, x2, y2 of [x, y, width, height]."""
    numbers = isinstance(box, list) and len(box) == 4 and all(type(v) in (int, float) for v in box)
    if not numbers or not all(abs(v) < 1e7 for v in box) or min(box[2:]) < 0:
        raise bad_record(path, record, f"bbox {quote(box)}", "[x, y, width, height] in pixels")
    x, y, width, height = box
    return [x, y, x + width, y + height]
