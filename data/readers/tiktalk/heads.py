"""The head boxes of TikTalkCoref: where in a video the people of a dialogue are seen.

`<split>.visual.jsonl` in the data root, one dialogue a line, as `tools/data_split.py` writes it:
`doc_key`, `video_title`, `video_path` and `visual_annotations`, one for each box: `cur_frame`,
`cur_frame_path`, `bbox`, `box_labels` (the label of the chain it belongs to), `celebrity` and
`region_image_path`. The released file calls the last but one `if_celebrity`; both are read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from data.files import bad_record, read_id
from data.readers.json_lines import read_json_lines
from data.readers.report import ReadReport, Record
from data.readers.tiktalk.dialogues import (
    NO_LABEL,
    check_keys,
    named_by_key,
    read_dialogues,
)
from utils.json_files import is_text
from utils.printable import quote

CELEBRITY_KEYS = ("celebrity", "if_celebrity")
_KEYS = ("doc_key", "video_title", "video_path", "visual_annotations")
_BOX_KEYS = (
    "cur_frame", "cur_frame_path", "bbox", "box_labels", "region_image_path", *CELEBRITY_KEYS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class HeadBox:
    """The head of a person, or the heads of several, in one frame of a video.

    Attributes:
        label: of the chain that means them, its name in the narration.
        frame: number of the frame in its video; the release does not say whether from 0 or 1.
        box_xyxy: (x1, y1, x2, y2) in pixels of the frame.
        celebrity: their name, where they are known; else None.
        frame_file: the frame's image, in the folder of all frames: a folder of the video, and a
            name in it.
        head_file: the image cut out by the box, its name in the folder of all such.
    """

    label: str
    frame: int
    box_xyxy: tuple[int, int, int, int]
    celebrity: str | None
    frame_file: PurePosixPath
    head_file: PurePosixPath


@dataclass(frozen=True, slots=True)
class AnnotatedVideo:
    """One line of a file of head boxes: the video's title, and the boxes by its frames."""

    id: str
    title: str
    heads: tuple[HeadBox, ...]


def visual_file(data_root: Path, split: str) -> Path:
    """Return the file of a split's titles and head boxes."""
    return data_root / f"{split}.visual.jsonl"


def read_heads(data_root: Path, split: str, report: ReadReport) -> dict[str, tuple[HeadBox, ...]]:
    """Read the head boxes of every dialogue of a split, by the narration's id.

    The label of a box is the name of a chain of the narration (`Mention.chain`), and each chain has
    one box at most.

    Raises:
        DataError: a file is missing or cannot be read.
        BadRecord: a line is wrong, or there is none of a dialogue, and the report does not skip
            such.
    """
    labels = {d.narration.id: d.labels for d in read_dialogues(data_root, split, report)}
    return read_heads_of(labels, data_root, split, report)


def read_heads_of(
    labels: Mapping[str, tuple[str, ...]], data_root: Path, split: str, report: ReadReport
) -> dict[str, tuple[HeadBox, ...]]:
    """Read the head boxes of dialogues that were read before; errors are those of `read_heads`.

    Args:
        labels: of the chains of each dialogue.
    """
    path = visual_file(data_root, split)
    heads: dict[str, tuple[HeadBox, ...]] = {}
    for record in read_json_lines(path, report):
        with report.skipping():
            video = parse_video(record, heads)
            check_labels(record, video, labels)
            heads[video.id] = video.heads
    for doc_key in labels:
        if doc_key not in heads:
            report.refuse(bad_record(path, f"doc_key {doc_key}", "no line of it", "one"))
    report.count("head boxes", sum(map(len, heads.values())))
    return heads


def read_titles(data_root: Path, split: str, report: ReadReport) -> Iterator[str]:
    """Read the titles of a split's videos; errors are those of `read_heads`."""
    seen: set[str] = set()
    for record in read_json_lines(visual_file(data_root, split), report):
        with report.skipping():
            video = parse_video(record, seen)
            seen.add(video.id)
            yield video.title


