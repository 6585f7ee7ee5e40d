"""The gradients of one training step: its pseudo-labels, its backward passes and its losses."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.lr_scheduler import LRScheduler

from training.batches import StepBatches
from training.objective import Objective, count_terms, make_micro_batch, sum_by_name
from training.pseudo_labels import PseudoLabels, make_pseudo_labels
from utils.batch import Batch
from utils.config import Config
from utils.distributed.ranks import sum_over_ranks
from utils.errors import InputError


def backward(
    objective: nn.Module,
    labeller: nn.Module,
    batches: StepBatches,
    pseudo_weight: float,
    config: Config,
) -> dict[str, Tensor]:
    """Leave the gradients of a step in the model, the same on every rank.

    Args:
        objective: an `Objective`, wrapped where there are several ranks.
        labeller: makes the pseudo-labels: the averaged model, or the model itself without one.
        batches: of this rank.
        pseudo_weight: what the weights of the pseudo-labels' losses are multiplied by; no
            pseudo-labels are made for 0.

    Returns:
        For each loss by name its sum and count over the step and all ranks, [2].
    """
    model, precision = unwrapped(objective).model, unwrapped(objective).precision
    micro_batches = []
    for pair in batches:
        labels = None
        if pair.unlabelled is not None and pseudo_weight > 0:
            labels = pseudo_label(labeller, pair.unlabelled, config, precision)
        micro_batches.append(make_micro_batch(pair.labelled, pair.unlabelled, labels, config))
    counts = count_terms(micro_batches)
    model.train()
    sums: list[dict[str, Tensor]] = []
    for number, micro_batch in enumerate(micro_batches, start=1):
        is_last = number == len(micro_batches)
        with nullcontext() if is_last else _gradients_added_up(objective):
            loss, of_micro_batch = objective(micro_batch, counts, pseudo_weight)
            loss.backward()
        sums.append(of_micro_batch)
    totals = sum_by_name(sums)
    over_ranks = sum_over_ranks(torch.stack(list(totals.values())))
    return {
        name: torch.stack([total, counts[name]])
        for name, total in zip(totals, over_ranks, strict=True)
    }


def _gradients_added_up(objective: nn.Module) -> AbstractContextManager[None]:
    """Keep each rank's gradients apart inside the block; the next backward pass averages them."""
    if isinstance(objective, DistributedDataParallel):
        return objective.no_sync()
    return nullcontext()


def unwrapped(objective: nn.Module) -> Objective:
    """Return the `Objective` inside DistributedDataParallel, or the one that is not wrapped."""
    inner = objective.module if isinstance(objective, DistributedDataParallel) else objective
    assert isinstance(inner, Objective)
    return inner


def pseudo_label(
    labeller: nn.Module, batch: Batch, config: Config, precision: torch.dtype = torch.float32
) -> PseudoLabels:
    """Label an unlabelled batch: its clean texts, without dropout, without gradient."""
    labeller.eval()
    with torch.inference_mode():
        output = labeller(dataclasses.replace(batch, masked_words=None), precision)
    return make_pseudo_labels(
        output,
        batch,
        positive_above=config.pseudo_positive_above,
        negative_below=config.pseudo_negative_below,
        region_above=config.pseudo_region_above,
        propagation_steps=config.pseudo_propagation_steps,
    )


@dataclass(frozen=True)
class StepLosses:
    """The losses of a step, which may still be computed, and what to name where one is no number.

    Attributes:
        names: of the losses.
        terms: [losses, 2], their sums and counts, on the device.
        step: its number, from 1.
        learning_rate: of the first group of weights.
        narration_ids: of this rank's narrations.
    """

    names: tuple[str, ...]
    terms: Tensor
    step: int
    learning_rate: float
    narration_ids: tuple[str, ...]

    @classmethod
    def of(
        cls, terms: Mapping[str, Tensor], batches: StepBatches, scheduler: LRScheduler
    ) -> StepLosses:
        """Take what `backward` returned, before the optimizer's step."""
        of_step = itertools.chain.from_iterable(batches)
        ids = (i for batch in of_step if batch is not None for i in batch.narration_ids)
        return cls(
            tuple(terms),
            torch.stack(list(terms.values())),
            scheduler.last_epoch + 1,
            float(scheduler.get_last_lr()[0]),
            tuple(ids),
        )

    def read(self) -> dict[str, tuple[float, float]]:
        """Wait for the device, and return the sum and count of each loss by its name.

        Raises:
            InputError: one is infinite or not a number.
        """
        if problem := self.problem():
            raise InputError(
                f"{problem}; what is saved is of before: --resume --skip-bad-steps goes on without "
                "such steps, or a new run with a lower --lr may help"
            )
        return {
            name: (total, count)
            for name, (total, count) in zip(self.names, self.terms.tolist(), strict=True)
        }

    def problem(self) -> str | None:
        """Say which loss is infinite or not a number; None where all are finite."""
        for name, total in zip(self.names, self.terms[:, 0].tolist(), strict=True):
            if not math.isfinite(total):
                return self._problem(f"the loss {name} is {total}")
        return None

    def gradient_problem(self, model: nn.Module) -> str | None:
        """Say that a gradient is infinite or not a number; None where all are finite."""
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients).item()
        return None if math.isfinite(norm) else self._problem(f"the gradient's norm is {norm}")

    def _problem(self, what: str) -> str:
        return (
            f"step {self.step}: {what}, at a learning rate of {self.learning_rate:g} and on the "
            f"narrations {', '.join(self.narration_ids)}"
        )
