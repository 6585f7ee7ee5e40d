"""TikTalkCoref: Chinese dialogues of two turns about videos, with the chains of their people.

The data root is a folder that `tools/data_split.py` has written: `all/`, or `celeb/` or
`no_celeb/`, the dialogues with celebrities and those without. `data/readers/tiktalk/dialogues.py`
reads the texts of a split, `data/readers/tiktalk/heads.py` the titles and the head boxes of its
videos. The folder `heads` beside the data root, which all three share, holds what `prepare.py
heads` writes: the heads as regions; the folder `frames` there may hold the images of the frames.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from data.files import bad_record
from data.narration import Narration
from data.readers.expected_files import ExpectedFiles, dialogues_by_split
from data.readers.report import ReadReport
from data.readers.tiktalk.dialogues import (
    NO_LABEL,
    Dialogue,
    read_dialogues,
    text_file,
)
from data.readers.tiktalk.heads import (
    read_heads_of,
    read_titles,
    visual_file,
)
from data.readers.tiktalk.regions import (
    RegionFrame,
    frames_of,
    match_heads,
    with_heads,
)
from data.regions.head_files import read_head_regions
from data.regions.index import (
    find_region_files,
    names_of_region_files,
    region_files,
)
from data.regions.store import RegionStore

SPLITS = ("train", "val", "test")
LABELLED_SPLIT = "train"
HELD_OUT_SPLIT = "val"
UNLABELLED_SPLIT = None
TEST_SPLIT = "test"

_SOURCE = "`python tools/data_split.py`, of the files of TikTalkCoref's repository"


def read(data_root: Path, split: str, report: ReadReport) -> list[Narration]:
    """The dialogues of a split, as narrations; with the heads of their videos where there are some.

    Raises:
        DataError: a file is missing or cannot be read.
        BadRecord: a line is wrong, or heads are there, but not of a dialogue, and the report does
            not skip such.
    """
    dialogues = list(read_dialogues(data_root, split, report))
    narrations = [dialogue.narration for dialogue in dialogues]
    if find_region_files(_head_folder(data_root), split):
        narrations = _with_heads(dialogues, data_root, split, report)
    sizes = [size for n in narrations for size in Counter(m.chain for m in n.mentions).values()]
    report.count("narrations", len(narrations))
    report.count("characters", sum(len(narration.words) for narration in narrations))
    report.count("mentions", sum(sizes))
    report.count("chains", len(sizes))
    report.count("singletons", sizes.count(1))
    named = (label != NO_LABEL for dialogue in dialogues for label in dialogue.labels)
    report.count("chains with the label of a head box", sum(named))
    report.notes += [note for dialogue in dialogues for note in dialogue.differing]
    return narrations


def open_regions(data_root: Path, split: str, **options: Any) -> RegionStore | None:
    """The heads of a split, or None where none of their files is there.

    Args:
        options: of `RegionStore.read_files`.

    Raises:
        DataError: some of the files are missing, or broken.
        BadRecord: a dialogue's heads are wrong, and such are not skipped.
    """
    files = find_region_files(_head_folder(data_root), split)
    return RegionStore.read_files(files, **options) if files else None


def read_frames(data_root: Path, split: str) -> dict[str, tuple[RegionFrame, ...]]:
    """The frames that the heads of each dialogue are described in.

    Their images are looked for in the folder `frames` beside the data root.

    Raises:
        DataError: there are no heads of the split, or a file cannot be read.
        BadRecord: a dialogue's heads are wrong.
    """
    videos = read_head_regions(_head_folder(data_root), split)
    folder = data_root / ".." / "frames"
    return {video_id: frames_of(video_id, video, folder) for video_id, video in videos.items()}


def expected_files(data_root: Path) -> list[ExpectedFiles]:
    """The files of the data set, there or not."""
    texts = {split: text_file(data_root, split) for split in SPLITS}
    boxes = tuple(visual_file(data_root, split) for split in SPLITS)
    return [
        *dialogues_by_split(texts, _SOURCE),
        ExpectedFiles("head boxes and titles", boxes, _SOURCE, "texts and their chains alone"),
        *(
            ExpectedFiles(
                f"heads of {split}",
                _head_files(data_root, split),
                "`prepare.py heads`, of the videos or their frames",
                "texts and their chains alone: --no-regions",
            )
            for split in SPLITS
        ),
    ]


def further_texts(data_root: Path, split: str, report: ReadReport) -> Iterator[str]:
    """The titles of the videos."""
    return read_titles(data_root, split, report)


def _with_heads(
    dialogues: Sequence[Dialogue], data_root: Path, split: str, report: ReadReport
) -> list[Narration]:
    """The narrations of dialogues, with the heads of their videos as regions.

    Where heads are missing or wrong and such are skipped, a narration stays a text alone.
    """
    folder = _head_folder(data_root)
    videos = read_head_regions(folder, split)
    labels = {dialogue.narration.id: dialogue.labels for dialogue in dialogues}
    boxes = read_heads_of(labels, data_root, split, report)
    narrations, shown = [], 0
    for narration in (dialogue.narration for dialogue in dialogues):
        if narration.id not in videos:
            found = f"no heads of {split} for this dialogue"
            report.refuse(bad_record(folder, narration.id, found, "those of `prepare.py heads`"))
        elif narration.id in boxes:
            of_video = videos[narration.id]
            regions = match_heads(boxes[narration.id], of_video)
            shown += len(regions)
            narration = with_heads(narration, boxes[narration.id], regions, of_video)
        narrations.append(narration)
    report.count("head boxes that a region shows", shown)
    return narrations


def _head_folder(data_root: Path) -> Path:
    return data_root / ".." / "heads"


def _head_files(data_root: Path, split: str) -> tuple[Path, ...]:
    """The files of a split's heads, or those that it could have."""
    folder = _head_folder(data_root)
    found = names_of_region_files(folder, split) or [region_files(folder, split)]
    return tuple(path for files in found for path in files)
