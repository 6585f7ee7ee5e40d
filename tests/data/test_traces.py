"""Traces of mentions: the words they belong to, and the boxes of these."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from data.encoding.traces import (
    MentionTraces,
    mention_traces,
    with_usable_traces,
    word_places,
)
from data.files import DataError
from data.loading.dataset import NarrationDataset
from data.narration import Mention, Narration
from tests.support import tiny
from tests.support.present import present


def narrated(text: str, phrases: list[str], words: list[str] | None = None) -> Narration:
    """A narration whose mentions are where the phrases stand first in the text."""
    mentions = [Mention(text.index(p), text.index(p) + len(p), p) for p in phrases]
    spelled = text.split() if words is None else words
    return Narration("n", text, tuple(mentions), words=tuple(spelled))


def diagonal(words: int) -> np.ndarray:
    """A trace that moves from the upper left to the lower right: word i has its i-th square."""
    edges = np.arange(words + 1, dtype=np.float32) / words
    area = np.full(words, 1 / words**2, dtype=np.float32)
    return np.column_stack([edges[:-1], edges[:-1], edges[1:], edges[1:], area])


def words_of(narration: Narration) -> list[tuple[int, int]]:
    """First word of each mention and the one after its last, as its trace box tells them."""
    count = len(narration.words)
    traces = mention_traces(narration, diagonal(count), range(len(narration.mentions)))
    assert traces.known.all()
    x1, y1, x2, y2 = traces.boxes_xyxy.T
    np.testing.assert_array_equal((x1, x2), (y1, y2))
    return [(round(float(a) * count), round(float(b) * count)) for a, b in zip(x1, x2, strict=True)]


@pytest.mark.parametrize(
    ("text", "phrases", "words", "expected"),
    [
        # Marks belong to the word that they are written to.
        ("A man, who waves.", ["A man", "man, who", "who"], None, [(0, 2), (1, 3), (2, 3)]),
        # One inside the other, and one that ends within a word.
        ("a man's hat is", ["a man's hat", "a man", "hat"], None, [(0, 3), (0, 2), (2, 3)]),
        ("a T-shirt and it", ["a T-shirt", "shirt", "it"], None, [(0, 2), (1, 2), (3, 4)]),
        # Several words where the text has no blank, and one word where it has some.
        ("a man , he is", ["a man", "he"], ["a", "man", ",", "he", "is"], [(0, 2), (3, 4)]),
        ("don't he", ["he"], ["do", "n't", "he"], [(2, 3)]),
        ("New York, it", ["York", "it"], ["New York,", "it"], [(0, 1), (1, 2)]),
        # A part of an earlier word that looks like a later one.
        ("then he, the", ["the", "he", "he,"], None, [(0, 1), (0, 1), (1, 2)]),
        ("  a \n man ", ["man"], None, [(1, 2)]),
    ],
)
def test_a_mention_has_the_trace_of_the_words_it_shares_a_character_with(
    text: str, phrases: list[str], words: list[str] | None, expected: list[tuple[int, int]]
) -> None:
    assert words_of(narrated(text, phrases, words)) == expected


def test_words_are_found_one_after_the_other() -> None:
    narration = narrated("it and it and it", [])
    text = narration.text
    places = word_places(narration).tolist()
    assert [text[start:end] for start, end in places] == list(narration.words)
    assert [start for start, _ in places] == [0, 3, 7, 10, 14]
    assert word_places(Narration("n", " ")).shape == (0, 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a", "dog", "he"], "narration n: found 'man' at character 2 .* word 1, 'dog'"),
        (["a", "man", "he"], "narration n: found ', ' at character 5 .* word 2, 'he'"),
        (["a", "man,"], "narration n: found 'he' at character 7 .* its end after 2 words"),
        (["a", "man,", "he", "he"], "narration n: found '' at character 9 .* word 3, 'he'"),
        ([], "narration n: found 'a man, he' at character 0 .* its end after 0 words"),
    ],
)
def test_words_that_do_not_spell_the_text_are_named(words: list[str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        word_places(narrated("a man, he", [], words))


def test_a_trace_box_is_around_those_of_the_words_and_within_the_image() -> None:
    narration = narrated("a man he it", ["a man", "he", "it"])
    boxes = [[0.4, 0.1, 0.5, 0.6, 0], [-0.2, 0.2, 0.3, 1.4, 0], [0] * 5, [0.7, 0.7, 0.7, 0.7, 0]]
    traces = mention_traces(narration, np.array(boxes, dtype=np.float32), [0, 1, 2])
    expected = [[0, 0.1, 0.5, 1], [0, 0, 0, 0], [0.7, 0.7, 0.7, 0.7]]
    np.testing.assert_allclose(traces.boxes_xyxy, np.array(expected), rtol=1e-6)
    assert traces.known.tolist() == [True, False, True]
    chosen = mention_traces(narration, np.array(boxes, dtype=np.float32), [2])
    np.testing.assert_array_equal(chosen.boxes_xyxy, traces.boxes_xyxy[2:])


@pytest.mark.parametrize("lag", [0, 1, 2, 9])
def test_a_lag_takes_the_boxes_of_later_words(lag: int) -> None:
    narration = narrated("a man he it", ["a man", "he", "it"])
    trace = diagonal(4)
    later = mention_traces(narration, trace, range(3), lag).boxes_xyxy
    shifted = trace[[min(place + lag, 3) for place in range(4)]]
    np.testing.assert_array_equal(later, mention_traces(narration, shifted, range(3)).boxes_xyxy)


def test_a_word_without_a_trace_does_not_widen_the_box() -> None:
    boxes = np.array([[0.4, 0.5, 0.6, 0.7, 0.04], [0] * 5], dtype=np.float32)
    traces = mention_traces(narrated("a man", ["a man"]), boxes, [0])
    np.testing.assert_array_equal(traces.boxes_xyxy, boxes[:1, :4])


def test_traces_stand_at_their_mentions_in_a_batch() -> None:
    examples = tiny.examples()
    batch = tiny.batch([*examples, dataclasses.replace(examples[0], traces=None)])
    assert batch.trace_boxes_xyxy.shape == (4, 7, 4)
    for row, example in enumerate(examples):
        count, traces = len(example.text.mention_indices), present(example.traces)
        assert batch.trace_mask[row, :count].tolist() == traces.known.tolist()
        boxes = batch.trace_boxes_xyxy[row, :count].numpy()
        np.testing.assert_array_equal(boxes, traces.boxes_xyxy)
        assert not batch.trace_mask[row, count:].any()
    assert not batch.trace_mask[3].any() and not batch.trace_boxes_xyxy[3].any()


def test_a_dataset_reads_traces_when_asked_to_and_of_the_mentions_it_keeps(tmp_path: Path) -> None:
    narration = dataclasses.replace(
        narrated("it and it", ["it", "and"]), trace_path=tmp_path / "n.npy"
    )
    narrations = [narration, dataclasses.replace(narration, trace_path=None)]
    # Nothing is there to read yet.
    assert NarrationDataset(narrations, None, tiny.encoder())[0, 0].traces is None
    traced = NarrationDataset(narrations, None, tiny.encoder(max_mentions=1, trace_lag=0))
    with pytest.raises(DataError, match="n.npy"):
        traced[0, 0]
    np.save(tmp_path / "n.npy", diagonal(3))
    found = traced[0, 0].traces
    assert isinstance(found, MentionTraces)
    np.testing.assert_allclose(found.boxes_xyxy, [[0, 0, 1 / 3, 1 / 3]])
    assert traced[0, 1].traces is None
    batch = tiny.batch([traced[0, 1]])
    assert batch.trace_mask.dtype == torch.bool and not batch.trace_mask.any()


def test_broken_traces_are_found_before_they_are_needed(tmp_path: Path) -> None:
    fine, short, misspelt, without = (
        dataclasses.replace(narrated("it and it", ["it"]), id=name, trace_path=tmp_path / name)
        for name in ("fine.npy", "short.npy", "misspelt.npy", "without.npy")
    )
    without = dataclasses.replace(without, trace_path=None)
    misspelt = dataclasses.replace(misspelt, words=("it", "or", "it"))
    for name, words in (("fine.npy", 3), ("short.npy", 2), ("misspelt.npy", 3)):
        np.save(tmp_path / name, diagonal(words))
    given = [fine, without, short, misspelt]
    with pytest.raises(DataError, match=r"short\.npy"):
        with_usable_traces(given, skip_bad_records=False)
    usable, problems = with_usable_traces(given, skip_bad_records=True)
    assert [n.id for n in usable] == [n.id for n in given]
    assert [n.trace_path is not None for n in usable] == [True, False, False, False]
    assert [str(p).split("/")[-1].split()[0] for p in problems] == ["short.npy", "narration"]
