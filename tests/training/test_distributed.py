"""Ranks, and batches one after the other, give what one rank gives with one batch of all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.multiprocessing import spawn

from data.encoding.example import Masking
from data.loading.dataset import NarrationDataset
from data.loading.loader import make_loader
from data.loading.samplers import EndlessBatches
from data.narration import NO_REGION, Narration, Regions, counted_mentions
from data.regions.store import RegionStore
from evaluation.validation import evaluate
from inference.resolver import Resolver
from inference.split_predictions import resolve_on_all_ranks
from tests.support import tiny
from training.batches import TrainingBatches
from training.gradients import backward
from training.objective import Objective
from training.train_state import TrainState
from training.trainer import Trainer
from utils.checkpointing.run_folder import RunFolder
from utils.config import Config
from utils.distributed.preemption import StopRequests
from utils.distributed.ranks import (
    broadcast_object,
    gather_objects,
    gather_padded,
    interleave,
    process_group,
    rank,
    share_of,
    sum_over_ranks,
    world_size,
    wrapped_for_ranks,
)
from utils.thresholds import Thresholds

CPU = torch.device("cpu")
RANKS = 2
BATCH = 2  # of each rank
LOSSES = {
    "coreference", "grounding", "box", "masked_words", "image_text", "pseudo_coreference",
    "pseudo_grounding", "mention_detection", "alignment",
}  # fmt: skip
# What is learned from several narrations held against each other has no weight.
UNCONTRASTED = {"image_text_weight": 0.0, "alignment_weight": 0.0}
PSEUDO = {
    "use_pseudo_labels": True,
    "pseudo_positive_above": 0.993,
    "pseudo_negative_below": 0.99,
    "pseudo_region_above": 0.142,
}


class Store(RegionStore):
    """Stands for a region store: random regions, none for the last image."""

    def __init__(self) -> None:
        self.feature_size = tiny.FEATURE_SIZE

    def read(self, image_id: str, image_size: object) -> Regions:
        number = int(image_id)
        return tiny.regions(0 if number == 4 else 3 + number, number)


def narrations() -> list[Narration]:
    """Five narrations that differ in length, mentions and regions; one has no mention."""
    phrases = [
        [("a man", "1"), ("his dog", "2"), ("his", "1"), ("it", "2")],
        [("a man", "1"), ("the dog", "2"), ("he", "1")],
        [("a woman", "1"), ("she", "1")],
        [],
        [("it", "1"), ("a tree", "2"), ("it", "1")],
    ]
    texts = ["a man and his dog, it on the tree in blue", "a man, the dog, he on it",
             "a woman in a shirt, she on it", "the tree", "it and a tree and it"]  # fmt: skip
    boxes = [[[(0.1, 0.1, 0.6, 0.7)]] * len(of_text) for of_text in phrases]
    shown = [{"1": 0, "2": 2}, {"1": 1, "2": NO_REGION}, {"1": 2}, {}, {"2": NO_REGION}]
    people: list[list[str | None]] = [["Ann"], [None, "Ann"], [None, None, "Bob"], [], []]
    return [
        tiny.showing(tiny.narration(text, of_text, box, str(number)), regions, names)
        for number, (text, of_text, box, regions, names) in enumerate(
            zip(texts, phrases, boxes, shown, people, strict=True)
        )
    ]


def tiny_run(**values: object) -> tuple[Config, Objective]:
    """A model without dropout, in training mode."""
    defaults = {"dropout": 0.0, "attention_dropout": 0.0, "lr": 1e-3, "mention_detection": True}
    values = {**defaults, "alignment": "chain", **PSEUDO, **values}
    config = tiny.tiny_config(**values)
    return config, Objective(tiny.tiny_model(**values).train(), config)


def batches(config: Config) -> TrainingBatches:
    """This rank's; the labelled and the unlabelled ones are of the same narrations."""
    encoder = tiny.encoder(
        masking=Masking(config.mlm_probability, 3), max_mention_pieces=config.max_mention_pieces
    )
    dataset = NarrationDataset(narrations(), Store(), encoder)
    keys = [
        EndlessBatches(len(dataset), config.batch, seed, rank(), world_size(), config.accumulation)
        for seed in (1, 2)
    ]
    labelled, unlabelled = (make_loader(dataset, of_seed, 0, CPU) for of_seed in keys)
    loaders = {"labelled": labelled, "unlabelled": unlabelled}
    return TrainingBatches(loaders, steps_per_epoch=20, accumulation=config.accumulation)


def one_step(**values: object) -> dict[str, Any]:
    """The losses and the gradients of the first step, of a run that the values configure."""
    config, objective = tiny_run(**values)
    step, model = batches(config).next(CPU), objective.model
    terms = backward(wrapped_for_ranks(objective), model, step, 0.7, config)
    gradients = {n: p.grad for n, p in objective.named_parameters() if p.grad is not None}
    return {"terms": terms, "gradients": {n: g.clone() for n, g in gradients.items()}}


def resolved() -> dict[str, Any]:
    """What evaluation and resolving give, on the ranks together."""
    config, objective = tiny_run()
    resolver = Resolver(objective.model, tiny.tokenizer(), config, Thresholds(0.993))
    counted = counted_mentions(narrations())
    evaluation = evaluate(resolver, narrations(), Store(), counted=counted)
    found = resolve_on_all_ranks(resolver, narrations(), Store(), batch=2)
    chains = None if found is None else [(r.narration.id, r.chains) for r in found]
    return {
        "scores": dict(evaluation.scores),
        "floor": evaluation.floor,
        "mention_threshold": evaluation.thresholds.mention,
        "head_threshold": evaluation.thresholds.head,
        "chains": chains,
    }


