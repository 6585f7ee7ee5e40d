"""Scores of subsets: what holds of any chains, and what is known by hand."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from metrics.chains import Chains, chains_from_labels
from metrics.coreference.scores import MetricScores, count_chains, score_chains
from metrics.subsets.mentions import MentionSubset, Place
from metrics.subsets.scores import (
    CRITERIA,
    FIRST_MENTIONS,
    NO_GENRE,
    Criterion,
    ScoredDocument,
    SubsetScores,
    score_subsets,
)
from utils.errors import InputError

GENRES = ("news", "fiction", None)


def documents_of(seed: int, number: int = 9) -> list[ScoredDocument]:
    """Documents of many lengths and genres, each side without some of the mentions."""
    generator = np.random.default_rng(seed)
    made = []
    for row in range(number):
        words = np.sort(generator.integers(300, size=14)).tolist()
        places: dict[Hashable, Place] = {m: (word, word) for m, word in enumerate(words)}
        sides: list[Chains[Hashable]] = []
        for _ in range(2):
            mentions = np.flatnonzero(generator.random(14) < 0.8)
            labels = generator.integers(0, 5, len(mentions)).tolist()
            sides.append([[int(mentions[m]) for m in c] for c in chains_from_labels(labels)])
        made.append(
            ScoredDocument(
                gold=sides[0],
                system=sides[1],
                places=places,
                words=int(generator.integers(20, 3000)),
                genre=GENRES[row % 3],
                kinds={m: (("pronouns", "nouns")[m % 2], f"kind: {m % 3}") for m in range(14)},
            )
        )
    return made


def score(documents: list[ScoredDocument], *by: Criterion) -> SubsetScores:
    gold, system = sides_of(documents)
    counts = {
        "pooled": count_chains(gold, system),
        "pooled_without_singletons": count_chains(gold, system, without_singletons=True),
    }
    return score_subsets(by, documents, counts)


def sides_of(
    documents: list[ScoredDocument],
) -> tuple[dict[str, Chains[Hashable]], dict[str, Chains[Hashable]]]:
    return (
        {str(row): document.gold for row, document in enumerate(documents)},
        {str(row): document.system for row, document in enumerate(documents)},
    )


def pooled(documents: list[ScoredDocument]) -> MetricScores:
    return score_chains(*sides_of(documents)).pooled


def values(certainty: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of a JSON object of certainty without their intervals."""
    return {
        name: found["value"] if "value" in found else values(found)
        for name, found in certainty.items()
    }


def test_one_subset_of_all_documents_has_the_pooled_scores() -> None:
    documents = [replace(document, genre="news", words=10) for document in documents_of(0)]
    whole = score_chains(*sides_of(documents), also_without_singletons=True).to_json()
    content = score(documents, "genre", "length").to_json()
    for by, name in (("genre", "news"), ("length", "up to 50")):
        assert set(content[by]) == {name}
        subset = content[by][name]
        assert subset["documents"] == 9
        for way in ("pooled", "pooled_without_singletons"):
            for metric, expected in whole[way].items():
                found = values(subset[way]["scores"])[metric]
                assert found == pytest.approx(expected), (by, way, metric)


@pytest.mark.parametrize("seed", range(3))
def test_a_subset_of_documents_has_the_scores_that_they_have_alone(seed: int) -> None:
    documents = documents_of(seed)
    subsets = score(documents, "genre").documents["genre"]
    assert list(subsets) == ["fiction", "news", NO_GENRE]
    for genre in GENRES:
        of_genre = [document for document in documents if document.genre == genre]
        found = subsets[genre or NO_GENRE].certainty["pooled"]
        expected = pooled(of_genre)
        assert found.scores["conll",].value == pytest.approx(expected.conll)
        assert found.scores["blanc", "recall"].value == pytest.approx(expected.blanc.recall)
        low, high = found.scores["conll",].low, found.scores["conll",].high
        assert 0 <= low <= high <= 1


def total(subsets: Mapping[str, MentionSubset], score: str) -> np.ndarray:
    """Numerators and denominators of recall and precision of a score, over all subsets."""
    totals = np.zeros(4)
    for subset in subsets.values():
        gold, system = {
            "muc": (subset.gold_anaphors, subset.system_anaphors),
            "b3": (subset.gold_mentions, subset.system_mentions),
        }[score]
        for column, (part, count) in enumerate((("recall", gold), ("precision", system))):
            known = subset.certainty.scores.get((score, part))
            assert (known is None) == (count == 0)
            totals[2 * column] += 0 if known is None else known.value * count
            totals[2 * column + 1] += count
    return totals


