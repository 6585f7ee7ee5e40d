"""Mention scores: how well the mentions of texts are found; both ends must be exact."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.text.span_scores import MatchScores
from utils.text.spans import Span


@dataclass(frozen=True, slots=True)
class ScoredSpan:
    """A span of a text that may be a mention.

    Attributes:
        start, end: characters, the end exclusive.
        probability: that it is one, by the model; from 0 to 1.
    """

    start: int
    end: int
    probability: float


@dataclass(frozen=True, slots=True)
class MentionScoresByKind:
    """The scores of all mentions, of the pronouns, and of all others."""

    overall: MatchScores
    nouns: MatchScores
    pronouns: MatchScores

    def rows(self) -> dict[str, MatchScores]:
        """Return the three scores by their titles."""
        return {"overall": self.overall, "nouns": self.nouns, "pronouns": self.pronouns}

    def to_json(self) -> dict[str, Any]:
        """Return precision, recall and F1 in percent, and the counts."""
        return {
            name: {
                "precision": 100 * scores.precision,
                "recall": 100 * scores.recall,
                "f1": 100 * scores.f1,
                "gold": scores.gold,
                "found": scores.found,
            }
            for name, scores in self.rows().items()
        }


def spans_above(scored: Sequence[ScoredSpan], threshold: float) -> list[Span]:
    """Return the spans above a probability, sorted by start; of those that start together the
    longer one first.
    """
    spans = ((span.start, span.end) for span in scored if span.probability > threshold)
    return sorted(spans, key=lambda span: (span[0], -span[1]))


def score_mentions(
    gold: Mapping[str, Sequence[Span]],
    found: Mapping[str, Sequence[Span]],
    texts: Mapping[str, str],
    pronouns: Collection[str],
) -> MentionScoresByKind:
    """Score found spans against gold ones: all of them, and pronouns and nouns apart.

    Args:
        gold: the spans of characters of each document, each once.
        found: likewise.
        texts: of the same documents.
        pronouns: of the texts' language, in lower case; every other span is a noun.
    """

    def is_pronoun(phrase: str) -> bool:
        return phrase.lower() in pronouns

    def score(counts: Callable[[str], bool]) -> MatchScores:
        totals = np.zeros(3, dtype=int)
        for document, text in texts.items():
            of_gold, of_found = (
                {(start, end) for start, end in spans[document] if counts(text[start:end])}
                for spans in (gold, found)
            )
            totals += len(of_gold), len(of_found), len(of_gold & of_found)
        return MatchScores(*totals.tolist())

    return MentionScoresByKind(
        overall=score(lambda phrase: True),
        nouns=score(lambda phrase: not is_pronoun(phrase)),
        pronouns=score(is_pronoun),
    )


def format_mention_scores(scores: MentionScoresByKind) -> str:
    """Return a table, in percent."""
    lines = [f"{'mentions':10}{'gold':>8}{'found':>8}{'R':>8}{'P':>8}{'F1':>8}"]
    for name, row in scores.rows().items():
        values = "".join(f"{100 * value:8.2f}" for value in (row.recall, row.precision, row.f1))
        lines.append(f"{name:10}{row.gold:>8}{row.found:>8}{values}")
    return "\n".join(lines)
