"""Pronoun resolution: pairs of pronouns and candidates, counted as VisPro counts them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from metrics.coreference.links import LinkScores
from metrics.pronoun_scores import PronounScores, score_pronouns
from utils.text.annotated_pronouns import AnnotatedPronoun

TEXT = "A man and his big dog in a red car . He drives it . The dog likes his car ."


def span(phrase: str, occurrence: int = 0) -> tuple[int, int]:
    found = list(re.finditer(rf"\b{re.escape(phrase)}\b", TEXT))[occurrence]
    return found.span()


MAN, DOG, CAR, HE, IT, HIS = (
    span("A man"), span("his big dog"), span("a red car"), span("He"), span("it"), span("his", 1),
)  # fmt: skip
HE_IS_THE_MAN = AnnotatedPronoun(HE, (MAN, DOG, CAR), (MAN,))
IT_IS_THE_CAR = AnnotatedPronoun(IT, (MAN, DOG, CAR), (CAR,), discussed=False)
GOLD = [[MAN, HE], [CAR, IT], [DOG]]


def score(
    chains: Sequence[Sequence[tuple[int, int]]], *pronouns: AnnotatedPronoun
) -> PronounScores:
    return score_pronouns({"d": pronouns}, {"d": TEXT}, {"d": chains})


def counts(links: LinkScores) -> tuple[int, int, int]:
    """Gold, system's and correct pairs."""
    return links.gold_links, links.system_links, links.correct_links


def test_gold_chains_resolve_every_pronoun() -> None:
    scores = score(GOLD, HE_IS_THE_MAN, IT_IS_THE_CAR)
    assert counts(scores.overall) == (2, 2, 2)
    assert scores.to_json()["overall"]["f1"] == 100
    assert scores.overall.mentions == 2


def test_what_is_discussed_and_what_is_not_make_the_whole() -> None:
    scores = score([[MAN, HE, CAR, IT]], HE_IS_THE_MAN, IT_IS_THE_CAR)
    assert counts(scores.discussed) == counts(scores.not_discussed) == (1, 2, 1)
    assert counts(scores.overall) == (2, 4, 2)
    assert scores.overall.score is not None
    assert scores.overall.score.precision == pytest.approx(0.5)
    assert scores.overall.score.recall == 1


def test_neither_the_order_of_chains_nor_of_mentions_matters() -> None:
    shuffled = [chain[::-1] for chain in GOLD[::-1]]
    assert score(shuffled, IT_IS_THE_CAR, HE_IS_THE_MAN) == score(
        GOLD, HE_IS_THE_MAN, IT_IS_THE_CAR
    )


def test_mentions_after_the_pronoun_and_other_pronouns_make_no_pair() -> None:
    later = span("The dog")
    his = span("his", 0)  # lies within a candidate
    assert counts(score([[MAN, HE, later, HIS, his]], HE_IS_THE_MAN).overall) == (1, 1, 1)


def test_a_pronoun_that_refers_to_no_noun_phrase_costs_nothing() -> None:
    nothing = AnnotatedPronoun(IT, (MAN, DOG), (), refers=False)
    assert counts(score([[MAN, IT]], nothing).overall) == (0, 0, 0)
    assert score([[MAN, IT]], nothing).to_json()["overall"]["f1"] is None


def test_a_pronoun_outside_of_all_chains_is_not_found() -> None:
    assert counts(score([[MAN, DOG]], HE_IS_THE_MAN).overall) == (1, 0, 0)


@pytest.mark.parametrize(
    ("mentions", "expected"),
    [
        ([span("man")], (1, 1, 1)),  # within the candidate
        ([(0, len("A man and"))], (1, 1, 1)),  # around it
        ([span("A"), span("man")], (1, 1, 1)),  # a candidate is matched once
        ([span("man and his")], (1, 0, 0)),  # neither
        ([span("A man and his big dog")], (1, 1, 1)),  # around two, of which the first is right
        ([span("big"), span("dog")], (1, 1, 0)),
    ],
)
def test_a_mention_matches_a_candidate_that_it_covers_or_is_covered_by(
    mentions: list[tuple[int, int]], expected: tuple[int, int, int]
) -> None:
    assert counts(score([[HE, *mentions]], HE_IS_THE_MAN).overall) == expected


def test_documents_are_pooled() -> None:
    one = score(GOLD, HE_IS_THE_MAN).overall
    both = score_pronouns(
        {"a": [HE_IS_THE_MAN], "b": [HE_IS_THE_MAN]},
        {"a": TEXT, "b": TEXT},
        {"a": GOLD, "b": [[MAN], [DOG, HE]]},
    ).overall
    assert counts(one) == (1, 1, 1)
    assert counts(both) == (2, 2, 1)
