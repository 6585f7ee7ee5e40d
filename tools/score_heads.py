"""Score the heads that `prepare.py heads` found and tracked, where it is known whose they are:
python tools/score_heads.py --heads FOLDER --split test --truth FOLDER/truth.jsonl
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.files import DataError
from data.readers.json_lines import read_json_lines
from data.readers.report import ReadReport, Record
from data.regions.head_files import read_head_regions
from metrics.head_scores import (
    HeadCounts,
    TrueHead,
    count_heads,
    format_head_counts,
)
from utils.distributed.command import run_command
from utils.files import write_text
from utils.options import command_parser, file_to_write
from utils.printable import quote


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the counts that the command line asks for."""
    parser = command_parser("Score found heads.", prog="score_heads.py")
    parser.add_argument("--heads", type=Path, required=True, help="what prepare.py heads wrote")
    parser.add_argument("--split", required=True, help="that the files are named after")
    parser.add_argument(
        "--truth", type=Path, required=True, metavar="FILE", help="of tools/make_dialogues.py"
    )
    parser.add_argument("--json", type=file_to_write, metavar="FILE", help="write the counts")
    options = parser.parse_args(arguments)
    videos = read_head_regions(options.heads, options.split)
    truth = read_truth(options.truth)
    if missing := [video_id for video_id in videos if video_id not in truth]:
        raise DataError(f"{options.truth}: found no line of {missing[0]}, expected one of each")
    counts = HeadCounts()
    for video_id, video in videos.items():
        regions = [head.tracks for head in video.heads]
        counts += count_heads(regions, video.looked_at, truth[video_id])
    print(f"{len(videos)} videos of {options.split}")
    print("\n".join(format_head_counts(counts)))
    if options.json is not None:
        write_text(options.json, json.dumps({"videos": len(videos), **asdict(counts)}) + "\n")


def read_truth(path: Path) -> dict[str, list[TrueHead]]:
    """Read the heads of each video, by the id of its dialogue.

    Raises:
        DataError: the file cannot be read.
        BadRecord: a line is wrong.
    """
    truth = {}
    for record in read_json_lines(path, ReadReport("heads", "truth")):
        heads = record.take("heads", list, "a list of heads")
        video_id = record.take("doc_key", str, "the id of a dialogue")
        truth[video_id] = [_true_head(record, head) for head in heads]
    return truth


def _true_head(record: Record, head: Any) -> TrueHead:
    try:
        x1, y1, x2, y2 = map(float, head["bbox"])
        return TrueHead(
            int(head["frame"]), str(head["person"]), (x1, y1, x2, y2), float(head["visible"])
        )
    except (TypeError, ValueError, LookupError) as error:
        raise record.bad(f"the head {quote(head)}", "frame, person, bbox and visible") from error


if __name__ == "__main__":
    run_command(main)
