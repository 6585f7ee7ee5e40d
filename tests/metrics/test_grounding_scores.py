"""Grounding scores: what counts as right, for whom, and between which bounds."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.certainty import estimate
from metrics.grounding_scores import (
    PRONOUNS,
    SHOWN_SCORES,
    GroundedMention,
    format_grounding,
    score_grounding,
    tally_grounding,
)

LEFT = (0.0, 0.0, 0.5, 1.0)
RIGHT = (0.5, 0.0, 1.0, 1.0)
ALL = (0.0, 0.0, 1.0, 1.0)
CORNER = (0.9, 0.9, 1.0, 1.0)


def mention(phrase, gold, box=None, regions=(), kind=None) -> GroundedMention:
    """A mention with its boxes in single precision."""
    return GroundedMention(
        phrase=phrase,
        gold_boxes_xyxy=np.array(gold, dtype=np.float32).reshape(-1, 4),
        box_xyxy=None if box is None else np.array(box, dtype=np.float32),
        regions_xyxy=np.array(regions, dtype=np.float32).reshape(-1, 4),
        kind=kind,
    )


def test_a_perfect_system_scores_100() -> None:
    mentions = [
        mention("a man", [LEFT], LEFT, [LEFT, RIGHT]),
        mention("it", [RIGHT], RIGHT, [LEFT, RIGHT]),
    ]
    written = score_grounding(mentions).to_json()
    assert (written["overall"], written["nouns"], written["pronouns"]) == (100, 100, 100)
    assert written["union"] == written["per_box"]
    assert written["union"] == {"overall": 100, "nouns": 100, "pronouns": 100}
    assert (written["oracle"], written["random"]) == (100, 50)
    assert written["mentions"] == 2
    assert (written["nouns_mentions"], written["pronouns_mentions"]) == (1, 1)


def test_a_mention_is_right_where_any_of_its_boxes_is_met() -> None:
    scores = score_grounding([mention("two men", [LEFT, RIGHT, CORNER], RIGHT, [RIGHT])])
    assert scores.any_box.overall == 1
    assert scores.per_box.overall == pytest.approx(1 / 3)
    assert scores.union.overall == 1  # half of the enclosing box, which suffices


def test_the_enclosing_box_is_another_reading() -> None:
    halves = [(0.0, 0.0, 0.4, 1.0), (0.6, 0.0, 1.0, 1.0)]
    around = score_grounding([mention("two men", halves, ALL)])
    assert (around.any_box.overall, around.union.overall, around.per_box.overall) == (0, 1, 0)
    one_of_them = score_grounding([mention("two men", halves, halves[0])])
    assert (one_of_them.any_box.overall, one_of_them.union.overall) == (1, 0)


def test_one_half_of_the_union_suffices() -> None:
    assert score_grounding([mention("x", [ALL], LEFT)]).any_box.overall == 1
    assert score_grounding([mention("x", [ALL], (0.0, 0.0, 0.4999, 1.0))]).any_box.overall == 0


@pytest.mark.parametrize("width", [3, 7, 641, 1333])
def test_one_half_survives_rounding_to_single_precision(width: int) -> None:
    gold = [2 / width, 1 / 480, 4 / width, 3 / 480]
    predicted = [2 / width, 1 / 480, 3 / width, 3 / 480]
    assert score_grounding([mention("x", [gold], predicted)]).any_box.overall == 1


@pytest.mark.parametrize("phrase", [*sorted(PRONOUNS), "They", " it "])
def test_pronouns_are_known_by_their_words(phrase: str) -> None:
    scores = score_grounding([mention(phrase, [LEFT], LEFT)])
    assert (scores.pronouns_mentions, scores.nouns_mentions) == (1, 0)


def test_the_list_of_pronouns_can_be_another() -> None:
    mentions = [mention("them all", [LEFT], LEFT), mention("it", [LEFT], RIGHT)]
    usual, other = score_grounding(mentions), score_grounding(mentions, pronouns={"them all"})
    assert (usual.any_box.nouns, usual.any_box.pronouns) == (1, 0)
    assert (other.any_box.nouns, other.any_box.pronouns) == (0, 1)


def test_where_there_are_no_pronouns_there_is_no_figure() -> None:
    written = score_grounding([mention("a man", [LEFT], LEFT)]).to_json()
    assert written["pronouns"] is None
    assert written["union"]["pronouns"] is None and written["per_box"]["pronouns"] is None


def test_mentions_without_gold_boxes_are_not_scored() -> None:
    scored = mention("a man", [LEFT], RIGHT, [LEFT])
    boxless = mention("a day", [], LEFT, [LEFT])
    assert score_grounding([scored, boxless]) == score_grounding([scored])
    nothing = score_grounding([boxless]).to_json()
    assert nothing["mentions"] == 0
    assert nothing["overall"] is nothing["oracle"] is nothing["random"] is None


def test_a_narration_without_regions_counts_as_wrong() -> None:
    mentions = [mention("a man", [LEFT]), mention("a man", [LEFT], LEFT, [LEFT])]
    scores = score_grounding(mentions)
    assert scores.any_box.overall == scores.union.overall == scores.per_box.overall == 0.5
    assert scores.oracle == scores.random == 0.5


def test_the_bounds_look_at_the_regions_only() -> None:
    regions = [LEFT, RIGHT, CORNER, CORNER]
    scores = score_grounding([
        mention("a man", [LEFT, RIGHT], CORNER, regions),
        mention("it", [(0.2, 0.2, 0.3, 0.3)], CORNER, regions),
    ])  # fmt: skip
    assert scores.oracle == 0.5
    assert scores.random == 0.25
    assert scores.any_box.overall == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), min_size=8, max_size=8), min_size=1, max_size=6))
def test_predicting_regions_is_never_better_than_the_oracle(corners: list[list[int]]) -> None:
    def box(a: int, b: int, c: int, d: int) -> tuple[float, ...]:
        return min(a, c) / 10, min(b, d) / 10, max(a, c) / 10 + 0.1, max(b, d) / 10 + 0.1

    regions = [box(*numbers[:4]) for numbers in corners]
    gold = [box(*numbers[4:]) for numbers in corners]
    each = [
        score_grounding([mention("x", [boxes], region, regions) for boxes in gold])
        for region in regions
    ]
    parts = [part for scores in each if (part := scores.any_box.overall) is not None]
    assert len(parts) == len(each)
    assert each[0].oracle is not None and max(parts) <= each[0].oracle
    assert sum(parts) / len(parts) == pytest.approx(each[0].random)


def test_the_order_of_mentions_does_not_matter() -> None:
    mentions = [mention("a man", [LEFT], LEFT, [LEFT]), mention("it", [LEFT], RIGHT, [RIGHT])]
    assert score_grounding(mentions) == score_grounding(mentions[::-1])


def test_kinds_are_scored_apart() -> None:
    mentions = [
        mention("it", [LEFT], LEFT, kind="ambiguous"),
        mention("it", [LEFT], RIGHT, kind="ambiguous"),
        mention("a man", [LEFT], LEFT, kind="plain"),
        mention("a dog", [LEFT], RIGHT),
    ]
    scores = score_grounding(mentions)
    assert scores.to_json()["kinds"] == {
        "ambiguous": {"mentions": 2, "overall": 50},
        "plain": {"mentions": 1, "overall": 100},
    }


def test_a_prediction_that_is_no_number_is_wrong() -> None:
    assert score_grounding([mention("x", [ALL], [float("nan")] * 4)]).any_box.overall == 0


def test_boxes_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="'a man': box_xyxy has shape .1, 3."):
        score_grounding([mention("a man", [LEFT], [0.0, 0.0, 1.0])])


def test_the_written_form_and_the_table() -> None:
    mentions = [mention("a man", [LEFT, RIGHT], LEFT, [LEFT, CORNER, CORNER], kind="hard")]
    scores = score_grounding(mentions)
    written = scores.to_json()
    assert json.loads(json.dumps(written)) == written
    assert list(written) == [
        "mentions", "nouns_mentions", "pronouns_mentions", "overall", "nouns", "pronouns",
        "oracle", "random", "union", "per_box", "kinds",
    ]  # fmt: skip
    table = format_grounding(scores)
    for shown in ("100.00", "33.33", "50.00", "-", "oracle", "random", "kind: hard"):
        assert shown in table


def test_the_certainty_is_of_the_same_scores() -> None:
    documents = [
        [mention("a man", [LEFT, ALL], LEFT), mention("it", [RIGHT], LEFT)],
        [mention("they", [CORNER, LEFT], CORNER), mention("a dog", [])],
        [],
    ]
    written = score_grounding([m for of_one in documents for m in of_one]).to_json()
    certainty = estimate([tally_grounding(documents)])
    assert certainty.documents == 2
    assert set(certainty.scores) == set(SHOWN_SCORES.values())
    for (*path, last), found in certainty.scores.items():
        place = written
        for part in path:
            place = place[part]
        assert 100 * found.value == pytest.approx(place[last])
