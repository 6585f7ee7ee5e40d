"""From a narration to numbers: word-pieces, aligned mention spans, masked words."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, replace

import numpy as np

from data.encoding.tokenizer import Tokenizer
from data.encoding.word_vectors import WordVectors
from data.narration import Narration

UNKNOWN_CHAIN = -1
UNKNOWN_REGION = -2
UNKNOWN_PERSON = 0


@dataclass(frozen=True)
class EncodedText:
    """A narration's text as the encoder reads it.

    Attributes:
        token_ids: [T] int64.
        offsets: [T, 2] int64, the characters of each word-piece, end exclusive.
        special: [T] bool, True where the tokenizer added a word-piece.
        mention_indices: the narration's mentions that are in, in text order.
        mention_spans: [M, 2] int64, word-pieces of each, end exclusive.
        word_vectors: [T, D] float32, of the word that each word-piece is part of; None without.
    """

    token_ids: np.ndarray
    offsets: np.ndarray
    special: np.ndarray
    mention_indices: tuple[int, ...]
    mention_spans: np.ndarray
    word_vectors: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.token_ids)


@dataclass(frozen=True)
class MaskedText:
    """A text with some of its word-pieces masked, for the masked-word loss.

    Attributes:
        token_ids: [T] int64, the text as the model sees it.
        positions: [K] int64, where to predict.
        targets: [K] int64, the word-pieces that stood there.
    """

    token_ids: np.ndarray
    positions: np.ndarray
    targets: np.ndarray


def encode_text(
    narration: Narration, tokenizer: Tokenizer, max_mentions: int | None
) -> EncodedText:
    """Cut a narration into word-pieces and align its mentions by their characters.

    A mention's word-pieces are those that share a character with it. Mentions without a word-piece,
    or over the cap, are not among `mention_indices`.

    Args:
        max_mentions: the most mentions to keep; the first ones are. None for all.
    """
    token_ids, offsets, special = tokenizer.encode(narration.text)
    spans = align_spans([(m.start, m.end) for m in narration.mentions], offsets, special)
    kept = [i for i, (first, end) in enumerate(spans) if first < end][:max_mentions]
    return EncodedText(token_ids, offsets, special, tuple(kept), spans[kept])


def with_word_vectors(
    encoded: EncodedText, narration: Narration, vectors: WordVectors
) -> EncodedText:
    """Return an encoded narration with the vectors of its words."""
    of_pieces = vectors.of_word_pieces(narration.text, encoded.offsets, encoded.special)
    return replace(encoded, word_vectors=of_pieces)


def align_spans(
    characters: list[tuple[int, int]], offsets: np.ndarray, special: np.ndarray
) -> np.ndarray:
    """Find the word-pieces of spans of characters.

    Args:
        characters: start and end of each span, end exclusive.
        offsets: [T, 2] characters of each word-piece, in text order.
        special: [T] bool, word-pieces without characters.

    Returns:
        [M, 2] int64, first word-piece and the one after the last; equal where there is none.
    """
    if not characters:
        return np.zeros((0, 2), dtype=np.int64)
    starts, ends = np.asarray(characters, dtype=np.int64).T
    real = np.flatnonzero(~special & (offsets[:, 0] < offsets[:, 1]))
    # From the first that ends behind a span's start to the last that starts before its end. In
    # text order both are found without comparing every span with every word-piece.
    first = np.searchsorted(offsets[real, 1], starts, side="right")
    end = np.searchsorted(offsets[real, 0], ends, side="left")
    spans = np.zeros((len(characters), 2), dtype=np.int64)
    found = first < end
    spans[found] = np.stack([real[first[found]], real[end[found] - 1] + 1], axis=1)
    return spans


def mask_words(
    text: EncodedText, tokenizer: Tokenizer, probability: float, generator: np.random.Generator
) -> MaskedText:
    """Choose word-pieces to predict: 80% of them masked, 10% replaced, 10% left (BERT).

    Args:
        probability: the chance of each word-piece that is not special.
    """
    chosen = np.flatnonzero((generator.random(len(text)) < probability) & ~text.special)
    fate = generator.random(len(chosen))
    replacements = generator.integers(tokenizer.vocabulary_size, size=len(chosen))
    token_ids = text.token_ids.copy()
    token_ids[chosen[fate < 0.8]] = tokenizer.mask_id
    replaced = (fate >= 0.8) & (fate < 0.9)
    token_ids[chosen[replaced]] = replacements[replaced]
    return MaskedText(token_ids, chosen, text.token_ids[chosen])


def masking_generator(seed: int, epoch: int, narration_id: str) -> np.random.Generator:
    """Return randomness that depends on these three alone, on any rank and in any worker."""
    return np.random.default_rng([seed, epoch, zlib.crc32(narration_id.encode("utf-8", "replace"))])


def chain_numbers(narration: Narration, mention_indices: tuple[int, ...]) -> np.ndarray:
    """Return the chains of mentions as numbers, [M] int64; `UNKNOWN_CHAIN` where not known."""
    numbers: dict[str, int] = {}
    return np.asarray(
        [
            UNKNOWN_CHAIN if chain is None else numbers.setdefault(chain, len(numbers))
            for chain in (narration.mentions[index].chain for index in mention_indices)
        ],
        dtype=np.int64,
    )


def region_numbers(
    narration: Narration, mention_indices: tuple[int, ...], regions: int
) -> np.ndarray:
    """Return the region that shows what each mention means, [M] int64.

    `NO_REGION` where none does; `UNKNOWN_REGION` where it is not known, or not among those read.

    Args:
        regions: how many of the image are read.
    """
    numbers = (narration.mentions[index].region for index in mention_indices)
    return np.asarray(
        [UNKNOWN_REGION if n is None or n >= regions else n for n in numbers], dtype=np.int64
    )


def person_numbers(narration: Narration, regions: int) -> np.ndarray:
    """Return who each region that is read shows, [R] int64; `UNKNOWN_PERSON` where unknown.

    A name has the same number in every process.
    """
    people = (*narration.people, *[None] * regions)[:regions]
    return np.asarray([_person_number(name) for name in people], dtype=np.int64)


def _person_number(name: str | None) -> int:
    if name is None:
        return UNKNOWN_PERSON
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return 1 + int.from_bytes(digest[:7], "big")
