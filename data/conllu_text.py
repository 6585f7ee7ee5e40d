"""The text of a CoNLL-U document, and where its words stand in it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise

from utils.text.conllu import ConlluDocument, ConlluMention, ConlluRow, ConlluSentence
from utils.text.spans import Span


@dataclass(frozen=True, slots=True)
class RebuiltText:
    """The text of a document.

    Attributes:
        text: the words put together.
        words: the characters of each piece that the text is made of: words, or whole multiword
            tokens where their parts are not the token put together.
        sentences: the characters of each sentence.
        word_of: the index into `words` of each node; None for an empty node.
    """

    text: str
    words: tuple[Span, ...]
    sentences: tuple[Span, ...]
    word_of: tuple[int | None, ...]

    def words_of(self, mention: ConlluMention) -> list[int]:
        """Return the words that a mention holds, in order and each once."""
        places = (self.word_of[node] for node in mention.nodes)
        return sorted({place for place in places if place is not None})

    def is_widened(self, mention: ConlluMention) -> bool:
        """Return whether the words of a mention hold nodes that it does not hold itself."""
        words = set(self.words_of(mention))
        touched = sum(word in words for word in self.word_of)
        return touched > sum(self.word_of[node] is not None for node in mention.nodes)


def rebuild_text(document: ConlluDocument) -> RebuiltText:
    """Put the words of a document together as they stood in its text."""
    text = ""
    words: list[Span] = []
    sentences: list[Span] = []
    word_of: list[int | None] = []
    space = ""
    for sentence in document.sentences:
        start = len(text) + len(space)
        pending: list[Span] = []  # the characters of the words of a multiword token
        for row in sentence.rows:
            if row.is_empty:
                word_of.append(None)
                continue
            if pending:
                span = pending.pop(0)
            else:
                text += space
                span = len(text), len(text) + len(row.form)
                text += row.form
                space = "" if row.value("SpaceAfter") == "No" else " "
            if row.is_multiword:
                pending = _parts(row, sentence, span)
                continue
            if not words or words[-1] != span:
                words.append(span)
            word_of.append(len(words) - 1)
        sentences.append((start, len(text)))
    return RebuiltText(text, tuple(words), tuple(sentences), tuple(word_of))


def _parts(token: ConlluRow, sentence: ConlluSentence, span: Span) -> list[Span]:
    """Return the characters of each word of a multiword token.

    They are those of the whole token where the words put together are not the token.
    """
    first, last = map(int, token.id.split("-"))
    forms = [word.form for word in sentence.words[first - 1 : last]]
    if "".join(forms) != token.form:
        return [span] * len(forms)
    return list(pairwise(accumulate(map(len, forms), initial=span[0])))
