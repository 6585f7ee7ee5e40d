"""Which narrations go into which batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


class OrderedBatches(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, place) keys in order, each place once.

    Args:
        size: how many narrations there are.
        batch: how many go into a batch; the last one may be smaller.
    """

    def __init__(self, size: int, batch: int) -> None:
        self.size = size
        self.batch = batch

    def __len__(self) -> int:
        return -(-self.size // self.batch)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for start in range(0, self.size, self.batch):
            yield [(0, place) for place in range(start, min(start + self.batch, self.size))]


class SizedBatches(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, place) keys in order, each place once, that are not too large.

    Args:
        lengths: of the narrations' texts.
        batch: how many go into a batch at most.
        most: how large a batch of several may be, once each is padded to the longest of them.
    """

    def __init__(self, lengths: Sequence[int], batch: int, most: int) -> None:
        self.batches: list[list[tuple[int, int]]] = []
        longest = 0
        for place, length in enumerate(lengths):
            size = len(self.batches[-1]) if self.batches else batch
            longest = max(longest, length)
            if size == batch or (size + 1) * longest > most:
                self.batches.append([])
                longest = length
            self.batches[-1].append((0, place))

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self.batches)


class EndlessBatches(Sampler[list[tuple[int, int]]]):
    """One rank's batches of (epoch, place) keys, without end.

    The narrations of all epochs, each shuffled anew, are one stream; a batch of all ranks takes the
    next part of it and each rank its part, and a step takes one such batch or several. What a
    step trains on therefore depends on how many narrations it takes in all, not on how many batches
    and ranks share them. The epoch travels with each key, so that workers that read ahead know it
    too.

    Args:
        size: how many narrations there are, at least 1.
        batch: how many go into a rank's batch; fewer where there are not enough for a step.
        seed: shuffles, together with the epoch.
        rank, ranks: which part is this rank's.
        accumulation: how many batches a rank has in a step.
        taken: how many narrations of the stream were trained on before, rounded to whole steps.
    """

    def __init__(
        self,
        size: int,
        batch: int,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        accumulation: int = 1,
        taken: int = 0,
    ) -> None:
        self.size = size
        self.batch = max(1, min(batch, size // (ranks * accumulation)))
        self.seed = seed
        self.rank = rank
        self.ranks = ranks
        self.accumulation = accumulation
        self.start_step = round(taken / self.step_size)

    @property
    def step_size(self) -> int:
        """How many narrations a step takes in all."""
        return self.batch * self.ranks * self.accumulation

    @property
    def steps_per_epoch(self) -> int:
        """Steps until every narration was seen."""
        return -(-self.size // self.step_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        stream = itertools.islice(self._stream(), self.start_step * self.step_size, None)
        while True:
            of_all_ranks = list(itertools.islice(stream, self.batch * self.ranks))
            yield of_all_ranks[self.rank * self.batch : (self.rank + 1) * self.batch]

    def _stream(self) -> Iterator[tuple[int, int]]:
        begun: set[int] = set()
        for epoch in itertools.count():
            places = np.random.default_rng([self.seed, epoch]).permutation(self.size).tolist()
            # No narration twice in a step: it would be held against itself.
            if not begun.isdisjoint(places[: self.step_size - len(begun)]):
                places.sort(key=begun.__contains__)
            yield from ((epoch, place) for place in places)
            begun = set(places[self.size - ((epoch + 1) * self.size) % self.step_size :])
