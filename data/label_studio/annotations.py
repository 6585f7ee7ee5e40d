"""Annotated tasks, as Label Studio exports them in its form JSON, as labelled narrations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeGuard

from data.files import DataError, bad_record, read_id
from data.narration import Mention, Narration, RelativeBox
from data.percent_boxes import relative_box
from data.readers.report import ReadReport, Record
from data.regions.detections import LARGEST_COORDINATE
from utils.json_files import is_text, read_json
from utils.printable import quote
from utils.text.spans import Span

_PIXELS = "a positive number of pixels"


@dataclass(frozen=True)
class _Rectangle:
    """A box in the image, its chain, and where there are relations the mentions it is tied to."""

    box_xyxy: RelativeBox
    chain: str
    mentions: frozenset[str]


def read_annotations(
    path: Path, report: ReadReport, annotator: str | None = None
) -> list[Narration]:
    """Read the annotated tasks of an export as narrations, in its order.

    The phrase of a mention is as its text has it. Of several annotations of a task the one that is
    marked as ground truth counts. Cancelled ones, and tasks without another, are left out and
    counted.

    Args:
        annotator: whose annotations count, by the number or address in Label Studio; None for
            whoever has annotated a task.

    Raises:
        DataError: the file is missing or is no such export.
        BadRecord: a task is wrong, and the report does not skip such.
    """
    narrations: dict[str, Narration] = {}
    not_annotated = boxes_alone = 0
    for number, fields in enumerate(_read_tasks(path)):
        with report.skipping():
            record = _task(path, number, fields)
            if record.name in narrations:
                raise record.bad("the same id in an earlier task", "every id once")
            annotation = _choose(record, annotator)
            if annotation is None:
                not_annotated += 1
                continue
            narrations[record.name], without_mention = _narration(record, annotation)
            boxes_alone += without_mention
    mentions = [mention for narration in narrations.values() for mention in narration.mentions]
    report.count("narrations", len(narrations))
    report.count("mentions", len(mentions))
    report.count("mentions without a box", sum(not mention.boxes_xyxy for mention in mentions))
    report.count("narrations without mentions", sum(not n.mentions for n in narrations.values()))
    report.count("tasks skipped or not annotated", not_annotated)
    report.count("boxes of chains without a mention, left out", boxes_alone)
    return list(narrations.values())


def read_annotators(
    path: Path, report: ReadReport, called: Sequence[str] = ()
) -> dict[str, dict[str, Narration]]:
    """Read the annotations of an export apart by who made them.

    An annotator is called by the address in Label Studio, or by the number where the export has no
    address. Cancelled annotations are left out.

    Args:
        called: numbers and addresses to call annotators by, rather than the other name they have.

    Returns:
        By annotator: what is annotated, by the ids of the narrations.

    Raises:
        DataError: the file is missing or is no such export.
        BadRecord: a task is wrong, or somebody has annotated it twice, and the report does not skip
            such.
    """
    annotators: dict[str, dict[str, Narration]] = {}
    seen: set[str] = set()
    not_annotated = 0
    for number, fields in enumerate(_read_tasks(path)):
        with report.skipping():
            record = _task(path, number, fields)
            if record.name in seen:
                raise record.bad("the same id in an earlier task", "every id once")
            of_task: dict[str, Narration] = {}
            for annotation in _annotations(record):
                names = _names(annotation)
                if not names:
                    by = quote(annotation.get("completed_by"))
                    raise record.bad(f"an annotation by {by}", "the number or address of a person")
                annotator = next((name for name in called if name in names), names[-1])
                if annotator in of_task:
                    expected = "one of each; delete or cancel the others"
                    raise record.bad(f"several annotations by {'/'.join(names)}", expected)
                as_record = Record(record.path, record.name, annotation)
                of_task[annotator], _ = _narration(record, as_record)
            seen.add(record.name)
            not_annotated += not of_task
            for annotator, narration in of_task.items():
                annotators.setdefault(annotator, {})[record.name] = narration
    report.count("tasks", len(seen))
    report.count("annotations", sum(map(len, annotators.values())))
    report.count("annotators", len(annotators))
    report.count("tasks skipped or not annotated", not_annotated)
    return annotators


def _read_tasks(path: Path) -> list[Any]:
    tasks = read_json(path, DataError)
    if not isinstance(tasks, list):
        raise DataError(f"{path} holds {quote(tasks)}, expected a list of tasks")
    return tasks


def _task(path: Path, number: int, fields: Any) -> Record:
    """Check that a task has data and a list of annotations, and name it by its narration's id."""
    if not isinstance(fields, dict):
        raise bad_record(path, f"task {number}", quote(fields), "an object")
    record = Record(path, f"task {quote(fields.get('id', number))}", fields)
    data = record.take("data", dict, "the data of the task (the form JSON, not JSON-MIN)")
    record.take("annotations", list, "annotations (the form JSON, not JSON-MIN)")
    name = read_id(data.get("id"))
    if name is None:
        found, expected = f"id {quote(data.get('id'))} in its data", "the id of a narration"
        raise record.bad(found, expected)
    return Record(path, name, fields)


