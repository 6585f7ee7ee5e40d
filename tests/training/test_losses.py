"""The losses against their definitions, written out one mention at a time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from models.coreference_model import CoreferenceModel, Output
from tests.support import tiny
from training import losses
from utils.batch import Batch
from utils.boxes import encode_deltas, pairwise_iou

TERMS: dict[str, Callable[[Batch], losses.Term]] = {
    "con": lambda batch: losses.contrastive_coreference(batch, 0.1),
    "fro": losses.frobenius_coreference,
    "sigmoid": losses.sigmoid_coreference,
    "grounding": losses.grounding,
    "box": losses.box_regression,
    "masked_words": losses.masked_words,
    "image_text": lambda batch: losses.image_text_contrast(batch, 0.07),
    "trace": losses.trace_agreement,
    "antecedent": losses.antecedent_likelihood,
    "mention": lambda batch: losses.alignment(batch, 0.1, by_chain=False),
    "chain": lambda batch: losses.alignment(batch, 0.1, by_chain=True),
}
ALIGNED = ("mention", "chain")
# Terms that look at one narration at a time; the others compare those of a batch.
OF_ONE_NARRATION = sorted(set(TERMS) - {"image_text", *ALIGNED})


@pytest.fixture(scope="module")
def batch() -> Batch:
    return tiny.batch(tiny.examples(masked=True))


@pytest.fixture(scope="module")
def output(batch: Batch) -> Output:
    with torch.inference_mode():
        return tiny.tiny_model()(batch)


def model_of(name: str) -> CoreferenceModel:
    """The model whose term it is."""
    return tiny.tiny_model(
        coreference_head=name if name == "antecedent" else "cosine",
        alignment=name if name in ALIGNED else "off",
    )


def value(name: str, output: Output, batch: Batch) -> tuple[float, float]:
    term = TERMS[name](batch)
    return term.total(output).item(), term.count.item()


def assert_close(found: tuple[float, float], total: float, count: float, rel: float = 1e-4) -> None:
    """The total but for rounding, and the same count."""
    assert found[0] == pytest.approx(total, rel=rel)
    assert found[1] == count


@pytest.mark.parametrize("name", OF_ONE_NARRATION)
def test_a_term_of_a_batch_is_the_sum_of_its_narrations(name: str) -> None:
    model = model_of(name)
    examples = tiny.examples(masked=True)
    with torch.no_grad():
        together = tiny.batch(examples)
        total, count = value(name, model(together), together)
        alone = [tiny.batch([example]) for example in examples]
        parts = [value(name, model(one), one) for one in alone]
    assert count == sum(part[1] for part in parts) > 0
    assert total == pytest.approx(sum(part[0] for part in parts), rel=1e-4)


@pytest.mark.parametrize("name", sorted(TERMS))
def test_padding_changes_no_term(name: str) -> None:
    model = model_of(name)
    batch = tiny.batch(tiny.examples(masked=True))
    more = tiny.padded(batch, words=0)
    with torch.no_grad():
        first, second = value(name, model(batch), batch), value(name, model(more), more)
    assert first == pytest.approx(second, rel=1e-4)


@pytest.mark.parametrize("name", sorted(TERMS))
@pytest.mark.parametrize("kept", [[], ["it"], ["it", "a tree"]])
def test_no_term_is_nan_for_few_mentions_and_no_regions(name: str, kept: list[str]) -> None:
    text = tiny.narration("it is a tree", [(phrase, "1") for phrase in kept])
    batch = tiny.batch([tiny.example(text, None, masked=True, trace=tiny.trace(text, 0))])
    model = model_of(name)
    total = TERMS[name](batch).total(model(batch))
    total.backward()
    assert total.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", sorted(TERMS))
def test_every_term_has_a_gradient(name: str) -> None:
    model = model_of(name)
    batch = tiny.batch(tiny.examples(masked=True))
    term = TERMS[name](batch)
    (term.total(model(batch)) / term.count).backward()
    assert max(p.grad.abs().max() for p in model.parameters() if p.grad is not None) > 1e-6


def test_contrastive_coreference_is_its_formula(output: Output, batch: Batch) -> None:
    expected, mentions = 0.0, 0
    for row in range(len(batch)):
        real = int(batch.mention_mask[row].sum())
        similarity = output.mention_similarity[row][:real, :real] / 0.1
        chains = batch.chains[row][:real]
        for m in range(real):
            logs = similarity[m].log_softmax(dim=0)
            chain = [n for n in range(real) if chains[n] == chains[m]]
            expected -= sum(float(logs[n]) for n in chain) / len(chain)
            mentions += 1
    assert_close(value("con", output, batch), expected, mentions)


def test_contrastive_coreference_pushes_a_singleton_from_the_others() -> None:
    """Two mentions in two chains: the loss falls as they move apart."""
    batch = tiny.batch([tiny.example(tiny.narration("he, she", [("he", "1"), ("she", "2")]), None)])
    output = tiny.tiny_model()(batch)
    close = dataclasses.replace(output, fused_mentions=torch.tensor([[[1.0, 0.0], [1.0, 0.1]]]))
    apart = dataclasses.replace(output, fused_mentions=torch.tensor([[[1.0, 0.0], [-1.0, 0.1]]]))
    assert value("con", apart, batch)[0] < value("con", close, batch)[0] - 1


def test_unknown_chains_take_no_part(output: Output, batch: Batch) -> None:
    unknown = dataclasses.replace(batch, chains=torch.full_like(batch.chains, -1))
    for name in ("con", "fro", "sigmoid"):
        assert value(name, output, unknown) == (0, 0)


def test_frobenius_is_the_distance_of_the_matrices(output: Output, batch: Batch) -> None:
    expected = 0.0
    for row in range(len(batch)):
        real = int(batch.mention_mask[row].sum())
        chains = batch.chains[row][:real]
        same = (chains[:, None] == chains[None]).float()
        expected += float(torch.linalg.norm(output.mention_similarity[row][:real, :real] - same))
    assert_close(value("fro", output, batch), expected, 3)


def test_perfect_similarities_have_no_frobenius_loss(output: Output, batch: Batch) -> None:
    """One direction for each chain: the similarities are the 0/1 matrix itself."""
    directions = F.one_hot(batch.chains.clamp(min=0), 8).float()
    perfect = dataclasses.replace(output, fused_mentions=directions)
    assert value("fro", perfect, batch)[0] == pytest.approx(0, abs=1e-4)


def best_pair(batch: Batch, row: int, mention: int) -> tuple[float, int, int]:
    """IoU, region and gold box of the best pair, by trying all."""
    best = (0.0, 0, 0)
    for gold in range(batch.gold_box_mask.shape[2]):
        for region in range(int(batch.region_mask[row].sum())):
            if batch.gold_box_mask[row, mention, gold]:
                iou = pairwise_iou(
                    batch.gold_boxes_xyxy[row, mention, gold][None],
                    batch.region_boxes_xyxy[row, region][None],
                )
                best = max(best, (float(iou), region, gold), key=lambda pair: pair[0])
    return best


def test_grounding_is_the_cross_entropy_with_the_best_region(output: Output, batch: Batch) -> None:
    expected, count = 0.0, 0
    for row, mention in batch.mention_mask.nonzero().tolist():
        iou, region, _ = best_pair(batch, row, mention)
        if iou > 0:
            expected -= float(output.region_log_attention[row, mention, region])
            count += 1
    assert 0 < count < int(batch.mention_mask.sum())
    assert_close(value("grounding", output, batch), expected, count)


def test_box_regression_is_smooth_l1_of_the_deltas_to_the_best_gold_box() -> None:
    # Regions that lie on gold boxes, moved a little, so that some pairs are refinable.
    example = tiny.examples()[0]
    gold = [m.boxes_xyxy[0] for m in example.narration.mentions[:3]]
    regions = tiny.regions(3, 0)
    boxes = torch.tensor(gold).numpy() * 0.95
    near = dataclasses.replace(regions, boxes_xyxy=boxes)
    batch = tiny.batch([dataclasses.replace(example, regions=near)])
    output = tiny.tiny_model()(batch)
    expected, count = 0.0, 0
    for mention in range(len(example.narration.mentions)):
        iou, region, box = best_pair(batch, 0, mention)
        if iou >= 0.5:
            target = encode_deltas(
                batch.region_boxes_xyxy[0, region], batch.gold_boxes_xyxy[0, mention, box]
            )
            predicted = output.box_deltas[0, mention]
            expected += F.smooth_l1_loss(predicted, target, reduction="sum").item()
            count += 1
    assert count > 0
    assert_close(value("box", output, batch), expected, count)


def test_trace_agreement_is_its_formula(output: Output, batch: Batch) -> None:
    expected, count = 0.0, 0
    for row, mention in batch.trace_mask.nonzero().tolist():
        regions = batch.region_boxes_xyxy[row][batch.region_mask[row]]
        overlaps = [
            float(pairwise_iou(batch.trace_boxes_xyxy[row, mention][None], region[None]))
            for region in regions
        ]
        if overlaps and max(overlaps) > 0:
            attention = output.region_log_attention[row, mention].exp()
            pairs = zip(overlaps, attention, strict=False)
            expected -= math.log(sum(float(p) * iou / max(overlaps) for iou, p in pairs))
            count += 1
    # One narration has no regions, one mention of another no trace.
    assert count == 9 == int(batch.trace_mask.sum()) - 2 == int(batch.mention_mask.sum()) - 3
    assert_close(value("trace", output, batch), expected, count)


def test_attention_on_the_region_that_agrees_best_costs_nothing(
    output: Output, batch: Batch
) -> None:
    """However little that is, and however surely the attention lies elsewhere it is finite."""
    iou = pairwise_iou(batch.trace_boxes_xyxy, batch.region_boxes_xyxy)
    best = iou.masked_fill(~batch.region_mask[:, None], -1).argmax(dim=-1)
    width = batch.region_mask.shape[1]
    for region, cost in ((best, 0), ((best + 1) % 4, None)):
        logits = 1e4 * (F.one_hot(region, width) - 1.0)
        sure = dataclasses.replace(output, region_log_attention=logits)
        total, count = value("trace", sure, batch)
        assert count == 9 and math.isfinite(total)
        assert cost is None or total == pytest.approx(cost, abs=1e-5)


def test_a_mention_without_a_trace_or_far_from_all_regions_gives_no_term(batch: Batch) -> None:
    model = tiny.tiny_model()
    nowhere = batch.trace_boxes_xyxy.clone()
    nowhere[0] = nowhere.new_tensor([0.5, 0.5, 0.5, 0.5])
    far = dataclasses.replace(batch, trace_boxes_xyxy=nowhere)
    term = losses.trace_agreement(far)
    assert term.count == 2  # those of the other narration with regions
    term.total(model(far)).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    unknown = dataclasses.replace(batch, trace_mask=torch.zeros_like(batch.trace_mask))
    assert value("trace", model(unknown), unknown) == (0, 0)


def test_no_padded_region_agrees_with_a_trace(output: Output, batch: Batch) -> None:
    whole_image = torch.tensor([0.0, 0.0, 1.0, 1.0])
    boxes = batch.region_boxes_xyxy.where(batch.region_mask[..., None], whole_image)
    wide = dataclasses.replace(batch, region_boxes_xyxy=boxes)
    assert value("trace", output, wide) == value("trace", output, batch)


def test_the_order_of_regions_does_not_matter_to_the_trace_term(batch: Batch) -> None:
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    names = ("region_features", "region_boxes_xyxy", "region_labels", "region_mask")
    permuted = dataclasses.replace(batch, **{n: getattr(batch, n)[:, order] for n in names})
    model = tiny.tiny_model()
    with torch.no_grad():
        first, second = (value("trace", model(one), one) for one in (batch, permuted))
    assert first == pytest.approx(second, rel=1e-4)


def test_image_text_contrast_is_its_formula(output: Output, batch: Batch) -> None:
    rows = [0, 1]  # the third narration has no regions
    scores = torch.zeros(2, 2)
    for text in rows:
        for image in rows:
            mentions = output.mention_vectors[text][batch.mention_mask[text]]
            regions = output.region_vectors[image][batch.region_mask[image]]
            cosines = F.cosine_similarity(mentions[:, None], regions[None], dim=-1)
            scores[text, image] = cosines.max(dim=1).values.mean() / 0.07
    expected = -(scores.log_softmax(1).trace() + scores.log_softmax(0).trace()) / 2
    assert_close(value("image_text", output, batch), float(expected), 2)


@pytest.mark.parametrize("name", ALIGNED)
def test_alignment_is_its_formula(name: str, batch: Batch) -> None:
    with torch.no_grad():
        output = model_of(name)(batch)
    # Each text: its vector, and its region as (image, region), (-1, -1) where none shows it.
    texts = []
    for row in range(2):  # the third narration says nothing of regions
        chains = batch.chains[row].tolist()
        for mention in torch.nonzero(batch.mention_mask[row])[:, 0].tolist():
            region = int(batch.mention_regions[row, mention])
            alike = [m for m, chain in enumerate(chains) if chain == chains[mention]]
            if region < -1 or (name == "chain" and alike[0] != mention):
                continue
            vectors = output.alignment.mentions[row, alike if name == "chain" else [mention]]
            texts.append((vectors.mean(dim=0), (row, region) if region >= 0 else (-1, -1)))
    ann = {(0, 0), (1, 1)}
    regions = torch.nonzero(batch.region_mask).tolist()
    expected = []
    for vector, shown in texts:
        if shown == (-1, -1):
            continue
        same = ann if shown in ann else {shown}
        others = [tuple(region) for region in regions if tuple(region) not in same]
        candidates = torch.stack([output.alignment.regions[r] for r in [shown, *others]])
        to_regions = F.cosine_similarity(vector[None], candidates) / 0.1
        strangers = [text for text, of_text in texts if of_text not in same]
        own = output.alignment.regions[shown][None]
        to_texts = F.cosine_similarity(torch.stack([vector, *strangers]), own) / 0.1
        expected.append(-(to_regions.log_softmax(0)[0] + to_texts.log_softmax(0)[0]) / 2)
    assert len(expected) == (7 if name == "mention" else 4)
    found = value(name, output, batch)
    assert_close(found, float(sum(expected)), len(expected))


@pytest.mark.parametrize("name", ALIGNED)
def test_the_order_of_regions_does_not_matter_to_the_alignment(name: str, batch: Batch) -> None:
    order = torch.randperm(batch.region_mask.shape[1], generator=torch.Generator().manual_seed(0))
    place = order.argsort()
    regions = batch.mention_regions
    permuted = dataclasses.replace(
        batch,
        region_features=batch.region_features[:, order],
        region_mask=batch.region_mask[:, order],
        region_people=batch.region_people[:, order],
        region_labels=batch.region_labels[:, order],
        region_boxes_xyxy=batch.region_boxes_xyxy[:, order],
        mention_regions=place[regions.clamp(min=0)].where(regions >= 0, regions),
    )
    model = model_of(name)
    with torch.no_grad():
        first, second = (value(name, model(one), one) for one in (batch, permuted))
    assert first == pytest.approx(second, rel=1e-4)


def test_one_narration_has_nothing_to_be_told_from(batch: Batch) -> None:
    one = tiny.batch(tiny.examples()[:1])
    assert value("image_text", tiny.tiny_model()(one), one) == (0, 1)


def test_masked_words_are_scored_at_their_places_alone(output: Output, batch: Batch) -> None:
    masked = batch.masked_words
    assert masked is not None and output.masked_word_logits is not None
    places = masked.positions
    assert (batch.token_ids.flatten()[places] == masked.targets).all()
    changed = (masked.token_ids != batch.token_ids).flatten().nonzero()[:, 0]
    assert set(changed.tolist()) <= set(places.tolist())
    expected = F.cross_entropy(output.masked_word_logits, masked.targets, reduction="sum")
    assert_close(value("masked_words", output, batch), float(expected), len(places), rel=1e-6)
