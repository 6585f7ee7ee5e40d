"""The annotations of CIN: labelled narrations of `val` and `test`, and the truth about `train`.

Each narration is the caption of an image, with for each mention its phrase (`query`), its place in
the caption (`query_start_end`), its chain (`cluster`) and its boxes in percent (`target_bboxes`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from data.files import DataError, bad_record, read_id
from data.narration import Mention, Narration, RelativeBox
from data.percent_boxes import relative_box
from data.readers.cin.files import SplitMedia, annotation_folder
from data.readers.report import ReadReport, Record, same_words
from data.regions.detections import LARGEST_COORDINATE
from utils.json_files import is_text, read_json
from utils.printable import quote

RELEASED_NARRATIONS = {"val": 880, "test": 1000}
RELEASED_MENTIONS = 21_246
RELEASED_CHAINS = 3_310

_SIZES = ("img_width", "img_height")


def read_annotations(
    data_root: Path, split: str, media: SplitMedia, report: ReadReport
) -> list[Narration]:
    """Read the labelled narrations of a split.

    Raises:
        DataError: a file is missing or broken.
        BadRecord: a record is wrong, and the report does not skip such.
    """
    folder = annotation_folder(data_root)
    path = folder / "testval_annotations.json"
    listed_path = folder / f"{split}_image_ids.json"
    annotations = _read_list(path)
    listed = _read_listed_ids(listed_path, report)
    kinds = _read_kinds(folder / "mention_kinds.json")
    split_of: dict[str, str] = {}
    narrations = []
    for number, fields in enumerate(annotations):
        with report.skipping():
            record = _annotation(path, number, fields)
            image_id, its_split = record.name, record.fields["split"]
            if image_id in split_of:
                raise record.bad("the same id in an earlier record", "every id once")
            split_of[image_id] = its_split
            if its_split != split:
                continue
            if image_id not in listed:
                raise record.bad(f"an id that {listed_path.name} does not list", "a listed one")
            narrations.append(_labelled(record, kinds.get(image_id), media))
    for image_id in listed:
        if split_of.get(image_id) != split:
            found = f"no {split} narration in {path.name}"
            report.refuse(bad_record(listed_path, image_id, found, "one"))
    for image_id, record in kinds.items():
        if image_id not in split_of:
            report.refuse(record.bad(f"no narration in {path.name}", "one"))
    _count_labelled(narrations, annotations, split, report)
    return narrations


def read_truth(data_root: Path) -> dict[str, Narration]:
    """Read what is known of the narrations of `train`, by id; empty in the release.

    Raises:
        DataError: the file is broken.
        BadRecord: a record is wrong.
    """
    path = data_root / "truth" / "train_annotations.json"
    if not path.exists():
        return {}
    media = SplitMedia({}, {}, {})
    records = (
        _annotation(path, number, fields, splits=("train",))
        for number, fields in enumerate(_read_list(path))
    )
    return {record.name: _labelled(record, None, media) for record in records}


def _read_list(path: Path) -> list[Any]:
    values = read_json(path, DataError)
    if not isinstance(values, list):
        raise DataError(f"{path} holds {quote(values)}, expected a list")
    return values


def _read_listed_ids(path: Path, report: ReadReport) -> dict[str, None]:
    """Read the ids of a list, each once, in its order."""
    listed: dict[str, None] = {}
    for number, value in enumerate(_read_list(path)):
        image_id = read_id(value)
        if image_id is None:
            found, expected = quote(value), "a number or text fit for an id"
            report.refuse(bad_record(path, f"item {number}", found, expected))
        elif image_id in listed:
            report.refuse(bad_record(path, image_id, "the same id earlier", "every id once"))
        else:
            listed[image_id] = None
    return listed


def _read_kinds(path: Path) -> dict[str, Record]:
    """Read the subsets of mentions: by image id a record with the field `kinds`."""
    if not path.exists():
        return {}
    values = read_json(path, DataError)
    if not isinstance(values, dict) or None in map(read_id, values):
        raise DataError(f"{path} holds {quote(values)}, expected an object of image ids")
    return {key: Record(path, key, {"kinds": value}) for key, value in values.items()}


def _annotation(
    path: Path, number: int, fields: Any, splits: Sequence[str] = ("val", "test")
) -> Record:
    """Check that a record has an id, which names it, and says its split."""
    if not isinstance(fields, dict):
        raise bad_record(path, f"record {number}", quote(fields), "an object")
    image_id = read_id(fields.get("image"))
    if image_id is None:
        found, expected = f"image {quote(fields.get('image'))}", "text fit for an id"
        raise bad_record(path, f"record {number}", found, expected)
    record = Record(path, image_id, fields)
    expected = " or ".join(splits)
    if record.take("split", str, expected) not in splits:
        raise record.bad(f"split {quote(fields['split'])}", expected)
    return record


def _labelled(record: Record, kinds: Record | None, media: SplitMedia) -> Narration:
    text = record.take("captions", str, "the text of the narration")
    if not is_text(text) or not text.strip():
        raise record.bad(f"captions {quote(text)}", "a text that is not blank")
    image_size = _image_size(record, media)
    mentions = sorted(_mentions(record, text, kinds), key=attrgetter("start"))
    return media.narration(record.name, text, text.split(), image_size, mentions)


def _image_size(record: Record, media: SplitMedia) -> tuple[int, int] | None:
    """Return (width, height) in pixels; None for a text without an image."""
    if record.fields.keys().isdisjoint(_SIZES):
        return media.image_size(record.name)
    width, height = (_pixels(record, key) for key in _SIZES)
    return width, height


def _pixels(record: Record, key: str) -> int:
    expected = "a positive number of pixels"
    pixels = int(record.take(key, int, expected))
    if not 0 < pixels < LARGEST_COORDINATE:
        raise record.bad(f"{key} {pixels}", expected)
    return pixels


def _mentions(record: Record, text: str, kinds: Record | None) -> list[Mention]:
    """Return the mentions of a record, in its order."""
    phrases, spans, chains, boxes = (
        record.take(key, list, "a list with one item a mention")
        for key in ("query", "query_start_end", "cluster", "target_bboxes")
    )
    count = len(phrases)
    if not count == len(spans) == len(chains) == len(boxes):
        found = (
            f"{count} query, {len(spans)} query_start_end, {len(chains)} cluster and "
            f"{len(boxes)} target_bboxes"
        )
        raise record.bad(found, "as many of each")
    subsets = [None] * count if kinds is None else _subsets(kinds, count)
    mentions = []
    for index in range(count):
        start, end = _span(record, index, text, phrases[index], spans[index])
        mentions.append(
            Mention(
                start,
                end,
                phrase=phrases[index],
                chain=_chain(record, index, chains[index]),
                boxes_xyxy=_boxes(record, index, boxes[index]),
                kind=subsets[index],
            )
        )
    return mentions


def _subsets(kinds: Record, count: int) -> list[str | None]:
    """Return the subset of each mention."""
    expected = f"{count} names of subsets or nulls, one a mention"
    subsets: list[str | None] = kinds.take("kinds", list, expected)
    known = all(subset is None or (is_text(subset) and subset) for subset in subsets)
    if len(subsets) != count or not known:
        raise kinds.bad(quote(subsets), expected)
    return subsets


def _span(record: Record, index: int, text: str, phrase: Any, span: Any) -> tuple[int, int]:
    """Return the first character of a mention and the one after its last."""
    if not is_text(phrase) or not phrase.strip():
        raise record.bad(f"query {index} {quote(phrase)}", "a phrase")
    pair = isinstance(span, list) and len(span) == 2 and all(type(x) is int for x in span)
    if not pair or not 0 <= span[0] < span[1] <= len(text):
        raise record.bad(
            f"query_start_end {index} {quote(span)}",
            f"start and end within a text of {len(text)} characters",
        )
    start, end = span
    if not same_words(text[start:end], phrase):
        raise record.bad(
            f"{quote(text[start:end])} at characters {start} to {end}",
            f"query {index}, {quote(phrase)}",
        )
    return start, end


def _chain(record: Record, index: int, chain: Any) -> str:
    if type(chain) is int or (is_text(chain) and chain):
        return str(chain)
    raise record.bad(f"cluster {index} {quote(chain)}", "a number or text that names a chain")


def _boxes(record: Record, index: int, boxes: Any) -> tuple[RelativeBox, ...]:
    """Return a mention's boxes, relative to the image."""
    if not isinstance(boxes, list):
        raise record.bad(f"target_bboxes {index} {quote(boxes)}", "a list of boxes")
    relative = []
    for percent in boxes:
        box = relative_box(percent)
        if box is None:
            raise record.bad(
                f"the box {quote(percent)} in target_bboxes {index}",
                "x, y, width and height in percent of the picture, inside it and not empty",
            )
        relative.append(box)
    return tuple(relative)


