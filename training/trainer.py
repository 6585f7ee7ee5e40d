"""The training loop: from the start of a run, or from where it was left, to its end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NoReturn

from tqdm import tqdm

from training.batches import StepBatches, TrainingBatches
from training.gradients import StepLosses, backward
from training.objective import Objective
from training.train_state import TrainState
from utils.checkpointing.checkpoint import Checkpoint
from utils.checkpointing.random_state import random_state, set_random_state, set_seeds
from utils.checkpointing.run_folder import RunFolder
from utils.checkpointing.run_state import RunState, load_run_state, save_run_state
from utils.config import Config
from utils.device import choose_precision
from utils.distributed.preemption import StopRequests
from utils.distributed.ranks import (
    broadcast_object,
    gather_objects,
    is_main,
    rank,
    was_restarted,
    world_size,
    wrapped_for_ranks,
)
from utils.errors import InputError
from utils.running_means import RunningMeans

# Steps in a row that are left out before a training ends: nothing is learned any more.
MOST_SKIPPED = 10


class Trainer:
    """A training of a model, with where it stands kept in the run's folder.

    Args:
        train_state: the model and what is trained with it, on the device to train on.
        batches: this rank's.
        stops: requests to stop, which are obeyed after a step.
        save_steps: how many steps pass at most until it is saved where the run stands.
        resumed: where the run was left; None to begin.

    Raises:
        InputError: the epochs of the configuration are done already.

    Attributes:
        epoch: the epoch that it is in, counted from 0.
        step: how many of its steps are done.
    """

    def __init__(
        self,
        config: Config,
        train_state: TrainState,
        batches: TrainingBatches,
        folder: RunFolder,
        stops: StopRequests,
        save_steps: int,
        resumed: RunState | None = None,
    ) -> None:
        self.config = config
        self.train_state = train_state
        self.folder = folder
        self.epoch = self.step = 0
        self._device = next(train_state.model.parameters()).device
        precision = choose_precision(config.precision, self._device)
        self._objective = wrapped_for_ranks(Objective(train_state.model, config, precision))
        self._batches = batches
        self._stops = stops
        self._save_steps = save_steps
        self._losses = RunningMeans()
        self._unread: StepLosses | None = None
        self._skipped = 0
        self._best: float | None = None
        if resumed is None:
            set_seeds(config.seed + rank())
        else:
            self._resume(resumed)

    def _resume(self, resumed: RunState) -> None:
        if resumed.epoch >= self.config.epochs:
            raise InputError(
                f"{self.folder.state_file}: is in epoch {resumed.epoch} already, counted from 0, "
                f"expected one below --epochs {self.config.epochs}"
            )
        self.epoch, self.step = resumed.epoch, resumed.step_of(self._batches.steps_per_epoch)
        self._losses = RunningMeans(resumed.losses)
        self._best = resumed.best
        print(
            f"{self.folder.state_file}: goes on in epoch {self.epoch} after {self.step} of "
            f"{self._batches.steps_per_epoch} steps"
        )
        # Where the random states are not restored, as on another number of ranks, numbers are drawn
        # from a seed that this run has not drawn from before.
        done = self.train_state.scheduler.last_epoch
        set_seeds(self.config.seed + done * world_size() + rank())
        if len(resumed.random_states) == world_size():
            set_random_state(resumed.random_states[rank()], self._device)

    def fit(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Train the epochs that are left, and save the run every `save_steps` steps.

        A request to stop ends the process, with the run saved after the last step.

        Yields:
            After each epoch its number, and the mean of each loss over it and all ranks by name.

        Raises:
            InputError: a loss is infinite or not a number, or nothing but such steps are left out.
            CheckpointError: where the run stands cannot be written.
        """
        steps = self._batches.steps_per_epoch
        while self.epoch < self.config.epochs:
            with self._progress_bar() as bar, self._stops.deferred():
                while self.step < steps:
                    is_asked_to_stop = self._stops.agreed(self._device)
                    if not is_asked_to_stop:
                        self.train_step(self._batches.next(self._device))
                        self.step += 1
                        bar.update()
                    is_to_save = self.step == steps or self.step % self._save_steps == 0
                    if is_to_save or is_asked_to_stop:
                        self._save()
                        self._stops.leave_together(self._device)
            yield self.epoch, self._losses.means()
            self.epoch, self.step, self._losses = self.epoch + 1, 0, RunningMeans()

    def train_step(self, batches: StepBatches) -> None:
        """Update the model and its teacher once.

        Args:
            batches: this rank's, on the device.

        Raises:
            InputError: as in `fit`.
        """
        trained = self.train_state
        trained.optimizer.zero_grad(set_to_none=True)
        pseudo_weight = trained.pseudo_schedule.next_weight()
        terms = backward(self._objective, trained.averaged, batches, pseudo_weight, self.config)
        losses = StepLosses.of(terms, batches, trained.scheduler)
        if self.config.skip_bad_steps and self._is_skipped(losses):
            trained.scheduler.step()
            return
        trained.optimizer.step()
        trained.scheduler.step()
        if trained.teacher is not None:
            trained.teacher.update_parameters(trained.model)
        # To read losses waits for the device, so the last step's are read when it has this one's
        # work to do.
        self._read_losses()
        self._unread = losses

    def start_pseudo_labels(self) -> bool:
        """Let pseudo-labels count from the next step on; returns whether they did not before."""
        return self.train_state.pseudo_schedule.start()

    def _is_skipped(self, losses: StepLosses) -> bool:
        """Return whether a step is left out, and say why."""
        problem = losses.problem() or losses.gradient_problem(self.train_state.model)
        if problem is None:
            self._skipped = 0
            return False
        self._skipped += 1
        if self._skipped == MOST_SKIPPED:
            raise InputError(f"{problem}; and so it was in the {MOST_SKIPPED - 1} steps before")
        if is_main():
            tqdm.write(f"left out: {problem}", file=sys.stderr)
        return True

    def _read_losses(self) -> None:
        """Add the losses of the last step to those of the epoch."""
        if self._unread is not None:
            self._losses.add(self._unread.read())
            self._unread = None

    def _save(self) -> None:
        self._read_losses()
        random_states = gather_objects(random_state(self._device))
        if random_states is not None:
            run_state = RunState(
                config=self.config,
                epoch=self.epoch,
                step=self.step,
                steps_per_epoch=self._batches.steps_per_epoch,
                sizes=self._batches.sizes,
                taken=self._batches.narrations_seen,
                learner=self.train_state.state_dict(),
                losses=self._losses.sums(),
                best=self._best,
                random_states=random_states,
            )
            save_run_state(self.folder.state_file, run_state)

    def _progress_bar(self) -> tqdm[NoReturn]:
        return tqdm(
            desc=f"epoch {self.epoch}",
            initial=self.step,
            total=self._batches.steps_per_epoch,
            leave=False,
            disable=not is_main(),
        )

    def save_epoch(self, checkpoint: Checkpoint) -> None:
        """Save the checkpoint of the epoch, on the first rank.

        Raises:
            CheckpointError: it cannot be written.
        """
        conll = checkpoint.scores.get("conll")
        is_best = conll is not None and (self._best is None or conll > self._best)
        if is_best:
            self._best = conll
        self.folder.save_epoch(checkpoint, is_best=is_best)


def find_run_state(folder: RunFolder, *, resume: bool) -> RunState | None:
    """Read where the run in a folder was left, on every rank; None where a new one is to begin.

    Args:
        resume: whether to look; where the launcher has started a rank again, all ranks do.

    Raises:
        CheckpointError: the file cannot be read, or not by every rank.
    """
    starts = gather_objects(resume or was_restarted())
    is_there = starts is not None and any(starts) and folder.state_file.exists()
    return load_run_state(folder.state_file) if broadcast_object(is_there) else None


def prepare_folder(folder: RunFolder, *, resumed: bool) -> None:
    """Make the folder of a run that resumes or begins, on the first rank.

    Raises:
        CheckpointError: it cannot be written.
    """
    if is_main():
        folder.make()
        if not resumed and (aside := folder.put_aside()):
            print(f"{folder.path}: an earlier run lies there; its files are now in {aside}")
