"""Pseudo-labels and the losses against them."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from data.narration import NO_REGION
from models.coreference_model import Output
from tests.support import tiny
from training import losses
from training.batches import BatchPair
from training.gradients import backward, pseudo_label
from training.objective import Objective, count_terms, make_micro_batch
from training.optimization import PseudoSchedule
from training.pseudo_label_quality import measure_pseudo_labels
from training.pseudo_labels import (
    PseudoLabels,
    make_pseudo_labels,
    propagate,
)
from training.teacher import make_teacher
from utils.batch import Batch

# The tiny model finds all mentions much alike and no region outstanding: between these it has
# pseudo-labels of every kind.
POSITIVE, NEGATIVE, REGION = 0.993, 0.99, 0.142
LOOSE = {
    "pseudo_positive_above": POSITIVE,
    "pseudo_negative_below": NEGATIVE,
    "pseudo_region_above": REGION,
}


def labels_of(
    output: Output,
    batch: Batch,
    *,
    positive_above: float = POSITIVE,
    negative_below: float = NEGATIVE,
    region_above: float = REGION,
    propagation_steps: int = 1,
) -> PseudoLabels:
    """Pseudo-labels with thresholds between which there are some."""
    return make_pseudo_labels(
        output,
        batch,
        positive_above=positive_above,
        negative_below=negative_below,
        region_above=region_above,
        propagation_steps=propagation_steps,
    )


@pytest.fixture(scope="module")
def batch() -> Batch:
    return tiny.batch(tiny.examples(masked=True))


@pytest.fixture(scope="module")
def output(batch: Batch) -> Output:
    with torch.inference_mode():
        return tiny.tiny_model()(batch)


def test_pseudo_labels_are_their_definition(output: Output, batch: Batch) -> None:
    labels = labels_of(output, batch)
    similarity = output.mention_similarity
    attention = output.region_log_attention.exp()
    found = 0
    for row, mentions in enumerate(batch.mention_mask.sum(dim=1).tolist()):
        for m in range(batch.mention_mask.shape[1]):
            for n in range(batch.mention_mask.shape[1]):
                real = m != n and m < mentions and n < mentions
                s = float(similarity[row, m, n])
                assert bool(labels.positives[row, m, n]) == (real and s > POSITIVE)
                assert bool(labels.negatives[row, m, n]) == (real and s < NEGATIVE)
                found += real and s > POSITIVE
            best = float(attention[row, m].max())
            sure = m < mentions and batch.region_mask[row].any() and best > REGION
            expected = int(attention[row, m].argmax()) if sure else NO_REGION
            assert int(labels.regions[row, m]) == expected
    assert found and (labels.regions != NO_REGION).any()


def test_a_chain_is_passed_on_over_as_many_links_as_there_are_steps() -> None:
    links = torch.zeros(1, 5, 5, dtype=torch.bool)
    for m in range(3):  # 0 - 1 - 2 - 3, and 4 alone
        links[0, m, m + 1] = links[0, m + 1, m] = True
    for steps in (1, 2, 3, 9):
        reached = propagate(links, steps)[0]
        for m in range(5):
            for n in range(5):
                joined = 4 not in (m, n) and abs(m - n) <= steps
                assert m == n or bool(reached[m, n]) == joined
    torch.testing.assert_close(propagate(links, 1), links)


def test_a_path_does_not_overrule_a_negative(batch: Batch, output: Output) -> None:
    """0 is like 1 and 1 like 2, but 0 and 2 are unlike."""
    vectors = torch.zeros_like(output.fused_mentions)
    angles = torch.tensor([0.0, 0.7, 1.4])
    vectors[0, :3, 0], vectors[0, :3, 1] = angles.cos(), angles.sin()
    labels = labels_of(
        dataclasses.replace(output, fused_mentions=vectors),
        batch, positive_above=0.7, negative_below=0.5, propagation_steps=3,
    )  # fmt: skip
    assert labels.positives[0, 0, 1] and labels.positives[0, 1, 2]
    assert labels.negatives[0, 0, 2] and not labels.positives[0, 0, 2]


def test_pseudo_coreference_is_its_formula(output: Output, batch: Batch) -> None:
    labels = labels_of(output, batch)
    term = losses.pseudo_coreference(labels)
    expected = count = 0.0
    for row in range(len(batch)):
        unit = F.normalize(output.fused_mentions[row], dim=-1)
        for m in range(len(unit)):
            positives, negatives = labels.positives[row, m], labels.negatives[row, m]
            if positives.any() and negatives.any():
                near = (unit[m] - unit[positives].mean(dim=0)).square().sum()
                far = (unit[m] - unit[negatives].mean(dim=0)).square().sum()
                expected += max(0.0, float(near - far + 1))
                count += 1
    assert count > 2
    assert term.count.item() == count
    assert term.total(output).item() == pytest.approx(expected, rel=1e-4)


def test_pseudo_grounding_is_its_formula(output: Output, batch: Batch) -> None:
    labels = labels_of(output, batch)
    term = losses.pseudo_grounding(batch, labels)
    expected = [
        -float(output.region_log_attention[row, m, labels.regions[row, m]])
        for row, m in (labels.regions != NO_REGION).nonzero().tolist()
    ]
    assert term.count.item() == len(expected) > 0
    assert term.total(output).item() == pytest.approx(sum(expected), rel=1e-4)


@pytest.mark.parametrize("masked", [False, True])
def test_pseudo_losses_teach_the_student_and_not_the_teacher(masked: bool) -> None:
    config = tiny.tiny_config(use_pseudo_labels=True, mlm_probability=0.3 * masked, **LOOSE)
    student = tiny.tiny_model()
    teacher = make_teacher(student, 0.999)
    batch = tiny.batch(tiny.examples(masked))
    labels = pseudo_label(teacher.module, batch, config)
    student.train()
    output = student(batch)
    for term in (losses.pseudo_coreference(labels), losses.pseudo_grounding(batch, labels)):
        student.zero_grad()
        (term.total(output) / term.count).backward(retain_graph=True)
        assert max(p.grad.abs().max() for p in student.parameters() if p.grad is not None) > 1e-4
    assert all(p.grad is None for p in teacher.parameters())


def test_pseudo_labels_come_from_clean_text_without_dropout() -> None:
    config = tiny.tiny_config(dropout=0.5, **LOOSE)
    model = tiny.tiny_model(dropout=0.5).train()
    masked, clean = tiny.batch(tiny.examples(masked=True)), tiny.batch(tiny.examples())
    first, second = pseudo_label(model, masked, config), pseudo_label(model, clean, config)
    for field in dataclasses.fields(PseudoLabels):
        assert torch.equal(getattr(first, field.name), getattr(second, field.name))


@pytest.mark.parametrize("kept", [[], ["it"], ["it", "a tree"]])
def test_no_loss_is_nan_where_there_is_nothing_to_learn_from(kept: list[str]) -> None:
    """No mention, one mention, no regions, and no pseudo-label that is sure."""
    text = tiny.narration("it is a tree", [(phrase, "1") for phrase in kept])
    batch = tiny.batch([tiny.example(text, None, masked=True)])
    config = tiny.tiny_config(pseudo_positive_above=1.0, pseudo_negative_below=-1.0)
    model = tiny.tiny_model()
    terms = backward(Objective(model, config), model, [BatchPair(batch, batch)], 1.0, config)
    assert all(term.isfinite().all() for term in terms.values())
    assert terms["pseudo_coreference"].tolist() == [0, 0]
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_a_step_weighs_the_means_over_both_of_its_batches() -> None:
    config = tiny.tiny_config(
        use_pseudo_labels=True, coreference_weight=2.0, pseudo_grounding_weight=3.0, **LOOSE
    )
    model = tiny.tiny_model()
    labelled = tiny.batch(tiny.examples(masked=True)[:2])
    unlabelled = tiny.batch(tiny.examples(masked=True)[1:])
    objective = Objective(model, config)
    micro_batch = make_micro_batch(
        labelled, unlabelled, pseudo_label(model, unlabelled, config), config
    )
    counts = count_terms([micro_batch])
    loss, totals = objective(micro_batch, counts, 0.5)
    means = {name: float(total / counts[name]) for name, total in totals.items()}
    weights = dict.fromkeys(means, 1.0) | {"coreference": 2.0}
    weights |= {"pseudo_coreference": 0.5, "pseudo_grounding": 1.5}
    assert loss.item() == pytest.approx(sum(weights[name] * means[name] for name in means))
    alone = objective(make_micro_batch(labelled, None, None, config), counts, 0.0)[1]
    other = objective(make_micro_batch(None, unlabelled, None, config), counts, 0.0)[1]
    torch.testing.assert_close(
        totals["masked_words"], alone["masked_words"] + other["masked_words"]
    )
    torch.testing.assert_close(totals["coreference"], alone["coreference"])


def test_pseudo_labels_count_from_their_start_and_ever_more() -> None:
    schedule = PseudoSchedule(ramp_steps=4)
    assert [schedule.next_weight() for _ in range(3)] == [0, 0, 0]
    schedule.start()
    assert [schedule.next_weight() for _ in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    schedule.start()
    assert schedule.next_weight() == 1


def test_quality_is_measured_against_the_truth_where_there_is_one(batch: Batch) -> None:
    config = tiny.tiny_config(**LOOSE)
    model = tiny.tiny_model()
    labels = pseudo_label(model, batch, config)
    same = batch.chains[:, :, None] == batch.chains[:, None, :]
    right = float((labels.positives & same).sum() / labels.positives.sum())
    quality = measure_pseudo_labels(model, [batch, batch], config)
    assert quality.precision == pytest.approx(right)
    assert quality.region_precision is not None and 0 < quality.coverage <= 1
    unknown = dataclasses.replace(
        batch,
        chains=torch.full_like(batch.chains, -1),
        gold_box_mask=torch.zeros_like(batch.gold_box_mask),
    )
    without = measure_pseudo_labels(model, [unknown], config)
    assert without.precision is without.negative_precision is without.region_precision is None
    assert (without.coverage, without.region_coverage) == (
        quality.coverage,
        quality.region_coverage,
    )
