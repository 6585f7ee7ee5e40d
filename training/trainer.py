"""A training from its start, or from where it was left, to its end."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from tqdm import tqdm

from training.batches import TrainingBatches
from training.engine import train_steps
from training.train_state import Learner
from utils.checkpointing.checkpoint import Checkpoint
from utils.checkpointing.random_state import (
    random_state,
    set_random_state,
    set_seeds,
)
from utils.checkpointing.run_folder import RunFolder
from utils.checkpointing.run_state import (
    RunState,
    load_run_state,
    save_run_state,
)
from utils.config import Config
from utils.distributed.preemption import StopRequests
from utils.distributed.ranks import (
    broadcast_object,
    gather_objects,
    is_main,
    rank,
    was_restarted,
    world_size,
)
from utils.errors import InputError
from utils.running_means import RunningMeans


def where_it_stands(files: RunFolder, *, resume: bool) -> RunState | None:
    """Where the run in a folder was left, on every rank; None where a new one is to begin.

    Args:
        resume: whether to look; where the launcher has started a rank again, all ranks do.

    Raises:
        CheckpointError: the state cannot be read, or not by every rank.
    """
    starts = gather_objects(resume or was_restarted())
    is_there = starts is not None and any(starts) and files.state.exists()
    return load_run_state(files.state) if broadcast_object(is_there) else None


def prepare_folder(files: RunFolder, *, resumed: bool) -> None:
    """Make the folder of a run that resumes or begins, on the first rank.

    Raises:
        CheckpointError: it cannot be written.
    """
    if is_main():
        files.make()
        if not resumed and (aside := files.put_aside()):
            print(f"{files.path}: an earlier run lies there; its files are now in {aside}")


class TrainingRun:
    """How far a training has come, kept in its folder.

    Args:
        training_step: a `TrainingStep` around the learner's model, wrapped where there are several
            ranks.
        save_steps: how many steps pass at most until the state is saved.
        resumed: where the run was left; None to begin.

    Attributes:
        epoch: the epoch that it is in, counted from 0.
        step: how many of its steps are done.
    """

    def __init__(
        self,
        config: Config,
        training_step: nn.Module,
        learner: Learner,
        batches: TrainingBatches,
        files: RunFolder,
        stops: StopRequests,
        device: torch.device,
        save_steps: int,
        resumed: RunState | None = None,
    ) -> None:
        self.config = config
        self.learner = learner
        self.files = files
        self.epoch = self.step = 0
        self._training_step = training_step
        self._batches = batches
        self._stops = stops
        self._device = device
        self._save_steps = save_steps
        self._losses = RunningMeans()
        self._best: float | None = None
        if resumed is None:
            set_seeds(config.seed + rank())
        else:
            self._resume(resumed)

    def _resume(self, resumed: RunState) -> None:
        if resumed.epoch >= self.config.epochs:
            raise InputError(
                f"{self.files.state}: is in epoch {resumed.epoch} already, counted from 0, "
                f"expected one below --epochs {self.config.epochs}"
            )
        self.epoch, self.step = resumed.epoch, resumed.step_of(self._batches.steps_per_epoch)
        self._losses = RunningMeans(resumed.losses)
        self._best = resumed.best
        print(
            f"{self.files.state}: goes on in epoch {self.epoch} after {self.step} of "
            f"{self._batches.steps_per_epoch} steps"
        )
        # Of what is not restored: numbers that were not drawn before.
        done = self.learner.scheduler.last_epoch
        set_seeds(self.config.seed + done * world_size() + rank())
        if len(resumed.random_states) == world_size():
            set_random_state(resumed.random_states[rank()], self._device)

    def epochs(self) -> Iterator[int]:
        """The epochs that are left, the one that it is in first."""
        while self.epoch < self.config.epochs:
            yield self.epoch
            self.epoch, self.step, self._losses = self.epoch + 1, 0, RunningMeans()

    def train_epoch(self) -> dict[str, float]:
        """Do the steps of the epoch that are left, and save where the run stands now and then.

        A request to stop ends the process, with the state saved after the last step.

        Returns:
            The mean of each loss over the epoch and all ranks, by its name.
        """
        steps = self._batches.steps_per_epoch
        bar = tqdm(
            desc=f"epoch {self.epoch}",
            initial=self.step,
            total=steps,
            leave=False,
            disable=not is_main(),
        )
        with bar:
            while self.step < steps:
                until_saved = self._save_steps - self.step % self._save_steps
                self._train(min(until_saved, steps - self.step), bar)
        return self._losses.means()

    def _train(self, steps: int, bar: tqdm) -> None:
        """Do some steps and save."""
        with self._stops.deferred():
            self.step += train_steps(
                self._training_step, self.learner, self._batches, self.config, self._device,
                self._losses, self._stops, bar, steps,
            )  # fmt: skip
            self._save()
            self._stops.leave_together(self._device)

    def _save(self) -> None:
        random_states = gather_objects(random_state(self._device))
        if random_states is not None:
            state = RunState(
                config=self.config,
                epoch=self.epoch,
                step=self.step,
                steps_per_epoch=self._batches.steps_per_epoch,
                sizes=self._batches.sizes,
                taken=self._batches.taken,
                learner=self.learner.state(),
                losses=self._losses.sums(),
                best=self._best,
                random_states=random_states,
            )
            save_run_state(self.files.state, state)

    def save_epoch(self, checkpoint: Checkpoint) -> None:
        """Save the checkpoint of the epoch, on the first rank.

        Raises:
            CheckpointError: it cannot be written.
        """
        conll = checkpoint.scores.get("conll")
        is_best = conll is not None and (self._best is None or conll > self._best)
        if is_best:
            self._best = conll
        self.files.save_epoch(checkpoint, is_best=is_best)
