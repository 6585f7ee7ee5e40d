"""From a narration to an example: all that a batch needs of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.encoding.candidates import Candidates, find_candidates
from data.encoding.mention_features import mention_features
from data.encoding.text import (
    EncodedText,
    MaskedText,
    chain_numbers,
    encode_text,
    mask_words,
    masking_generator,
    with_word_vectors,
)
from data.encoding.tokenizer import Tokenizer
from data.encoding.traces import MentionTraces, mention_traces, read_trace
from data.encoding.word_vectors import WordVectors
from data.narration import Narration, Regions
from utils.text.languages import Language


@dataclass(frozen=True)
class Masking:
    """How words are masked: the chance of each word-piece, and the run's seed."""

    probability: float
    seed: int


@dataclass(frozen=True)
class Example:
    """A narration with all that a batch needs of it."""

    narration: Narration
    text: EncodedText
    chains: np.ndarray  # [M] int64
    regions: Regions | None
    masked: MaskedText | None
    traces: MentionTraces | None = None
    mention_features: np.ndarray | None = None  # [M, features] int64
    candidates: Candidates | None = None


@dataclass(frozen=True)
class ExampleEncoder:
    """Makes examples of narrations, as a model reads them and its losses need them.

    Attributes:
        tokenizer: the text encoder's.
        max_mentions: the most mentions of a narration, of which the first ones are kept; None to
            keep all.
        word_vectors: of the narrations' words; None where the model reads none.
        language: of the texts, for the pair features of mentions; None where the model reads none.
        max_mention_pieces: the most word-pieces of a mention to find; None where none are to be
            found.
        masking: None where no masked words are to be predicted.
        trace_lag: by how many words the mouse follows what is spoken of; None where no mouse traces
            are read.
    """

    tokenizer: Tokenizer
    max_mentions: int | None
    word_vectors: WordVectors | None = None
    language: Language | None = None
    max_mention_pieces: int | None = None
    masking: Masking | None = None
    trace_lag: int | None = None

    def encode(
        self,
        narration: Narration,
        regions: Regions | None = None,
        *,
        text: EncodedText | None = None,
        epoch: int = 0,
    ) -> Example:
        """Encode a narration.

        Args:
            regions: of its image; None where there are none, or they are not read.
            text: the narration cut into word-pieces, where that was done already.
            epoch: decides, with the run's seed and the narration, which words are masked.

        Raises:
            DataError: its mouse trace is broken, or does not fit its words.
        """
        if text is None:
            text = encode_text(narration, self.tokenizer, self.max_mentions)
        if self.word_vectors is not None:
            text = with_word_vectors(text, narration, self.word_vectors)
        masked = traces = candidates = features = None
        if self.masking is not None:
            generator = masking_generator(self.masking.seed, epoch, narration.id)
            masked = mask_words(text, self.tokenizer, self.masking.probability, generator)
        if self.trace_lag is not None and narration.trace_path is not None:
            trace = read_trace(narration)
            traces = mention_traces(narration, trace, text.mention_indices, self.trace_lag)
        if self.max_mention_pieces is not None:
            candidates = find_candidates(narration, text, self.max_mention_pieces)
        if self.language is not None:
            features = mention_features(narration, text.mention_indices, self.language)
        chains = chain_numbers(narration, text.mention_indices)
        return Example(narration, text, chains, regions, masked, traces, features, candidates)
