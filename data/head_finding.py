"""From a video to its heads: found by a detector and tracked, or annotated."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data.files import bad_record
from data.head_detection import HeadFinder
from data.head_features import Describer, cut_out
from data.head_files import SeenHead, SeenVideo, Track
from data.head_tracks import Heads, join_tracks, link_heads
from data.readers.tiktalk_heads import HeadBox
from data.video_frames import Frame, Video, every_nth, frames_of

_FRAMES_TOGETHER = 8


@dataclass(frozen=True, slots=True)
class DetectedHeads:
    """Finds the heads of a video, one for each person: the surest of those that are theirs.

    Attributes:
        step: of how many frames one is looked at.
        least_cosine: of features, above which two heads can be one person's.
    """

    find: HeadFinder
    describe: Describer
    step: int
    least_cosine: float

    def __call__(self, video: Video) -> SeenVideo:
        """The heads of a video, those that are seen longest first.

        Raises:
            BadRecord: the video cannot be read.
        """
        looked_at: list[int] = []
        numbers: list[int] = []
        boxes: list[np.ndarray] = []
        scores: list[np.ndarray] = []
        features: list[np.ndarray] = []
        crops: list[np.ndarray] = []
        size = (0, 0)
        frames = every_nth(video, self.step)
        while batch := list(itertools.islice(frames, _FRAMES_TOGETHER)):
            pixels = [frame.pixels for frame in batch]
            found = self.find(pixels)
            described = self.describe(pixels, [each.boxes_xyxy for each in found])
            for frame, each, of_frame in zip(batch, found, described, strict=True):
                looked_at.append(frame.number)
                numbers += [frame.number] * len(each.scores)
                crops += [cut_out(frame.pixels, box).copy() for box in each.boxes_xyxy]
                boxes.append(each.boxes_xyxy)
                scores.append(each.scores)
                features.append(of_frame)
            size = pixels[0].shape[1::-1]
        heads = Heads(
            np.array(numbers, dtype=np.int64),
            np.concatenate(boxes),
            np.concatenate(scores),
            np.concatenate(features),
        )
        tracks = link_heads(heads, looked_at, self.least_cosine)
        groups = join_tracks(heads, tracks, self.least_cosine)
        groups.sort(key=lambda group: -sum(len(tracks[number]) for number in group))
        return SeenVideo(
            size,
            tuple(looked_at),
            [_surest(heads, [tracks[number] for number in group], crops) for group in groups],
            heads.features.shape[1],
        )


def _surest(heads: Heads, tracks: Sequence[list[int]], crops: Sequence[np.ndarray]) -> SeenHead:
    rows = [row for track in tracks for row in track]
    best = max(rows, key=lambda row: heads.scores[row])
    return SeenHead(
        int(heads.frames[best]),
        heads.boxes_xyxy[best],
        heads.features[best],
        crops[best],
        tuple(
            tuple((int(heads.frames[row]), tuple(heads.boxes_xyxy[row].tolist())) for row in track)
            for track in tracks
        ),
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


def _check_within(video: Video, frame: Frame, head: HeadBox) -> None:
    height, width, _ = frame.pixels.shape
    if head.box_xyxy[2] > width or head.box_xyxy[3] > height:
        raise bad_record(
            video.path,
            f"frame {frame.number}",
            f"the box {list(head.box_xyxy)} of {head.label}",
            f"one within {width} x {height} pixels",
        )
