"""Localized Narratives as they are published: JSON Lines files, one narrative a line.

A narrative has `dataset_id` and `image_id`, which name its image, `caption`, `timed_caption`
(`utterance`, `start_time` and `end_time`: a stretch of the caption, and the seconds from the start
of the recording in which it was spoken) and `traces` (segments of points `x`, `y`, `t`: where the
mouse was, relative to the image, and when). The other keys are not read.

The words of a narrative are what stands between white space in its caption. A word's box is that
of exactly the points between its start and its end, both inclusive. The utterances are found in the
caption by their letters and digits; a word that shares some with several has the time of all, and
the words of one utterance all have its time.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from data.files import BadRecord, DataError, read_id
from data.readers.json_lines import each_json_line, parse_json_line
from data.readers.report import ReadReport, Record
from utils.json_files import is_text
from utils.printable import quote

# The mouse may leave the image, but not by more than its size: that is another unit.
FARTHEST = 1.5  # from the middle of the image, in its sizes

_LONGEST = 1e9  # seconds, far beyond any recording


@dataclass(frozen=True, slots=True, eq=False)
class Narrative:
    """What somebody said over an image, and where the mouse was meanwhile.

    Attributes:
        image_id: of its image.
        collection: the images that it is one of.
        words: of the caption.
        word_boxes: [words, 5] float32: for each word the box (x1, y1, x2, y2) that the mouse went
            over, relative to the image and clipped to it, and its area; zeros where there was no
            point.
        path: its file.
        offset: the byte that its line begins at.
    """

    image_id: str
    collection: str
    words: tuple[str, ...]
    word_boxes: np.ndarray
    path: Path
    offset: int


def narrative_files(data_root: Path) -> list[Path]:
    """List the files of a folder that have the names they are published under."""
    return sorted(data_root.glob("*localized_narratives*.jsonl"))


def read_narratives(
    paths: Iterable[Path], report: ReadReport, image_ids: Container[str] | None = None
) -> Iterator[Narrative]:
    """Read the narratives of files, in their order.

    Args:
        image_ids: of the images whose narratives are wanted; of all by default.

    Raises:
        DataError: a file is missing or cannot be read.
        BadRecord: a record is wrong, or has an image id that is of another collection in an
            earlier one, and the report does not skip such.
    """
    collections: dict[str, str] = {}
    for path in paths:
        for offset, record in each_json_line(path, report):
            try:
                record, image_id = _named(record)
                if image_ids is not None and image_id not in image_ids:
                    continue
                narrative = _narrative(record, image_id, offset)
                first = collections.setdefault(image_id, narrative.collection)
                if first != narrative.collection:
                    found = f"dataset_id {quote(narrative.collection)}"
                    raise record.bad(found, f"{quote(first)}, as in an earlier record of its id")
            except BadRecord as problem:
                report.refuse(problem)
            else:
                yield narrative


def read_word_boxes(path: Path, offset: int) -> np.ndarray:
    """Read the boxes of one narrative's words.

    Args:
        offset: the byte that its line begins at.

    Returns:
        [words, 5] float32, as `Narrative.word_boxes`.

    Raises:
        DataError: the file cannot be read, or has no such narrative there.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            line = file.readline()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    record, image_id = _named(parse_json_line(path, f"the line at byte {offset}", line))
    return _narrative(record, image_id, offset).word_boxes


def _named(record: Record) -> tuple[Record, str]:
    """Return the record, named by its image too, and the image's id."""
    image_id = read_id(record.fields.get("image_id"))
    if image_id is None:
        found = f"image_id {quote(record.fields.get('image_id'))}"
        raise record.bad(found, "a number or text fit for an id")
    return Record(record.path, f"{record.name} (image_id {image_id})", record.fields), image_id


