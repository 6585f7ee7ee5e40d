"""Datasets of narrations, encoded when they are asked for."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from torch.utils.data import Dataset

from data.encoding.example import Example, ExampleEncoder
from data.encoding.text import EncodedText
from data.narration import Narration
from data.regions.store import GivenRegions, RegionStore


@dataclass(frozen=True)
class SplitData:
    """The narrations of a split or of a part of it, and what is known of them.

    Attributes:
        narrations: in the order of their files.
        store: the regions of their images; None where there are none to read.
        texts: the narrations cut into word-pieces, where that was done already.
        traced: how many have a mouse trace that is read.
    """

    narrations: Sequence[Narration]
    store: RegionStore | None
    texts: Sequence[EncodedText] | None = None
    traced: int = 0


class NarrationDataset(Dataset[Example]):
    """Narrations, encoded when they are asked for; an index is (epoch, place).

    Args:
        narrations: what to read, in order.
        store: their images' regions; None to read texts alone.
        encoder: makes the examples.
        texts: the narrations cut into word-pieces, where that was done already.
    """

    def __init__(
        self,
        narrations: Sequence[Narration],
        store: RegionStore | GivenRegions | None,
        encoder: ExampleEncoder,
        texts: Sequence[EncodedText] | None = None,
    ) -> None:
        self.narrations = narrations
        self.store = store
        self.encoder = encoder
        self.texts = texts

    def __len__(self) -> int:
        return len(self.narrations)

    def __getitem__(self, key: tuple[int, int]) -> Example:
        epoch, place = key
        narration = self.narrations[place]
        regions = None
        if self.store is not None and narration.image_id is not None:
            regions = self.store.read(narration.image_id, narration.image_size)
        text = None if self.texts is None else self.texts[place]
        return self.encoder.encode(narration, regions, text=text, epoch=epoch)


class JoinedDataset(Dataset[Example]):
    """Several datasets one after the other; an index is (epoch, place).

    Args:
        datasets: of one encoder; at least one.
    """

    def __init__(self, datasets: Sequence[NarrationDataset]) -> None:
        self.datasets = datasets
        self.encoder = datasets[0].encoder
        self._ends = list(itertools.accumulate(map(len, datasets)))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, key: tuple[int, int]) -> Example:
        epoch, place = key
        number = bisect.bisect_right(self._ends, place)
        start = self._ends[number] - len(self.datasets[number])
        return self.datasets[number][epoch, place - start]
