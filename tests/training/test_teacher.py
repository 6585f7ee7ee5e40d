"""The averaged model against its closed form."""

from __future__ import annotations

import torch
from torch import nn

from training.teacher import make_teacher


def test_the_teacher_starts_as_the_model_and_is_apart_from_it() -> None:
    model = nn.Linear(3, 2)
    teacher = make_teacher(model, 0.999)
    torch.testing.assert_close(teacher.module.weight, model.weight)
    with torch.no_grad():
        model.weight.add_(1)
    assert not torch.equal(teacher.get_parameter("module.weight"), model.weight)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_the_teacher_equals_the_closed_form_after_n_steps() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    teacher = make_teacher(model, decay=0.5)
    expected = model.weight.detach().clone()
    for step in range(1, 30):
        with torch.no_grad():
            model.weight.copy_(torch.randn(2, 3))
        teacher.update_parameters(model)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.detach()
    torch.testing.assert_close(teacher.module.weight, expected)


def test_buffers_are_copied() -> None:
    model = nn.BatchNorm1d(2)
    teacher = make_teacher(model, 0.999)
    model(torch.randn(8, 2))
    teacher.update_parameters(model)
    torch.testing.assert_close(teacher.module.running_mean, model.running_mean)
    assert int(teacher.get_buffer("module.num_batches_tracked")) == 1