def _narrative(record: Record, image_id: str, offset: int) -> Narrative:
    collection = record.take("dataset_id", str, "the name of a collection of pictures")
    caption = record.take("caption", str, "a text")
    if not is_text(caption) or not caption.strip():
        raise record.bad(f"caption {quote(caption)}", "a text that is not blank")
    words = tuple(caption.split())
    boxes = _word_boxes(_word_times(record, words), _points(record))
    return Narrative(image_id, collection, words, boxes, record.path, offset)


def _word_times(record: Record, words: tuple[str, ...]) -> np.ndarray:
    """Return the first and last second of each word [words, 2]; NaN for one without letters."""
    utterances = [
        _utterance(record, number, fields)
        for number, fields in enumerate(
            record.take("timed_caption", list, "a list with one item an utterance")
        )
    ]
    written = [(letter, n) for n, word in enumerate(words) for letter in _letters(word)]
    spoken = [(letter, n) for n, said in enumerate(utterances) for letter in _letters(said[0])]
    if [letter for letter, _ in written] != [letter for letter, _ in spoken]:
        found = f"timed_caption {quote(' '.join(said[0] for said in utterances))}"
        raise record.bad(found, f"the words of its caption, {quote(' '.join(words))}")
    times = np.full((len(words), 2), np.nan)
    for (_, word), (_, number) in zip(written, spoken, strict=True):
        _, start, end = utterances[number]
        times[word] = np.fmin(times[word, 0], start), np.fmax(times[word, 1], end)
    return times


def _letters(text: str) -> list[str]:
    return [letter for letter in text.casefold() if letter.isalnum()]


def _utterance(record: Record, number: int, fields: Any) -> tuple[str, float, float]:
    """Return the words of an utterance, and its first and last second."""
    name = f"timed_caption {number}"
    if not isinstance(fields, dict):
        raise record.bad(f"{name} {quote(fields)}", "an object")
    said = fields.get("utterance")
    if not isinstance(said, str):
        raise record.bad(f"{name} with utterance {quote(said)}", "a text")
    start, end = (fields.get(key) for key in ("start_time", "end_time"))
    if not (_is_time(start) and _is_time(end) and start <= end):
        found = f"{name} from {quote(start)} to {quote(end)}"
        raise record.bad(found, "seconds, the end not before the start")
    return said, start, end


def _points(record: Record) -> np.ndarray:
    """Return x, y and second of all points [points, 3]; within a segment seconds never fall."""
    points: list[tuple[float, float, float]] = []
    for number, segment in enumerate(record.take("traces", list, "a list of segments")):
        if not isinstance(segment, list):
            raise record.bad(f"traces {number} {quote(segment)}", "a list of points")
        before = -_LONGEST
        for point in segment:
            x, y, t = _point(record, number, point)
            if t < before:
                found = f"a point at second {t} after one at {before} in traces {number}"
                raise record.bad(found, "points in the order of their times")
            before = t
            points.append((x, y, t))
    return np.array(points, dtype=np.float64).reshape(-1, 3)


def _point(record: Record, segment: int, point: Any) -> tuple[float, float, float]:
    x, y, t = (point.get(key) for key in "xyt") if isinstance(point, dict) else (None,) * 3
    if not (_is_place(x) and _is_place(y) and _is_time(t)):
        found = f"the point {quote(point)} in traces {segment}"
        raise record.bad(found, "x and y relative to the picture, and t in seconds")
    return x, y, t


def _is_time(value: Any) -> TypeGuard[float]:
    # NaN is not below anything.
    return type(value) in (int, float) and abs(value) < _LONGEST


def _is_place(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and 0.5 - FARTHEST <= value <= 0.5 + FARTHEST


def _word_boxes(times: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the box of the points in each word's time, and its area [words, 5]; else zeros."""
    places, seconds = points[:, :2].clip(0, 1).astype(np.float32), points[:, 2]
    boxes = np.zeros((len(times), 5), dtype=np.float32)
    for word, (start, end) in enumerate(times):
        inside = places[(start <= seconds) & (seconds <= end)]
        if len(inside):
            low, high = inside.min(axis=0), inside.max(axis=0)
            boxes[word] = *low, *high, np.prod(high - low)
    return boxes
