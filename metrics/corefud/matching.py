"""Which system mention stands for which gold mention, as the CorefUD scorer matches them.

A gold mention is matched with at most one system mention, and a system mention with at most one of
gold. Zero mentions, whose head is an empty node, come first (`ZeroMatching`), then mentions that
are the same, then the others by one of (`Matching`):

- exact: only mentions of the same words are matched;
- partial: the system mention has no word that the gold mention has not, and has the gold head;
- head: both have the same head. Mentions of the same words with two heads are not the same.

Where several matchings are possible, the one with the highest sum is taken of what each pair
shares: the share of the gold mention's words that are in the system mention, too.

Source: CorefUD scorer 1.2 (github.com/ufal/corefud-scorer); Novák et al., "Findings of the Third
Shared Task on Multilingual Coreference Resolution", CRAC 2024.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from scipy.optimize import linear_sum_assignment

Matching = Literal["exact", "partial", "head"]
# dependent: zeros of one sentence are matched by what they depend on, as they may stand anywhere in
# it. linear: they are matched as other mentions are, by where they stand.
ZeroMatching = Literal["dependent", "linear"]
MATCHINGS = get_args(Matching)
ZERO_MATCHINGS = get_args(ZeroMatching)

# Of a word: its sentence, its number in there and, of an empty node, its number behind that word.
Position: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Mention:
    """A mention to match.

    Attributes:
        words: their positions, in order.
        head: the position of its head; None where that is not known, so that it can only be
            matched with a mention of the same words.
        is_zero: whether its head is an empty node.
        dependencies: of a zero's head: (position of what it depends on, label).
    """

    words: tuple[Position, ...]
    head: Position | None
    is_zero: bool = False
    dependencies: frozenset[tuple[Position, str]] = frozenset()

    @property
    def order(self) -> tuple[Position, Position, int]:
        """What mentions are sorted by: first word, last word, number of words."""
        return self.words[0], self.words[-1], len(self.words)


def shared_identities(
    gold: Sequence[Sequence[Mention]],
    system: Sequence[Sequence[Mention]],
    matching: Matching,
    zeros: ZeroMatching = "dependent",
) -> tuple[list[list[int]], list[list[int]]]:
    """Name the mentions of a document by numbers, matched ones on both sides by the same.

    Args:
        gold: the chains, each mention once in its chain (`without_repeats`). One that is in several
            chains has the same number in each.
        system: likewise.

    Returns:
        The chains of gold and of the system, with numbers in place of their mentions.
    """
    gold_of, system_of = _distinct(gold, matching), _distinct(system, matching)
    pairs = _match(list(gold_of.values()), list(system_of.values()), matching, zeros)
    partner = {second: first for first, second in pairs}
    gold_numbers = {identity: number for number, identity in enumerate(gold_of)}
    system_numbers = {
        identity: partner.get(number, len(gold_of) + number)
        for number, identity in enumerate(system_of)
    }
    return (
        [[gold_numbers[_identity(m, matching)] for m in chain] for chain in gold],
        [[system_numbers[_identity(m, matching)] for m in chain] for chain in system],
    )


def without_repeats(chain: Sequence[Mention], matching: Matching) -> list[Mention]:
    """Return the mentions of a chain, each once: the first of those that are the same."""
    return list(_distinct([chain], matching).values())


def _identity(mention: Mention, matching: Matching) -> Hashable:
    """Return what two mentions of a side must have in common to be the same."""
    return (mention.words, mention.head) if matching == "head" else mention.words


def _distinct(chains: Sequence[Sequence[Mention]], matching: Matching) -> dict[Hashable, Mention]:
    """Return the mentions by their identity, the first of several that are the same."""
    mentions: dict[Hashable, Mention] = {}
    for chain in chains:
        for mention in chain:
            mentions.setdefault(_identity(mention, matching), mention)
    return mentions


def _match(
    gold: Sequence[Mention],
    system: Sequence[Mention],
    matching: Matching,
    zeros: ZeroMatching,
) -> list[tuple[int, int]]:
    """Match distinct mentions.

    Returns:
        Pairs of indices into gold and system.
    """
    pairs = []
    if zeros == "dependent":
        pairs += _best_pairs(
            [(i, m) for i, m in enumerate(gold) if m.is_zero],
            [(i, m) for i, m in enumerate(system) if m.is_zero],
            _zero_similarity,
        )
    free_gold, free_system = _unmatched(gold, system, pairs)
    of_identity = {_identity(mention, matching): index for index, mention in free_system}
    pairs += [
        (index, of_identity[identity])
        for index, mention in free_gold
        if (identity := _identity(mention, matching)) in of_identity
    ]
    if matching == "exact":
        return pairs
    similarity = _head_similarity if matching == "head" else _partial_similarity
    return pairs + _best_pairs(*_unmatched(gold, system, pairs), similarity)


_Numbered: TypeAlias = list[tuple[int, Mention]]


def _unmatched(
    gold: Sequence[Mention], system: Sequence[Mention], pairs: Sequence[tuple[int, int]]
) -> tuple[_Numbered, _Numbered]:
    """Return the mentions of both sides that are in no pair, with their indices."""
    in_gold, in_system = {pair[0] for pair in pairs}, {pair[1] for pair in pairs}
    return (
        [(index, mention) for index, mention in enumerate(gold) if index not in in_gold],
        [(index, mention) for index, mention in enumerate(system) if index not in in_system],
    )


def _best_pairs(
    gold: _Numbered, system: _Numbered, similarity: Callable[[Mention, Mention], float]
) -> list[tuple[int, int]]:
    """Return the one-to-one matching with the highest sum of similarities above 0.

    Of several such matchings it is the one that the assignment finds for mentions in text order.
    """
    gold = sorted(gold, key=lambda item: item[1].order)
    system = sorted(system, key=lambda item: item[1].order)
    in_sentence: dict[int, list[int]] = {}
    for column, (_, mention) in enumerate(system):
        in_sentence.setdefault(mention.words[0][0], []).append(column)
    table = np.zeros((len(gold), len(system)))
    for row, (_, first) in enumerate(gold):
        for column in in_sentence.get(first.words[0][0], ()):
            table[row, column] = similarity(first, system[column][1])
    rows, columns = linear_sum_assignment(table, maximize=True)
    return [
        (gold[row][0], system[column][0])
        for row, column in zip(rows, columns, strict=True)
        if table[row, column] > 0
    ]


def _partial_similarity(gold: Mention, system: Mention) -> float:
    words = set(system.words)
    if gold.head in words and words <= set(gold.words):
        return len(words) / len(gold.words)
    return float(gold.words == system.words)


def _head_similarity(gold: Mention, system: Mention) -> float:
    if gold.head is None or system.head is None:
        return float(gold.words == system.words)
    if gold.head != system.head:
        return 0.0
    return len(set(gold.words) & set(system.words)) / len(gold.words)


def _zero_similarity(gold: Mention, system: Mention) -> float:
    """Return how well the dependencies agree: with their labels ten times, without them once."""
    parents = {parent for parent, _ in gold.dependencies}
    system_parents = {parent for parent, _ in system.dependencies}
    with_labels = _f1(gold.dependencies, system.dependencies)
    return 10 * with_labels + _f1(parents, system_parents)


def _f1(gold: AbstractSet[Hashable], system: AbstractSet[Hashable]) -> float:
    """Return F1 of two sets, 0 where they share nothing."""
    total = len(gold) + len(system)
    return 2 * len(gold & system) / total if total else 0.0
