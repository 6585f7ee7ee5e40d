"""Intervals and tests of differences: what holds of any counts, and what is known by hand."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace

import numpy as np
import pytest
from scipy.stats import t

from metrics.certainty import (
    FEW_DOCUMENTS,
    Tally,
    compare,
    estimate,
    format_certainty,
    format_comparison,
    ratio_tally,
    tally_known_fractions,
)
from metrics.chains import Chains, chains_from_labels
from metrics.coreference.scores import (
    MetricScores,
    count_chains,
    pooled_scores,
    score_chains,
    tally_chains,
)
from visualization.page_content import score_intervals

MEAN = ("mean",)


def means(values: np.ndarray) -> Tally:
    """The mean of one number a document."""
    return ratio_tally([MEAN], values[:, None], np.ones((len(values), 1)))


def random_sides(seed: int, documents: int = 8) -> tuple[dict[str, Chains], dict[str, Chains]]:
    """Gold and system chains, each side without some of the mentions."""
    generator = np.random.default_rng(seed)
    sides: tuple[dict[str, Chains], dict[str, Chains]] = ({}, {})
    for number in range(documents):
        for side in sides:
            mentions = np.flatnonzero(generator.random(12) < 0.8)
            labels = generator.integers(0, 5, len(mentions)).tolist()
            chains = [[int(mentions[m]) for m in c] for c in chains_from_labels(labels)]
            side[str(number)] = chains
    return sides


@pytest.mark.parametrize("without_singletons", [False, True])
def test_the_estimates_are_the_pooled_scores(without_singletons: bool) -> None:
    sides = random_sides(0)
    scores = score_chains(*sides, also_without_singletons=True)
    pooled = scores.pooled_without_singletons if without_singletons else scores.pooled
    assert pooled is not None
    found = estimate([tally_chains(*sides, without_singletons=without_singletons)]).scores
    for field in fields(MetricScores):
        for part in ("recall", "precision", "f1"):
            expected = getattr(getattr(pooled, field.name), part)
            assert found[field.name, part].value == pytest.approx(expected, abs=1e-12)
    assert found["conll",].value == pytest.approx(pooled.conll, abs=1e-12)


def test_fractions_are_recall_precision_and_f1_where_they_are_known() -> None:
    counts = count_chains(*random_sides(0))
    expected = pooled_scores(counts).b3
    nothing, gold_alone = np.zeros((8, 4)), np.tile((0, 1, 0, 0), (8, 1))
    fractions = np.stack((counts.fractions["b3"], nothing, gold_alone), axis=1)
    found = estimate([tally_known_fractions([("b3",), ("nothing",), ("gold",)], fractions)]).scores
    assert {name: estimate.value for name, estimate in found.items()} == pytest.approx(
        {
            ("b3", "recall"): expected.recall,
            ("b3", "precision"): expected.precision,
            ("b3", "f1"): expected.f1,
            ("gold", "recall"): 0,
            ("gold", "f1"): 0,
        }
    )


def test_an_interval_holds_the_score_within_0_and_1_and_is_the_same_again() -> None:
    tally = tally_chains(*random_sides(1))
    certainty = estimate([tally])
    assert certainty.documents == 8
    for found in certainty.scores.values():
        assert 0 <= found.low < found.value < found.high <= 1
    assert estimate([tally]) == certainty


def test_the_interval_of_a_mean_is_that_of_the_t_distribution() -> None:
    for documents in (8, 40):
        values = np.random.default_rng(documents).normal(size=documents)
        found = estimate([means(values)], samples=50_000).scores[MEAN]
        error = values.std(ddof=1) / np.sqrt(documents)
        half = t.ppf(0.975, documents - 1) * error
        assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
        assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_more_documents_of_the_same_kind_make_it_narrower() -> None:
    tally = tally_chains(*random_sides(2))
    more = replace(tally, counts=np.tile(tally.counts, (16, 1)))
    few, many = estimate([tally]).scores["conll",], estimate([more]).scores["conll",]
    assert many.value == pytest.approx(few.value)
    assert many.high - many.low < (few.high - few.low) / 3


def test_documents_with_nothing_to_count_are_not_counted() -> None:
    tally = tally_chains(*random_sides(2))
    empty = replace(tally, counts=np.concatenate((tally.counts, np.zeros_like(tally.counts))))
    assert estimate([empty]).documents == estimate([tally]).documents == 8


def test_a_system_does_not_differ_from_itself() -> None:
    tally = tally_chains(*random_sides(3))
    for found in compare([tally], [tally]).scores.values():
        assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_two_systems_that_change_places_turn_the_difference_around() -> None:
    gold, one = random_sides(4)
    first, second = tally_chains(gold, one), tally_chains(gold, gold)
    there, back = compare([first], [second]).scores, compare([second], [first]).scores
    for name in first.names:
        assert there[name].value == -back[name].value > 0
        assert there[name].low == pytest.approx(-back[name].high)
        assert there[name].p == back[name].p


def test_few_documents_are_swapped_in_all_ways() -> None:
    gold, one = random_sides(5)
    two = random_sides(6)[1]
    first, second = tally_chains(gold, one), tally_chains(gold, two)
    differences = []
    for ways in itertools.product((False, True), repeat=len(gold)):
        swapped = np.array(ways)[:, None]
        left = first.score(np.where(swapped, second.counts, first.counts).sum(axis=0))
        right = first.score(np.where(swapped, first.counts, second.counts).sum(axis=0))
        differences.append(np.abs(right - left))
    expected = (np.array(differences) >= differences[0] - 1e-12).mean(axis=0)
    found = compare([first], [second]).scores
    assert [found[name].p for name in first.names] == pytest.approx(expected)


def test_a_system_that_is_better_in_each_document_differs_by_chance_in_two_ways() -> None:
    worse = means(np.zeros(10))
    assert compare([worse], [means(np.ones(10))]).scores[MEAN].p == 2 / 2**10


def test_many_documents_are_swapped_at_random_and_p_is_nearly_that_of_all_ways() -> None:
    change = np.random.default_rng(0).normal(0.3, size=14)
    signs = np.array(list(itertools.product((-1, 1), repeat=14)))
    exact = (np.abs(signs @ change) >= abs(change.sum()) - 1e-9).mean()
    found = compare([means(np.zeros(14))], [means(change)]).scores[MEAN]
    assert found.p == pytest.approx(exact, abs=0.02)


def test_differences_by_chance_have_any_p_equally_often() -> None:
    generator = np.random.default_rng(0)
    draws = generator.normal(size=(400, 2, 9))
    p = np.array([compare([means(a)], [means(b)], samples=512).scores[MEAN].p for a, b in draws])
    for level in (0.05, 0.2, 0.5):
        assert (p <= level).mean() == pytest.approx(level, abs=0.06)


def test_runs_have_their_mean_and_spread() -> None:
    one, two = np.zeros(4), np.array([0.0, 1, 1, 0])
    found = estimate([means(one), means(two)]).scores[MEAN]
    assert found.value == 0.25
    assert found.spread == pytest.approx(np.std([0, 0.5], ddof=1))
    assert estimate([means(two)]).scores[MEAN].spread is None


def test_equal_runs_are_as_certain_as_one() -> None:
    gold, one = random_sides(7)
    first, second = tally_chains(gold, one), tally_chains(gold, random_sides(8)[1])
    alone, twice = compare([first], [second]).scores, compare([first] * 2, [second] * 2).scores
    for name in first.names:
        assert alone[name].p == twice[name].p
        assert alone[name].low == pytest.approx(twice[name].low)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="1 runs and 2"):
        compare([means(np.ones(3))], [means(np.ones(3))] * 2)
    with pytest.raises(ValueError, match=r"\(3, 2\), \(4, 2\)"):
        compare([means(np.ones(3))], [means(np.ones(4))])
    with pytest.raises(ValueError, match="expected the same documents"):
        estimate([means(np.ones(0))])


def test_a_ratio_of_nothing_is_left_out_and_samples_without_it_do_not_count() -> None:
    numerators = np.array([[1.0, 0, 1], [0, 0, 0], [0, 0, 0]])
    denominators = np.array([[1.0, 0, 1], [1, 0, 0], [1, 0, 0]])
    tally = ratio_tally([("a",), ("b",), ("c",)], numerators, denominators)
    assert tally.names == (("a",), ("c",))
    rare = estimate([tally]).scores["c",]
    assert (rare.value, rare.low, rare.high) == (1, 1, 1)


def rare_chains(documents: int) -> dict[str, Chains]:
    """Documents with a chain of two mentions in the first one alone."""
    return {str(number): [[0], [1]] if number else [[0, 1]] for number in range(documents)}


def test_gold_scored_against_itself_is_sure_of_all_that_it_has() -> None:
    chains = rare_chains(8)
    found = estimate([tally_chains(chains, chains)]).scores
    for name in (("muc", "f1"), ("b3", "f1"), ("blanc", "f1"), ("conll",)):
        assert (found[name].value, found[name].low, found[name].high) == (1, 1, 1), name
    # F1 is the same, whichever tally counts it.
    muc = count_chains(chains, chains).fractions["muc"]
    (other,) = (estimate([tally_known_fractions([("muc",)], muc[:, None])]).scores["muc", "f1"],)
    assert other == found["muc", "f1"]


def test_a_system_without_a_link_that_gold_has_is_scored_0() -> None:
    gold = rare_chains(8)
    none: dict[str, Chains] = dict.fromkeys(gold, [[0], [1]])
    alone = tally_chains(gold, none)
    for found in (estimate([alone]).scores, estimate([tally_chains(none, gold)]).scores):
        muc = found["muc", "f1"]
        assert (muc.value, muc.low, muc.high) == (0, 0, 0)
    # Samples without the link on any side have no difference.
    rise = compare([alone], [tally_chains(gold, gold)]).scores["muc", "f1"]
    assert (rise.value, rise.low, rise.high) == (1, 1, 1)


def test_what_has_nothing_to_count_in_any_document_is_0_in_every_sample() -> None:
    gold: dict[str, Chains] = {str(number): [[0], [1]] for number in range(8)}
    system: dict[str, Chains] = {**gold, "0": [[0]]}
    found = estimate([tally_chains(gold, system)]).scores
    muc, b3, conll = found["muc", "f1"], found["b3", "f1"], found["conll",]
    assert (muc.value, muc.low, muc.high) == (0, 0, 0)
    assert b3.low < b3.value < b3.high == 1
    assert conll.low < conll.value < conll.high == pytest.approx(2 / 3)


def test_runs_have_a_score_where_one_of_them_has_something_to_count() -> None:
    gold: dict[str, Chains] = {str(number): [[0], [1]] for number in range(8)}
    runs = [tally_chains(gold, gold), tally_chains(gold, rare_chains(8))]
    found = estimate(runs).scores
    assert found["conll",].value == np.mean([r.score(r.counts.sum(axis=0))[-1] for r in runs])
    for each in found.values():
        assert each.low <= each.value <= each.high


@pytest.mark.parametrize("documents", [FEW_DOCUMENTS - 1, FEW_DOCUMENTS])
def test_of_few_documents_it_is_said_that_the_interval_is_too_narrow(documents: int) -> None:
    tally = means(np.arange(documents) / documents)
    certainty, comparison = estimate([tally]), compare([tally], [tally])
    few = documents < FEW_DOCUMENTS
    assert certainty.to_json()["few_documents"] is comparison.to_json()["few_documents"] is few
    rows = {"mean": MEAN}
    for shown in (
        format_certainty("mean", certainty, rows),
        format_comparison("mean", comparison, rows),
    ):
        assert f"95% intervals over {documents} documents" in shown
        assert ("too narrow" in shown) is few


def test_scores_that_rest_on_few_documents_are_named() -> None:
    chains, without = rare_chains(FEW_DOCUMENTS), {str(n): [[0]] for n in range(FEW_DOCUMENTS)}
    tally = tally_chains(chains, chains)
    certainty, comparison = estimate([tally]), compare([tally], [tally])
    rows = {"MUC": ("muc", "f1"), "B3": ("b3", "f1"), "CoNLL": ("conll",)}
    for content in (certainty.to_json(), comparison.to_json()):
        assert not content["few_documents"]
        few = content["few_documents_of"]
        assert few == ["muc.recall", "muc.precision", "muc.f1", "conll"]
        assert "documents" not in content["scores"]["muc"]["f1"]
    for shown in (
        format_certainty("F1", certainty, rows),
        format_comparison("F1", comparison, rows),
    ):
        assert shown.endswith("intervals too narrow, for MUC (1), CoNLL (1)")
    assert score_intervals(certainty, rows).note.endswith("for MUC (1), CoNLL (1).")
    # What has nothing to count anywhere is no estimate.
    assert "narrow" not in format_certainty("F1", estimate([tally_chains(without, without)]), rows)


def test_json_nests_the_scores_in_percent() -> None:
    tally = tally_chains(*random_sides(9))
    content = estimate([tally, tally]).to_json()
    assert content["confidence"] == 95 and content["documents"] == 8
    assert set(content["scores"]["muc"]["f1"]) == {"value", "low", "high", "spread"}
    assert 1 < content["scores"]["conll"]["value"] < 100
    assert compare([tally], [tally]).to_json()["scores"]["muc"]["f1"]["p"] == 1
