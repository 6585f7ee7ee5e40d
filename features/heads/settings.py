"""What heads are made of: the videos and boxes of a split, and the networks that are asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from data.files import DataError, bad_record
from data.media.videos import Video, find_videos
from data.readers.report import ReadReport
from data.readers.tiktalk.heads import HeadBox
from data.readers.tiktalk.reader import read_dialogues
from features.detectors import load_detector, load_trunk
from features.heads.descriptors import (
    Describer,
    describer_by_encoder,
    describer_by_regions,
)
from features.heads.detection import HeadFinder
from features.heads.finders import (
    AnnotatedHeads,
    DetectedHeads,
    RandomHeads,
)
from features.heads.writing import SeenVideo
from features.region_extraction import RegionExtractor
from features.weights import identity_of_weights
from utils.errors import InputError

DETECTED, ANNOTATED = "detected", "annotated"
RANDOM = "random"

HeadBoxes = Mapping[str, Sequence[HeadBox]]


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """What is asked for; the fields are those of the command line.

    Attributes:
        heads: DETECTED or ANNOTATED.
        every: of how many frames one is looked at, of detected heads.
        least_cosine: of what tells faces apart, above which two detected heads can be one person's.
        labels: what the detector calls a head.
        image_encoder: describes the heads; None where the networks of regions do, RANDOM where
            nothing does.
        face_encoder: tells faces apart; None where what describes the heads does.
        detector, detector_weights, trunk_weights, size, seed: of `RegionExtractor.load`; the
            weights of the detector are None where there is none.

    Raises:
        InputError: heads are to be found without any video.
    """

    heads: str
    every: int
    least_cosine: float
    labels: Sequence[str]
    image_encoder: str | None
    face_encoder: str | None
    detector: str
    detector_weights: str | None
    trunk_weights: str
    size: int | None
    seed: int

    def __post_init__(self) -> None:
        if self.image_encoder == RANDOM and self.heads != ANNOTATED:
            raise InputError("--image-encoder random: expected --heads annotated with it")

    def identity(self, boxes: HeadBoxes) -> dict[str, Any]:
        """What the files depend on, as JSON can hold it."""
        weights = {
            name: value and identity_of_weights(value)
            for name in ("image_encoder", "face_encoder", "detector_weights", "trunk_weights")
            for value in (getattr(self, name),)
        }
        where = [[v, h.frame, *h.box_xyxy] for v, of_video in boxes.items() for h in of_video]
        digest = hashlib.sha256(json.dumps(where).encode()).hexdigest()
        return {**asdict(self), **weights, "labels": list(self.labels), "boxes": digest}

    def load(self, boxes: HeadBoxes, device: torch.device) -> Callable[[Video], SeenVideo]:
        """The networks, as what looks for the heads of a video.

        Raises:
            InputError: one of them cannot be had, or does not know heads.
        """
        if self.image_encoder == RANDOM:
            return RandomHeads(boxes, self.seed)
        if self.heads == ANNOTATED and self.image_encoder is not None:
            return AnnotatedHeads(describer_by_encoder(self.image_encoder, device), boxes)
        if self.detector_weights is None:
            raise InputError(
                "--detector-weights: none are given, expected those of a detector that knows heads "
                "(tools/train_detector.py)"
            )
        detector = load_detector(self.detector, self.detector_weights, self.size, self.seed)
        describe: Describer
        if self.image_encoder is not None:
            describe = describer_by_encoder(self.image_encoder, device)
        else:
            trunk = load_trunk(self.trunk_weights, self.seed)
            describe = describer_by_regions(RegionExtractor(detector, trunk, device))
        if self.heads == ANNOTATED:
            return AnnotatedHeads(describe, boxes)
        tell_apart = describe
        if self.face_encoder is not None:
            tell_apart = describer_by_encoder(self.face_encoder, device)
        find = HeadFinder(detector, self.labels, device)
        return DetectedHeads(find, describe, tell_apart, self.every, self.least_cosine)


def videos_of_split(
    folder: Path, data_root: Path | None, split: str, report: ReadReport
) -> list[Video]:
    """The videos in a folder that the dialogues of a split are about, in the order of their ids.

    Args:
        data_root: where the split's dialogues are; None for all videos of the folder.

    Raises:
        DataError: a file or folder cannot be read, or no dialogue has a video.
        BadRecord: a dialogue has no video, and the report does not skip such.
    """
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