def parse_video(record: Record, seen: Collection[str]) -> AnnotatedVideo:
    """Parse the video of one line.

    Args:
        seen: the ids of the lines before it.

    Raises:
        BadRecord: something about it is wrong.
    """
    record = named_by_key(record, seen, _KEYS)
    title = record.take("video_title", str, "the title of the video")
    if not is_text(title):
        raise record.bad(f"video_title {quote(title)}", "text")
    boxes = record.take("visual_annotations", list, "a list of head boxes")
    heads = tuple(_head(record, place, fields) for place, fields in enumerate(boxes))
    labels = [head.label for head in heads]
    for label in labels:
        if labels.count(label) > 1:
            raise record.bad(f"several boxes of {quote(label)}", "one of each label")
    return AnnotatedVideo(record.fields["doc_key"], title, heads)


def check_labels(
    record: Record, video: AnnotatedVideo, labels: Mapping[str, tuple[str, ...]]
) -> None:
    """Check that the boxes of a video belong to chains.

    Args:
        record: what the video was read from.
        labels: of the chains of each dialogue.

    Raises:
        BadRecord: there is no such dialogue, or no chain with the label of a box.
    """
    if video.id not in labels:
        raise record.bad(f"doc_key {video.id}", "one of a dialogue")
    of_chains = [label for label in labels[video.id] if label != NO_LABEL]
    for head in video.heads:
        if head.label not in of_chains:
            raise record.bad(
                f"doc_key {video.id}, a box of {quote(head.label)}",
                f"a label of its chains ({', '.join(of_chains) or 'none has any'})",
            )


def _head(record: Record, place: int, fields: Any) -> HeadBox:
    if not isinstance(fields, dict):
        raise record.bad(f"visual_annotations {place}: {quote(fields)}", "an object")
    box = Record(record.path, f"{record.name}, visual_annotations {place}", fields)
    check_keys(box, _BOX_KEYS)
    frame = box.take("cur_frame", int, "the number of a frame")
    if frame < 0:
        raise box.bad(f"cur_frame {frame}", "0 or more")
    corners = box.take("bbox", list, "[x1, y1, x2, y2] in pixels")
    if [type(corner) for corner in corners] != [int] * 4:
        raise box.bad(f"bbox {quote(corners)}", "[x1, y1, x2, y2] in whole pixels")
    x1, y1, x2, y2 = corners
    if not (0 <= x1 < x2 and 0 <= y1 < y2):
        raise box.bad(f"bbox {quote(corners)}", "0 <= x1 < x2 and 0 <= y1 < y2")
    return HeadBox(
        label=box.take("box_labels", str, "the label of a chain"),
        frame=frame,
        box_xyxy=(x1, y1, x2, y2),
        celebrity=_celebrity(box),
        frame_file=_last_parts(box, "cur_frame_path", 2),
        head_file=_last_parts(box, "region_image_path", 1),
    )


def _celebrity(box: Record) -> str | None:
    keys = [key for key in CELEBRITY_KEYS if key in box.fields]
    if len(keys) != 1:
        raise box.bad(" and ".join(keys) or "no celebrity", "one name, empty for none")
    name = box.take(keys[0], str, "a name, empty for none")
    if not is_text(name):
        raise box.bad(f"{keys[0]} {quote(name)}", "text")
    return name if name not in ("", NO_LABEL) else None


def _last_parts(box: Record, key: str, count: int) -> PurePosixPath:
    """Return the last parts of a path on its makers' machine."""
    path = box.take(key, str, "a path")
    parts = PurePosixPath(path).parts[-count:]
    if len(parts) < count or any(read_id(part) is None for part in parts):
        raise box.bad(f"{key} {quote(path)}", f"a path of {count} or more plain names")
    return PurePosixPath(*parts)
