"""Time a semi-supervised step of the published configuration.

    python benchmarks/train_step.py

The step is the one of the training loop: a labelled and an unlabelled batch with all losses,
pseudo-labels from the averaged teacher, backward pass, optimizer and teacher. Weights and data are
generated.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.floor import Sizes, training_operations
from benchmarks.measuring import add_options, measure, set_up
from benchmarks.shapes import GeneratedData, as_released, published_config, published_model
from data.encoding.example import Masking
from data.narration import without_labels
from training.engine import train_steps
from training.objective import TrainingStep
from training.train_state import Learner
from utils.batch import Batch
from utils.distributed.command import run_command
from utils.distributed.preemption import StopRequests
from utils.options import command_parser
from utils.running_means import RunningMeans


class OneStep:
    """Every step on the same two batches."""

    def __init__(self, labelled: Batch, unlabelled: Batch) -> None:
        self.labelled = labelled
        self.unlabelled = unlabelled

    def next(self, device: torch.device) -> list[tuple[Batch, Batch]]:
        """Both, on the device."""
        return [(self.labelled.to(device), self.unlabelled.to(device))]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line says."""
    parser = command_parser("Time a training step.", prog="train_step.py")
    add_options(parser, batch=6)
    options = parser.parse_args(arguments)
    device, precision = set_up(options)
    config = published_config(batch=options.batch)
    learner = Learner(published_model(config).to(device), config, steps_per_epoch=1000)
    learner.pseudo.start()
    training_step = TrainingStep(learner.model, config, precision)

    def step(batches: OneStep) -> None:
        with tqdm(disable=True) as bar:
            train_steps(
                training_step,
                learner,
                batches,
                config,
                device,
                RunningMeans(),
                StopRequests(),
                bar,
                1,
            )

    batches = make_batches(options.batch, Masking(config.mlm_probability, config.seed))
    released = OneStep(as_released(batches.labelled), as_released(batches.unlabelled))
    both = (batches.labelled, batches.unlabelled)
    measure(
        lambda: step(batches),
        lambda: step(released),
        training_operations(both, batches.unlabelled, Sizes.of(learner.model)),
        options,
        device,
        precision,
    ).report("a training step", options.json)


def make_batches(size: int, masking: Masking) -> OneStep:
    """As many labelled narrations as unlabelled ones."""
    data = GeneratedData(2 * size)
    data.narrations[size:] = map(without_labels, data.narrations[size:])
    places = range(2 * size)
    return OneStep(data.batch(places[:size], masking), data.batch(places[size:], masking))


if __name__ == "__main__":
    run_command(main)
