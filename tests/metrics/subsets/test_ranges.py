"""The ranges of lengths and distances."""

from __future__ import annotations

from itertools import pairwise

import pytest

from metrics.subsets.ranges import DISTANCES, LENGTHS, range_names, range_of


@pytest.mark.parametrize("ends", [LENGTHS, DISTANCES])
def test_every_number_is_in_one_range_and_ranges_are_in_order(ends: tuple[int, ...]) -> None:
    names = range_names(ends)
    assert len(set(names)) == len(ends) + 1
    found = [range_of(number, ends) for number in range(ends[-1] + 2)]
    assert list(dict.fromkeys(found)) == names
    for end, (name, following) in zip(ends, pairwise(names), strict=True):
        assert (range_of(end, ends), range_of(end + 1, ends)) == (name, following)


def test_the_names_say_what_is_in_a_range() -> None:
    assert range_names((5, 10)) == ["up to 5", "6 to 10", "more than 10"]
