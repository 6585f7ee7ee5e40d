"""TikTalkCoref: Chinese dialogues of two turns about videos, with the chains of their people.

The data root is a folder that `tools/data_split.py` has written: `all/`, or `celeb/` or
`no_celeb/`, the dialogues with celebrities and those without. `data/readers/tiktalk/dialogues.py`
reads the texts of a split, `data/readers/tiktalk/heads.py` the titles and the head boxes of its
videos. The folder `heads` beside the data root, which all three share, holds what `prepare.py
heads` writes: the heads as regions; the folder `frames` there may hold the images of the frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from data.files import bad_record
from data.media.frame_files import RegionFrame
from data.narration import Narration
from data.readers.dataset_reader import DatasetReader
from data.readers.expected_files import ExpectedFiles, expected_texts
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
    frames_of_regions,
    match_heads,
    with_heads,
)
from data.regions.file_names import expected_region_paths, find_region_files
from data.regions.head_files import read_head_regions

_SOURCE = "`python tools/data_split.py`, of the files of TikTalkCoref's repository"


class TikTalkReader(DatasetReader):
    """Read the dialogues, with the heads of their videos as regions where there are some."""

    name = "tiktalk"
    held_out_split = "val"

    def read(self, data_root: Path, split: str, report: ReadReport) -> list[Narration]:
        """Read the dialogues of a split; heads that are there have to be of its dialogues."""
        dialogues = list(read_dialogues(data_root, split, report))
        narrations = [dialogue.narration for dialogue in dialogues]
        if find_region_files(_head_folder(data_root), split):
            narrations = _with_heads(dialogues, data_root, split, report)
        report.count("narrations", len(narrations))
        report.count("characters", sum(len(narration.words) for narration in narrations))
        report.count_chains(narrations)
        named = (label != NO_LABEL for dialogue in dialogues for label in dialogue.labels)
        report.count("chains with the label of a head box", sum(named))
        report.notes += [note for dialogue in dialogues for note in dialogue.differing]
        return narrations

    def expected_files(self, data_root: Path) -> list[ExpectedFiles]:
        """List the texts, the head boxes and the heads of every split, there or not."""
        texts = {split: text_file(data_root, split) for split in self.splits}
        boxes = tuple(visual_file(data_root, split) for split in self.splits)
        return [
            *expected_texts(texts, _SOURCE),
            ExpectedFiles("head boxes and titles", boxes, _SOURCE, "texts and their chains alone"),
            *(
                ExpectedFiles(
                    f"heads of {split}",
                    expected_region_paths(_head_folder(data_root), split),
                    "`prepare.py heads`, of the videos or their frames",
                    "texts and their chains alone: --no-regions",
                )
                for split in self.splits
            ),
        ]

    def region_folder(self, data_root: Path) -> Path:
        """Return the folder of the heads beside the data root."""
        return _head_folder(data_root)

    def read_frames(self, data_root: Path, split: str) -> dict[str, tuple[RegionFrame, ...]]:
        """Read which frames the heads of each dialogue are described in.

        Their images are looked for in the folder `frames` beside the data root.
        """
        videos = read_head_regions(_head_folder(data_root), split)
        folder = data_root / ".." / "frames"
        return {
            video_id: frames_of_regions(video_id, video, folder)
            for video_id, video in videos.items()
        }

    def further_texts(self, data_root: Path, split: str) -> Iterator[str]:
        """Read the titles of the videos."""
        return read_titles(data_root, split, ReadReport(self.name, split))


def _with_heads(
    dialogues: Sequence[Dialogue], data_root: Path, split: str, report: ReadReport
) -> list[Narration]:
    """Return the narrations of dialogues, with the heads of their videos as regions.

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
