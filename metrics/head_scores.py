"""Head scores: how well the heads in videos are found and tracked, against the true ones."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment

from utils.boxes import SUFFICIENT_IOU, pairwise_iou

# The frames in which a head was tracked, each with its box (x1, y1, x2, y2) in pixels.
HeadTrack = Sequence[tuple[int, Sequence[float]]]

_LEAST_VISIBLE = 0.5  # share of a head that must be visible for the head to be asked for


@dataclass(frozen=True, slots=True)
class TrueHead:
    """A head that is truly in a video.

    Attributes:
        frame: the number of its frame.
        person: whose head it is.
        box_xyxy: [4], in pixels.
        visible: the share of it that is not covered, from 0 to 1.
    """

    frame: int
    person: str
    box_xyxy: Sequence[float]
    visible: float

    @property
    def is_asked_for(self) -> bool:
        """Whether enough of it is visible."""
        return self.visible >= _LEAST_VISIBLE


@dataclass(frozen=True, slots=True)
class HeadCounts:
    """Counts of found heads and tracks; those of several videos add up.

    A box is of the head that it overlaps with an IoU of at least 0.5, in the best one-to-one
    assignment of its frame. A track or region is of a person where any of its boxes is. Pairs of
    tracks are counted where the two are never in one frame: only looks can tell then whether they
    are of one person.

    Attributes:
        heads: true heads of which at least half is visible.
        found: those of them that have a box.
        boxes: boxes of the system.
        boxes_of_none: those of them that are of no head.
        people: persons with a head that counts in `heads`.
        people_found: those of them who have a region.
        regions: regions that are of a person.
        tracks: tracks that are of a person, before they were joined to regions.
        mixed_tracks: those of them that are of more than one person.
        pairs_of_one, joined: pairs of tracks of one person, and those of them in one region.
        pairs_of_two, wrongly_joined: the same of two persons.
    """

    heads: int = 0
    found: int = 0
    boxes: int = 0
    boxes_of_none: int = 0
    people: int = 0
    people_found: int = 0
    regions: int = 0
    tracks: int = 0
    mixed_tracks: int = 0
    pairs_of_one: int = 0
    joined: int = 0
    pairs_of_two: int = 0
    wrongly_joined: int = 0

    def __add__(self, other: HeadCounts) -> HeadCounts:
        sums = (getattr(self, each.name) + getattr(other, each.name) for each in fields(self))
        return HeadCounts(*sums)


class _FoundBox(NamedTuple):
    """A box of the system: [4] in pixels, with the region, the track in it, and the frame."""

    region: int
    track: int
    frame: int
    xyxy: Sequence[float]


@dataclass(frozen=True, slots=True)
class _PersonTrack:
    """A track of somebody.

    Attributes:
        region: the region that it was joined to.
        frames: the numbers of its frames.
        people: how many of its boxes are of the head of each person.
    """

    region: int
    frames: frozenset[int]
    people: Counter[str]

    @property
    def person(self) -> str:
        """Whose head most of its boxes are."""
        (person, _), *_ = self.people.most_common(1)
        return person


def count_heads(
    regions: Sequence[Sequence[HeadTrack]],
    looked_at: Sequence[int],
    truth: Sequence[TrueHead],
) -> HeadCounts:
    """Compare the heads that were found in one video with the true ones.

    Args:
        regions: of each region the tracks that were joined to it.
        looked_at: the numbers of the frames in which heads were looked for.
        truth: all true heads of the video.
    """
    boxes = [
        _FoundBox(region, track, frame, box_xyxy)
        for region, tracks in enumerate(regions)
        for track, seen in enumerate(tracks)
        for frame, box_xyxy in seen
    ]
    people: dict[tuple[int, int], Counter[str]] = {}
    heads = found = of_none = 0
    for frame in looked_at:
        true_heads = [head for head in truth if head.frame == frame]
        in_frame = [box for box in boxes if box.frame == frame]
        head_of = _assign_heads(
            [box.xyxy for box in in_frame], [head.box_xyxy for head in true_heads]
        )
        heads += sum(head.is_asked_for for head in true_heads)
        found += sum(true_heads[head].is_asked_for for head in head_of.values())
        of_none += len(in_frame) - len(head_of)
        for box, head in head_of.items():
            track = in_frame[box].region, in_frame[box].track
            people.setdefault(track, Counter())[true_heads[head].person] += 1
    tracks = [
        _PersonTrack(region, frozenset(frame for frame, _ in regions[region][track]), of_track)
        for (region, track), of_track in sorted(people.items())
    ]
    frames = set(looked_at)
    asked_for = {head.person for head in truth if head.frame in frames and head.is_asked_for}
    return HeadCounts(
        heads=heads,
        found=found,
        boxes=len(boxes),
        boxes_of_none=of_none,
        people=len(asked_for),
        people_found=len(asked_for & {track.person for track in tracks}),
        regions=len({track.region for track in tracks}),
        tracks=len(tracks),
        mixed_tracks=sum(len(track.people) > 1 for track in tracks),
        **_count_pairs(tracks),
    )


def format_head_counts(counts: HeadCounts) -> list[str]:
    """Return the counts as lines to print."""
    c = counts
    return [
        f"heads found (IoU 0.5): {_share(c.found, c.heads)}",
        f"boxes that are of no head: {_share(c.boxes_of_none, c.boxes)}",
        f"people with a region: {_share(c.people_found, c.people)}, {c.regions} regions",
        f"tracks: {c.tracks}, of more than one person: {_share(c.mixed_tracks, c.tracks)}",
        f"pairs of tracks of one person that were joined: {_share(c.joined, c.pairs_of_one)}",
        "pairs of tracks of two persons that were kept apart: "
        + _share(c.pairs_of_two - c.wrongly_joined, c.pairs_of_two),
    ]


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole}" + (f" ({100 * part / whole:.1f}%)" if whole else "")


def _assign_heads(
    boxes_xyxy: Sequence[Sequence[float]], heads_xyxy: Sequence[Sequence[float]]
) -> dict[int, int]:
    """Assign boxes to the true heads of their frame, one to one and with the largest total IoU.

    Args:
        boxes_xyxy: [boxes, 4], in pixels.
        heads_xyxy: [heads, 4], likewise.

    Returns:
        The index of its head for each box that is of one.
    """
    if not heads_xyxy or not boxes_xyxy:
        return {}
    overlap = pairwise_iou(
        torch.tensor(boxes_xyxy), torch.tensor(heads_xyxy, dtype=torch.float32)
    ).numpy()
    sufficient = overlap >= SUFFICIENT_IOU
    pairs = zip(*linear_sum_assignment(-overlap * sufficient), strict=True)
    return {int(box): int(head) for box, head in pairs if sufficient[box, head]}


def _count_pairs(tracks: Sequence[_PersonTrack]) -> Mapping[str, int]:
    """Count the pairs of tracks of `HeadCounts`, by the names of its fields."""
    counts = Counter(pairs_of_one=0, joined=0, pairs_of_two=0, wrongly_joined=0)
    for first, second in itertools.combinations(tracks, 2):
        if first.frames & second.frames:
            continue
        together = first.region == second.region
        if first.person == second.person:
            counts["pairs_of_one"] += 1
            counts["joined"] += together
        else:
            counts["pairs_of_two"] += 1
            counts["wrongly_joined"] += together
    return counts
