"""Heads that were found, held against those that are there."""

from __future__ import annotations

from dataclasses import replace

from metrics.head_scores import (
    HeadCounts,
    TrueHead,
    count_heads,
    format_head_counts,
)


def box(left: float) -> tuple[float, float, float, float]:
    return left, 0.0, left + 10, 10.0


# Two people: the first is seen in frames 0, 1 and 4, hidden in 2; the second in 0 and 4.
TRUTH = [
    TrueHead(0, "a", box(0), 1.0),
    TrueHead(1, "a", box(2), 0.8),
    TrueHead(2, "a", box(4), 0.2),
    TrueHead(4, "a", box(50), 1.0),
    TrueHead(0, "b", box(30), 1.0),
    TrueHead(4, "b", box(80), 1.0),
]
FRAMES = [0, 1, 2, 3, 4]
A = [[(0, box(0)), (1, box(2))], [(4, box(50))]]
B = [[(0, box(30))], [(4, box(80))]]


def test_all_found_and_joined() -> None:
    counts = count_heads([A, B], FRAMES, TRUTH)
    assert counts == HeadCounts(
        heads=5, found=5, boxes=5, boxes_of_none=0, people=2, people_found=2, regions=2, tracks=4,
        mixed_tracks=0, pairs_of_one=2, joined=2, pairs_of_two=2, wrongly_joined=0,
    )  # fmt: skip


def test_tracks_that_are_apart_or_wrongly_joined() -> None:
    apart = count_heads([[track] for track in (*A, *B)], FRAMES, TRUTH)
    assert (apart.pairs_of_one, apart.joined, apart.wrongly_joined, apart.regions) == (2, 0, 0, 4)
    crossed = count_heads([[A[0], B[1]], [B[0], A[1]]], FRAMES, TRUTH)
    assert (crossed.joined, crossed.pairs_of_two, crossed.wrongly_joined) == (0, 2, 2)


def test_what_is_missed_and_what_is_nothing() -> None:
    counts = count_heads([A, [[(3, box(100))]]], FRAMES, TRUTH)
    assert (counts.found, counts.boxes_of_none, counts.people_found) == (3, 1, 1)
    assert (counts.regions, counts.tracks) == (1, 2)
    assert count_heads([], FRAMES, TRUTH).found == 0


def test_a_track_of_two_is_mixed_and_is_whose_most_of_it_is() -> None:
    mixed = [[(0, box(0)), (1, box(2)), (4, box(80))]]
    counts = count_heads([mixed, [[(0, box(30))]]], FRAMES, TRUTH)
    assert counts.mixed_tracks == 1 and counts.pairs_of_two == counts.pairs_of_one == 0


def test_a_head_that_is_mostly_hidden_is_neither_missed_nor_wrong() -> None:
    counts = count_heads([[[(2, box(4))]]], [2], TRUTH)
    assert (counts.heads, counts.found, counts.boxes_of_none, counts.people) == (0, 0, 0, 0)


def test_frames_that_were_not_looked_at_do_not_count() -> None:
    assert count_heads([A, B], [0], TRUTH).heads == 2


def test_counts_add_up_and_are_described() -> None:
    counts = count_heads([A, B], FRAMES, TRUTH)
    assert counts + counts == replace(
        HeadCounts(), **{name: 2 * getattr(counts, name) for name in HeadCounts.__slots__}
    )
    lines = format_head_counts(counts)
    assert lines[0] == "heads found (IoU 0.5): 5 of 5 (100.0%)"
    assert format_head_counts(HeadCounts())[0] == "heads found (IoU 0.5): 0 of 0"
