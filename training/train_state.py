"""What a training changes from step to step."""

from __future__ import annotations

from typing import Any

from torch import nn

from models.coreference_model import CoreferenceModel
from training.optimization import PseudoSchedule, make_optimizer, make_scheduler
from training.teacher import make_teacher
from utils.checkpointing.checkpoint import CheckpointError
from utils.checkpointing.run_state import RunState
from utils.config import Config


class Learner:
    """A model with all that changes beside it while it learns.

    Args:
        model: on the device that it is to learn on.
        steps_per_epoch: how many steps pass for an epoch.
        resumed: where the run was left; None to begin.

    Raises:
        CheckpointError: what was left is of another model.

    Attributes:
        teacher: follows the model after each step; None where nothing is averaged.
        optimizer: of the model's weights.
        scheduler: sets its learning rates.
        pseudo: when pseudo-labels count, and how much.
        skipped: how many steps were left out in a row.
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
        self.pseudo = PseudoSchedule(config.pseudo_ramp_epochs * steps_per_epoch)
        self.skipped = 0
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
            self.pseudo.since_start = round(since_start * scale)

    @property
    def averaged(self) -> nn.Module:
        """The averaged model, or the model itself where nothing is averaged."""
        return self.model if self.teacher is None else self.teacher.module

    def state(self) -> dict[str, Any]:
        """Everything to go on from, as tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "teacher": None if self.teacher is None else self.teacher.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "pseudo": self.pseudo.since_start,
        }
