"""Means over the steps of an epoch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping


class RunningMeans:
    """Running means of named values, each weighted by how many things it is the mean of.

    Args:
        so_far: what `sums` returned, to go on from.
    """

    def __init__(self, so_far: Mapping[str, tuple[float, float]] | None = None) -> None:
        self._sums: dict[str, float] = defaultdict(float)
        self._counts: dict[str, float] = defaultdict(float)
        self.add(so_far or {})

    def add(self, values: Mapping[str, tuple[float, float]]) -> None:
        """Add sums with their counts, by name."""
        for name, (total, count) in values.items():
            self._sums[name] += total
            self._counts[name] += count

    def sums(self) -> dict[str, tuple[float, float]]:
        """Return what was added up so far, sums with their counts, by name."""
        return {name: (total, self._counts[name]) for name, total in self._sums.items()}

    def means(self) -> dict[str, float]:
        """Return the mean of every name that counted anything."""
        return {name: self._sums[name] / count for name, count in self._counts.items() if count > 0}
