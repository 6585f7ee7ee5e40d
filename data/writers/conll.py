"""Documents of CoNLL-2012 files as narrations, and narrations as such documents."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import groupby

from data.narration import Narration
from utils.text.conll import (
    ConllDocument,
    ConllSentence,
    WordSpan,
)
from utils.text.words import find_words, words_of


def word_spans(narration: Narration) -> list[WordSpan]:
    """Return the spans of the words of a text, in characters, the end exclusive.

    They are the words of its data set where the text is these, with white space between them or
    nothing, as in Chinese; else those of `utils/text/words.py`.
    """
    found = find_words(narration.text, narration.words) if narration.words else None
    return words_of(narration.text) if found is None else found


def mention_words(narration: Narration) -> list[WordSpan | None]:
    """Return the first and the last word that each mention touches; None where none."""
    words = word_spans(narration)
    starts, ends = [start for start, _ in words], [end for _, end in words]
    spans = (
        (bisect_right(ends, mention.start), bisect_left(starts, mention.end) - 1)
        for mention in narration.mentions
    )
    return [(first, last) if first <= last else None for first, last in spans]


def cuts_words(narration: Narration) -> int:
    """Count the mentions that begin or end within a word."""
    words = word_spans(narration)
    return sum(
        span is not None and (words[span[0]][0] < mention.start or mention.end < words[span[1]][1])
        for mention, span in zip(narration.mentions, mention_words(narration), strict=True)
    )


def document_of(narration: Narration, chains: Sequence[Sequence[int]]) -> ConllDocument:
    """Return a narration as part 0 of the document of its id.

    Args:
        chains: indices of mentions; one that touches no word is left out.
    """
    touched = mention_words(narration)
    spans = ([touched[mention] for mention in chain] for chain in chains)
    return ConllDocument(
        narration.id,
        0,
        _sentences(narration),
        tuple(tuple(span for span in of_chain if span is not None) for of_chain in spans),
    )


def _sentences(narration: Narration) -> tuple[ConllSentence, ...]:
    """Return the words by the sentence where they begin; those between two are one too."""
    starts = [sentence.start for sentence in narration.sentences]

    def place(word: WordSpan) -> tuple[int, bool]:
        """Return the last sentence that begins before the word, and whether the word is in it."""
        index = bisect_right(starts, word[0]) - 1
        return index, index >= 0 and word[0] < narration.sentences[index].end

    sentences = []
    for (index, inside), words in groupby(word_spans(narration), place):
        speaker = narration.sentences[index].speaker if inside else None
        texts = tuple(narration.text[start:end] for start, end in words)
        sentences.append(ConllSentence(texts, speaker))
    return tuple(sentences)
