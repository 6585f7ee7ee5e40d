"""Split TikTalkCoref: `python tools/data_split.py`, or with `--data-root FOLDER`.

Reads the files of its repository there, `all_textual_and_visual_annotations.jsonl` (or
`..._format.jsonl`), `split.jsonl` and `video_titles.jsonl`, and writes beside them
`all.textual.jsonl` and `all.visual.jsonl`, and in `all/`, `celeb/` and `no_celeb/` the
`{train,val,test}.textual.jsonl` and `.visual.jsonl` that `--dataset tiktalk` reads. The records are
those that the repository's own script writes, but that a video's path is relative.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.files import DataError
from data.readers.json_lines import read_json_lines
from data.readers.report import ReadReport, Record
from data.readers.tiktalk.dialogues import (
    LABEL_KEYS,
    Dialogue,
    check_keys,
    parse_dialogue,
    text_file,
)
from data.readers.tiktalk.heads import (
    AnnotatedVideo,
    check_labels,
    parse_video,
    visual_file,
)
from data.readers.tiktalk.reader import TikTalkReader
from utils.distributed.command import run_command
from utils.files import replaced_when_whole
from utils.options import command_parser
from utils.printable import quote

ANNOTATIONS = (
    "all_textual_and_visual_annotations.jsonl",
    "all_textual_and_visual_annotations_format.jsonl",
)
KINDS = ("celeb", "no_celeb")
# What is spelled otherwise in one place or another of the release.
_SPLITS = TikTalkReader.splits
_SPLIT_NAMES = {**{split: split for split in _SPLITS}, "dev": "val"}
# What the release says of itself: what its files hold, its README, its paper.
_STATED = {
    "dialogues": (1012, 1012, 1012),
    "mentions": (2179, 2179, 2179),
    "clusters": (1435, 1435, 1435),
    "head boxes": (881, 955, 958),
}


@dataclass(frozen=True)
class Annotated:
    """One line of the annotations.

    Attributes:
        dialogue, video: what it says.
        texts, boxes: the records to write of it.
    """

    dialogue: Dialogue
    video: AnnotatedVideo
    texts: Mapping[str, Any]
    boxes: Mapping[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Split the files of a folder."""
    parser = command_parser("Split TikTalkCoref.", prog="data_split.py")
    parser.add_argument(
        "--data-root",
        type=Path,
        default=Path("datasets/tiktalkcoref"),
        help="folder of the downloaded files, which is written to (%(default)s)",
    )
    data_root: Path = parser.parse_args(arguments).data_root
    annotated = read_annotations(data_root)
    parts = read_parts(data_root, {one.video.id for one in annotated})
    write_parts(data_root, annotated, parts)
    print("\n".join(describe(annotated, parts)))


def read_annotations(data_root: Path) -> list[Annotated]:
    """Read the annotations of a folder, in their order.

    Raises:
        DataError: a file is missing, or the annotations are there under both names.
        BadRecord: a line is wrong.
    """
    found = [data_root / name for name in ANNOTATIONS if (data_root / name).exists()]
    if len(found) != 1:
        names = " and ".join(str(data_root / name) for name in ANNOTATIONS)
        raise DataError(f"found {len(found)} of {names}, expected one of them")
    titles = _by_id(data_root / "video_titles.jsonl", ("title",))
    annotated: dict[str, Annotated] = {}
    for record in _lines(found[0]):
        one = _annotated(record, titles, annotated)
        annotated[one.video.id] = one
    _check_known(titles, annotated)
    return list(annotated.values())


def read_parts(data_root: Path, ids: Collection[str]) -> dict[str, tuple[str, str]]:
    """Read the kind and the split of each dialogue.

    Args:
        ids: of the annotated dialogues.

    Raises:
        DataError: the file is missing or has no line of a dialogue.
        BadRecord: a line is wrong.
    """
    path = data_root / "split.jsonl"
    records = _by_id(path, ("video_type", "split"))
    _check_known(records, ids)
    if without := [doc_key for doc_key in ids if doc_key not in records]:
        raise DataError(f"{path}: found no line of {without[0]}, expected one of every dialogue")
    parts = {}
    for doc_key, record in records.items():
        kind = record.take("video_type", str, " or ".join(KINDS))
        split = record.take("split", str, ", ".join(_SPLIT_NAMES))
        if kind not in KINDS:
            raise record.bad(f"video_type {quote(kind)}", " or ".join(KINDS))
        if split not in _SPLIT_NAMES:
            raise record.bad(f"split {quote(split)}", f"one of {', '.join(_SPLIT_NAMES)}")
        parts[doc_key] = (kind, _SPLIT_NAMES[split])
    return parts


