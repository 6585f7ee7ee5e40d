"""Where a training stands, in one file, so that it can go on as if it had never stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from utils.checkpointing.checkpoint import (
    CheckpointError,
    read_restricted,
    write_restricted,
)
from utils.config import Config, ConfigError, config_from_checkpoint, config_to_dict
from utils.printable import quote

_FORMAT = "multimodal-coreference-run-1"

# What may change from one part of a run to the next: where things lie, how long it goes on, how
# many narrations go through the model together, and what is done about bad steps.
_MAY_CHANGE = frozenset(
    ("data_root", "unlabelled_root", "cache", "sense2vec", "epochs", "batch", "unlabelled_batch",
     "accumulation", "skip_bad_steps")
)  # fmt: skip

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "config": dict, "epoch": int, "step": int, "steps_per_epoch": int, "sizes": dict, "taken": dict,
    "learner": dict, "losses": dict, "best": (float, type(None)), "random_states": list,
}  # fmt: skip


@dataclass(frozen=True)
class RunState:
    """Everything that the next step of a training depends on, but for the data.

    Attributes:
        config: of the run.
        epoch: the epoch that it is in, counted from 0.
        step: how many of the epoch's steps are done.
        steps_per_epoch: how many there are.
        sizes: how many narrations each part of the data has, by its name.
        taken: how many of them, passes repeated, were trained on so far.
        learner: what the steps change, as plain values.
        losses: sum and count of each loss so far in the epoch.
        best: the highest held-out CoNLL F1 of the epochs before, in percent; None where there was
            none.
        random_states: of each rank, what `random_state` gave.
    """

    config: Config
    epoch: int
    step: int
    steps_per_epoch: int
    sizes: Mapping[str, int]
    taken: Mapping[str, int]
    learner: Mapping[str, Any]
    losses: Mapping[str, tuple[float, float]]
    best: float | None
    random_states: Sequence[Mapping[str, Any]]

    def step_of(self, steps_per_epoch: int) -> int:
        """Return the step of an epoch that has this many, as on another number of ranks."""
        return round(self.step * steps_per_epoch / self.steps_per_epoch)

    def done(self, steps_per_epoch: int) -> int:
        """Return the steps of all epochs until now, where each has this many."""
        return self.epoch * steps_per_epoch + self.step_of(steps_per_epoch)


def save_run_state(path: Path, state: RunState) -> None:
    """Write a state whole or not at all.

    Raises:
        CheckpointError: it cannot be written, or a weight is infinite or not a number.
    """
    for name, weight in state.learner["model"].items():
        if not torch.isfinite(weight).all():
            raise CheckpointError(
                f"{path}: not written, the weight {name} is infinite or not a number after step "
                f"{state.step} of epoch {state.epoch}; a new run with a lower --lr may help; "
                "what is saved is of before"
            )
    content = {field.name: getattr(state, field.name) for field in fields(state)}
    write_restricted(path, _FORMAT, {**content, "config": config_to_dict(state.config)})


def load_run_state(path: Path) -> RunState:
    """Read a state onto the CPU; no code in it is run.

    Raises:
        CheckpointError: the file is missing, broken, or no state of a run.
    """
    content = read_restricted(path, _FORMAT)
    for name, kind in _TYPES.items():
        if not isinstance(content.get(name), kind):
            raise CheckpointError(f"{path}: {name} is {quote(content.get(name))}")
    if content["steps_per_epoch"] < 1:
        raise CheckpointError(f"{path}: steps_per_epoch is {content['steps_per_epoch']}")
    try:
        return RunState(**{**content, "config": config_from_checkpoint(content["config"])})
    except (KeyError, TypeError, ConfigError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def check_same_run(path: Path, state: RunState, config: Config, sizes: Mapping[str, int]) -> None:
    """Refuse to go on with another configuration or on other data.

    Raises:
        CheckpointError: naming each value that differs.
    """
    before, now = asdict(state.config), asdict(config)
    different = [
        f"{name} was {before[name]!r} and is {now[name]!r}"
        for name in now
        if name not in _MAY_CHANGE and before[name] != now[name]
    ]
    different += [
        f"there were {state.sizes.get(name, 0):,} {name} narrations and there are "
        f"{sizes.get(name, 0):,}"
        for name in sorted(state.sizes.keys() | sizes.keys())
        if state.sizes.get(name, 0) != sizes.get(name, 0)
    ]
    if different:
        raise CheckpointError(
            f"{path}: is of another run: {'; '.join(different)}. Without --resume a new run begins"
        )
