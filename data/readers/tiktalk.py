"""TikTalkCoref: Chinese dialogues of two turns about videos, with the chains of their people.

The data root is a folder that `tools/data_split.py` has written: `all/`, or `celeb/` or
`no_celeb/`, the dialogues with celebrities and those without. `data/readers/tiktalk_dialogues.py`
reads the texts of a split, `data/readers/tiktalk_heads.py` the titles and the head boxes of its
videos.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from data.narration import Narration
from data.readers.expected import ExpectedFiles, dialogues_by_split
from data.readers.report import ReadReport
from data.readers.tiktalk_dialogues import NO_LABEL, read_dialogues, text_file
from data.readers.tiktalk_heads import read_titles, visual_file

SPLITS = ("train", "val", "test")
LABELLED_SPLIT = "train"
HELD_OUT_SPLIT = "val"
UNLABELLED_SPLIT = None
TEST_SPLIT = "test"

_SOURCE = "`python tools/data_split.py`, of the files of TikTalkCoref's repository"


def read(data_root: Path, split: str, report: ReadReport) -> list[Narration]:
    """The dialogues of a split, as narrations without regions.

    Raises:
        DataError: the file is missing or cannot be read.
        BadRecord: a line is wrong, and the report does not skip such.
    """
    dialogues = list(read_dialogues(data_root, split, report))
    narrations = [dialogue.narration for dialogue in dialogues]
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


def expected_files(data_root: Path) -> list[ExpectedFiles]:
    """The files of the data set, there or not."""
    texts = {split: text_file(data_root, split) for split in SPLITS}
    boxes = tuple(visual_file(data_root, split) for split in SPLITS)
    return [
        *dialogues_by_split(texts, _SOURCE),
        ExpectedFiles("head boxes and titles", boxes, _SOURCE, "texts and their chains alone"),
    ]


def further_texts(data_root: Path, split: str, report: ReadReport) -> Iterator[str]:
    """The titles of the videos."""
    return read_titles(data_root, split, report)
