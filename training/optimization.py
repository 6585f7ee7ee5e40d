"""The optimizer, and the schedules of its learning rate and of the pseudo-labels."""

from __future__ import annotations

from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from models.coreference_model import CoreferenceModel
from utils.config import Config


class PseudoSchedule:
    """How much the losses against pseudo-labels count, step by step.

    Nothing until `start` is called, then linearly more up to the whole.

    Args:
        ramp_steps: until the whole; 0 is the whole at once.

    Attributes:
        since_start: how many steps they have counted for; None before `start`.
    """

    def __init__(self, ramp_steps: float) -> None:
        self.ramp_steps = ramp_steps
        self.since_start: int | None = None

    def start(self) -> bool:
        """Let them count from the next step on; returns whether they did not before."""
        if self.since_start is not None:
            return False
        self.since_start = 0
        return True

    def next_weight(self) -> float:
        """Return what the weights of the next step are multiplied by, and count that step."""
        if self.since_start is None:
            return 0.0
        self.since_start += 1
        return min(1.0, self.since_start / max(self.ramp_steps, 1.0))


def make_optimizer(model: CoreferenceModel, config: Config) -> Optimizer:
    """Make AdamW, without weight decay of biases and norms.

    The pretrained text encoder has a learning rate of its own, and so has the mention detector.
    """
    pretrained = set(model.text_encoder.body.parameters())
    finder = set() if model.mention_detector is None else set(model.mention_detector.parameters())
    others = set(model.parameters()) - pretrained - finder
    parts = (
        (1.0, pretrained),
        (config.new_parts_lr_factor, others),
        (config.mention_lr_factor, finder),
    )
    groups = [
        {
            "params": [p for p in model.parameters() if p in part and (p.dim() > 1) == decays],
            "lr": config.lr * factor,
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for factor, part in parts
        for decays in (True, False)
    ]
    return AdamW(groups, fused=True)


def make_scheduler(
    optimizer: Optimizer, config: Config, steps_per_epoch: int, done: int = 0
) -> LRScheduler:
    """Make the schedule: a linear rise over the warm-up epochs, then a factor every few epochs.

    Args:
        done: how many steps the optimizer has done.
    """
    warmup_steps = config.warmup_epochs * steps_per_epoch

    def factor(step: int) -> float:
        if step < warmup_steps:
            return min(1.0, (step + 1) / warmup_steps)
        epochs = (step - warmup_steps) / steps_per_epoch
        return config.lr_step_factor ** int(epochs // config.lr_step_epochs)

    return LambdaLR(optimizer, factor, last_epoch=done - 1)
