"""Texts of any length: mentions are compared and looked at as far away as the reach."""

from __future__ import annotations

import itertools

import pytest
import torch

from data.encoding.example import Example
from models import antecedent_head
from models.antecedent_head import AntecedentHead
from models.attention import Attention
from models.coreference_model import CoreferenceModel, Output
from tests.support import tiny
from tests.support.present import present
from training import losses
from utils.batch import Batch

HEADS = ("cosine", "antecedent")


def long_example(mentions: int, regions: int = 0) -> Example:
    """A text that has so many mentions, of some words and chains."""
    words = [w for w, _ in zip(itertools.cycle(("he", "a dog", "the man", "it")), range(mentions))]
    phrases = [(phrase, str(number % 3)) for number, phrase in enumerate(words)]
    narration = tiny.narration(" and ".join(words) + ".", phrases)
    return tiny.example(narration, tiny.regions(regions, 1) if regions else None)


def run(model: CoreferenceModel, *examples: Example) -> tuple[Output, Batch]:
    batch = tiny.batch(examples)
    with torch.inference_mode():
        return model(batch), batch


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("regions", [0, 5])
def test_a_text_within_the_reach_has_the_answer_of_a_model_without_one(
    head: str, regions: int
) -> None:
    near = tiny.tiny_model(coreference_head=head, mention_reach=11)
    far = tiny.tiny_model(coreference_head=head, mention_reach=10_000)
    for mentions in (1, 2, 11, 12):
        example = long_example(mentions, regions)
        (first, _), (second, _) = run(near, example), run(far, example)
        assert first.link_scores.shape == (1, mentions, mentions - 1)
        for name in ("fused_mentions", "link_scores", "mention_similarity", "box_deltas"):
            one, other = getattr(first, name), getattr(second, name)
            torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("reach", [1, 4, 9])
def test_the_answer_of_a_text_does_not_depend_on_longer_ones_beside_it(
    head: str, reach: int
) -> None:
    model = tiny.tiny_model(coreference_head=head, mention_reach=reach)
    examples = [long_example(3, 4), long_example(25), long_example(0), long_example(10, 2)]
    output, batch = run(model, *examples)
    for row, example in enumerate(examples):
        alone, _ = run(model, example)
        count = int(batch.mention_mask[row].sum())
        kept = alone.link_scores.shape[2]
        together = output.link_scores[row, :count, output.link_scores.shape[2] - kept :]
        torch.testing.assert_close(together, alone.link_scores[0], rtol=0, atol=1e-5)
        fused = output.fused_mentions[row, :count]
        torch.testing.assert_close(fused, alone.fused_mentions[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_what_is_out_of_reach_changes_nothing(head: str) -> None:
    """With one layer of fusion, links of the first mentions depend on those near them alone."""
    model = tiny.tiny_model(coreference_head=head, mention_reach=4, fusion_layers=1)
    batch = tiny.batch([long_example(20)])
    spans = batch.mention_spans.clone()
    spans[:, 15:] = spans[:, :5]
    with torch.inference_mode():
        vectors = model(batch).link_scores, model(_with_spans(batch, spans)).link_scores
    torch.testing.assert_close(vectors[0][:, :11], vectors[1][:, :11])
    assert not torch.allclose(vectors[0][:, 15:], vectors[1][:, 15:], atol=1e-4)


def _with_spans(batch: Batch, spans: torch.Tensor) -> Batch:
    return Batch(**{**vars(batch), "mention_spans": spans})


@pytest.mark.parametrize("reach", [1, 2, 3, 7, 12])
def test_attention_to_near_ones_is_that_of_each_to_those_near_it(reach: int) -> None:
    torch.manual_seed(0)
    attention = Attention(8, heads=2, attention_dropout=0.0).eval()
    vectors, mask = torch.randn(2, 13, 8), torch.ones(2, 13, dtype=torch.bool)
    mask[1, 5:] = False
    attended = attention.among_near(vectors, mask, reach)
    assert attended.isfinite().all()
    for row, place in itertools.product(range(2), range(13)):
        if mask[row, place]:
            near = slice(max(place - reach, 0), place + reach + 1)
            keys, real = vectors[row, None, near], mask[row, None, near]
            alone = attention(vectors[row, None, place : place + 1], keys, real)
            torch.testing.assert_close(attended[row, place], alone[0, 0])


def test_a_ranking_is_the_same_in_parts_and_with_a_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny.tiny_model(coreference_head="antecedent", mention_reach=6)
    batch = tiny.batch([long_example(17), long_example(9)])
    whole = present(model(batch).antecedent_log_probabilities)
    for pairs in (1, 30, 10_000):
        monkeypatch.setattr(antecedent_head, "_PAIRS_AT_ONCE", pairs)
        with torch.inference_mode():
            parts = present(model(batch).antecedent_log_probabilities)
        torch.testing.assert_close(whole, parts)


def test_a_nearer_reach_leaves_the_odds_of_what_it_holds_as_they_are() -> None:
    head = present(tiny.tiny_model(coreference_head="antecedent").antecedent_head)
    assert isinstance(head, AntecedentHead)
    batch = tiny.batch([long_example(14)])
    vectors = torch.randn(1, 14, 16, generator=torch.Generator().manual_seed(0))
    features = present(batch.mention_features)
    with torch.inference_mode():
        far = head(vectors, batch.mention_mask, features, 13)
        near = head(vectors, batch.mention_mask, features, 3)
    odds = [ranked[..., -3:] - ranked[..., :1] for ranked in (far, near)]
    torch.testing.assert_close(odds[0], odds[1])


def test_a_mention_with_antecedents_out_of_reach_alone_begins_an_entity() -> None:
    model = tiny.tiny_model(coreference_head="antecedent", mention_reach=2)
    output, batch = run(model, long_example(6))
    term = losses.antecedent_likelihood(batch)
    assert term.count == 6  # each chain has every third mention, which no reach of 2 holds
    begins = present(output.antecedent_log_probabilities)[0, :, 0]
    torch.testing.assert_close(term.total(output), -begins.sum())


def test_a_training_may_have_more_mentions_than_the_reach() -> None:
    for head in HEADS:
        model = tiny.tiny_model(coreference_head=head, mention_reach=3)
        output = model(tiny.batch([long_example(12, 4)]))
        total = output.link_scores.sum() if head == "cosine" else output.fused_mentions.sum()
        total.backward()
        assert output.mention_similarity.shape == (1, 12, 12)
        for name, parameter in model.fusion.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
