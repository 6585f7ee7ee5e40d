"""What a training step changes: the model, its teacher, the optimizer and the schedules."""

from __future__ import annotations

from typing import Any

from models.coreference_model import CoreferenceModel
from training.optimization import PseudoSchedule, make_optimizer, make_scheduler
from training.teacher import make_teacher
from utils.checkpointing.checkpoint import CheckpointError
from utils.checkpointing.run_state import RunState
from utils.config import Config


class TrainState:
    """A model with its teacher, optimizer and schedules.

    Args:
        model: on the device that it is to be trained on.
        steps_per_epoch: how many steps pass for an epoch.
        resumed: where the run was left; None to begin.

    Raises:
        CheckpointError: what was left is of another model.

    Attributes:
        teacher: the exponential moving average of the model; None where nothing is averaged.
        optimizer: of the model's weights.
        scheduler: sets its learning rates.
        pseudo_schedule: when pseudo-labels count, and how much.
    """

    def __init__(
        self,
        model: CoreferenceModel,
        config: Config,
        steps_per_epoch: int,
        resumed: RunState | None = None,
    ) -> None:
        self.model = model
        self.teacher = make_teacher(model, config.ema_decay) if config.use_ema else None
        self.optimizer = make_optimizer(model, config)
        self.pseudo_schedule = PseudoSchedule(config.pseudo_ramp_epochs * steps_per_epoch)
        if resumed is not None:
            try:
                self._resume(resumed, steps_per_epoch)
            except (RuntimeError, ValueError, KeyError, TypeError) as error:
                raise CheckpointError(f"the state does not fit its run: {error}") from error
        done = 0 if resumed is None else resumed.done(steps_per_epoch)
        self.scheduler = make_scheduler(self.optimizer, config, steps_per_epoch, done)

    def _resume(self, resumed: RunState, steps_per_epoch: int) -> None:
        self.model.load_state_dict(resumed.learner["model"])
        if self.teacher is not None:
            self.teacher.load_state_dict(resumed.learner["teacher"])
        self.optimizer.load_state_dict(resumed.learner["optimizer"])
        since_start = resumed.learner["pseudo"]
        if since_start is not None:
            scale = steps_per_epoch / resumed.steps_per_epoch
            self.pseudo_schedule.since_start = round(since_start * scale)

    @property
    def averaged(self) -> CoreferenceModel:
        """The averaged model, or the model itself where nothing is averaged."""
        if self.teacher is None:
            return self.model
        averaged = self.teacher.module
        assert isinstance(averaged, CoreferenceModel)
        return averaged

    def state_dict(self) -> dict[str, Any]:
        """Return everything to go on from, as tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "teacher": None if self.teacher is None else self.teacher.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "pseudo": self.pseudo_schedule.since_start,
        }
