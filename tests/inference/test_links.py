"""The links of a narration's mentions, as far back as the reach."""

from __future__ import annotations

import math

import numpy as np
import pytest

from inference.links import LINKS_OF_A_MENTION, LOWEST_LINK, MentionLinks
from tests.support.links import links_of
from utils.errors import InputError


def random_links(mentions: int, seen: list[int], reach: int) -> MentionLinks:
    scores = np.random.default_rng(0).random((len(seen), reach)).astype(np.float32)
    return MentionLinks(mentions, np.asarray(seen, dtype=np.int64), scores)


def by_pair(links: MentionLinks) -> dict[tuple[int, int], float]:
    """The score of each mention and one before it, worked out one by one."""
    reach, seen = links.scores.shape[1], links.seen.tolist()
    return {
        (mention, seen[row - reach + column]): float(links.scores[row, column])
        for row, mention in enumerate(seen)
        for column in range(reach)
        if row - reach + column >= 0
    }


CASES = [
    random_links(9, list(range(9)), 8),
    random_links(9, list(range(9)), 3),
    random_links(9, [0, 2, 3, 5, 8], 4),
    random_links(9, [0, 2, 3, 5, 8], 2),
    random_links(30, list(range(30)), 29),
    random_links(2, [1], 0),
    random_links(0, [], 0),
]


@pytest.mark.parametrize("links", CASES)
def test_the_links_above_a_threshold_are_those_of_all_pairs(links: MentionLinks) -> None:
    for threshold in (-math.inf, 0.0, 0.5, 2.0):
        expected = {pair for pair, score in by_pair(links).items() if score > threshold}
        assert set(map(tuple, links.above(threshold).tolist())) == expected


@pytest.mark.parametrize("links", CASES)
def test_the_similarity_of_what_was_not_compared_is_the_lowest(links: MentionLinks) -> None:
    similarity, scores = links.similarity(), by_pair(links)
    assert similarity.shape == (links.mentions, links.mentions)
    assert np.array_equal(similarity, similarity.T)
    for first in range(links.mentions):
        assert similarity[first, first] == 1
        for second in range(first):
            assert similarity[first, second] == scores.get((first, second), -1.0)


@pytest.mark.parametrize("links", CASES)
def test_the_best_links_of_a_mention_come_in_their_order(links: MentionLinks) -> None:
    expected = []
    for mention in range(links.mentions):
        own = [(m, n, score) for (m, n), score in by_pair(links).items() if m == mention]
        own = [link for link in own if link[2] >= LOWEST_LINK]
        expected += sorted(own, key=lambda link: -link[2])[:LINKS_OF_A_MENTION]
    assert links.best() == expected


def test_links_that_nobody_needs_are_left_out_of_the_best() -> None:
    links = links_of(np.array([[1, 0, 0], [0.5, 1, 0], [-0.2, 0.005, 1]]))
    assert links.best() == [(1, 0, 0.5)]


def test_a_link_is_strictly_above_the_threshold() -> None:
    links = links_of(np.array([[0, 0, 0], [0.5, 0, 0], [0, 0.75, 0]]))
    assert links.above(0.5).tolist() == [[2, 1]]


@pytest.mark.parametrize(("score", "threshold"), [(math.nan, 0.5), (0.5, math.nan)])
def test_what_is_no_number_is_refused(score: float, threshold: float) -> None:
    with pytest.raises(InputError, match="NaN"):
        links_of(np.array([[1, 0], [score, 1]])).above(threshold)


@pytest.mark.parametrize(("links", "beyond"), zip(CASES, [0, 5, 0, 2, 0, 0, 0], strict=True))
def test_mentions_beyond_the_reach_are_counted(links: MentionLinks, beyond: int) -> None:
    assert links.beyond_reach == beyond
