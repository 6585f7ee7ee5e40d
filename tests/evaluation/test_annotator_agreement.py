"""The agreement of annotators: what holds of any two, and what is known by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from data.narration import Mention, Narration, RelativeBox
from evaluation.annotator_agreement import Agreement, measure_agreement
from utils.errors import InputError

TEXT = "A man holds a dog. He pets it, and it barks."
LEFT, RIGHT = (0.0, 0.0, 0.4, 0.4), (0.5, 0.5, 1.0, 1.0)


def mention(phrase: str, chain: str, *boxes: RelativeBox, after: int = 0) -> Mention:
    start = TEXT.index(phrase, after)
    return Mention(start, start + len(phrase), phrase, chain, boxes)


def annotated(*mentions: Mention, name: str = "1", text: str = TEXT) -> dict[str, Narration]:
    return {name: Narration(name, text, tuple(sorted(mentions, key=lambda m: m.start)))}


def random_annotations(seed: int) -> dict[str, Narration]:
    """Texts with chains and boxes; each has two mentions of one chain at least."""
    generator = np.random.default_rng(seed)
    made: dict[str, Narration] = {}
    for number in range(8):
        starts = np.flatnonzero(generator.random(len(TEXT)) < 0.3).tolist()
        starts = [s for s in starts if TEXT[s : s + 1].strip()] + [0, 2]
        mentions = []
        for start in sorted(set(starts)):
            chain = "0" if start in (0, 2) else str(generator.integers(4))
            corner = generator.uniform(0, 0.5, size=2).tolist()
            boxes = [(*corner, *(c + 0.5 for c in corner))] * int(generator.integers(0, 2))
            mentions.append(Mention(start, start + 1, TEXT[start], chain, tuple(boxes)))
        made |= annotated(*mentions, name=str(number))
    return made


def agreement(first: Mapping[str, Narration], second: Mapping[str, Narration]) -> Agreement:
    found = measure_agreement(first, second, ("ann", "bo"))
    assert found is not None
    return found


def values(found: Agreement) -> dict[tuple[str, ...], float]:
    return {name: 100 * estimate.value for name, estimate in found.scores.items()}


@pytest.mark.parametrize("seed", range(3))
def test_an_annotator_agrees_with_themself(seed: int) -> None:
    one = random_annotations(seed)
    found = agreement(one, one)
    assert list(values(found).values()) == pytest.approx([100] * len(found.scores))
    assert len(found.scores) == 2 * 19 + 6, "every score is known"
    assert (found.only_first, found.only_second, found.repeats) == (0, 0, (0, 0))
    # Whatever the chains are called.
    renamed = {
        name: replace(n, mentions=tuple(replace(m, chain=f"new {m.chain}") for m in n.mentions))
        for name, n in one.items()
    }
    assert values(agreement(one, renamed)) == values(found)


@pytest.mark.parametrize("seed", range(3))
def test_exchanging_the_annotators_exchanges_recall_and_precision(seed: int) -> None:
    one, other = random_annotations(seed), random_annotations(seed + 10)
    there, back = values(agreement(one, other)), values(agreement(other, one))
    exchanged = {"recall": "precision", "precision": "recall"}
    assert there.keys() == back.keys()
    for name, value in there.items():
        assert back[(*name[:-1], exchanged.get(name[-1], name[-1]))] == pytest.approx(value), name
    assert 0 < there["mentions", "f1"] < 100 and 0 < there["pooled", "conll"] < 100


def test_the_agreement_of_two_texts_is_worked_out_by_hand() -> None:
    he, it = mention("He", "0"), mention("it", "1")
    man, dog = mention("A man", "0", LEFT), mention("a dog", "1", RIGHT)
    last = mention("it", "1", after=32)
    one = annotated(man, dog, he, it)
    # The second one takes the dog's pronoun for the man, and has a mention more; the boxes of the
    # man are the same, those of the dog do not meet.
    other = annotated(man, replace(dog, boxes_xyxy=(LEFT,)), he, replace(it, chain="0"), last)
    found = agreement(one, other)
    assert (found.mentions, found.boxes) == ((4, 5, 4), (2, 2, 1))
    scores = values(found)
    assert scores["mentions", "recall"] == 100 and scores["mentions", "precision"] == 80
    assert scores["boxes", "f1"] == 50
    # Links of the first: man-he, dog-it; of the second: man-he-it, dog-it.
    assert scores["pooled", "muc", "recall"] == 50
    assert scores["pooled", "muc", "precision"] == pytest.approx(100 / 3)


def test_white_space_at_the_ends_of_a_span_is_no_difference() -> None:
    he, man = mention("He", "0"), mention("A man", "0")
    wide = replace(he, end=he.end + 1, phrase="He ")
    assert agreement(annotated(man, he), annotated(man, wide)).mentions == (2, 2, 2)


def test_a_span_that_is_labelled_again_counts_once() -> None:
    he, man = mention("He", "0"), mention("A man", "0")
    again = annotated(man, he, replace(he, chain="1"), replace(he, chain="2"))
    found = agreement(again, annotated(man, he))
    assert found.repeats == (1, 0) and found.mentions == (2, 2, 2)
    assert list(values(found).values()) == pytest.approx([100] * len(found.scores))
    assert "labelled again, which count once: 1 of the first, 0 of the second" in found.format()


def test_a_span_that_is_labelled_again_has_the_boxes_of_the_first_of_its_chains() -> None:
    he, man = mention("He", "0", LEFT), mention("A man", "0", LEFT)
    # The chain of "A man" begins first, though "He" is labelled as another one before.
    again = annotated(man, mention("He", "1", RIGHT), he)
    found = agreement(again, annotated(man, he))
    assert found.boxes == (2, 2, 2)
    assert list(values(found).values()) == pytest.approx([100] * len(found.scores))


def test_each_box_is_in_one_pair_at_most() -> None:
    near = (0.0, 0.0, 0.4, 0.41)
    one = annotated(mention("A man", "0", LEFT, near), mention("He", "0"))
    other = annotated(mention("A man", "0", LEFT), mention("He", "0", RIGHT))
    # "He" has a box on one side alone.
    assert agreement(one, other).boxes == (2, 1, 1)


def test_scores_of_few_texts_are_named() -> None:
    man, he = mention("A man", "0"), mention("He", "0")
    texts = [annotated(man, he, name=str(number)) for number in range(29)]
    texts.append(annotated(replace(man, boxes_xyxy=(LEFT,)), he, name="29"))
    one = {name: narration for text in texts for name, narration in text.items()}
    found = agreement(one, one)
    assert found.format().endswith("intervals too narrow, for boxes (1)")
    few = found.to_json()["few_documents_of"]
    assert few == ["boxes.recall", "boxes.precision", "boxes.f1"]


def test_what_one_has_annotated_alone_is_counted_and_not_scored() -> None:
    he, man = mention("He", "0"), mention("A man", "0")
    both = annotated(man, he)
    one = both | annotated(he, name="2") | annotated(he, name="3")
    other = both | annotated(man, name="4")
    found = agreement(one, other)
    assert (found.documents, found.only_first, found.only_second) == (1, 2, 1)
    assert values(found) == values(agreement(both, both))
    assert (
        "1 texts annotated by both (2 by the first alone, 1 by the second alone" in found.format()
    )
    assert measure_agreement(both, annotated(he, name="2"), ("ann", "bo")) is None


def test_what_nobody_has_labelled_is_not_scored() -> None:
    empty = annotated()
    found = agreement(empty, empty)
    assert not found.scores
    assert "-" in found.format() and "nan" not in found.format()
    content: dict[str, Any] = found.to_json()
    assert content["scores"] == {} and content["documents"] == 1
    alone = annotated(mention("He", "0"))
    known = {name[:2] for name in agreement(alone, alone).scores}
    assert ("pooled", "muc") not in known and ("pooled", "b3") in known


def test_other_texts_are_refused() -> None:
    other = annotated(text=TEXT.replace("dog", "cat"))
    with pytest.raises(InputError, match="1: ann and bo: the texts differ at character 14: found "):
        agreement(annotated(), other)
    longer = annotated(text=TEXT + " So.")
    with pytest.raises(InputError, match="differ at character 44: found '' and ' So.'"):
        agreement(annotated(), longer)
