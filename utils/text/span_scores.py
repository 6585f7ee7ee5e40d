"""Precision, recall and F1 of what is found in texts, such as the spans of mentions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from utils.text.spans import Span


@dataclass(frozen=True, slots=True)
class MatchScores:
    """How well what was found, such as mentions or chains, matches what is gold.

    Attributes:
        gold: how many are gold.
        found: how many were found.
        right: how many of the found ones are gold.
    """

    gold: int
    found: int
    right: int

    @property
    def precision(self) -> float:
        """Share of the found ones that are gold, from 0 to 1; 0 where none is found."""
        return self.right / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """Share of the gold ones that are found, from 0 to 1; 0 where there are none."""
        return self.right / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, from 0 to 1."""
        return 2 * self.right / (self.gold + self.found) if self.gold + self.found else 0.0

    def __str__(self) -> str:
        return (
            f"precision {100 * self.precision:.1f}  recall {100 * self.recall:.1f}  "
            f"F1 {100 * self.f1:.1f}  ({self.gold} gold, {self.found} found)"
        )


def score_spans(found: Iterable[Iterable[Span]], gold: Iterable[Iterable[Span]]) -> MatchScores:
    """Score the spans that were found in texts against those of their gold mentions.

    A span is right where both its ends are; several gold mentions of one span count once.

    Args:
        found: the spans of each text.
        gold: those of the gold mentions of each text, in the same order.
    """
    gold_count = found_count = right = 0
    for spans, gold_spans in zip(found, gold, strict=True):
        distinct, distinct_gold = set(spans), set(gold_spans)
        gold_count += len(distinct_gold)
        found_count += len(distinct)
        right += len(distinct_gold & distinct)
    return MatchScores(gold_count, found_count, right)
