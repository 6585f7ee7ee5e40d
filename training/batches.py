"""This rank's batches of each training step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.utils.data import DataLoader

from utils.batch import Batch


class TrainingBatches:
    """This rank's batches of each step, without end.

    Args:
        loaders: of each part of the data by its name, "labelled" or "unlabelled", over
            `EndlessBatches`; at least one.
        steps_per_epoch: how many steps pass for an epoch.
        accumulation: how many batches of each loader a step takes.
    """

    def __init__(
        self,
        loaders: Mapping[str, DataLoader[Batch]],
        steps_per_epoch: int,
        accumulation: int = 1,
    ) -> None:
        self.steps_per_epoch = steps_per_epoch
        self._accumulation = accumulation
        self._samplers = {name: loader.batch_sampler for name, loader in loaders.items()}
        self._batches = {name: iter(loader) for name, loader in loaders.items()}
        self._steps = 0

    @property
    def sizes(self) -> dict[str, int]:
        """How many narrations each part has."""
        return {name: sampler.size for name, sampler in self._samplers.items()}

    @property
    def taken(self) -> dict[str, int]:
        """How many narrations of each part all ranks have trained on, passes repeated."""
        return {
            name: (sampler.start_step + self._steps) * sampler.step_size
            for name, sampler in self._samplers.items()
        }

    def next(self, device: torch.device) -> list[tuple[Batch | None, Batch | None]]:
        """The labelled and unlabelled batches of the next step, on the device."""
        self._steps += 1
        return [
            (self._next("labelled", device), self._next("unlabelled", device))
            for _ in range(self._accumulation)
        ]

    def _next(self, name: str, device: torch.device) -> Batch | None:
        return next(self._batches[name]).to(device) if name in self._batches else None