def _choose(record: Record, annotator: str | None) -> Record | None:
    """Choose the annotation of a task that counts; None where there is none.

    Raises:
        BadRecord: there are several.
    """
    found = _annotations(record)
    if annotator is not None:
        found = [fields for fields in found if annotator in _names(fields)]
    found = [fields for fields in found if fields.get("ground_truth")] or found
    if len(found) > 1:
        by = ", ".join("/".join(_names(fields)) or "unknown" for fields in found)
        expected = "one, or one of them marked as ground truth; or name an annotator"
        raise record.bad(f"{len(found)} annotations by {by}", expected)
    return Record(record.path, record.name, found[0]) if found else None


def _annotations(record: Record) -> list[dict[str, Any]]:
    """Return the annotations of a task that are not cancelled."""
    for fields in record.fields["annotations"]:
        if not isinstance(fields, dict):
            raise record.bad(f"the annotation {quote(fields)}", "an object")
    return [fields for fields in record.fields["annotations"] if not fields.get("was_cancelled")]


def _names(annotation: Mapping[str, Any]) -> list[str]:
    """Return the names of an annotator: a number, and an address where the export has one."""
    by = annotation.get("completed_by")
    known = [by.get("id"), by.get("email")] if isinstance(by, dict) else [by]
    return [str(name) for name in known if type(name) is int or (type(name) is str and name)]


def _narration(record: Record, annotation: Record) -> tuple[Narration, int]:
    """Return the annotated narration, and the number of boxes that belong to no mention."""
    data = Record(record.path, record.name, record.fields["data"])
    text = data.take("text", str, "the text of the narration")
    if not is_text(text) or not text.strip():
        raise data.bad(f"text {quote(text)}", "a text that is not blank")
    in_text = _regions(annotation, "labels")
    in_image = _regions(annotation, "rectanglelabels")
    mentions = _mentions(text, in_text)
    ties = _ties(annotation, in_text, in_image)
    rectangles = [
        _rectangle(region, ties.get(name, frozenset()), mentions)
        for name, region in in_image.items()
    ]
    boxed = [_with_boxes(name, mention, rectangles) for name, mention in mentions.items()]
    chains = {mention.chain for mention in boxed}
    narration = Narration(
        id=record.name,
        text=text,
        mentions=tuple(sorted(boxed, key=attrgetter("start"))),
        image_size=_image_size(data, in_image.values()),
    )
    return narration, sum(rectangle.chain not in chains for rectangle in rectangles)


def _regions(annotation: Record, kind: str) -> dict[str, Record]:
    """Return the regions of a kind by their names."""
    regions: dict[str, Record] = {}
    for region in _results(annotation, kind):
        name = region.take("id", str, "the name of the region")
        if name in regions:
            raise region.bad(f"the region {quote(name)} a second time", "every region once")
        regions[name] = region
    return regions


def _results(annotation: Record, kind: str) -> Iterator[Record]:
    """Yield the results of an annotation that are of a kind; a project may have others."""
    results = annotation.take("result", list, "a list of regions and relations")
    for number, fields in enumerate(results):
        if not isinstance(fields, dict):
            raise annotation.bad(f"result {number} {quote(fields)}", "an object")
        if fields.get("type") == kind:
            yield Record(annotation.path, f"{annotation.name}: result {number}", fields)


def _mentions(text: str, regions: Mapping[str, Record]) -> dict[str, Mention]:
    """Return the mentions by the names of their regions, without their boxes."""
    values = {name: _value(region) for name, region in regions.items()}
    places = {name: _place(value) for name, value in values.items()}
    spans = _in_characters(text, places, values)
    mentions = {}
    for name, value in values.items():
        start, end = spans[name]
        if not text[start:end].strip():
            raise value.bad(f"characters {start} to {end} of {len(text)}", "some that are words")
        chain = _chain(value, "labels")
        mentions[name] = Mention(start, end, phrase=text[start:end], chain=chain)
    return mentions


def _value(region: Record) -> Record:
    return replace(region, fields=region.take("value", dict, "start, end and labels, or a box"))


def _place(value: Record) -> Span:
    start, end = (value.take(key, int, "a character of the text") for key in ("start", "end"))
    return start, end


