"""Alignment scores: what counts as found, what chance gives, and when a chain and its head are
right."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.alignment_scores import (
    NO_CANDIDATE,
    RANKS,
    HeadedChain,
    Recall,
    Search,
    format_joint,
    format_retrieval,
    score_joint,
    score_retrieval,
    tally_joint,
    tally_retrieval,
)
from metrics.certainty import estimate

A, B, C = (0, 1), (2, 3), (4, 5)


def search(scores, right=0, kind=None) -> Search:
    return Search(np.array(scores, dtype=np.float64), right, kind)


def recall_of(searches: Iterable[Search]) -> Recall:
    recall = score_retrieval(searches).overall
    assert recall is not None
    return recall


# Few distinct values, so that some are equal.
SEARCHES = st.lists(
    st.lists(st.integers(0, 3), min_size=1, max_size=6).flatmap(
        lambda scores: st.tuples(st.just(scores), st.integers(0, len(scores) - 1))
    ),
    min_size=1,
    max_size=8,
)


def test_a_perfect_system_scores_100() -> None:
    scores = score_retrieval([search([0.1, 0.9], 1, "name"), search([0.5, 0.2, 0.1], 0, "noun")])
    written = scores.to_json()
    for recall in (written["all"], *written["kinds"].values()):
        assert [recall[name] for name in ("R@1", "R@2", "R@3", "mean")] == [100] * 4
    assert list(written["kinds"]) == ["name", "noun"]


def test_equal_candidates_are_found_as_often_as_a_random_order_finds_them() -> None:
    scores = [0.5, 0.9, 0.5, 0.5]
    orders = list(itertools.permutations(range(4)))
    for k, found in zip(RANKS, recall_of([search(scores, 2)]).found, strict=True):
        ranked = [sorted(order, key=lambda place: -scores[place]) for order in orders]
        assert found == pytest.approx(np.mean([2 in order[:k] for order in ranked]))


def test_a_model_that_says_nothing_scores_what_chance_gives() -> None:
    for count in range(1, 6):
        recall = recall_of([search([0.0] * count)])
        assert recall.found == pytest.approx(recall.chance)


def test_chance_is_what_random_scores_give() -> None:
    random = np.random.default_rng(0)
    sizes = [1, 2, 3, 5, 9]
    drawn = [Search(random.random(size), 0) for _ in range(4000) for size in sizes]
    recall = recall_of(drawn)
    assert recall.found == pytest.approx(recall.chance, abs=0.01)


@settings(deadline=None)
@given(SEARCHES, st.randoms(use_true_random=False))
def test_the_order_of_candidates_and_searches_changes_nothing(searches, random) -> None:
    permuted = []
    for scores, right in searches:
        order = random.sample(range(len(scores)), len(scores))
        permuted.append(search([scores[place] for place in order], order.index(right)))
    random.shuffle(permuted)
    first = recall_of(search(scores, right) for scores, right in searches)
    second = recall_of(permuted)
    assert first.found == pytest.approx(second.found)
    assert first.chance == pytest.approx(second.chance)
    assert list(first.found) == sorted(first.found)


def test_a_head_that_is_no_candidate_is_never_found() -> None:
    recall = recall_of([search([0.3], None), search([], None), search([0.3])])
    assert recall.found == pytest.approx([1 / 3] * 3)
    assert recall.chance == pytest.approx([1 / 3] * 3)


def test_those_with_several_candidates_are_scored_apart() -> None:
    scores = score_retrieval([search([0.3]), search([0.1, 0.2])])
    assert scores.overall is not None and scores.contested is not None
    assert scores.overall.found[0] == 0.5
    assert (scores.contested.searches, scores.contested.found[0]) == (1, 0)
    nothing = score_retrieval([])
    assert (nothing.overall, nothing.contested, nothing.kinds) == (None, None, {})


@pytest.mark.parametrize(
    ("scores", "right"), [([0.1, float("nan")], 0), ([0.1], 1), ([0.1], -1), ([], 0)]
)
def test_what_is_no_ranking_is_refused(scores: list[float], right: int) -> None:
    with pytest.raises(ValueError):
        score_retrieval([search(scores, right)])


def test_a_chain_is_right_with_its_mentions_and_its_head_alone() -> None:
    gold = {"1": [HeadedChain(frozenset({A, B}), 0), HeadedChain(frozenset({C}), None)]}
    perfect = score_joint(gold, gold)
    assert perfect.overall.f1 == perfect.headed.f1 == perfect.mentions_alone.f1 == 1
    wrong_head = {"1": [HeadedChain(frozenset({A, B}), 1), HeadedChain(frozenset({C}), 0)]}
    scores = score_joint(gold, wrong_head)
    assert (scores.overall.f1, scores.mentions_alone.f1) == (0, 1)
    assert (scores.headed.gold, scores.headed.found) == (1, 2)
    one_off = {"1": [HeadedChain(frozenset({A}), 0), HeadedChain(frozenset({C}), None)]}
    chains = score_joint(gold, one_off).overall
    assert (chains.right, chains.precision, chains.recall, chains.f1) == (1, 0.5, 0.5, 0.5)


def test_heads_of_other_dialogues_and_heads_that_are_no_candidates_are_not_right() -> None:
    chain = HeadedChain(frozenset({A}), 0)
    assert score_joint({"1": [chain]}, {"2": [chain]}).overall.right == 0
    unseen = {"1": [HeadedChain(frozenset({A}), NO_CANDIDATE)]}
    for head in (None, 0, 1):
        scores = score_joint(unseen, {"1": [HeadedChain(frozenset({A}), head)]})
        assert (scores.overall.right, scores.headed.gold) == (0, 1)


def test_no_chains_score_nothing() -> None:
    scores = score_joint({}, {})
    assert (scores.overall.precision, scores.overall.recall, scores.overall.f1) == (0, 0, 0)


def test_what_is_printed_and_written_says_the_same() -> None:
    retrieval = score_retrieval([search([0.1, 0.9], 1, "name"), search([0.9, 0.2], 1, "noun")])
    joint = score_joint({"1": [HeadedChain(frozenset({A}), 0)]}, {})
    for said, written in (
        (format_retrieval(retrieval), retrieval.to_json()),
        (format_joint(joint), joint.to_json()),
    ):
        json.dumps(written)
        assert "noun" in said or "recall" in said
    assert "50.00" in format_retrieval(retrieval)


def test_the_certainty_is_of_the_same_scores() -> None:
    searches = [
        Search(np.array([0.9, 0.1, 0.5]), right=2, document="a"),
        Search(np.array([0.9, 0.1]), right=0, document="a"),
        Search(np.array([0.3, 0.3, 0.3, 0.8]), right=1, document="b"),
    ]
    overall = score_retrieval(searches).overall
    assert overall is not None
    certainty = estimate([tally_retrieval(searches)])
    assert certainty.documents == 2
    for (name,), found in certainty.scores.items():
        assert 100 * found.value == pytest.approx(overall.to_json()[name])
    gold = {"a": [HeadedChain(frozenset([A]), 0)], "b": [HeadedChain(frozenset([B, C]), None)]}
    system = {"a": [HeadedChain(frozenset([A]), 1)], "b": gold["b"]}
    written = score_joint(gold, system).to_json()
    for (part, last), found in estimate([tally_joint(gold, system)]).scores.items():
        assert 100 * found.value == pytest.approx(written[part][last])
    assert not estimate([tally_joint({"a": []}, {"a": []})]).scores
