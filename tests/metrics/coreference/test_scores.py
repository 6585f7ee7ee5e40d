"""Coreference scores: invariants, their definitions, and the published values of two scorers."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import pytest
import scorch.scores
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.chains import Chains, chains_from_labels
from metrics.coreference.links import link_scores
from metrics.coreference.pairs import ChainsError
from metrics.coreference.scores import Score, score_chains
from metrics.coreference.tables import format_scores
from metrics.document_pairs import read_conll_pair

METRICS = ("muc", "b3", "ceafm", "ceafe", "blanc", "lea")


def chains_of_labels(labels: Sequence[int]) -> list[list[int]]:
    """Mentions with one label are a chain; those with label 0 are not there."""
    chains = chains_from_labels([label or None for label in labels])
    return [chain for chain in chains if labels[chain[0]] != 0]


# Gold and system labels for up to eight mentions, of which either side may lack some.
labels = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=8)
document = labels.map(
    lambda pairs: (chains_of_labels([a for a, _ in pairs]), chains_of_labels([b for _, b in pairs]))
)
same_mentions = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), max_size=8).map(
    lambda pairs: (chains_of_labels([a for a, _ in pairs]), chains_of_labels([b for _, b in pairs]))
)


def gold_and_system(
    documents: Sequence[tuple[Chains[Hashable], Chains[Hashable]]],
) -> tuple[dict, dict]:
    """Documents named by their position, as two mappings."""
    gold = {str(index): chains for index, (chains, _) in enumerate(documents)}
    return gold, {str(index): chains for index, (_, chains) in enumerate(documents)}


def as_tuple(score: Score) -> tuple[float, float, float]:
    return score.recall, score.precision, score.f1


def random_documents(count: int, mentions: int, seed: int) -> list[tuple[Chains[int], Chains[int]]]:
    """Gold and system chains of some documents, every mention on both sides."""
    generator = np.random.default_rng(seed)
    sides = generator.integers(1, mentions, (count, 2, mentions)).tolist()
    return [(chains_of_labels(gold), chains_of_labels(system)) for gold, system in sides]


def test_a_perfect_system_scores_100() -> None:
    documents = [([["a", "b"], ["c"], ["d", "e", "f"]],) * 2, ([["a", "b", "c"], ["d"]],) * 2]
    scores = score_chains(*gold_and_system(documents), also_without_singletons=True).to_json()
    assert scores.pop("documents") == 2
    for way, metrics in scores.items():
        assert metrics.pop("conll") == 100, way
        for metric, values in metrics.items():
            assert values == {"recall": 100, "precision": 100, "f1": 100}, (way, metric)


@settings(max_examples=60, deadline=None)
@given(st.lists(document, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_documents_chains_and_mentions_does_not_matter(documents, random) -> None:
    gold, system = gold_and_system(documents)

    def shuffled(side: dict[str, Chains[int]]) -> dict[str, Chains[int]]:
        names = random.sample(list(side), len(side))
        chains = {name: random.sample(side[name], len(side[name])) for name in names}
        return {
            name: [random.sample(chain, len(chain)) for chain in chains[name]] for name in names
        }

    expected = score_chains(gold, system, also_without_singletons=True)
    found = score_chains(shuffled(gold), shuffled(system), also_without_singletons=True)
    for way in ("pooled", "scorch", "pooled_without_singletons", "scorch_without_singletons"):
        for metric in METRICS:
            assert as_tuple(getattr(getattr(found, way), metric)) == pytest.approx(
                as_tuple(getattr(getattr(expected, way), metric)), abs=1e-12
            )


@settings(max_examples=60, deadline=None)
@given(st.lists(document, min_size=1, max_size=4))
def test_recall_is_the_precision_of_the_opposite_direction(documents) -> None:
    gold, system = gold_and_system(documents)
    there, back = score_chains(gold, system).pooled, score_chains(system, gold).pooled
    # BLANC looks at the gold side to see which kinds of links count.
    for metric in set(METRICS) - {"blanc"}:
        assert getattr(there, metric).recall == pytest.approx(getattr(back, metric).precision)
        assert getattr(there, metric).f1 == pytest.approx(getattr(back, metric).f1)


@settings(max_examples=60, deadline=None)
@given(st.lists(document, min_size=1, max_size=4))
def test_scores_lie_between_0_and_1(documents) -> None:
    scores = score_chains(*gold_and_system(documents))
    for way in (scores.pooled, scores.scorch):
        for metric in METRICS:
            assert all(0 <= value <= 1 + 1e-12 for value in as_tuple(getattr(way, metric)))
        assert way.conll == pytest.approx((way.muc.f1 + way.b3.f1 + way.ceafe.f1) / 3)


@settings(max_examples=60, deadline=None)
@given(same_mentions.filter(lambda sides: len(sides[0]) + len(sides[1]) > 2))
def test_both_ways_agree_on_one_document_with_the_same_mentions(sides) -> None:
    scores = score_chains(*gold_and_system([sides]))
    for metric in METRICS:
        assert as_tuple(getattr(scores.scorch, metric)) == pytest.approx(
            as_tuple(getattr(scores.pooled, metric))
        )


@settings(max_examples=30, deadline=None)
@given(document)
def test_copies_of_a_document_score_as_one(sides) -> None:
    once, thrice = (score_chains(*gold_and_system([sides] * copies)) for copies in (1, 3))
    for metric in METRICS:
        for way in ("pooled", "scorch"):
            assert as_tuple(getattr(getattr(thrice, way), metric)) == pytest.approx(
                as_tuple(getattr(getattr(once, way), metric))
            )


def test_pooled_adds_up_what_scorch_averages() -> None:
    right, wrong = ([["a", "b"]], [["a", "b"]]), ([["a", "b", "c"]], [["a"], ["b"], ["c"]])
    scores = score_chains(*gold_and_system([right, wrong]))
    assert scores.pooled.muc.recall == pytest.approx(1 / 3)  # links: (1 + 0) of (1 + 2)
    assert scores.scorch.muc.recall == pytest.approx((1 * 2 + 0 * 3) / 5)
    assert scores.pooled.muc.precision == 1
    assert scores.scorch.muc.precision == pytest.approx((1 * 2 + 0 * 3) / 5)


def fraction(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else 0.0


def definition(metric: str, gold: list[set], system: list[set]) -> tuple[float, float]:
    """Numerator and denominator of recall, written down as the papers define it."""
    mentions = sum(map(len, gold))
    if metric == "muc":
        found = set().union(*system)
        pieces = sum(bool(chain & other) for chain in gold for other in system)
        alone = sum(len(chain - found) for chain in gold)
        return mentions - pieces - alone, mentions - len(gold)
    if metric == "b3":
        overlaps = ((chain, other) for chain in gold for other in system)
        return sum(len(chain & other) ** 2 / len(chain) for chain, other in overlaps), mentions
    if metric == "lea":
        return sum(len(chain) * resolved(chain, system) for chain in gold), mentions
    if metric == "ceafm":
        return best_total(gold, system, lambda a, b: len(a & b)), mentions
    return best_total(gold, system, lambda a, b: 2 * len(a & b) / (len(a) + len(b))), len(gold)


def resolved(chain: set, others: list[set]) -> float:
    """The part of a chain's links that other chains have too; LEA's resolution score."""
    if len(chain) == 1:
        return float(chain in others)
    links = list(combinations(sorted(chain), 2))
    return sum(any({a, b} <= other for other in others) for a, b in links) / len(links)


def best_total(gold: list[set], system: list[set], similarity) -> float:
    """The best of all one-to-one alignments, found by trying them."""
    short, long = sorted((gold, system), key=len)
    return max(sum(map(similarity, short, chosen)) for chosen in permutations(long, len(short)))


@settings(max_examples=100, deadline=None)
@given(st.lists(document, min_size=1, max_size=3))
def test_pooled_scores_are_their_definitions(documents) -> None:
    scores = score_chains(*gold_and_system(documents)).pooled
    sets = [tuple([set(chain) for chain in chains] for chains in pair) for pair in documents]
    for metric in set(METRICS) - {"blanc"}:
        recall = np.sum([definition(metric, gold, system) for gold, system in sets], axis=0)
        precision = np.sum([definition(metric, system, gold) for gold, system in sets], axis=0)
        assert getattr(scores, metric).recall == pytest.approx(fraction(*recall))
        assert getattr(scores, metric).precision == pytest.approx(fraction(*precision))


def links(chains: Chains[int]) -> tuple[set, set]:
    """The pairs of mentions in one chain, and those in different ones."""
    chain_of = {mention: index for index, chain in enumerate(chains) for mention in chain}
    pairs = set(combinations(sorted(chain_of), 2))
    within = {(a, b) for a, b in pairs if chain_of[a] == chain_of[b]}
    return within, pairs - within


@settings(max_examples=100, deadline=None)
@given(document)
def test_blanc_is_the_mean_over_the_kinds_of_links_in_gold(sides) -> None:
    expected = []
    for gold, system in zip(*map(links, sides), strict=True):
        if gold:
            recall = fraction(len(gold & system), len(gold))
            precision = fraction(len(gold & system), len(system))
            f1 = fraction(2 * recall * precision, recall + precision)
            expected.append((recall, precision, f1))
    found = as_tuple(score_chains(*gold_and_system([sides])).pooled.blanc)
    assert found == pytest.approx(np.mean(expected, axis=0) if expected else (0, 0, 0))


@settings(max_examples=150, deadline=None)
@given(document)
def test_scorch_on_one_document(sides) -> None:
    gold, system = sides
    scores = score_chains({"a": gold}, {"a": system}).scorch
    known = {mention for chain in gold for mention in chain}
    completed = [*map(set, gold), *({m} for chain in system for m in chain if m not in known)]
    theirs = {
        "muc": scorch.scores.muc,
        "b3": scorch.scores.b_cubed,
        "ceafm": scorch.scores.ceaf_m,
        "ceafe": scorch.scores.ceaf_e,
        "blanc": scorch.scores.blanc,
    }
    for metric, score in theirs.items():
        expected = score(completed, [set(chain) for chain in system])
        assert as_tuple(getattr(scores, metric)) == pytest.approx(expected)


def published_cases(folder: Path, data: str) -> list[tuple[str, str, Score, list[float]]]:
    """(case, metric, our pooled score, published recall, precision and F1)."""
    names = {"bcub": "b3", "b_cubed": "b3"}
    cases = []
    for case in json.loads((folder / "expected.json").read_text()):
        pair = read_conll_pair(*(folder / data / case[side] for side in ("key", "response")))
        scores = score_chains(pair.gold, pair.system, repeated_mentions=True).pooled
        for metric, expected in case["expected"].items():
            found = getattr(scores, names.get(metric, metric))
            cases.append((case["id"], metric, found, expected))
    return cases


@pytest.mark.parametrize(
    ("scorer", "data", "count"), [("conll", "test/DataFiles", 91), ("coval", "tests", 82)]
)
def test_the_published_values(real_data: Path, scorer: str, data: str, count: int) -> None:
    cases = published_cases(real_data / "scorer_tests" / scorer, data)
    wrong = [
        (case, metric, as_tuple(found), expected)
        for case, metric, found, expected in cases
        if as_tuple(found) != pytest.approx(expected, abs=1e-5)
    ]
    assert not wrong
    assert len(cases) == count


def test_singletons_are_dropped_from_both_sides() -> None:
    gold, system = [["a", "b"], ["c"], ["d"]], [["a", "b"], ["c", "d"]]
    scores = score_chains({"x": gold}, {"x": system}, also_without_singletons=True)
    apart = score_chains({"x": [["a", "b"]]}, {"x": system})
    assert scores.pooled_without_singletons == apart.pooled
    assert scores.scorch_without_singletons == apart.scorch
    assert scores.pooled == score_chains({"x": gold}, {"x": system}).pooled
    assert score_chains({"x": gold}, {"x": system}).pooled_without_singletons is None


def test_documents_without_chains_are_allowed() -> None:
    scores = score_chains({"x": [], "y": [["a", "b"]]}, {"x": [], "y": [["a", "b"]]})
    assert scores.documents == 2
    assert scores.pooled.conll == scores.scorch.conll == 1
    nothing = score_chains({"x": []}, {"x": []})
    assert nothing.pooled.conll == nothing.scorch.conll == 0


@pytest.mark.parametrize(
    ("gold", "system", "message"),
    [
        ({"x": [["a"], ["a", "b"]]}, {"x": []}, "gold document 'x': mention 'a' is in two chains"),
        ({"x": []}, {"x": [["a", "a"]]}, "system document 'x': mention 'a' is twice in one chain"),
        ({"x": [["a"], []]}, {"x": []}, "gold document 'x': chain 1 is empty"),
        ({"x": [], "y": []}, {"x": []}, r"system misses 1 \('y'\)"),
        ({"x": []}, {"x": [], "z": []}, r"gold misses 1 \('z'\)"),
        ({str(n): [] for n in range(9)}, {"0": []}, r"misses 8 \('1', '2', '3', '4', '5', ...\)"),
        ({}, {}, "no document"),
    ],
)
def test_what_cannot_be_scored_is_refused(gold, system, message: str) -> None:
    with pytest.raises(ChainsError, match=message):
        score_chains(gold, system)


def test_links_of_some_mentions() -> None:
    gold = {"x": [["man", "he", "his"], ["hat", "it"]], "y": [["dog", "she"]]}
    system = {"x": [["man", "he"], ["hat", "his", "it"]], "y": [["dog"], ["she"]]}
    found = link_scores(gold, system, {"x": ["he", "his", "it"], "y": ["she"]})
    # he: man, his; his: man, he; it: hat; she: dog, and he: man; his: hat, it; it: hat, his.
    assert (found.mentions, found.gold_links, found.system_links) == (4, 6, 5)
    assert found.correct_links == 2
    assert found.score is not None
    assert as_tuple(found.score) == pytest.approx((2 / 6, 2 / 5, 4 / 11))
    assert found.to_json()["recall"] == pytest.approx(100 / 3)


def test_links_of_all_mentions_are_the_pairs_of_a_perfect_system() -> None:
    chains: dict[str, list[list[Hashable]]] = {"x": [[1, 2, 3], [4]]}
    found = link_scores(chains, chains, {"x": [1, 2, 3, 4]})
    assert (found.gold_links, found.correct_links) == (6, 6)
    assert found.score == Score(1, 1, 1)


def test_no_links_are_no_score() -> None:
    found = link_scores({"x": [["he"]]}, {"x": [["he"]]}, {"x": ["he"]})
    assert found.score is None
    expected = {"mentions": 1, "gold_links": 0, "recall": None, "precision": None, "f1": None}
    assert found.to_json() == expected
    assert link_scores({"x": []}, {"x": []}, {}).mentions == 0


def test_links_of_unknown_mentions_are_refused() -> None:
    with pytest.raises(ChainsError, match="document 'x': no chain holds mention 'she'"):
        link_scores({"x": [["he"]]}, {"x": [["he"]]}, {"x": ["she"]})
    with pytest.raises(ChainsError, match=r"1 \('y'\)"):
        link_scores({"x": [["he"]]}, {"x": [["he"]]}, {"y": ["he"]})


def test_the_table_holds_every_score_of_both_ways() -> None:
    documents = gold_and_system(random_documents(5, 10, seed=0))
    scores = score_chains(*documents, also_without_singletons=True)
    table = format_scores(scores)
    assert table.count("CoNLL") == 2
    for way in scores.to_json().values():
        if isinstance(way, dict):
            shown = [f"{value:.2f}" for metric in METRICS for value in way[metric].values()]
            assert all(value in table for value in [*shown, f"{way['conll']:.2f}"])
    assert "without singletons" not in format_scores(score_chains(*documents))


def test_the_written_form_has_the_published_keys() -> None:
    documents = gold_and_system(random_documents(3, 8, seed=1))
    written = score_chains(*documents).to_json()
    assert list(written) == ["documents", "pooled", "scorch"]
    assert list(written["pooled"]) == [*METRICS, "conll"]
    assert list(written["scorch"]["blanc"]) == ["recall", "precision", "f1"]
    assert json.loads(json.dumps(written)) == written
