"""The training loop and the evaluation beside it."""

from __future__ import annotations

import dataclasses
import itertools
import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from training.batches import TrainingBatches
from training.objective import (
    Portion,
    TrainingStep,
    count_things,
    make_portion,
    sum_by_name,
)
from training.pseudo_labels import (
    PseudoLabelQuality,
    PseudoLabels,
    count_pseudo_labels,
    make_pseudo_labels,
)
from training.train_state import Learner
from utils.batch import Batch
from utils.config import Config
from utils.distributed.preemption import StopRequests
from utils.distributed.ranks import (
    is_main,
    sum_over_ranks,
)
from utils.errors import InputError
from utils.running_means import RunningMeans

# Steps in a row that are left out before a training ends: nothing is learned any more.
MOST_SKIPPED = 10


def train_steps(
    training_step: nn.Module,
    learner: Learner,
    batches: TrainingBatches,
    config: Config,
    device: torch.device,
    losses: RunningMeans,
    stops: StopRequests,
    bar: tqdm,
    steps: int,
) -> int:
    """Train for some steps.

    Args:
        training_step: a `TrainingStep`, wrapped where there are several ranks.
        losses: of the steps so far; each loss of these is added, summed over all ranks.
        stops: where they agree, these steps end early.
        bar: shows the progress.
        steps: how many to do.

    Returns:
        How many were done.

    Raises:
        InputError: a loss is infinite or not a number.
    """
    before: _Step | None = None
    done = 0
    while done < steps and not stops.agreed(device):
        step = batches.next(device)
        learner.optimizer.zero_grad(set_to_none=True)
        weight = learner.pseudo.next_weight()
        terms = backward(training_step, learner.averaged, step, weight, config)
        now = _Step.of(terms, step, learner)
        if config.skip_bad_steps and (problem := now.problem() or now.gradient_problem(learner)):
            _skip(problem, learner)
        else:
            learner.skipped = 0
            learner.optimizer.step()
            learner.scheduler.step()
            if learner.teacher is not None:
                learner.teacher.update_parameters(learner.model)
            # To read a step's losses waits for the device, which by now has the next step to do.
            if before is not None:
                losses.add(before.losses())
            before = now
        done += 1
        bar.update()
    if before is not None:
        losses.add(before.losses())
    return done


def _skip(problem: str, learner: Learner) -> None:
    """Leave out a step's update, and say why."""
    learner.skipped += 1
    if learner.skipped == MOST_SKIPPED:
        raise InputError(f"{problem}; and so it was in the {MOST_SKIPPED - 1} steps before")
    if is_main():
        tqdm.write(f"left out: {problem}", file=sys.stderr)
    learner.scheduler.step()


def backward(
    training_step: nn.Module,
    labeller: nn.Module,
    step: Sequence[tuple[Batch | None, Batch | None]],
    pseudo_weight: float,
    config: Config,
) -> dict[str, Tensor]:
    """Leave the gradients of a step in the model, the same on every rank.

    Args:
        training_step: as in `train_steps`.
        labeller: makes the pseudo-labels: the averaged model, or the model itself without one.
        step: this rank's labelled and unlabelled batches, one pair after the other.
        pseudo_weight: what the weights of the pseudo-labels' losses are multiplied by; no
            pseudo-labels are made for 0.

    Returns:
        For each loss by name its sum and count over the step and all ranks, [2].
    """
    model, precision = unwrapped(training_step).model, unwrapped(training_step).precision
    portions = []
    for labelled, unlabelled in step:
        labels = None
        if unlabelled is not None and pseudo_weight > 0:
            labels = pseudo_label(labeller, unlabelled, config, precision)
        portions.append(make_portion(labelled, unlabelled, labels, config))
    counts = count_things(portions)

    def learn_from(portion: Portion) -> dict[str, Tensor]:
        loss, totals = training_step(portion, counts, pseudo_weight)
        loss.backward()
        return totals

    model.train()
    with _gradients_added_up(training_step):
        of_portions = [learn_from(portion) for portion in portions[:-1]]
    of_portions.append(learn_from(portions[-1]))
    totals = sum_by_name(of_portions)
    over_ranks = sum_over_ranks(torch.stack(list(totals.values())))
    return {
        name: torch.stack([total, counts[name]])
        for name, total in zip(totals, over_ranks, strict=True)
    }


def _gradients_added_up(training_step: nn.Module) -> AbstractContextManager[None]:
    """Inside, each rank adds up its own gradients; the next backward pass averages them all."""
    if isinstance(training_step, DistributedDataParallel):
        return training_step.no_sync()
    return nullcontext()


@dataclass(frozen=True)
class _Step:
    """What is to be said of a step when its losses are known."""

    names: tuple[str, ...]
    terms: Tensor  # [losses, 2], their sums and counts
    number: int
    rate: float
    narration_ids: tuple[str, ...]

    @classmethod
    def of(
        cls,
        terms: Mapping[str, Tensor],
        step: Sequence[tuple[Batch | None, Batch | None]],
        learner: Learner,
    ) -> _Step:
        batches = itertools.chain.from_iterable(step)
        ids = (i for batch in batches if batch is not None for i in batch.narration_ids)
        return cls(
            tuple(terms),
            torch.stack(list(terms.values())),
            learner.scheduler.last_epoch + 1,
            learner.scheduler.get_last_lr()[0],
            tuple(ids),
        )

    def losses(self) -> dict[str, tuple[float, float]]:
        """Sum and count of each loss by its name.

        Raises:
            InputError: one is infinite or not a number.
        """
        if problem := self.problem():
            raise InputError(
                f"{problem}; what is saved is of before: --resume --skip-bad-steps goes on without "
                "such steps, or a new run with a lower --lr may help"
            )
        return dict(zip(self.names, map(tuple, self.terms.tolist()), strict=True))

    def problem(self) -> str | None:
        """Says which loss is infinite or not a number; None where all are finite."""
        for name, total in zip(self.names, self.terms[:, 0].tolist(), strict=True):
            if not math.isfinite(total):
                return self._said(f"the loss {name} is {total}")
        return None

    def gradient_problem(self, learner: Learner) -> str | None:
        """Says that a gradient is infinite or not a number; None where all are finite."""
        gradients = [p.grad for p in learner.model.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients).item()
        return None if math.isfinite(norm) else self._said(f"the gradient's norm is {norm}")

    def _said(self, what: str) -> str:
        return (
            f"step {self.number}: {what}, at a learning rate of {self.rate:g} and on the "
            f"narrations {', '.join(self.narration_ids)}"
        )


def pseudo_label(
    labeller: nn.Module, batch: Batch, config: Config, precision: torch.dtype = torch.float32
) -> PseudoLabels:
    """Targets of an unlabelled batch: of its clean texts, without dropout, without gradient."""
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


def pseudo_label_quality(
    labeller: nn.Module, batches: Iterable[Batch], config: Config, device: torch.device
) -> PseudoLabelQuality:
    """Measure the pseudo-labels of narrations, against their truth where a batch knows it."""
    counts: Counter[str] = Counter()
    for batch in batches:
        batch = batch.to(device)
        counts.update(count_pseudo_labels(pseudo_label(labeller, batch, config), batch))
    return PseudoLabelQuality.of(counts)


def unwrapped(training_step: nn.Module) -> TrainingStep:
    """The `TrainingStep` inside DistributedDataParallel, or the one that is not wrapped."""
    return getattr(training_step, "module", training_step)
