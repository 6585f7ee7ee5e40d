"""Mentions whose predicted box is wrong, as errors."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from metrics.error_analysis.errors import WRONG_BOXES, Error
from metrics.grounding_scores import GroundedMention, is_right
from utils.text.spans import Span


def find_wrong_boxes(
    document: str, mentions: Iterable[tuple[Span, GroundedMention]], pronouns: Collection[str]
) -> list[Error]:
    """Return an error for each mention whose box the grounding scores count as wrong.

    Args:
        document: the id of the document.
        mentions: its mentions with a gold box, with their spans of characters.
        pronouns: as `score_grounding` takes them.
    """
    return [
        Error(document, WRONG_BOXES, _kind(mention, pronouns), (span,))
        for span, mention in mentions
        if not is_right(mention)
    ]


def _kind(mention: GroundedMention, pronouns: Collection[str]) -> str:
    return "pronouns" if mention.phrase.strip().lower() in pronouns else "nouns"