@pytest.mark.parametrize("seed", range(3))
def test_the_subsets_of_mentions_add_up_to_muc_and_b3(seed: int) -> None:
    documents = documents_of(seed)
    found = score(documents, "kind", "distance").mentions
    divisions = {
        "distance": found["distance"],
        "words": {n: s for n, s in found["kind"].items() if not n.startswith("kind: ")},
        "kind": {n: s for n, s in found["kind"].items() if n.startswith("kind: ")},
    }
    counts = count_chains(*sides_of(documents))
    for division in divisions.values():
        for metric in ("muc", "b3"):
            expected = counts.fractions[metric].sum(axis=0)
            assert total(division, metric) == pytest.approx(expected)
        assert (
            sum(subset.gold_mentions for subset in division.values()) == counts.mentions[:, 0].sum()
        )


@pytest.mark.parametrize("seed", range(2))
def test_gold_against_itself_is_right_throughout(seed: int) -> None:
    documents = [replace(document, system=document.gold) for document in documents_of(seed)]
    found = score(documents, *CRITERIA)
    certainties = [
        c for by in found.documents.values() for s in by.values() for c in s.certainty.values()
    ]
    certainties += [s.certainty for by in found.mentions.values() for s in by.values()]
    for certainty in certainties:
        for name, estimate in certainty.scores.items():
            assert (estimate.value, estimate.low, estimate.high) == pytest.approx((1, 1, 1)), name


def test_exchanging_the_sides_exchanges_recall_and_precision() -> None:
    documents = documents_of(1)
    exchanged = [replace(d, gold=d.system, system=d.gold) for d in documents]
    found, other = (score(each, "distance", "kind").mentions for each in (documents, exchanged))
    for by, subsets in found.items():
        assert subsets.keys() == other[by].keys()
        for name, subset in subsets.items():
            again = other[by][name]
            assert (subset.gold_anaphors, subset.system_mentions) == (
                again.system_anaphors,
                again.gold_mentions,
            )
            for (metric, part), estimate in subset.certainty.scores.items():
                there = {"recall": "precision", "precision": "recall", "f1": "f1"}[part]
                assert again.certainty.scores[metric, there].value == pytest.approx(estimate.value)


def test_the_distance_is_counted_from_the_nearest_antecedent() -> None:
    """A gold chain of a, b and c; the system has a with c, and d alone."""
    document = ScoredDocument(
        gold=[["c", "a", "b"]],
        system=[["a", "c"], ["d"]],
        places={"a": (3, 4), "b": (8, 8), "c": (30, 31), "d": (40, 40)},
        words=50,
    )
    found = score([document], "distance").mentions["distance"]
    # Gold: b is 5 words behind a, c 22 behind b. The system: c is 27 behind a.
    assert list(found) == ["up to 5", "21 to 50", FIRST_MENTIONS]
    counted = {n: (s.gold_anaphors, s.system_anaphors) for n, s in found.items()}
    assert counted == {"up to 5": (1, 0), "21 to 50": (1, 1), FIRST_MENTIONS: (0, 0)}
    near, far, first = (subset.to_json()["scores"] for subset in found.values())
    assert values(near)["muc"] == {"recall": 0, "f1": 0}
    assert values(far)["muc"] == {"recall": 100, "precision": 100, "f1": 100}
    assert values(far)["b3"] == pytest.approx({"recall": 200 / 3, "precision": 100, "f1": 80})
    # a and d are first in their chains; d is no gold mention.
    expected = {"recall": 200 / 3, "precision": 50, "f1": 400 / 7}
    assert values(first) == {"b3": pytest.approx(expected)}


def test_what_has_nothing_to_count_is_left_out() -> None:
    alone = ScoredDocument([["a"]], [["a"]], {"a": (0, 0)}, words=10, genre="news")
    empty = replace(alone, gold=[], system=[], places={}, words=60, genre="poetry")
    scores = score([alone, empty], "length", "distance")
    subsets = scores.documents["length"]
    assert list(subsets) == ["up to 50", "51 to 100"]
    known = {name for name, *_ in subsets["up to 50"].certainty["pooled"].scores}
    assert known == {"b3", "ceafm", "ceafe", "lea"}
    assert not subsets["51 to 100"].certainty["pooled"].scores
    assert list(scores.mentions["distance"]) == [FIRST_MENTIONS]
    _, _, one, none, few, *_ = scores.format().splitlines()
    assert one.split() == [*"up to 50 1 1 1 -".split(), *["100.00"] * 3, "-", "100.00", *"---"]
    assert none.split() == [*"51 to 100 1 0 0".split(), *"-" * 9]
    assert few == "intervals of fewer than 30 documents are too narrow"
    written = scores.to_json()["length"]["up to 50"]["pooled"]["scores"]
    assert values(written) == {n: {"recall": 100, "precision": 100, "f1": 100} for n in known}


def test_a_split_by_genre_needs_one() -> None:
    document = ScoredDocument([["a"]], [["a"]], {"a": (0, 0)}, words=10)
    with pytest.raises(InputError, match="--by genre: no document has one"):
        score([document], "genre")
