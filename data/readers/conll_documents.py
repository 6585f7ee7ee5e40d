"""CoNLL-2012 documents as narrations."""

from __future__ import annotations

from itertools import accumulate, pairwise

from data.narration import Mention, Narration, Sentence
from utils.text.conll import (
    ConllDocument,
    without_repeats,
)
from utils.text.genres import genre_of_name


def narration_of(document: ConllDocument, narration_id: str) -> Narration:
    """Return a document as a narration: words joined by spaces, chains named by their place.

    Of mentions that start together the longer one is first. A span that is repeated stays in the
    chain that opened first.

    Args:
        document: with a text for every word.
    """
    words = document.words
    starts = [0, *accumulate(len(word) + 1 for word in words)]  # each is followed by one space
    ends = [start + len(word) for start, word in zip(starts, words, strict=False)]
    spans = sorted(
        (first, -last, str(chain))
        for chain, of_chain in enumerate(without_repeats(document.chains))
        for first, last in of_chain
    )
    firsts = [0, *accumulate(len(sentence.words) for sentence in document.sentences)]
    return Narration(
        id=narration_id,
        text=" ".join(words),
        mentions=tuple(
            Mention(starts[first], ends[-last], " ".join(words[first : 1 - last]), chain)
            for first, last, chain in spans
        ),
        words=words,
        sentences=tuple(
            Sentence(starts[first], ends[following - 1], sentence.speaker)
            for sentence, (first, following) in zip(
                document.sentences, pairwise(firsts), strict=True
            )
        ),
        genre=genre_of_name(document.name),
    )
