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

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.generated_data import GeneratedData, as_released, published_config, published_model
from benchmarks.measuring import add_options, measure, set_up
from benchmarks.operations import Sizes, training_operations
from data.encoding.example import Masking
from data.narration import without_labels
from training.batches import BatchPair, TrainingBatches
from training.train_state import TrainState
from training.trainer import Trainer
from utils.batch import Batch
from utils.checkpointing.run_folder import RunFolder
from utils.distributed.command import run_command
from utils.distributed.preemption import StopRequests
from utils.options import command_parser

STEPS_PER_EPOCH = 1000


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line says."""
    parser = command_parser("Time a training step.", prog="train_step.py")
    add_options(parser, batch=6)
    options = parser.parse_args(arguments)
    device, precision = set_up(options)
    name = str(precision).removeprefix("torch.")
    config = published_config(batch=options.batch, precision=name)
    state = TrainState(published_model(config).to(device), config, STEPS_PER_EPOCH)
    state.pseudo_schedule.start()
    # It is only asked for single steps: it reads no batches of its own and saves nothing.
    no_batches, folder = TrainingBatches({}, STEPS_PER_EPOCH), RunFolder(Path("saved"))
    trainer = Trainer(config, state, no_batches, folder, StopRequests(), STEPS_PER_EPOCH)

    def step(labelled: Batch, unlabelled: Batch) -> None:
        trainer.train_step([BatchPair(labelled.to(device), unlabelled.to(device))])

    batches = make_batches(options.batch, Masking(config.mlm_probability, config.seed))
    released = [as_released(batch) for batch in batches]
    measure(
        lambda: step(*batches),
        lambda: step(*released),
        training_operations(batches, batches[1], Sizes.of(state.model)),
        options,
        device,
        precision,
    ).report("a training step", options.json)


def make_batches(size: int, masking: Masking) -> tuple[Batch, Batch]:
    """Make a labelled and an unlabelled batch of one size."""
    data = GeneratedData(2 * size)
    data.narrations[size:] = map(without_labels, data.narrations[size:])
    places = range(2 * size)
    return data.batch(places[:size], masking), data.batch(places[size:], masking)


if __name__ == "__main__":
    run_command(main)
