"""What finds and describes the heads of a video: detected and tracked, or annotated."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data.files import bad_record
from data.media.videos import Frame, Video, every_nth, frames_of
from data.readers.tiktalk.heads import HeadBox
from data.regions.head_files import PixelBox, Track
from features.heads.descriptors import HeadDescriptor, crop_box
from features.heads.detection import HeadDetections
from features.heads.tracking import Heads, join_tracklets, link_tracklets
from features.heads.writing import DescribedHead, DescribedVideo

_FRAMES_PER_BATCH = 8
_RANDOM_SIZE = 128  # numbers of a random feature

HeadFinder = Callable[[Video], DescribedVideo]


@dataclass(frozen=True, slots=True)
class TrackedHeadFinder:
    """Finds one head for each person in a video: the surest of those that are theirs.

    Attributes:
        detect: detects the heads in frames, each [height, width, 3] uint8, of one size.
        describe: gives the features of the regions.
        describe_faces: gives the features that tell faces apart; may be the same.
        every: one of so many frames is looked at.
        least_cosine: of the features of two faces, above which they can be one person's.
    """

    detect: Callable[[Sequence[np.ndarray]], list[HeadDetections]]
    describe: HeadDescriptor
    describe_faces: HeadDescriptor
    every: int
    least_cosine: float

    def __call__(self, video: Video) -> DescribedVideo:
        """Find the heads of a video, those that are seen longest first.

        Raises:
            BadRecord: the video cannot be read.
        """
        looked_at: list[int] = []
        detections: list[_Detection] = []
        frames = every_nth(video, self.every)
        while batch := list(itertools.islice(frames, _FRAMES_PER_BATCH)):
            looked_at += [frame.number for frame in batch]
            feature_size, size, batch_detections = self._detect(batch)
            detections += batch_detections
        if not detections:
            return DescribedVideo(size, tuple(looked_at), [], feature_size)
        heads = Heads(
            np.array([each.frame for each in detections]),
            np.stack([each.box_xyxy for each in detections]),
            np.stack([each.face_feature for each in detections]),
        )
        tracklets = link_tracklets(heads, looked_at, self.least_cosine)
        people = join_tracklets(heads, tracklets, self.least_cosine)
        people.sort(key=lambda person: -sum(len(tracklets[number]) for number in person))
        surest = [
            _surest([[detections[row] for row in tracklets[number]] for number in person])
            for person in people
        ]
        return DescribedVideo(size, tuple(looked_at), surest, feature_size)

    def _detect(self, batch: Sequence[Frame]) -> tuple[int, tuple[int, int], list[_Detection]]:
        """Return the size of a feature, (width, height) of the frames, and the heads in them."""
        pixels = [frame.pixels for frame in batch]
        detected = self.detect(pixels)
        boxes = [each.boxes_xyxy for each in detected]
        features = self.describe(pixels, boxes)
        faces = features
        if self.describe_faces is not self.describe:
            faces = self.describe_faces(pixels, boxes)
        height, width, _ = pixels[0].shape
        detections = [
            # A copy, as the rest of the frame need not be kept.
            _Detection(frame.number, box, score, feature, face, crop_box(frame.pixels, box).copy())
            for frame, each, *described in zip(batch, detected, features, faces, strict=True)
            for box, score, feature, face in zip(*each, *described, strict=True)
        ]
        return features[0].shape[1], (width, height), detections


@dataclass(frozen=True, slots=True, eq=False)
class _Detection:
    """A head in one frame.

    Attributes:
        frame: its number.
        box_xyxy: [4] float32, pixels.
        score: of the detector.
        feature: [feature size] float32, which describes the region.
        face_feature: [size] float32, which tells faces apart.
        crop: [height, width, 3] uint8, what the box cuts out.
    """

    frame: int
    box_xyxy: np.ndarray
    score: float
    feature: np.ndarray
    face_feature: np.ndarray
    crop: np.ndarray


def _surest(tracklets: Sequence[Sequence[_Detection]]) -> DescribedHead:
    """Return the head of one person that the detector is surest of, with all their tracks."""
    surest = max(itertools.chain.from_iterable(tracklets), key=lambda each: each.score)
    return DescribedHead(
        surest.frame,
        surest.box_xyxy,
        surest.feature,
        surest.crop,
        tuple(tuple((each.frame, _plain(each.box_xyxy)) for each in t) for t in tracklets),
    )


@dataclass(frozen=True, slots=True)
class AnnotatedHeadFinder:
    """Takes the heads of a video that are annotated, in the order of the annotations.

    Attributes:
        describe: gives the features of the regions.
        heads: of each dialogue, by its id.
    """

    describe: HeadDescriptor
    heads: Mapping[str, Sequence[HeadBox]]

    def __call__(self, video: Video) -> DescribedVideo:
        """Describe the heads of a video; of one without any, its first frame is looked at.

        Raises:
            BadRecord: the video cannot be read or lacks a frame; a box reaches over its frame.
        """
        annotated = self.heads[video.image_id]
        wanted = {head.frame for head in annotated}
        frames = frames_of(video, wanted) if wanted else itertools.islice(every_nth(video, 1), 1)
        described: dict[int, DescribedHead] = {}
        feature_size = 0
        looked_at = []
        for frame in frames:
            looked_at.append(frame.number)
            places = [n for n, head in enumerate(annotated) if head.frame == frame.number]
            heads = [annotated[n] for n in places]
            for head in heads:
                _check_within(video, frame, head)
            boxes = np.array([h.box_xyxy for h in heads], dtype=np.float32).reshape(-1, 4)
            (features,) = self.describe([frame.pixels], [boxes])
            feature_size = features.shape[1]
            for place, box, feature in zip(places, boxes, features, strict=True):
                track: Track = ((frame.number, _plain(box)),)
                crop = crop_box(frame.pixels, box)
                described[place] = DescribedHead(frame.number, box, feature, crop, (track,))
            height, width, _ = frame.pixels.shape
        in_order = [described[place] for place in sorted(described)]
        return DescribedVideo((width, height), tuple(looked_at), in_order, feature_size)


@dataclass(frozen=True, slots=True)
class RandomHeadFinder:
    """Takes annotated heads without having seen them, with features drawn at random.

    So the way from annotations to scores can be gone where there are no videos; what is found by
    such features is what chance finds. A frame is taken to end where its boxes do.

    Attributes:
        heads: of each dialogue, by its id.
        seed: the same seed draws the same features.
    """

    heads: Mapping[str, Sequence[HeadBox]]
    seed: int

    def __call__(self, video: Video) -> DescribedVideo:
        """Draw features for the heads of a video, which is not read."""
        random = np.random.default_rng([self.seed, zlib.crc32(video.image_id.encode())])
        annotated = self.heads[video.image_id]
        heads = []
        for head in annotated:
            box = np.array(head.box_xyxy, dtype=np.float32)
            feature = random.normal(size=_RANDOM_SIZE).astype(np.float32)
            track: Track = ((head.frame, _plain(head.box_xyxy)),)
            heads.append(DescribedHead(head.frame, box, feature, None, (track,)))
        width, height = (max((head.box_xyxy[n] for head in annotated), default=1) for n in (2, 3))
        looked_at = sorted({head.frame for head in annotated})
        return DescribedVideo((width, height), tuple(looked_at), heads, _RANDOM_SIZE)


def _plain(box_xyxy: Sequence[float] | np.ndarray) -> PixelBox:
    """Return a box as plain numbers."""
    x1, y1, x2, y2 = map(float, box_xyxy)
    return x1, y1, x2, y2


def _check_within(video: Video, frame: Frame, head: HeadBox) -> None:
    height, width, _ = frame.pixels.shape
    if head.box_xyxy[2] > width or head.box_xyxy[3] > height:
        raise bad_record(
            video.path,
            f"frame {frame.number}",
            f"the box {list(head.box_xyxy)} of {head.label}",
            f"one within {width} x {height} pixels",
        )
