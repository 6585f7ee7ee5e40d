"""The thresholds that a model predicts with, chosen on held-out narrations."""

from __future__ import annotations

from dataclasses import dataclass

# What is less probable is never taken for a mention.
LOWEST_MENTION_THRESHOLD = 0.05


@dataclass(frozen=True)
class Thresholds:
    """Above which values a prediction is taken.

    Attributes:
        link: the similarity above which two mentions are linked.
        mention: the probability above which a span of a text is a mention; None where it is not
            known, or the model finds no mentions.
        head: the cosine above which a chain is shown by its region; None where it is not known, or
            the model aligns nothing.
    """

    link: float
    mention: float | None = None
    head: float | None = None
