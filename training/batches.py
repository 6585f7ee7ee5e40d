"""The batches that this rank trains on, step by step."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import torch
from torch.utils.data import DataLoader

from data.encoding.example import ExampleEncoder, Masking
from data.loading.dataset import JoinedDataset, NarrationDataset, SplitData
from data.loading.loader import make_loader
from data.loading.samplers import EndlessBatches
from data.loading.training_data import TrainingData
from utils.batch import Batch
from utils.config import Config
from utils.distributed.ranks import rank, world_size
from utils.errors import InputError


class BatchPair(NamedTuple):
    """What one micro-batch is made of; None for a part of the data that is not trained on."""

    labelled: Batch | None
    unlabelled: Batch | None


# A rank's batches of one step, one pair for each micro-batch.
StepBatches: TypeAlias = Sequence[BatchPair]


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
        self._samplers = {name: _sampler_of(loader) for name, loader in loaders.items()}
        self._batches = {name: iter(loader) for name, loader in loaders.items()}
        self._steps = 0

    @property
    def sizes(self) -> dict[str, int]:
        """How many narrations each part has."""
        return {name: sampler.size for name, sampler in self._samplers.items()}

    @property
    def narrations_seen(self) -> dict[str, int]:
        """How many narrations of each part all ranks have trained on, passes repeated."""
        return {
            name: (sampler.start_step + self._steps) * sampler.step_size
            for name, sampler in self._samplers.items()
        }

    def next(self, device: torch.device) -> StepBatches:
        """Return the labelled and unlabelled batches of the next step, on the device."""
        self._steps += 1
        return [
            BatchPair(self._next("labelled", device), self._next("unlabelled", device))
            for _ in range(self._accumulation)
        ]

    def _next(self, name: str, device: torch.device) -> Batch | None:
        return next(self._batches[name]).to(device) if name in self._batches else None


def _sampler_of(loader: DataLoader[Batch]) -> EndlessBatches:
    assert isinstance(loader.batch_sampler, EndlessBatches)
    return loader.batch_sampler


@dataclass(frozen=True)
class _Part:
    """The narrations of a part of the data, and how a rank's batches are made of them."""

    splits: Sequence[SplitData]
    encoder: ExampleEncoder
    batch: int
    seed: int

    def dataset(self) -> JoinedDataset:
        return JoinedDataset(
            [NarrationDataset(s.narrations, s.store, self.encoder, s.texts) for s in self.splits]
        )


def make_batches(
    data: TrainingData,
    encoder: ExampleEncoder,
    config: Config,
    workers: int,
    device: torch.device,
    narrations_seen: Mapping[str, int],
) -> TrainingBatches:
    """Make this rank's batches.

    Unless the configuration says how many steps an epoch has, it is a pass over the unlabelled part
    where there is one, else over the labelled one.

    Args:
        encoder: of what every part needs.
        workers: processes that read ahead; 0 reads in this one.
        narrations_seen: how many of each part were trained on before, by its name.

    Raises:
        InputError: there are fewer narrations than a step has batches.
    """
    unlabelled_encoder = dataclasses.replace(
        encoder,
        masking=Masking(config.mlm_probability, config.seed) if config.mlm_probability else None,
        trace_lag=config.trace_lag if config.use_traces else None,
    )
    labelled_encoder = dataclasses.replace(
        unlabelled_encoder,
        max_mention_pieces=config.max_mention_pieces if config.mention_detection else None,
    )
    unlabelled_batch = config.unlabelled_batch or config.batch
    # Each part is shuffled by a seed of its own.
    parts = {
        "labelled": _Part([data.labelled], labelled_encoder, config.batch, config.seed),
        "unlabelled": _Part(data.unlabelled, unlabelled_encoder, unlabelled_batch, config.seed + 1),
    }
    loaders: dict[str, DataLoader[Batch]] = {}
    steps_per_pass = dict.fromkeys(parts, 0)
    for name, part in parts.items():
        if not any(split.narrations for split in part.splits):
            continue
        dataset = part.dataset()
        if config.accumulation > 1 and len(dataset) < world_size() * config.accumulation:
            raise InputError(
                f"--accumulation {config.accumulation}: {world_size()} ranks would share "
                f"{len(dataset)} narrations in a step, expected one for each of their batches"
            )
        sampler = EndlessBatches(
            len(dataset),
            part.batch,
            part.seed,
            rank(),
            world_size(),
            config.accumulation,
            narrations_seen.get(name, 0),
        )
        loaders[name] = make_loader(dataset, sampler, workers, device)
        steps_per_pass[name] = sampler.steps_per_epoch
    steps = config.steps_per_epoch or steps_per_pass["unlabelled"] or steps_per_pass["labelled"]
    return TrainingBatches(loaders, steps, config.accumulation)
