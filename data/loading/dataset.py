"""From narrations to batches: the dataset, its sampler, and the padding."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset

from data.encoding.candidates import (
    Candidates,
    find_candidates,
)
from data.encoding.mention_features import mention_features
from data.encoding.text import (
    EncodedText,
    MaskedWords,
    chain_numbers,
    encode_text,
    mask_words,
    masking_generator,
    with_word_vectors,
)
from data.encoding.tokenizer import Tokenizer
from data.encoding.traces import (
    MentionTraces,
    mention_traces,
    read_trace,
)
from data.encoding.word_vectors import WordVectors
from data.narration import Narration, Regions
from data.regions.store import GivenRegions, RegionStore
from utils.text.languages import Language


@dataclass(frozen=True)
class Masking:
    """How words are masked: the chance of each word-piece, and the run's seed."""

    probability: float
    seed: int


@dataclass(frozen=True)
class Source:
    """Narrations, and what is known of them.

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


@dataclass(frozen=True)
class Example:
    """A narration with all that a batch needs of it."""

    narration: Narration
    text: EncodedText
    chains: np.ndarray  # [M] int64
    regions: Regions | None
    masked: MaskedWords | None
    traces: MentionTraces | None = None
    mention_features: np.ndarray | None = None  # [M, features] int64
    candidates: Candidates | None = None


class NarrationDataset(Dataset[Example]):
    """Narrations, encoded when they are asked for; an index is (epoch, place).

    Args:
        narrations: what to read, in order.
        store: their images' regions; None to read texts alone.
        tokenizer: the text encoder's tokenizer.
        max_mentions: the most mentions of a narration.
        masking: None where no masked words are to be predicted.
        word_vectors: of the narrations' words; None where the model reads none.
        use_traces: whether to read the mouse traces of the narrations that have one.
        trace_lag: by how many words the mouse follows what is spoken of.
        texts: the narrations cut into word-pieces, where that was done already.
        language: of the texts, for the pair features of mentions; None where the model reads none.
        max_mention_pieces: the most word-pieces of a mention to find; None where none are to be
            found.
    """

    def __init__(
        self,
        narrations: Sequence[Narration],
        store: RegionStore | GivenRegions | None,
        tokenizer: Tokenizer,
        max_mentions: int,
        masking: Masking | None = None,
        word_vectors: WordVectors | None = None,
        use_traces: bool = False,
        trace_lag: int = 0,
        texts: Sequence[EncodedText] | None = None,
        language: Language | None = None,
        max_mention_pieces: int | None = None,
    ) -> None:
        self.narrations = narrations
        self.store = store
        self.tokenizer = tokenizer
        self.max_mentions = max_mentions
        self.masking = masking
        self.word_vectors = word_vectors
        self.use_traces = use_traces
        self.trace_lag = trace_lag
        self.texts = texts
        self.language = language
        self.max_mention_pieces = max_mention_pieces

    def __len__(self) -> int:
        return len(self.narrations)

    def __getitem__(self, key: tuple[int, int]) -> Example:
        epoch, place = key
        narration = self.narrations[place]
        if self.texts is None:
            text = encode_text(narration, self.tokenizer, self.max_mentions)
        else:
            text = self.texts[place]
        if self.word_vectors is not None:
            text = with_word_vectors(text, narration, self.word_vectors)
        regions = None
        if self.store is not None and narration.image_id is not None:
            regions = self.store.read(narration.image_id, narration.image_size)
        masked = None
        if self.masking is not None:
            generator = masking_generator(self.masking.seed, epoch, narration.id)
            masked = mask_words(text, self.tokenizer, self.masking.probability, generator)
        traces = None
        if self.use_traces and narration.trace_path is not None:
            trace = read_trace(narration)
            traces = mention_traces(narration, trace, text.mention_indices, self.trace_lag)
        candidates = None
        if self.max_mention_pieces is not None:
            candidates = find_candidates(narration, text, self.max_mention_pieces)
        chains = chain_numbers(narration, text.mention_indices)
        features = None
        if self.language is not None:
            features = mention_features(narration, text.mention_indices, self.language)
        return Example(narration, text, chains, regions, masked, traces, features, candidates)


class JoinedDataset(Dataset[Example]):
    """Several datasets one after the other; an index is (epoch, place).

    Args:
        datasets: of one tokenizer; at least one.
    """

    def __init__(self, datasets: Sequence[NarrationDataset]) -> None:
        self.datasets = datasets
        self._ends = np.cumsum([len(dataset) for dataset in datasets]).tolist()
        self.tokenizer = datasets[0].tokenizer

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, key: tuple[int, int]) -> Example:
        epoch, place = key
        number = bisect.bisect_right(self._ends, place)
        start = self._ends[number] - len(self.datasets[number])
        return self.datasets[number][epoch, place - start]
