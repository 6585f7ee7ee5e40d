"""Which heads are one person's: links from frame to frame, and tracks that are joined."""

from __future__ import annotations

import numpy as np
import pytest

from features.heads.tracking import (
    Heads,
    join_tracklets,
    link_tracklets,
)

# What two people look like, and a third, who is like the first.
FIRST, SECOND, TWIN = (1.0, 0.0, 0.1), (0.0, 1.0, 0.1), (0.95, 0.05, 0.1)


def heads_of(*seen: tuple[int, float, tuple[float, ...]]) -> Heads:
    """Heads by frame, left edge and look; each is 20 pixels wide."""
    frames, lefts, looks = zip(*seen, strict=True)
    boxes = np.array([[left, 10, left + 20, 30] for left in lefts], dtype=np.float32)
    return Heads(np.array(frames), boxes, np.array(looks, np.float32))


def whose(heads: Heads, frames: range, least_cosine: float = 0.6) -> list[int]:
    """The number of the person of each head, in the order in which they are first seen."""
    tracks = link_tracklets(heads, frames, least_cosine)
    groups = join_tracklets(heads, tracks, least_cosine)
    person = {row: n for n, group in enumerate(groups) for t in group for row in tracks[t]}
    order = list(dict.fromkeys(person[row] for row in range(len(person))))
    return [order.index(person[row]) for row in range(len(person))]


def test_a_head_that_drifts_is_one_track() -> None:
    heads = heads_of(*((frame, 5.0 * frame, FIRST) for frame in range(8)))
    assert link_tracklets(heads, range(8), 0.6) == [list(range(8))]


def test_two_who_change_places_are_told_apart_by_their_looks() -> None:
    """Each box overlaps most with the other person's box in the frame before."""
    heads = heads_of((0, 0, FIRST), (0, 12, SECOND), (1, 0, SECOND), (1, 12, FIRST))
    assert whose(heads, range(2)) == [0, 1, 1, 0]


def test_a_cut_ends_a_track_where_another_face_follows() -> None:
    heads = heads_of((0, 0, FIRST), (1, 0, SECOND))
    assert len(link_tracklets(heads, range(2), 0.6)) == 2


def test_who_comes_back_is_joined() -> None:
    seen = [(0, 0, FIRST), (1, 2, FIRST), (5, 90, FIRST), (6, 92, FIRST), (6, 10, SECOND)]
    heads = heads_of(*seen)
    assert len(link_tracklets(heads, range(7), 0.6)) == 3
    assert whose(heads, range(7)) == [0, 0, 0, 0, 1]


def test_two_in_one_frame_are_two_people_however_alike() -> None:
    heads = heads_of((0, 0, FIRST), (0, 60, TWIN), (4, 30, FIRST))
    # The one who comes back is joined with whom they are most like.
    assert whose(heads, range(5)) == [0, 1, 0]
    heads = heads_of((0, 0, FIRST), (0, 60, TWIN), (4, 30, TWIN))
    assert whose(heads, range(5)) == [0, 1, 1]


@pytest.mark.parametrize(("least_cosine", "people"), [(0.6, 1), (0.999, 2)])
def test_the_cosine_must_be_above_the_least(least_cosine: float, people: int) -> None:
    heads = heads_of((0, 0, FIRST), (5, 60, TWIN))
    assert len(set(whose(heads, range(6), least_cosine))) == people


def test_the_order_of_the_heads_in_a_frame_does_not_matter() -> None:
    random = np.random.default_rng(0)
    looks = random.normal(size=(3, 16))
    seen = [
        (frame, 40.0 * n + 3 * frame, tuple(looks[n] + 0.1 * random.normal(size=16)))
        for frame in range(6)
        for n in range(3)
        if (frame + n) % 4
    ]
    expected = whose(heads_of(*seen), range(6))
    order = sorted(range(len(seen)), key=lambda n: (seen[n][0], -seen[n][1]))
    found = whose(heads_of(*(seen[n] for n in order)), range(6))
    together = {(a, b) for a in order for b in order if expected[a] == expected[b]}
    assert together == {
        (a, b)
        for place, a in enumerate(order)
        for other, b in enumerate(order)
        if found[place] == found[other]
    }


def test_nobody_is_no_track() -> None:
    none = Heads(np.zeros(0, int), np.zeros((0, 4), np.float32), np.zeros((0, 3)))
    assert link_tracklets(none, range(3), 0.6) == [] == join_tracklets(none, [])
