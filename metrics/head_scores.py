"""How well the heads of videos are found and tracked, where it is known whose head is where."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from scipy.optimize import linear_sum_assignment

from utils.boxes import pairwise_iou

Box = tuple[float, float, float, float]

_RIGHT = 0.5  # IoU from which a box is of a head
_SEEN = 0.5  # share of a head that must be seen for it to be looked for


@dataclass(frozen=True, slots=True)
class TrueHead:
    """A head that is known: its frame, whose it is, its box in pixels, and the share seen of it."""

    frame: int
    person: str
    box_xyxy: Box
    visible: float


@dataclass(frozen=True, slots=True)
class HeadCounts:
    """Counts over videos, which add up.

    A pair of tracks counts where they are never in one frame: only their looks say then whether
    they are of one person.

    Attributes:
        heads: that are to be found.
        found: those of them with a box of IoU 0.5 or more.
        boxes: that were found.
        boxes_of_none: of them without a head.
        people: with a head that is to be found.
        people_found: those of them whom a region is of.
        regions: of somebody.
        tracks: of somebody, before any were joined.
        mixed_tracks: of them of more than one person.
        pairs_of_one, joined: pairs of tracks of one person, and those of them that were joined.
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


@dataclass(frozen=True, slots=True)
class _Track:
    """A track: the region it belongs to, its frames, and how often its boxes are whose head."""

    region: int
    frames: frozenset[int]
    people: Counter[str]

    @property
    def person(self) -> str:
        (person, _), *_ = self.people.most_common(1)
        return person


def count_heads(
    regions: Sequence[Sequence[Sequence[tuple[int, Box]]]],
    looked_at: Sequence[int],
    truth: Sequence[TrueHead],
) -> HeadCounts:
    """Hold the heads that were found in one video against those that are there.

    Args:
        regions: of each the tracks that it was joined from, each as frames and boxes in pixels.
        looked_at: the frames in which heads were looked for.
    """
    places = [
        (region, track, frame, box)
        for region, tracks in enumerate(regions)
        for track, seen in enumerate(tracks)
        for frame, box in seen
    ]
    people: dict[tuple[int, int], Counter[str]] = {}
    heads = found = of_none = 0
    for frame in looked_at:
        there = [head for head in truth if head.frame == frame]
        here = [place for place in places if place[2] == frame]
        matches = _matches([head.box_xyxy for head in there], [box for *_, box in here])
        heads += sum(head.visible >= _SEEN for head in there)
        found += sum(there[number].visible >= _SEEN for number in matches.values())
        of_none += len(here) - len(matches)
        for place, number in matches.items():
            region, track, *_ = here[place]
            people.setdefault((region, track), Counter())[there[number].person] += 1
    tracks = [
        _Track(region, frozenset(frame for frame, _ in regions[region][track]), of_track)
        for (region, track), of_track in sorted(people.items())
    ]
    frames = set(looked_at)
    wanted = {h.person for h in truth if h.frame in frames and h.visible >= _SEEN}
    return HeadCounts(
        heads=heads,
        found=found,
        boxes=len(places),
        boxes_of_none=of_none,
        people=len(wanted),
        people_found=len(wanted & {track.person for track in tracks}),
        regions=len({track.region for track in tracks}),
        tracks=len(tracks),
        mixed_tracks=sum(len(track.people) > 1 for track in tracks),
        **_pairs(tracks),
    )


def describe_heads(counts: HeadCounts) -> list[str]:
    """The counts as lines to print."""
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


def _matches(truth: Sequence[Box], found: Sequence[Box]) -> dict[int, int]:
    """The head that each box is of, where it is of one: the best assignment."""
    if not truth or not found:
        return {}
    overlap = pairwise_iou(torch.tensor(found), torch.tensor(truth, dtype=torch.float32)).numpy()
    pairs = zip(*linear_sum_assignment(-overlap * (overlap >= _RIGHT)), strict=True)
    return {int(box): int(head) for box, head in pairs if overlap[box, head] >= _RIGHT}


def _pairs(tracks: Sequence[_Track]) -> Mapping[str, int]:
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
