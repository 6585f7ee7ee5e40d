"""The ranges of lengths and distances that scores are split by.

They are the same for all data, so that the subsets of two data sets or of two systems are alike.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

# The last number of words of each range; one more range follows.
LENGTHS = (50, 100, 200, 500, 1000, 2000)
DISTANCES = (5, 10, 20, 50, 100, 200)


def range_names(ends: Sequence[int]) -> list[str]:
    """Return what the ranges of whole numbers are called, such as "up to 50" and "51 to 100".

    Args:
        ends: the last number of each range but of the last one, ascending.
    """
    between = [f"{last + 1} to {end}" for last, end in pairwise(ends)]
    return [f"up to {ends[0]}", *between, f"more than {ends[-1]}"]


def range_of(number: int, ends: Sequence[int]) -> str:
    """Return the name of the range that holds a whole number."""
    return range_names(ends)[bisect_left(ends, number)]
