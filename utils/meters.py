"""Means over the steps of an epoch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping


class Means:
    """Running means of named values, each weighted by how many things it is the mean of."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = defaultdict(float)
        self._counts: dict[str, float] = defaultdict(float)

    def add(self, values: Mapping[str, tuple[float, float]]) -> None:
        """Add sums with their counts, by name."""
        for name, (total, count) in values.items():
            self._sums[name] += total
            self._counts[name] += count

    def means(self) -> dict[str, float]:
        """The mean of every name that counted anything."""
        return {name: self._sums[name] / count for name, count in self._counts.items() if count > 0}
