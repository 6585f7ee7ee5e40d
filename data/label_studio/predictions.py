"""Answers of `predict.py`, and texts of one's own, as narrations.

docs/formats.md says what is in a line. The chains are those that the model found, and a mention has
the box of its chain.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data.files import BadRecord, read_id
from data.mention_spans import checked_spans
from data.narration import Mention, Narration, RelativeBox
from data.readers.json_lines import read_json_lines
from data.readers.report import ReadReport, Record
from data.regions.detections import LARGEST_COORDINATE
from utils.errors import InputError
from utils.json_files import is_text
from utils.printable import quote


def read_answers(path: Path, report: ReadReport) -> list[Narration]:
    """Read one narration a line, named by its image's file, or by the line without an image.

    A line without mentions is a text alone.

    Raises:
        DataError: the file is missing or cannot be read.
        BadRecord: a line is wrong, and the report does not skip such.
    """
    narrations: dict[str, Narration] = {}
    for record in read_json_lines(path, report):
        with report.skipping():
            narration = _narration(record)
            if narration.id in narrations:
                found = f"the picture {quote(narration.id)} in an earlier line too"
                raise record.bad(found, "one narration of a picture")
            narrations[narration.id] = narration
    return list(narrations.values())


def _narration(record: Record) -> Narration:
    text = record.take("text", str, "a text")
    if not is_text(text) or not text.strip():
        raise record.bad(f"text {quote(text)}", "a text that is not blank")
    image = None
    name: str | None = record.name.replace(" ", "-")
    if record.fields.get("image") is not None:
        image = Path(record.take("image", str, "the path of a picture"))
        name = read_id(image.stem)
    if name is None:
        raise record.bad(f"image {quote(str(image))}", "a file whose name is fit for an id")
    size = _image_size(record)
    mentions: tuple[Mention, ...] = ()
    if record.fields.get("mentions") is not None:
        mentions = _mentions(record, text)
    if size is None and any(mention.boxes_xyxy for mention in mentions):
        raise record.bad("boxes and no image_size", "both")
    return Narration(name, text, mentions, image_size=size, image_path=image)


def _image_size(record: Record) -> tuple[int, int] | None:
    size = record.fields.get("image_size")
    if size is None:
        return None
    sides = size if isinstance(size, list) else []
    if len(sides) != 2 or not all(type(x) is int and 0 < x < LARGEST_COORDINATE for x in sides):
        raise record.bad(f"image_size {quote(size)}", "width and height in pixels")
    return sides[0], sides[1]


def _mentions(record: Record, text: str) -> tuple[Mention, ...]:
    expected = "the mentions of an answer of predict.py, each in one of its chains"
    answers = record.take("mentions", list, expected)
    if not all(isinstance(answer, dict) for answer in answers):
        raise record.bad(f"mentions {quote(answers)}", expected)
    places = [[answer.get("start"), answer.get("end")] for answer in answers]
    try:
        checked_spans(text, places)
    except InputError as error:
        raise BadRecord(f"{record.path}: {record.name}: {error}") from error
    if places != sorted(places, key=lambda place: place[0]):
        raise record.bad(f"mentions at {quote(places)}", "them sorted by their start")
    chains = record.take("chains", list, expected)
    chain_of: dict[int, int] = {}
    for number, chain in enumerate(chains):
        members = chain.get("mentions") if isinstance(chain, dict) else None
        if not isinstance(members, list) or not all(type(index) is int for index in members):
            raise record.bad(f"the chain {quote(chain)}", expected)
        chain_of |= dict.fromkeys(members, number)
    if chain_of.keys() != set(range(len(places))):
        raise record.bad(f"chains of the mentions {quote(sorted(chain_of))}", expected)
    boxes = [_boxes(record, chain.get("box_xyxy")) for chain in chains]
    return tuple(
        Mention(
            start,
            end,
            phrase=text[start:end],
            chain=str(chain_of[index]),
            boxes_xyxy=boxes[chain_of[index]],
        )
        for index, (start, end) in enumerate(places)
    )


def _boxes(record: Record, box: Any) -> tuple[RelativeBox, ...]:
    """Return the box of a chain; none where there is none, or rounding has emptied it."""
    if box is None:
        return ()
    sides = box if isinstance(box, list) else []
    if len(sides) != 4 or not all(_is_relative(side) for side in sides):
        raise record.bad(f"box_xyxy {quote(box)}", "x1, y1, x2, y2 relative to the picture")
    x1, y1, x2, y2 = map(float, sides)
    return ((x1, y1, x2, y2),) if x1 < x2 and y1 < y2 else ()


def _is_relative(side: Any) -> bool:
    return type(side) in (int, float) and 0 <= side <= 1
