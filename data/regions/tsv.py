"""Regions in the TSV files of bottom-up attention: an image a line, arrays in base64.

Two kinds are known by their number of columns. The first has no labels, so that each of its regions
is called an object; the second has them as numbers of lines in vocabularies:

- image_id, image_w, image_h, num_boxes, boxes, features;
- image_id, image_h, image_w, objects_id, objects_conf, attrs_id, attrs_conf, num_boxes, boxes,
  features.

Boxes are x1, y1, x2, y2 in pixels, float32 as the features; numbers of lines are int64.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from data.files import BadRecord, DataError, bad_record, read_id
from data.regions.writer import ImageRegions
from utils.files import decode_text, split_lines
from utils.printable import quote

_WITHOUT_LABELS = ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features")
_WITH_LABELS = (
    *("image_id", "image_h", "image_w", "objects_id", "objects_conf", "attrs_id", "attrs_conf"),
    *("num_boxes", "boxes", "features"),
)
_COLUMNS = {len(names): names for names in (_WITHOUT_LABELS, _WITH_LABELS)}
_UNNAMED = "object"


def read_vocabulary(path: Path) -> list[str]:
    """Read the words of a vocabulary, one a line; of several with commas the first.

    Raises:
        DataError: it cannot be read, or a line has no word.
    """
    try:
        lines = split_lines(decode_text(path.read_bytes()))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    # What stands behind the last line end is no line.
    if not lines[-1]:
        lines.pop()
    words = [line.split(",")[0].strip() for line in lines]
    if not words or not all(words):
        raise DataError(f"{path} has a line without a word, expected one on each")
    return words


def read_region_tsv(
    path: Path,
    objects: Sequence[str] | None,
    attributes: Sequence[str] | None,
    skip: Callable[[BadRecord], None] | None = None,
) -> Iterator[ImageRegions]:
    """Read the regions of each image, one after the other; boxes and features as they are.

    Args:
        objects: the words of objects_id; None where the file has no labels.
        attributes: the words of attrs_id; None to leave attributes out.
        skip: is told of each wrong record, which is then left out.

    Raises:
        DataError: the file cannot be read, or has labels and there are no words for them.
        BadRecord: a record is wrong, and such are not skipped.
    """
    try:
        # A byte-order mark at its beginning is not of the first image's id.
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield _parse(path, number, line, objects, attributes)
                except BadRecord as problem:
                    if skip is None:
                        raise
                    skip(problem)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _parse(
    path: Path,
    number: int,
    line: str,
    objects: Sequence[str] | None,
    attributes: Sequence[str] | None,
) -> ImageRegions:
    values = line.rstrip("\r\n").split("\t")
    record = f"line {number}"
    if len(values) not in _COLUMNS:
        expected = f"{' or '.join(map(str, _COLUMNS))} with tabs between them"
        raise bad_record(path, record, f"{len(values)} columns", expected)
    fields = dict(zip(_COLUMNS[len(values)], values, strict=True))
    image_id = read_id(fields["image_id"])
    if image_id is None:
        raise bad_record(path, record, f"image_id {quote(fields['image_id'])}", "an id")
    count = fields["num_boxes"]
    if not (count.isdecimal() and 0 < len(count) < 7 and int(count)):
        raise bad_record(path, record, f"num_boxes {quote(count)}", "a number from 1")

    def numbers(name: str, kind: str) -> np.ndarray:
        return _numbers(path, record, name, fields[name], int(count), kind)

    def words(name: str, vocabulary: Sequence[str]) -> list[str]:
        places = numbers(name, "<i8").ravel()
        if len(places) != int(count) or not 0 <= places.min() <= places.max() < len(vocabulary):
            expected = f"{count} numbers below {len(vocabulary)}, the words of the vocabulary"
            raise bad_record(path, record, f"{name} {quote(places.tolist())}", expected)
        return [vocabulary[place] for place in places]

    has_labels = "objects_id" in fields
    if has_labels and objects is None:
        raise DataError(f"{path} has labels as numbers, expected --objects-vocab for their words")
    boxes = numbers("boxes", "<f4")
    if boxes.shape[1] != 4 or not (boxes[:, :2] <= boxes[:, 2:]).all():
        expected = f"{count} boxes x1, y1, x2, y2 with x1 <= x2 and y1 <= y2"
        raise bad_record(path, record, f"boxes {quote(boxes.tolist())}", expected)
    features = numbers("features", "<f4")
    if not (features.size and np.isfinite(features).all()):
        raise bad_record(path, record, "features that are not all finite", "finite numbers")
    labels = [_UNNAMED] * int(count)
    names = None
    if has_labels and objects is not None:
        labels = words("objects_id", objects)
    if has_labels and attributes is not None:
        names = words("attrs_id", attributes)
    return ImageRegions(image_id, boxes, labels, names, features)


def _numbers(path: Path, record: str, name: str, text: str, count: int, kind: str) -> np.ndarray:
    """Decode a column as an array [count, numbers of each]."""
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), kind).reshape(count, -1)
    except (binascii.Error, ValueError) as error:
        expected = f"{kind} for {count} boxes in base64 ({error})"
        raise bad_record(path, record, f"{name} {quote(text)}", expected) from error
