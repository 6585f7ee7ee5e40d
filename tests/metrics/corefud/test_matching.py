"""Which system mention stands for which gold mention."""

from __future__ import annotations

import random
from typing import get_args

import pytest

from metrics.corefud.matching import (
    MATCHINGS,
    Matching,
    Mention,
    ZeroMatching,
    shared_identities,
    without_repeats,
)


def mention(*words: int, head: int | None = None, sentence: int = 0) -> Mention:
    """A mention of the words of a sentence, with the head at one of them."""
    positions = tuple((sentence, word, 0) for word in words)
    return Mention(positions, None if head is None else (sentence, head, 0))


def zero(word: int, *dependencies: tuple[int, str], empty: int = 1) -> Mention:
    """A zero behind a word, that depends on other words."""
    place = (0, word, empty)
    parents = frozenset(((0, parent, 0), label) for parent, label in dependencies)
    return Mention((place,), place, True, parents)


def matched(
    gold: list[Mention],
    system: list[Mention],
    matching: Matching,
    zeros: ZeroMatching = "dependent",
) -> set[tuple[int, int]]:
    """The pairs of indices that are matched, each mention in a chain of its own."""
    numbers, others = shared_identities([[m] for m in gold], [[m] for m in system], matching, zeros)
    places = {number: index for index, (number,) in enumerate(numbers)}
    return {(places[n], index) for index, (n,) in enumerate(others) if n in places}


@pytest.mark.parametrize("matching", MATCHINGS)
def test_every_mention_is_matched_with_itself_whatever_the_order(matching: Matching) -> None:
    generator = random.Random(0)
    for _ in range(20):
        drawn = {
            mention(*range(start, start + length), head=start + length // 2)
            for start, length in ((generator.randrange(9), generator.randint(1, 4)),) * 6
        } | {zero(2, (3, "nsubj")), zero(2, (3, "obj"), empty=2)}
        gold = sorted(drawn, key=lambda m: m.order)
        system = generator.sample(gold, len(gold))
        expected = {(gold.index(m), index) for index, m in enumerate(system)}
        assert matched(gold, system, matching) == expected


@pytest.mark.parametrize("matching", MATCHINGS)
def test_no_mention_is_matched_twice_nor_across_sentences(matching: Matching) -> None:
    generator = random.Random(1)
    for _ in range(50):
        sides = []
        for _ in range(2):
            spans = {(generator.randrange(4), generator.randint(1, 4)) for _ in range(5)}
            sides.append(
                [mention(*range(a, a + n), head=a + n // 2, sentence=a % 2) for a, n in spans]
            )
        pairs = matched(sides[0], sides[1], matching)
        assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)
        assert all(sides[0][a].words[0][0] == sides[1][b].words[0][0] for a, b in pairs)


def test_a_part_with_the_head_matches_the_whole_and_not_the_other_way() -> None:
    whole, part, headless = mention(1, 2, 3, head=2), mention(2, 3, head=3), mention(3, head=3)
    assert matched([whole], [part], "partial") == {(0, 0)}
    assert matched([part], [whole], "partial") == set()
    assert matched([whole], [headless], "partial") == set()
    assert matched([whole], [part], "exact") == set()


def test_heads_match_whatever_the_words() -> None:
    assert matched([mention(1, 2, head=2)], [mention(2, 3, 4, head=2)], "head") == {(0, 0)}
    assert matched([mention(1, 2, head=2)], [mention(1, 2, head=1)], "head") == set()
    assert matched([mention(1, 2, head=2)], [mention(1, 2, head=1)], "partial") == {(0, 0)}


def test_discontinuous_mentions_match_by_their_words() -> None:
    assert matched([mention(1, 3, head=1)], [mention(1, 2, 3, head=1)], "exact") == set()
    assert matched([mention(1, 2, 3, head=1)], [mention(1, 3, head=3)], "partial") == {(0, 0)}
    assert matched([mention(1, 3, head=1)], [mention(1, 2, 3, head=1)], "partial") == set()


def test_of_several_that_match_the_sum_of_what_is_shared_decides() -> None:
    gold = [mention(1, 2, 3, 4, head=3), mention(2, 3, head=3)]
    system = [mention(3, head=3), mention(2, 3, 4, head=3)]
    assert matched(gold, system, "partial") == {(0, 1), (1, 0)}
    assert matched(gold, [mention(3, head=3)], "partial") == {(1, 0)}
    assert matched(gold, [mention(3, 4, head=3)], "head") == {(0, 0)}


def test_without_a_head_only_the_same_words_match() -> None:
    unknown = mention(1, 2)
    for matching in MATCHINGS:
        assert matched([unknown], [mention(1, 2)], matching) == {(0, 0)}
        assert matched([unknown], [mention(1, 2, head=2)], matching) == {(0, 0)}
        assert matched([mention(1, 2, head=2)], [unknown], matching) == {(0, 0)}
        assert matched([unknown], [mention(1, head=1)], matching) == set()


@pytest.mark.parametrize("matching", get_args(Matching))
def test_zeros_match_by_what_they_depend_on(matching: Matching) -> None:
    gold = [zero(1, (2, "nsubj")), zero(1, (2, "obj"), empty=2)]
    system = [zero(1, (2, "obj")), zero(4, (2, "nsubj"))]
    assert matched(gold, system, matching) == {(0, 1), (1, 0)}
    assert matched(gold, system, matching, "linear") == {(0, 0)}
    only_parent = zero(7, (2, "iobj"))
    assert matched(gold[:1], [only_parent], matching) == {(0, 0)}
    assert matched(gold[:1], [zero(7, (3, "nsubj"))], matching) == set()


def test_a_mention_of_several_chains_has_one_number() -> None:
    shared = mention(1, head=1)
    gold = [[shared, mention(2, head=2)], [shared]]
    numbers, others = shared_identities(gold, [[shared]], "head")
    assert numbers[0][0] == numbers[1][0] == others[0][0]


def test_a_mention_counts_once_in_a_chain() -> None:
    chain = [mention(1, 2, head=1), mention(1, 2, head=2), mention(1, 2, head=1)]
    assert without_repeats(chain, "exact") == chain[:1]
    assert without_repeats(chain, "head") == chain[:2]
