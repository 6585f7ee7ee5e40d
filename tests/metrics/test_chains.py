"""Chains: the connected components of links, every mention in exactly one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.chains import (
    chains_from_labels,
    chains_from_links,
    restrict,
)


def random_similarity(mentions: int, seed: int) -> np.ndarray:
    """A symmetric matrix, [mentions, mentions]."""
    half = np.random.default_rng(seed).random((mentions, mentions))
    return np.maximum(half, half.T)


def chains_of(similarity: np.ndarray, threshold: float) -> list[list[int]]:
    return chains_from_links(len(similarity), np.argwhere(similarity > threshold))


def reachable(linked: np.ndarray) -> np.ndarray:
    """Which mentions a walk along links connects, [mentions, mentions]."""
    reached = linked | linked.T | np.eye(len(linked), dtype=bool)
    for _ in range(len(linked)):
        reached = reached | (reached @ reached)
    return reached


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 12), st.integers(0, 1000), st.floats(0, 1))
def test_chains_hold_what_links_connect(mentions: int, seed: int, threshold: float) -> None:
    similarity = np.random.default_rng(seed).random((mentions, mentions))
    chains = chains_of(similarity, threshold)
    together = np.zeros((mentions, mentions), dtype=bool)
    for chain in chains:
        together[np.ix_(chain, chain)] = True
    assert np.array_equal(together, reachable(similarity > threshold))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(0, 1000), st.floats(0.5, 1))
def test_every_mention_is_in_exactly_one_chain(mentions: int, seed: int, threshold: float) -> None:
    chains = chains_of(random_similarity(mentions, seed), threshold)
    assert sorted(mention for chain in chains for mention in chain) == list(range(mentions))
    assert all(chain == sorted(chain) and chain for chain in chains)
    assert [chain[0] for chain in chains] == sorted(chain[0] for chain in chains)


@pytest.mark.parametrize("seed", range(5))
def test_permuting_the_mentions_permutes_the_chains(seed: int) -> None:
    similarity = random_similarity(20, seed)
    order = np.random.default_rng(seed).permutation(20)
    permuted = chains_of(similarity[np.ix_(order, order)], 0.9)
    renamed = {frozenset(int(order[mention]) for mention in chain) for chain in permuted}
    assert renamed == {frozenset(chain) for chain in chains_of(similarity, 0.9)}


def test_two_chains_of_one_length_stay_apart() -> None:
    similarity = np.kron(np.eye(2), np.ones((3, 3)))
    assert chains_of(similarity, 0.8) == [[0, 1, 2], [3, 4, 5]]


def test_links_are_between_mentions_that_there_are() -> None:
    assert chains_from_links(4, [(3, 1), (1, 3), (2, 2)]) == [[0], [1, 3], [2]]
    assert chains_from_links(2, []) == [[0], [1]]
    with pytest.raises(ValueError):
        chains_from_links(2, [(0, 2)])


def test_labels_make_chains_and_none_makes_none() -> None:
    assert chains_from_labels(["a", None, "b", "a", None, 0]) == [[0, 3], [1], [2], [4], [5]]
    assert chains_from_labels([]) == []


def test_restricting_counts_the_kept_mentions_anew() -> None:
    chains = [[0, 3, 5], [1], [2, 4]]
    assert restrict(chains, [0, 2, 4, 5]) == [[0, 3], [1, 2]]
    assert restrict(chains, range(6)) == chains
    assert restrict(chains, []) == []
    with pytest.raises(ValueError, match="mention 6"):
        restrict(chains, [6])
