"""Mentions that stand more than once on a side, as the official CoNLL scorer 8.01 takes them.

Files that others write may hold one span twice, in two chains or in one. The scorer (Pradhan et
al., ACL 2014) then goes by its `IdentifMentions`: a mention of the system that gold has too counts
where it stands first, its repeats are taken out, and more than 10 of them end the run. All other
repeats, those of gold and of mentions that the system alone has, count as often as they stand. To
find the chain of a mention on the other side it takes the last one that holds it; so does coval, by
whose definition LEA is counted here.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from scipy.optimize import linear_sum_assignment

from metrics.chains import Chains

MOST_REPEATS = 10  # of the system's that gold has too; the official scorer refuses more


@dataclass(frozen=True, slots=True)
class RepeatedCounts:
    """What the scores count in one document.

    Attributes:
        fractions: [4] for each score but BLANC, by its name: numerator and denominator of recall,
            then of precision.
        links: [2, 3], for BLANC: of the links within chains, then of those between chains, how many
            are on both sides, in gold and in the system.
    """

    fractions: dict[str, np.ndarray]
    links: np.ndarray


def count_repeats(chains: Chains[Hashable]) -> int:
    """Count the mentions that stand in an earlier place too."""
    return sum(map(len, chains)) - len({mention for chain in chains for mention in chain})


def without_known_repeats(gold: Chains[Hashable], system: Chains[Hashable]) -> list[list[Hashable]]:
    """Return the system's chains with each mention of gold only where it stands first.

    Mentions that gold has not stay as often as they stand. A chain without any left is dropped.
    """
    known = {mention for chain in gold for mention in chain}
    seen: set[Hashable] = set()
    kept: list[list[Hashable]] = []
    for chain in system:
        left = []
        for mention in chain:
            if mention not in seen:
                left.append(mention)
            if mention in known:
                seen.add(mention)
        if left:
            kept.append(left)
    return kept


def count_repeated(gold: Chains[Hashable], system: Chains[Hashable]) -> RepeatedCounts:
    """Count the numerators and denominators of the scores of one document.

    Args:
        gold: a mention may stand more than once.
        system: likewise, but for those of gold (`without_known_repeats`).
    """
    gold_sizes, system_sizes = (np.array([len(c) for c in s], dtype=int) for s in (gold, system))
    mentions, chains = (gold_sizes.sum(), system_sizes.sum()), (len(gold), len(system))
    # [gold chains, system chains], three ways to count what two chains share:
    of_gold = _shared(gold, system)  # places of the gold chain whose mention is in the other one
    of_system = _shared(system, gold).T
    placed = _placed(system, gold).T  # places of the system's whose last gold chain this one is
    kept_links = np.maximum(placed - 1, 0).sum()
    both = placed * of_system
    by_size = of_gold * 2 / (gold_sizes[:, None] + system_sizes[None, :])
    fractions = {
        "muc": (kept_links, mentions[0] - chains[0], kept_links, mentions[1] - chains[1]),
        "b3": (
            (both / gold_sizes[:, None]).sum(),
            mentions[0],
            (both / system_sizes[None, :]).sum(),
            mentions[1],
        ),
        "ceafm": (_best(of_gold), mentions[0], _best(of_gold), mentions[1]),
        "ceafe": (_best(by_size), chains[0], _best(by_size), chains[1]),
        "lea": (
            _lea_credit(_placed(gold, system), gold_sizes, system_sizes),
            mentions[0],
            _lea_credit(placed.T, system_sizes, gold_sizes),
            mentions[1],
        ),
    }
    return RepeatedCounts(
        {name: np.array(columns, dtype=float) for name, columns in fractions.items()},
        _count_links(gold, system),
    )


def _shared(chains: Chains[Hashable], others: Chains[Hashable]) -> np.ndarray:
    """Count the places of each chain whose mention is in each other one, [chains, others]."""
    sets = [set(other) for other in others]
    rows = [[sum(mention in other for mention in chain) for other in sets] for chain in chains]
    return np.array(rows, dtype=int).reshape(len(chains), len(others))


def _placed(chains: Chains[Hashable], others: Chains[Hashable]) -> np.ndarray:
    """Count the places of each chain by the last other chain that holds them, [chains, others]."""
    last = {mention: index for index, other in enumerate(others) for mention in other}
    placed = np.zeros((len(chains), len(others)), dtype=int)
    for index, chain in enumerate(chains):
        for mention in chain:
            if mention in last:
                placed[index, last[mention]] += 1
    return placed


def _best(similarity: np.ndarray) -> float:
    """Return the total of the best one-to-one alignment of chains."""
    return float(similarity[linear_sum_assignment(similarity, maximize=True)].sum())


def _lea_credit(placed: np.ndarray, sizes: np.ndarray, other_sizes: np.ndarray) -> float:
    """Return LEA's numerator: the size of each chain times the share of its links that is resolved.

    Args:
        placed: [chains, others], as `_placed` gives it.
        sizes: [chains] and other_sizes: [others], how many mentions they have.
    """
    resolved = (placed * (placed - 1)).sum(axis=1) / np.maximum(sizes - 1, 1)
    alone = (placed * (other_sizes == 1)).sum(axis=1)
    return float(np.where(sizes > 1, resolved, alone).sum())


def _count_links(gold: Chains[Hashable], system: Chains[Hashable]) -> np.ndarray:
    """Return `RepeatedCounts.links`; each link counts once, that of a mention to itself too."""
    kinds = [(set(links(gold)), set(links(system))) for links in (_links_within, _links_between)]
    counts = [[len(ours & theirs), len(ours), len(theirs)] for ours, theirs in kinds]
    return np.array(counts, dtype=float)


def _links_within(chains: Chains[Hashable]) -> Iterator[frozenset[Hashable]]:
    for chain in chains:
        yield from map(frozenset, combinations(chain, 2))


def _links_between(chains: Chains[Hashable]) -> Iterator[frozenset[Hashable]]:
    for first, second in combinations(chains, 2):
        yield from map(frozenset, product(first, second))
