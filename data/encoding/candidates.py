"""The spans of a text that may be mentions, in word-pieces, and which of them to take.

A span here is its first and its last word-piece. It may be a mention where it begins as a word does
and ends as one does; what a word is, the characters say, so that it holds for every tokenizer.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from data.encoding.text import EncodedText, align_spans
from data.encoding.tokenizer import Tokenizer
from data.mention_spans import gold_spans
from data.narration import Narration
from utils.text.words import word_starts

NO_BOUNDARY = -1


@dataclass(frozen=True)
class Candidates:
    """Where mentions may begin and end in a text, and where the known ones do.

    Attributes:
        starts: [T] int64, the character at which a mention begins that begins with a word-piece;
            `NO_BOUNDARY` where none may begin.
        ends: [T] int64, the character after a mention that ends with it; likewise.
        gold: [G, 2] int64, first and last word-piece of the mentions that are candidates, each
            once.
    """

    starts: np.ndarray
    ends: np.ndarray
    gold: np.ndarray


def find_candidates(narration: Narration, text: EncodedText, max_pieces: int) -> Candidates:
    """Find what may be mentions of a narration, and which of these its gold mentions are.

    Args:
        text: the narration cut into word-pieces.
        max_pieces: the most word-pieces of a candidate.
    """
    starts, ends = boundaries(narration.text, text.offsets, text.special)
    gold = sorted(set(gold_spans(narration)))
    spans = align_spans(gold, text.offsets, text.special) - [0, 1]
    characters = np.asarray(gold, dtype=np.int64).reshape(-1, 2)
    first, last = spans.T
    fits = (first <= last) & (last - first < max_pieces)
    exact = (starts[first] == characters[:, 0]) & (ends[last] == characters[:, 1])
    return Candidates(starts, ends, spans[fits & exact])


def boundaries(
    text: str, offsets: np.ndarray, special: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the characters at which a mention may begin and end with each word-piece.

    What a word is, `utils/text/words.py` says.

    Args:
        offsets: [T, 2] characters of each word-piece, in text order.
        special: [T] bool, word-pieces without characters.

    Returns:
        [T] and [T] int64, as in `Candidates`. Of several word-pieces of one character the first
        begins and the last ends there.
    """
    begins = word_starts(text)
    following = _after_combining(text)
    starts = np.full(len(offsets), NO_BOUNDARY, dtype=np.int64)
    ends = np.full(len(offsets), NO_BOUNDARY, dtype=np.int64)
    seen, before = 0, NO_BOUNDARY  # the character up to which the text is read, and by which piece
    for piece, (start, end) in enumerate(offsets.tolist()):
        # Some tokenizers count the white space before a word to it.
        while start < end and text[start].isspace():
            start += 1
        if special[piece] or start == end:
            continue
        if start >= seen and begins[start]:
            starts[piece] = start
        finish = following[end]
        if before != NO_BOUNDARY and finish <= seen:
            ends[before] = NO_BOUNDARY
        if begins[finish]:
            ends[piece] = finish
        seen, before = max(seen, finish), piece
    return starts, ends


def count_unreachable(
    narrations: Iterable[Narration], tokenizer: Tokenizer, max_pieces: int
) -> int:
    """Count gold mentions that are no candidates: too long, or that begin or end within a word."""
    unreachable = 0
    for narration in narrations:
        text = EncodedText(*tokenizer.encode(narration.text), (), np.zeros((0, 2), np.int64))
        found = find_candidates(narration, text, max_pieces)
        spans = zip(found.starts[found.gold[:, 0]], found.ends[found.gold[:, 1]], strict=True)
        unreachable += len(set(gold_spans(narration)) - set(spans))
    return unreachable


def without_crossing(spans: np.ndarray, order: Sequence[int]) -> list[int]:
    """Take spans one after the other, but for those that cross one that was taken before.

    Two cross where they share a word-piece and each has one that the other has not; nested ones do
    not.

    Args:
        spans: [N, 2] int64, first and last word-piece.
        order: of the spans to take.

    Returns:
        Those that are taken, in this order.
    """
    size = int(spans.max(initial=-1)) + 1
    # Of the spans taken: the last word-piece of the longest that begins with a word-piece, and
    # the first of the longest that ends with it.
    longest_end = np.full(size, -1)
    longest_start = np.full(size, size)
    taken = []
    for index in order:
        first, last = spans[index].tolist()
        from_inside = (longest_end[first + 1 : last + 1] > last).any()
        into_inside = (longest_start[first:last] < first).any()
        if not (from_inside or into_inside):
            longest_end[first] = max(longest_end[first], last)
            longest_start[last] = min(longest_start[last], first)
            taken.append(index)
    return taken


def _after_combining(text: str) -> list[int]:
    """Find for each place in a text, and that behind it, the next without a combining sign."""
    following = [len(text)]
    for place in reversed(range(len(text))):
        combines = unicodedata.category(text[place])[0] == "M"
        following.append(following[-1] if combines else place)
    return following[::-1]
