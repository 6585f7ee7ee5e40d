"""Coreference scores of some of the mentions, such as the pronouns.

Two scores are sums over mentions, so that they have parts; those of the others cannot be told:

- MUC over anaphors, the mentions with another one before them in their chain, their antecedents. A
  gold anaphor is right where the system has it in a chain with one of its gold antecedents, and one
  of the system where gold has it in a chain with one of its antecedents there. Over all anaphors
  that is MUC's recall and its precision (Martschat and Strube, EMNLP 2014).
- B3 over all mentions, each with the share of its chain that is right (Bagga and Baldwin 1998).

A mention is in its subset on each side for itself: by the distance to its nearest antecedent in
gold it counts for recall, by that in the system's chain for precision. The counts of subsets that
hold every mention once add up to those of all mentions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metrics.certainty import CONFIDENCE, Certainty, estimate, tally_known_fractions
from metrics.chains import Chains
from metrics.subsets.tables import format_table

# Where a mention is: the number of its first word in the document, then what mentions that begin
# there are ordered by, such as the last one.
Place = tuple[int, ...]
# From the row of a document, a mention and the antecedent nearest to it (None of the first mention
# of a chain) to the subsets that it is in.
SubsetsOf = Callable[[int, Hashable, Hashable | None], Iterable[str]]

_SCORES = ("muc", "b3")


@dataclass(frozen=True, slots=True)
class MentionSubset:
    """The scores of some mentions.

    Attributes:
        gold_mentions, system_mentions: how many of them each side has.
        gold_anaphors, system_anaphors: how many of these have an antecedent.
        certainty: of MUC and B3, where they have something to count.
    """

    gold_mentions: int
    system_mentions: int
    gold_anaphors: int
    system_anaphors: int
    certainty: Certainty

    def to_json(self) -> dict[str, Any]:
        """Return the numbers, and the scores in percent."""
        return {
            "gold_mentions": self.gold_mentions,
            "system_mentions": self.system_mentions,
            "gold_anaphors": self.gold_anaphors,
            "system_anaphors": self.system_anaphors,
            **self.certainty.to_json(),
        }


def score_mention_subsets(
    pairs: Sequence[tuple[Chains[Hashable], Chains[Hashable]]],
    places: Sequence[Mapping[Hashable, Place]],
    subsets_of: SubsetsOf,
    order: Sequence[str],
) -> dict[str, MentionSubset]:
    """Score each subset of the mentions.

    Args:
        pairs: gold and system chains of each document, each mention once on a side.
        places: of the mentions of each document, by which they are in text order.
        subsets_of: tells the subsets of a mention.
        order: all subsets in the order to give them in; one without a mention is left out.
    """
    counts = {subset: np.zeros((len(pairs), 2, 4)) for subset in order}  # [documents, scores, 4]
    for row, (gold, system) in enumerate(pairs):
        for side, (chains, others) in enumerate(((gold, system), (system, gold))):
            columns = slice(2 * side, 2 * side + 2)  # numerator and denominator
            for mention, antecedent, credit in _credits(chains, others, places[row]):
                for subset in subsets_of(row, mention, antecedent):
                    counts[subset][row, :, columns] += credit
    return {subset: _scored(found) for subset, found in counts.items() if found.any()}


def format_mention_subsets(title: str, subsets: Mapping[str, MentionSubset]) -> str:
    """Return a table of MUC and B3 of each subset, in percent, with the intervals of F1."""
    of_score = ("R", "P", "F1", "low", "high")
    columns = ("documents", "gold", "system", "MUC R", *of_score[1:], "B3 R", *of_score[1:])
    rows: dict[str, list[int | float | None]] = {}
    for name, subset in subsets.items():
        certainty = subset.certainty
        row: list[int | float | None] = [certainty.documents]
        row += [subset.gold_mentions, subset.system_mentions]
        for score in _SCORES:
            parts = [certainty.scores.get((score, p)) for p in ("recall", "precision", "f1")]
            f1 = parts[-1]
            row += [None if part is None else part.value for part in parts]
            row += [None, None] if f1 is None else [f1.low, f1.high]
        rows[name] = row
    heading = f"{title}: mentions, MUC, B3, and {CONFIDENCE:.0%} intervals of F1"
    return format_table(heading, columns, rows)


def _credits(
    chains: Chains[Hashable], others: Chains[Hashable], places: Mapping[Hashable, Place]
) -> Iterable[tuple[Hashable, Hashable | None, np.ndarray]]:
    """Yield each mention of a side, its nearest antecedent, and what it counts.

    That is [scores, 2], numerator and denominator.
    """
    other_of = {mention: number for number, chain in enumerate(others) for mention in chain}
    for chain in chains:
        in_order = sorted(chain, key=places.__getitem__)
        shared = Counter(other_of.get(mention) for mention in chain)
        before: set[int] = set()
        antecedent = None
        for mention in in_order:
            other = other_of.get(mention)
            is_linked = antecedent is not None and other in before
            share = 0.0 if other is None else shared[other] / len(chain)
            yield mention, antecedent, np.array([[is_linked, antecedent is not None], [share, 1]])
            antecedent = mention
            if other is not None:
                before.add(other)


def _scored(counts: np.ndarray) -> MentionSubset:
    """Return the scores of counts [documents, scores, 4]."""
    anaphors, mentions = counts[:, :, [1, 3]].sum(axis=0).astype(int).tolist()
    return MentionSubset(
        gold_mentions=mentions[0],
        system_mentions=mentions[1],
        gold_anaphors=anaphors[0],
        system_anaphors=anaphors[1],
        certainty=estimate([tally_known_fractions([(name,) for name in _SCORES], counts)]),
    )