def _count_labelled(
    narrations: list[Narration], annotations: list[Any], split: str, report: ReadReport
) -> None:
    mentions = [mention for narration in narrations for mention in narration.mentions]
    chains = Counter((n.id, mention.chain) for n in narrations for mention in n.mentions)
    report.count("narrations", len(narrations), RELEASED_NARRATIONS[split])
    report.count("mentions", len(mentions))
    report.count("mentions without a box", sum(not mention.boxes_xyxy for mention in mentions))
    report.count("chains", len(chains))
    report.count("narrations without mentions", sum(not n.mentions for n in narrations))
    # The release states these two for both splits together.
    mention_count, chain_count = _count_both_splits(annotations)
    report.count("mentions in val and test", mention_count, RELEASED_MENTIONS)
    report.count("chains of several mentions in val and test", chain_count, RELEASED_CHAINS)


def _count_both_splits(annotations: list[Any]) -> tuple[int, int]:
    """Count mentions, and chains of several mentions, in whatever records have them."""
    mention_count = chain_count = 0
    for fields in annotations:
        clusters = fields.get("cluster") if isinstance(fields, dict) else None
        if isinstance(clusters, list):
            members = Counter(chain for chain in clusters if isinstance(chain, int | str))
            mention_count += members.total()
            chain_count += sum(count > 1 for count in members.values())
    return mention_count, chain_count
