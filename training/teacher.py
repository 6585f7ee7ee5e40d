"""The exponential moving average of a model's weights (the teacher, with `--use-ema`)."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors: TypeAlias = tuple[Tensor, ...] | list[Tensor]


def make_teacher(model: nn.Module, decay: float) -> AveragedModel:
    """Copy a model; `teacher.update_parameters(model)` after each step lets the copy follow it.

    After update t, counted from 1, the teacher is d * teacher + (1 - d) * model with
    d = min(decay, (1 + t) / (10 + t)): at a constant decay the random start would still weigh most
    after hundreds of steps. Buffers are copied. `teacher.module` is the averaged model.

    Args:
        decay: the highest decay, from 0 to 1.
    """

    @torch.no_grad()
    def average(averaged: Tensors, current: Tensors, _: Tensor | int) -> None:
        # Not the count that is passed, which lies on the device: to read it would wait for that.
        done = int(teacher.n_averaged)
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + done) / (10 + done)))

    teacher = AveragedModel(model, multi_avg_fn=average)
    # AveragedModel copies at its first update whatever the decay: this spends it on the start, so
    # that from here its count of updates is t.
    teacher.update_parameters(model)
    return teacher.requires_grad_(False)
