"""From a video to its heads: found by a detector and tracked, or annotated."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data.files import bad_record
from data.media.videos import (
    Frame,
    Video,
    every_nth,
    frames_of,
)
from data.readers.tiktalk.heads import HeadBox
from data.regions.head_files import Track
from features.heads.descriptors import Describer, cut_out
from features.heads.detection import HeadFinder
from features.heads.tracking import (
    Heads,
    join_tracks,
    link_heads,
)
from features.heads.writing import SeenHead, SeenVideo

_FRAMES_TOGETHER = 8
_RANDOM_SIZE = 128  # numbers of a random feature


@dataclass(frozen=True, slots=True)
class DetectedHeads:
    """Finds the heads of a video, one for each person: the surest of those that are theirs.

    Attributes:
        describe: gives the features of the regions.
        tell_apart: gives those by which faces are told apart; may be the same.
        step: of how many frames one is looked at.
        least_cosine: of what tells faces apart, above which two heads can be one person's.
    """

    find: HeadFinder
    describe: Describer
    tell_apart: Describer
    step: int
    least_cosine: float

    def __call__(self, video: Video) -> SeenVideo:
        """The heads of a video, those that are seen longest first.

        Raises:
            BadRecord: the video cannot be read.
        """
        looked_at: list[int] = []
        detections: list[_Detection] = []
        frames = every_nth(video, self.step)
        while batch := list(itertools.islice(frames, _FRAMES_TOGETHER)):
            looked_at += [frame.number for frame in batch]
            feature_size, size, of_batch = self._detect(batch)
            detections += of_batch
        if not detections:
            return SeenVideo(size, tuple(looked_at), [], feature_size)
        heads = Heads(
            np.array([each.frame for each in detections]),
            np.stack([each.box for each in detections]),
            np.stack([each.looks for each in detections]),
        )
        tracks = link_heads(heads, looked_at, self.least_cosine)
        groups = join_tracks(heads, tracks, self.least_cosine)
        groups.sort(key=lambda group: -sum(len(tracks[number]) for number in group))
        seen = [
            _surest([[detections[row] for row in tracks[number]] for number in group])
            for group in groups
        ]
        return SeenVideo(size, tuple(looked_at), seen, feature_size)

    def _detect(self, batch: Sequence[Frame]) -> tuple[int, tuple[int, int], list[_Detection]]:
        """The size of a feature, that of the frames, and the heads in some frames."""
        pixels = [frame.pixels for frame in batch]
        found = self.find(pixels)
        boxes = [each.boxes_xyxy for each in found]
        features = self.describe(pixels, boxes)
        looks = features if self.tell_apart is self.describe else self.tell_apart(pixels, boxes)
        height, width, _ = pixels[0].shape
        detections = [
            # The rest of the frame need not be kept.
            _Detection(frame.number, box, score, feature, look, cut_out(frame.pixels, box).copy())
            for frame, each, *described in zip(batch, found, features, looks, strict=True)
            for box, score, feature, look in zip(*each, *described, strict=True)
        ]
        return features[0].shape[1], (width, height), detections


@dataclass(frozen=True, slots=True, eq=False)
class _Detection:
    """A head in one frame."""

    frame: int
    box: np.ndarray
    score: float
    feature: np.ndarray
    looks: np.ndarray
    pixels: np.ndarray


def _surest(tracks: Sequence[Sequence[_Detection]]) -> SeenHead:
    """The head of one person that the detector is surest of."""
    best = max(itertools.chain.from_iterable(tracks), key=lambda each: each.score)
    return SeenHead(
        best.frame,
        best.box,
        best.feature,
        best.pixels,
        tuple(tuple((each.frame, tuple(each.box.tolist())) for each in t) for t in tracks),
    )


@dataclass(frozen=True, slots=True)
class AnnotatedHeads:
    """Takes the heads of a video that are annotated, in the order of the annotations.

    Attributes:
        heads: of each dialogue, by its id.
    """

    describe: Describer
    heads: Mapping[str, Sequence[HeadBox]]

    def __call__(self, video: Video) -> SeenVideo:
        """The heads of a video; of one without any, what its first frame is like.

        Raises:
            BadRecord: the video cannot be read or lacks a frame; a box reaches over its frame.
        """
        boxes = self.heads[video.image_id]
        wanted = {head.frame for head in boxes}
        frames = frames_of(video, wanted) if wanted else itertools.islice(every_nth(video, 1), 1)
        seen: dict[int, SeenHead] = {}
        feature_size = 0
        looked_at = []
        for frame in frames:
            looked_at.append(frame.number)
            places = [n for n, head in enumerate(boxes) if head.frame == frame.number]
            of_frame = [boxes[n] for n in places]
            for head in of_frame:
                _check_within(video, frame, head)
            corners = np.array([h.box_xyxy for h in of_frame], dtype=np.float32).reshape(-1, 4)
            (features,) = self.describe([frame.pixels], [corners])
            feature_size = features.shape[1]
            for place, box, feature in zip(places, corners, features, strict=True):
                track: Track = ((frame.number, tuple(box.tolist())),)
                pixels = cut_out(frame.pixels, box)
                seen[place] = SeenHead(frame.number, box, feature, pixels, (track,))
            size = frame.pixels.shape[1::-1]
        return SeenVideo(
            size, tuple(looked_at), [seen[place] for place in sorted(seen)], feature_size
        )


@dataclass(frozen=True, slots=True)
class RandomHeads:
    """Takes annotated heads without having seen them, with features drawn at random.

    So the way from annotations to scores can be gone where there are no videos; what is found by
    such features is what chance finds. A frame is taken to end where its boxes do.

    Attributes:
        heads: of each dialogue, by its id.
        seed: the same seed draws the same features.
    """

    heads: Mapping[str, Sequence[HeadBox]]
    seed: int

    def __call__(self, video: Video) -> SeenVideo:
        """The heads of a video, which is not read."""
        random = np.random.default_rng([self.seed, zlib.crc32(video.image_id.encode())])
        boxes = self.heads[video.image_id]
        seen = [
            SeenHead(
                head.frame,
                np.array(head.box_xyxy, dtype=np.float32),
                random.normal(size=_RANDOM_SIZE).astype(np.float32),
                None,
                (((head.frame, tuple(map(float, head.box_xyxy))),),),
            )
            for head in boxes
        ]
        width, height = (max((head.box_xyxy[n] for head in boxes), default=1) for n in (2, 3))
        looked_at = sorted({head.frame for head in boxes})
        return SeenVideo((width, height), tuple(looked_at), seen, _RANDOM_SIZE)


def _check_within(video: Video, frame: Frame, head: HeadBox) -> None:
    height, width, _ = frame.pixels.shape
    if head.box_xyxy[2] > width or head.box_xyxy[3] > height:
        raise bad_record(
            video.path,
            f"frame {frame.number}",
            f"the box {list(head.box_xyxy)} of {head.label}",
            f"one within {width} x {height} pixels",
        )
