"""`prepare.py heads`: the heads in videos as regions, found by a detector or annotated."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from data.files import DataError, bad_record
from data.readers.report import ReadReport
from data.readers.tiktalk.dialogues import read_dialogues
from data.readers.tiktalk.heads import HeadBox, read_heads
from data.regions.shards import open_shards
from features.detector_options import add_detector_options
from features.heads.settings import ANNOTATED, DETECTED, RANDOM, HeadSettings
from features.heads.tracking import LEAST_COSINE
from features.heads.writing import write_heads
from preparation.options import add_region_file_options, add_skip_option
from preparation.regions import RegionOutput
from utils.device import choose_device
from utils.distributed.ranks import gather_objects, is_main
from utils.errors import InputError
from utils.options import whole_number_from

if TYPE_CHECKING:
    from data.media.videos import Video

_VIDEOS_PER_SHARD = 50


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `heads`."""
    parser.add_argument(
        "--videos", type=Path, metavar="FOLDER",
        help="files named by the ids of their dialogues, or folders of frames",
    )  # fmt: skip
    parser.add_argument(
        "--data-root", type=Path, metavar="FOLDER",
        help="where the split's dialogues are (tools/data_split.py); by default all videos are "
        "looked at",
    )  # fmt: skip
    add_region_file_options(parser)
    add_skip_option(parser)
    parser.add_argument(
        "--heads",
        choices=(DETECTED, ANNOTATED),
        default=DETECTED,
        help="found by a detector and tracked, or those that are annotated in --data-root",
    )
    parser.add_argument(
        "--image-encoder",
        metavar="NAME",
        help="describes the heads: an image encoder of transformers by its hub name or folder, of "
        "which Chinese-CLIP's are some, or a file of tools/train_faces.py; by default the networks "
        "of regions do (--trunk-weights); random: annotated heads get features drawn at random, "
        "without any video",
    )
    group = parser.add_argument_group("options of --heads detected")
    group.add_argument(
        "--every",
        type=whole_number_from(1),
        default=10,
        metavar="N",
        help="look at one of so many frames (%(default)s)",
    )
    group.add_argument(
        "--face-encoder",
        metavar="NAME",
        help="tells faces apart, named as --image-encoder; by default what describes the heads",
    )
    group.add_argument(
        "--least-cosine",
        type=float,
        default=LEAST_COSINE,
        help="cosine of two faces by that encoder, above which they can be one person's "
        "(%(default)s)",
    )
    group.add_argument(
        "--labels",
        nargs="+",
        default=["head", "face"],
        metavar="LABEL",
        help="what the detector calls a head (head face)",
    )
    group = parser.add_argument_group("networks")
    add_detector_options(group)
    group.add_argument(
        "--seed",
        type=whole_number_from(0),
        default=0,
        help="random seed of weights drawn at random (0)",
    )
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    group.add_argument(
        "--shards",
        type=whole_number_from(1),
        help="number of files to write, which ranks share (as many as hold "
        f"{_VIDEOS_PER_SHARD} videos each); a stopped run goes on with the next one",
    )


def make_heads(
    videos_folder: Path | None,
    data_root: Path | None,
    output: RegionOutput,
    settings: HeadSettings,
    device: str,
) -> None:
    """Write the heads of a split's videos as regions; the ranks share the files.

    Args:
        videos_folder: of videos or of folders of their frames; None where none is looked at.
        data_root: where the split's dialogues and annotated heads are; None for all videos.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        InputError: videos or annotations are needed and not given, a network cannot be had, or the
            folder holds regions that were made otherwise.
        BadRecord: a video cannot be read, and such are not skipped.
    """
    # Here, so that the other commands need nothing that reads videos.
    from data.media.videos import Video

    report = ReadReport("heads", output.split, output.skip_bad_records)
    boxes: Mapping[str, Sequence[HeadBox]] = {}
    if settings.heads == ANNOTATED:
        if data_root is None:
            raise InputError("--heads annotated: expected --data-root, where the annotations are")
        boxes = read_heads(data_root, output.split, report)
    if settings.image_encoder == RANDOM and data_root is not None:
        videos = [Video(video_id, data_root) for video_id in sorted(boxes)]
    elif videos_folder is None:
        raise InputError("--videos: none are given, expected a folder of videos or of their frames")
    else:
        videos = _videos_of_split(videos_folder, data_root, output.split, report)
    if settings.heads == ANNOTATED:
        videos = [video for video in videos if video.image_id in boxes]
    find_heads = settings.load(boxes, choose_device(device))
    every, mine = open_shards(
        output.folder,
        output.split,
        videos,
        output.shards,
        settings.identity(boxes),
        per_shard=_VIDEOS_PER_SHARD,
    )
    count = sum(len(shard.images) for shard in mine)
    with tqdm(desc="looking for heads", total=count, disable=not is_main()) as bar:
        for shard in mine:
            write_heads(output.folder, shard, find_heads, done=bar.update, refuse=report.refuse)
    reports = gather_objects((len(mine), report.skipped)) or []
    written = sum(shards for shards, _ in reports)
    print(
        f"{output.folder}: {len(videos)} videos of {output.split} in {len(every)} shards, "
        f"{written} of them written now"
    )
    report.skipped = list(dict.fromkeys(message for _, skipped in reports for message in skipped))
    print("\n".join(report.lines()))


def _videos_of_split(
    folder: Path, data_root: Path | None, split: str, report: ReadReport
) -> list[Video]:
    """Return the videos in a folder that the dialogues of a split are about, sorted by id.

    Args:
        data_root: where the split's dialogues are; None for all videos of the folder.

    Raises:
        DataError: a file or folder cannot be read, or no dialogue has a video.
        BadRecord: a dialogue has no video, and the report does not skip such.
    """
    from data.media.videos import find_videos

    videos = find_videos(folder)
    if data_root is None:
        return list(videos.values())
    ids = sorted(d.narration.id for d in read_dialogues(data_root, split, report))
    for video_id in ids:
        if video_id not in videos:
            report.refuse(bad_record(folder, video_id, "no video of this dialogue", "one"))
    found = [videos[video_id] for video_id in ids if video_id in videos]
    if not found:
        raise DataError(f"{folder} has no video of a dialogue of {split} in {data_root}")
    return found