def work(number: int, folder: str, port: int) -> None:
    """What each rank does: everything that the tests compare."""
    os.environ |= {
        "RANK": str(number), "WORLD_SIZE": str(RANKS), "LOCAL_RANK": str(number),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    torch.set_num_threads(1)
    with process_group(CPU):
        print("only the first rank says this")
        found: dict[str, Any] = {"step": one_step(batch=BATCH)}
        found["accumulated"] = one_step(batch=BATCH // 2, accumulation=2, **UNCONTRASTED)
        found["resolved"] = resolved()
        found["sum"] = sum_over_ranks(torch.tensor([number + 1.0]))
        found["padded"] = gather_padded(torch.ones(number + 1, 2))
        found["gathered"] = gather_objects(f"of {number}")
        found["broadcast"] = broadcast_object(f"of {number}")
        found["share"] = list(share_of(range(5)))
        torch.manual_seed(number)
        config, objective = tiny_run(batch=BATCH, dropout=0.1, use_ema=True, ema_decay=0.999)
        state = TrainState(objective.model, config, 20)
        state.pseudo_schedule.start()
        steps, run = batches(config), RunFolder(Path(folder) / "run")
        trainer = Trainer(config, state, steps, run, StopRequests(), save_steps=20)
        for _ in range(20):
            trainer.train_step(steps.next(CPU))
        found["trained"] = state.model.state_dict()
        found["teacher"] = state.averaged.state_dict()
    torch.save(found, Path(folder) / f"{number}.pt")


@pytest.fixture(scope="module")
def of_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the two ranks found."""
    folder = tmp_path_factory.mktemp("ranks")
    # Made here: the ranks would each make their own.
    os.environ["TINY_ENCODER"] = tiny.encoder_folder()
    spawn(work, (str(folder), 29531), nprocs=RANKS)
    return [torch.load(folder / f"{number}.pt", weights_only=True) for number in range(RANKS)]


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    """What one rank finds with one batch of all."""
    step = one_step(batch=BATCH * RANKS)
    uncontrasted = one_step(batch=BATCH * RANKS, **UNCONTRASTED)
    return {"step": step, "uncontrasted": uncontrasted, "resolved": resolved()}


def assert_same_step(found: dict[str, Any], expected: dict[str, Any], losses: set[str]) -> None:
    """The same gradients, and the same losses of these names."""
    for kind, names in (("terms", losses), ("gradients", set(expected["gradients"]))):
        assert names <= set(found[kind])
        for name in names:
            torch.testing.assert_close(
                found[kind][name], expected[kind][name], rtol=1e-5, atol=1e-5, msg=name
            )


def test_losses_and_gradients_are_those_of_one_rank(
    of_ranks: list[dict[str, Any]], alone: dict[str, Any]
) -> None:
    expected = alone["step"]
    assert set(expected["terms"]) == LOSSES
    assert all(count > 0 for _, count in expected["terms"].values())
    for found in of_ranks:
        assert_same_step(found["step"], expected, LOSSES)


def test_batches_one_after_the_other_have_the_gradients_of_one(
    of_ranks: list[dict[str, Any]], alone: dict[str, Any]
) -> None:
    """But for the contrasts, each of which is of one batch."""
    for found in (
        one_step(batch=2, accumulation=2, **UNCONTRASTED),
        one_step(batch=1, accumulation=4, **UNCONTRASTED),
        *(of_rank["accumulated"] for of_rank in of_ranks),
    ):
        assert_same_step(found, alone["uncontrasted"], LOSSES - {"image_text", "alignment"})


def test_ranks_stay_alike(of_ranks: list[dict[str, Any]]) -> None:
    _, untrained = tiny_run()
    for kind in ("trained", "teacher"):
        first, second = (found[kind] for found in of_ranks)
        for name, weight in first.items():
            assert torch.equal(weight, second[name]), name
        start = untrained.model.state_dict()
        assert not all(torch.equal(weight, start[name]) for name, weight in first.items())


def test_evaluation_is_that_of_one_rank(
    of_ranks: list[dict[str, Any]], alone: dict[str, Any]
) -> None:
    """Five narrations on two ranks."""
    first, second = (found["resolved"] for found in of_ranks)
    assert first["chains"] == alone["resolved"]["chains"]
    assert [name for name, _ in first["chains"]] == ["0", "1", "2", "3", "4"]
    assert second["chains"] is None
    for found in (first, second):
        assert found["scores"] == pytest.approx(alone["resolved"]["scores"])
        assert found["floor"] == pytest.approx(alone["resolved"]["floor"])
        assert found["mention_threshold"] == alone["resolved"]["mention_threshold"]
        assert found["head_threshold"] == alone["resolved"]["head_threshold"] is not None


def test_ranks_exchange_what_they_have(of_ranks: list[dict[str, Any]]) -> None:
    first, second = of_ranks
    assert first["sum"].tolist() == second["sum"].tolist() == [3]
    for found in of_ranks:
        assert [part.tolist() for part in found["padded"]] == [[[1, 1], [0, 0]], [[1, 1], [1, 1]]]
        assert found["broadcast"] == "of 0"
    assert first["gathered"] == ["of 0", "of 1"] and second["gathered"] is None
    assert interleave([first["share"], second["share"]]) == list(range(5))


def test_one_process_needs_no_group() -> None:
    with process_group(CPU):
        assert (rank(), world_size()) == (0, 1)
        assert gather_objects("mine") == ["mine"] and broadcast_object("mine") == "mine"
        assert share_of([1, 2, 3]) == [1, 2, 3]
        torch.testing.assert_close(sum_over_ranks(torch.ones(2)), torch.ones(2))