def _in_characters(
    text: str, places: Mapping[str, Span], values: Mapping[str, Record]
) -> Mapping[str, Span]:
    """Return the places in characters.

    Some releases of Label Studio count the characters beyond 16 bits, such as emoji, twice. What
    the regions say of their words tells which way of counting it is.

    Raises:
        BadRecord: the words of a region are not where it says in either way.
    """
    wrong = [name for name, place in places.items() if not _says(values[name], text, place)]
    if not wrong:
        return places
    units = [0]
    for character in text:
        units.append(units[-1] + (2 if ord(character) > 0xFFFF else 1))
    character_at = {unit: index for index, unit in enumerate(units)}
    halved = {
        name: (character_at.get(start, -1), character_at.get(end, -1))
        for name, (start, end) in places.items()
    }
    if all(_says(values[name], text, place) for name, place in halved.items()):
        return halved
    start, end = places[wrong[0]]
    raise values[wrong[0]].bad(
        f"{quote(text[max(start, 0) : max(end, 0)])} at characters {start} to {end} of {len(text)}",
        f"the words of the region, {quote(values[wrong[0]].fields.get('text'))}",
    )


def _says(value: Record, text: str, place: Span) -> bool:
    """Return whether a place is within the text and has the words, if any, of its region."""
    start, end = place
    if not 0 <= start < end <= len(text):
        return False
    words = value.fields.get("text")
    return not isinstance(words, str) or _letters(words) == _letters(text[start:end])


def _letters(words: str) -> str:
    r"""Return the words without white space; Label Studio writes line ends as \n, two signs."""
    return "".join(words.replace("\\n", "").split())


def _chain(value: Record, key: str) -> str:
    labels = value.fields.get(key)
    if isinstance(labels, list) and len(labels) == 1 and is_text(labels[0]) and labels[0]:
        return str(labels[0])
    raise value.bad(f"{key} {quote(labels)}", "one label, the chain")


def _ties(
    annotation: Record, in_text: Mapping[str, Record], in_image: Mapping[str, Record]
) -> dict[str, frozenset[str]]:
    """Return the mentions that relations tie each box to, by the name of the box's region."""
    ties: dict[str, set[str]] = defaultdict(set)
    for relation in _results(annotation, "relation"):
        ends = {relation.take(key, str, "the name of a region") for key in ("from_id", "to_id")}
        box, mention = ends & in_image.keys(), ends & in_text.keys()
        if len(box) != 1 or len(mention) != 1:
            raise relation.bad(
                f"a relation of {quote(sorted(ends))}",
                "a box and a mention; mentions of one chain have the same label",
            )
        ties[box.pop()] |= mention
    return {name: frozenset(mentions) for name, mentions in ties.items()}


def _rectangle(region: Record, tied: frozenset[str], mentions: Mapping[str, Mention]) -> _Rectangle:
    value = _value(region)
    for fields, key in ((region.fields, "image_rotation"), (value.fields, "rotation")):
        if fields.get(key, 0) != 0:
            raise region.bad(
                f"{key} {quote(fields[key])}", "a box and a picture that stand upright"
            )
    percent = [value.fields.get(key) for key in ("x", "y", "width", "height")]
    box = relative_box(percent)
    if box is None:
        expected = "x, y, width and height in percent of the picture, inside it and not empty"
        raise region.bad(f"the box {quote(percent)}", expected)
    chain = _chain(value, "rectanglelabels")
    for name in tied:
        if mentions[name].chain != chain:
            raise region.bad(
                f"a box of chain {quote(chain)} tied to {quote(mentions[name].phrase)} of chain "
                f"{quote(mentions[name].chain)}",
                "one chain",
            )
    return _Rectangle(box, chain, tied)


def _with_boxes(name: str, mention: Mention, rectangles: Sequence[_Rectangle]) -> Mention:
    """Add the boxes that are tied to the mention, and those of its chain that are not tied."""
    boxes = (
        rectangle.box_xyxy
        for rectangle in rectangles
        if (name in rectangle.mentions if rectangle.mentions else rectangle.chain == mention.chain)
    )
    return replace(mention, boxes_xyxy=tuple(boxes))


def _image_size(data: Record, in_image: Iterable[Record]) -> tuple[int, int] | None:
    """Return (width, height) in pixels, which the task says or else its boxes; None if neither."""
    size = data.fields.get("image_size")
    if size is not None:
        if not isinstance(size, list) or len(size) != 2 or not all(map(_is_pixels, size)):
            raise data.bad(f"image_size {quote(size)}", f"two numbers, each {_PIXELS}")
        return size[0], size[1]
    for region in in_image:
        width, height = (region.fields.get(f"original_{side}") for side in ("width", "height"))
        if not _is_pixels(width) or not _is_pixels(height):
            found = f"original_width {quote(width)}, original_height {quote(height)}"
            raise region.bad(found, _PIXELS)
        return width, height
    return None


def _is_pixels(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 < value < LARGEST_COORDINATE
