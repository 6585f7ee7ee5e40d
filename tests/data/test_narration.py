"""The types of an example keep what their docstrings promise."""

from __future__ import annotations

import numpy as np
import pytest

from data.narration import Mention, Narration, Regions, Sentence, counted_mentions

TEXT = "A man holds a dog."
BOX = (0.1, 0.2, 0.3, 0.4)


def test_mentions_that_start_together_keep_their_order() -> None:
    mentions = (Mention(0, 17, "A man holds a dog"), Mention(0, 5, "A man"))
    assert Narration("1", TEXT, mentions).mentions == mentions


@pytest.mark.parametrize("span", [(-1, 3), (3, 3), (4, 3), (0, len(TEXT) + 1)])
def test_a_span_outside_the_text_is_refused(span: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="narration 1: mention 0"):
        Narration("1", TEXT, (Mention(*span, "man"),))


def test_mentions_out_of_text_order_are_refused() -> None:
    with pytest.raises(ValueError, match="mention 1 starts before"):
        Narration("1", TEXT, (Mention(12, 17, "a dog"), Mention(0, 5, "A man")))


@pytest.mark.parametrize("second", [(4, 18), (5, 5), (6, 19), (-2, 3)])
def test_sentences_that_overlap_or_leave_the_text_are_refused(second: tuple[int, int]) -> None:
    assert Narration("1", TEXT, sentences=(Sentence(0, 5), Sentence(5, 18, "her"))).sentences
    with pytest.raises(ValueError, match="narration 1: sentence 1 spans"):
        Narration("1", TEXT, sentences=(Sentence(0, 5), Sentence(*second)))


def test_a_narration_is_labelled_when_every_mention_has_a_chain() -> None:
    labelled, unlabelled = Mention(0, 5, "A man", chain="0"), Mention(12, 17, "a dog")
    assert Narration("1", TEXT, (labelled,)).is_labelled
    assert not Narration("1", TEXT, (labelled, unlabelled)).is_labelled
    assert Narration("1", TEXT).is_labelled  # annotated, and without a mention


def test_only_mentions_with_a_box_count_where_boxes_are_known() -> None:
    mentions = (Mention(0, 5, "A man"), Mention(12, 17, "a dog", boxes_xyxy=(BOX,)))
    narration = Narration("1", TEXT, mentions)
    without_boxes = Narration("2", TEXT, mentions[:1] * 2)
    assert counted_mentions([narration, without_boxes]) == [(1,), ()]
    assert counted_mentions([without_boxes]) == [(0, 1)]


def test_each_item_of_the_regions_is_one_row_of_their_arrays() -> None:
    features = np.arange(6, dtype=np.float32).reshape(2, 3)
    boxes = np.array([BOX, (0, 0, 1, 1)], dtype=np.float32)
    regions = Regions(boxes, ("man", "traffic light"), ("tall", "red"), features)
    assert len(regions) == len(list(regions)) == 2
    assert regions[1].label == "traffic light"
    assert regions[1].attribute == "red"
    assert regions[0].box_xyxy == pytest.approx(BOX)
    assert np.array_equal(regions[1].feature, features[1])
    assert Regions(boxes, ("man", "traffic light"), (), features)[0].attribute == ""


def test_regions_of_different_lengths_are_refused() -> None:
    boxes, features = np.zeros((2, 4), np.float32), np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match="boxes_xyxy"):
        Regions(boxes, ("man",), (), features[:1])
    with pytest.raises(ValueError, match="features"):
        Regions(boxes[:1], ("man",), (), features)
    with pytest.raises(ValueError, match="attributes"):
        Regions(boxes, ("man", "dog"), ("tall",), features)
