"""Coreference scores of CorefUD documents: those of `metrics.coreference.scores`, MOR and zeros.

- MOR, the mention overlap ratio (Žabokrtský et al., CRAC 2022): the words that gold and system
  mentions share when they are paired so that they share most, over the words of all mentions. It
  does not depend on how mentions are matched.
- zeros, the anaphor-decomposable score (Žabokrtský et al., CRAC 2022): the zero mentions of gold
  that have a mention before them in their chain, and are linked to one of these by the system,
  too; over all such mentions of gold, and of the system.

The scores are pooled over documents as the CorefUD scorer 1.2 does: numerators and denominators are
added up.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metrics.certainty import Tally, join_tallies
from metrics.chains import Chains
from metrics.coreference.certainty import RunScores
from metrics.coreference.counts import count_aligned, count_documents
from metrics.coreference.scores import (
    CHAIN_TITLES,
    MetricScores,
    Score,
    fraction_score,
    pooled_scores,
    tally_counts,
    tally_fractions,
)
from metrics.corefud.documents import CorefudDocument
from metrics.corefud.matching import (
    Matching,
    Mention,
    ZeroMatching,
    shared_identities,
    without_repeats,
)

_MentionChains = list[list[Mention]]


@dataclass(frozen=True, slots=True)
class PooledScores:
    """The scores of a system on a set of documents, pooled.

    Attributes:
        chains, mor, zeros: the scores.
        tally: what they are made of, named as in `to_json`.
    """

    chains: MetricScores
    mor: Score
    zeros: Score
    tally: Tally

    def to_json(self) -> dict[str, Any]:
        """Return the scores in percent: those of the chains, "mor" and "zeros"."""
        return {
            **self.chains.to_json(),
            "mor": self.mor.to_json(),
            "zeros": self.zeros.to_json(),
        }


@dataclass(frozen=True, slots=True)
class CorefudScores:
    """The scores of a system under one matching of mentions.

    Attributes:
        documents: their number.
        matching, zero_matching: how mentions were matched.
        pooled: the scores.
        pooled_without_singletons: the same after the chains of one mention are taken out of gold
            and system, before mentions are matched; None where that was not asked for.
    """

    documents: int
    matching: Matching
    zero_matching: ZeroMatching
    pooled: PooledScores
    pooled_without_singletons: PooledScores | None = None

    def to_json(self) -> dict[str, Any]:
        """Return `{"documents": n, "match": ..., "match_zeros": ..., "pooled": {...}, ...}`."""
        return {
            "documents": self.documents,
            "match": self.matching,
            "match_zeros": self.zero_matching,
            **{way: scores.to_json() for way, scores in self._by_key.items()},
        }

    @property
    def run(self) -> RunScores:
        """The scores as those of one run of a system."""
        tallies = {way: scores.tally for way, scores in self._by_key.items()}
        return RunScores(self.to_json(), format_corefud(self), tallies)

    @property
    def _by_key(self) -> dict[str, PooledScores]:
        by_key = {
            "pooled": self.pooled,
            "pooled_without_singletons": self.pooled_without_singletons,
        }
        return {key: scores for key, scores in by_key.items() if scores is not None}


def score_corefud(
    gold: Sequence[CorefudDocument],
    system: Sequence[CorefudDocument],
    matching: Matching,
    zero_matching: ZeroMatching = "dependent",
    *,
    also_without_singletons: bool = False,
) -> CorefudScores:
    """Score the documents of a system.

    Args:
        gold: the documents.
        system: the same documents (`metrics.corefud.documents.check_same_words`).
        matching: of mentions.
        zero_matching: of zero mentions.
        also_without_singletons: whether to score a second time without the chains of one mention.
    """
    pairs = [
        (
            [without_repeats(chain, matching) for chain in first.chains],
            [without_repeats(chain, matching) for chain in second.chains],
        )
        for first, second in zip(gold, system, strict=True)
    ]
    linked = None
    if also_without_singletons:
        linked = _pooled(
            [(_without_singletons(first), _without_singletons(second)) for first, second in pairs],
            matching,
            zero_matching,
        )
    pooled = _pooled(pairs, matching, zero_matching)
    return CorefudScores(len(pairs), matching, zero_matching, pooled, linked)


def format_corefud(scores: CorefudScores) -> str:
    """Return a table, in percent: a row for each score."""
    titles = [(f"documents: {scores.documents}, {scores.matching} match", scores.pooled)]
    if scores.pooled_without_singletons is not None:
        titles.append(("without singletons", scores.pooled_without_singletons))
    return "\n\n".join(_format_block(title, block) for title, block in titles)


def _format_block(title: str, scores: PooledScores) -> str:
    rows = {**CHAIN_TITLES, "mor": "MOR", "zeros": "zeros"}
    content = scores.to_json()
    lines = [title, f"{'':10}  {'R':>8}{'P':>8}{'F1':>8}"]
    for name, shown in rows.items():
        lines.append(f"{shown:10}  " + "".join(f"{v:8.2f}" for v in content[name].values()))
    lines.append(f"{'CoNLL':10}  {content['conll']:24.2f}")
    return "\n".join(lines)


def _without_singletons(chains: _MentionChains) -> _MentionChains:
    return [chain for chain in chains if len(chain) > 1]


def _pooled(
    pairs: Sequence[tuple[_MentionChains, _MentionChains]],
    matching: Matching,
    zero_matching: ZeroMatching,
) -> PooledScores:
    numbers = [shared_identities(*pair, matching, zero_matching) for pair in pairs]
    words = [(_words_of_mentions(gold), _words_of_mentions(system)) for gold, system in pairs]
    chains, mor = count_documents(numbers, repeats="corefud"), count_aligned(words)
    zeros = np.array(
        [_count_zeros(*pair, *named) for pair, named in zip(pairs, numbers, strict=True)]
    )
    tallies = (
        tally_counts(chains, blanc_kinds="either"),
        tally_fractions("mor", mor),
        tally_fractions("zeros", zeros),
    )
    return PooledScores(
        chains=pooled_scores(chains, blanc_kinds="either"),
        mor=fraction_score(mor),
        zeros=fraction_score(zeros),
        tally=join_tallies(tallies),
    )


def _words_of_mentions(chains: _MentionChains) -> Chains[Hashable]:
    """Return each mention as a chain of its words."""
    return [mention.words for chain in chains for mention in chain]


def _count_zeros(
    gold: _MentionChains,
    system: _MentionChains,
    gold_numbers: Chains[int],
    system_numbers: Chains[int],
) -> tuple[int, int, int, int]:
    """Count the zeros of a document that are linked to a mention before them.

    Args:
        gold, system: the chains, mentions in text order.
        gold_numbers, system_numbers: the same with numbers for the mentions, matched ones the same.

    Returns:
        Numerator and denominator of recall, then of precision.
    """
    chain_of = {number: index for index, chain in enumerate(system_numbers) for number in chain}
    first = {chain[0] for chain in system_numbers}
    found: set[int] = set()
    anaphors = linked = correct = 0
    for chain, numbers in zip(gold, gold_numbers, strict=True):
        chains_before: set[int] = set()
        for place, (mention, number) in enumerate(zip(chain, numbers, strict=True)):
            if place > 0 and mention.is_zero:
                found.add(number)
                is_linked = number in chain_of and number not in first
                anaphors += 1
                linked += is_linked
                correct += is_linked and chain_of[number] in chains_before
            if number in chain_of:
                chains_before.add(chain_of[number])
    invented = sum(
        mention.is_zero and number not in first and number not in found
        for chain, numbers in zip(system, system_numbers, strict=True)
        for mention, number in zip(chain, numbers, strict=True)
    )
    return correct, anaphors, correct, linked + invented