def write_parts(
    data_root: Path, annotated: Sequence[Annotated], parts: Mapping[str, tuple[str, str]]
) -> None:
    """Write all files, each whole or not at all."""
    folders = {"all": annotated}
    for kind in KINDS:
        folders[kind] = [one for one in annotated if parts[one.video.id][0] == kind]
    with ExitStack() as files:
        _write_pair(files, data_root, "all", annotated)
        for folder, of_folder in folders.items():
            for split in _SPLITS:
                of_split = [one for one in of_folder if parts[one.video.id][1] == split]
                _write_pair(files, data_root / folder, split, of_split)


def describe(annotated: Sequence[Annotated], parts: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    """Say what was found, beside what the release says of itself, as lines to print."""
    counts = {
        "dialogues": len(annotated),
        "mentions": sum(len(one.dialogue.narration.mentions) for one in annotated),
        "clusters": sum(len(one.dialogue.labels) for one in annotated),
        "head boxes": sum(len(one.video.heads) for one in annotated),
    }
    yield f"{'':12}{'found':>8}{'released':>10}{'README':>8}{'paper':>8}"
    for what, count in counts.items():
        released, readme, paper = _STATED[what]
        yield f"{what:12}{count:8,}{released:10,}{readme:8,}{paper:8,}"
    of_parts = Counter(parts.values())
    yield ""
    yield f"{'dialogues':12}" + "".join(f"{split:>8}" for split in _SPLITS)
    for kind in KINDS:
        yield f"{kind:12}" + "".join(f"{of_parts[kind, split]:8,}" for split in _SPLITS)
    yield ""
    differing = [note for one in annotated for note in one.dialogue.differing]
    yield f"spans whose text is not what clusters_str has: {len(differing)}"
    yield from (f"  {note}" for note in differing)


def _lines(path: Path) -> list[Record]:
    return read_json_lines(path, ReadReport("tiktalk", "all"))


def _by_id(path: Path, keys: Sequence[str]) -> dict[str, Record]:
    """Read the lines of a file by their `video_id`; they have these other keys alone."""
    records: dict[str, Record] = {}
    for record in _lines(path):
        check_keys(record, ("video_id", *keys))
        video_id = record.take("video_id", str, "the id of a dialogue")
        if video_id in records:
            raise record.bad(f"video_id {quote(video_id)} a second time", "every video_id once")
        records[video_id] = record
    return records


def _check_known(records: Mapping[str, Record], ids: Collection[str]) -> None:
    """Refuse lines of dialogues that are not annotated."""
    for video_id, record in records.items():
        if video_id not in ids:
            raise record.bad(f"video_id {quote(video_id)}", "one of an annotated dialogue")


def _annotated(record: Record, titles: Mapping[str, Record], seen: Collection[str]) -> Annotated:
    texts = {key: value for key, value in record.fields.items() if key != "visual_annotations"}
    dialogue = parse_dialogue(Record(record.path, record.name, texts), seen)
    doc_key = dialogue.narration.id
    if doc_key not in titles:
        raise record.bad(f"doc_key {doc_key} without a line in video_titles.jsonl", "a title")
    boxes = {
        "doc_key": doc_key,
        "video_title": titles[doc_key].take("title", str, "the title of the video"),
        "video_path": f"raw_videos/{doc_key}.mp4",
        "visual_annotations": record.take("visual_annotations", list, "a list of head boxes"),
    }
    with_boxes = Record(record.path, record.name, boxes)
    video = parse_video(with_boxes, seen)
    check_labels(with_boxes, video, {doc_key: dialogue.labels})
    texts = {LABEL_KEYS[0] if key in LABEL_KEYS else key: value for key, value in texts.items()}
    return Annotated(dialogue, video, texts, boxes)


def _write_pair(files: ExitStack, folder: Path, name: str, annotated: Sequence[Annotated]) -> None:
    """Write `NAME.textual.jsonl` and `NAME.visual.jsonl`, which are there when `files` closes."""
    records = {
        text_file(folder, name): [one.texts for one in annotated],
        visual_file(folder, name): [one.boxes for one in annotated],
    }
    for path, of_file in records.items():
        temporary = files.enter_context(replaced_when_whole(path))
        lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in of_file)
        temporary.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
