"""The thresholds of a model: where they begin, and how held-out narrations choose them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evaluation.gold_and_system import system_chains
from evaluation.head_alignment import ChainFinder, gold_headed_chains, headed_chains
from inference.resolution import Resolution
from metrics.alignment_scores import score_joint
from metrics.chains import Chains
from metrics.coreference.scores import score_chains
from metrics.mention_scores import ScoredSpan, spans_above
from utils.config import Config
from utils.text.span_scores import MatchScores, score_spans
from utils.text.spans import Span
from utils.thresholds import LOWEST_MENTION_THRESHOLD, Thresholds

# What each threshold is chosen from: similarities, probabilities and cosines.
LINK_THRESHOLDS = np.round(np.arange(-0.9, 1.0, 0.05), 2)
MENTION_THRESHOLDS = np.round(np.arange(LOWEST_MENTION_THRESHOLD, 0.96, 0.01), 2)
HEAD_THRESHOLDS = np.round(np.arange(-0.95, 1.0, 0.05), 2)


def default_thresholds(config: Config) -> Thresholds:
    """Return the thresholds of a model where no held-out labels choose them.

    That of links is the published one of cosines; where the similarity is a probability, a link is
    as likely as not, and so is a mention.
    """
    return Thresholds(
        link=0.8 if config.coreference_head == "cosine" else 0.5,
        mention=0.5 if config.mention_detection else None,
    )


def choose_link_threshold(
    resolutions: Sequence[Resolution],
    counted: Sequence[Sequence[int]],
    gold: Mapping[str, Chains[int]],
) -> float:
    """Choose the threshold of `LINK_THRESHOLDS` with the highest pooled CoNLL F1.

    Args:
        counted: the indices of the mentions of each narration that scores count.
        gold: the gold chains over these.

    Returns:
        The middle one of equals.
    """
    conll = [
        score_chains(gold, system_chains(resolutions, counted, float(threshold))).pooled.conll
        for threshold in LINK_THRESHOLDS
    ]
    return float(LINK_THRESHOLDS[_best(conll)])


def choose_mention_threshold(
    scored: Sequence[Sequence[ScoredSpan]], gold: Sequence[Sequence[Span]]
) -> tuple[float, MatchScores]:
    """Choose the threshold of `MENTION_THRESHOLDS` with the highest F1 of mentions.

    Args:
        scored: the spans of each narration that may be mentions.
        gold: the spans of the gold mentions of each narration.

    Returns:
        The threshold, the middle one of equals, and the scores that it gives.
    """
    scores = [
        score_spans((spans_above(of_narration, threshold) for of_narration in scored), gold)
        for threshold in MENTION_THRESHOLDS.tolist()
    ]
    chosen = _best([of_threshold.f1 for of_threshold in scores])
    return float(MENTION_THRESHOLDS[chosen]), scores[chosen]


def choose_head_threshold(
    resolutions: Sequence[Resolution], chains_of: ChainFinder, *, by_chain: bool
) -> float:
    """Choose the threshold of `HEAD_THRESHOLDS` with the highest joint F1 of chains and heads.

    Args:
        resolutions: of narrations with their gold mentions.
        chains_of: gives the system's chains of a resolution.
        by_chain: as `headed_chains` takes it.

    Returns:
        The middle one of equals.
    """
    gold = gold_headed_chains([resolution.narration for resolution in resolutions])

    def joint_f1(threshold: float) -> float:
        system = headed_chains(resolutions, chains_of, by_chain=by_chain, threshold=threshold)
        return score_joint(gold, system).overall.f1

    f1 = [joint_f1(threshold) for threshold in HEAD_THRESHOLDS.tolist()]
    return float(HEAD_THRESHOLDS[_best(f1)])


def _best(scores: Sequence[float]) -> int:
    """Return the index of the highest score; the middle one of equals."""
    values = np.asarray(scores)
    best = np.flatnonzero(values >= values.max() - 1e-9)
    return int(best[len(best) // 2])
