"""Pair features: what is known of mentions beside their vectors, to compare them in pairs by."""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence

import numpy as np

from data.narration import Narration
from utils.batch import MENTION_FEATURES, UNKNOWN_SPEAKER
from utils.text.languages import Language

# Where a sentence ends in a text that its data set does not split.
_SENTENCE_END = re.compile(r"[.!?](?=\s)|[。！？]")


def mention_features(
    narration: Narration, mention_indices: Sequence[int], language: Language
) -> np.ndarray:
    """Compute the pair features of some mentions.

    Returns:
        [M, features] int64, the columns as `utils.batch.MENTION_FEATURES` names them. Two mentions
        of the narration have the same number of words, or head, where these are the same.
    """
    if narration.sentences:
        ends = [sentence.end for sentence in narration.sentences]
        speakers = [sentence.speaker for sentence in narration.sentences]
    else:
        ends = [match.end() for match in _SENTENCE_END.finditer(narration.text)]
        speakers = []
    numbers: dict[tuple[str, str | None], int] = {}

    def number(kind: str, value: str) -> int:
        return numbers.setdefault((kind, value), len(numbers))

    rows = np.zeros((len(mention_indices), len(MENTION_FEATURES)), dtype=np.int64)
    for row, index in zip(rows, mention_indices, strict=True):
        mention = narration.mentions[index]
        words = narration.text[mention.start : mention.end]
        sentence = bisect.bisect_right(ends, mention.start)
        speaker = speakers[sentence] if sentence < len(speakers) else None
        row[:] = (
            sentence,
            UNKNOWN_SPEAKER if speaker is None else number("speaker", speaker),
            number("words", language.without_articles(words)),
            number("head", language.head_word(words)),
            language.kind_of(words),
        )
    return rows
