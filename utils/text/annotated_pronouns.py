"""Pronouns that a data set annotates with the noun phrases that they may refer to."""

from __future__ import annotations

from dataclasses import dataclass

from utils.text.spans import Span


@dataclass(frozen=True, slots=True)
class AnnotatedPronoun:
    """One pronoun of a text; spans are characters, the end exclusive.

    Attributes:
        span: the pronoun itself.
        candidates: the noun phrases that it was asked about, in the order of the data set.
        correct: those of them that it refers to.
        refers: whether it refers to a noun phrase of the text at all.
        discussed: whether the dialogue names what it refers to, not only a caption before it.
    """

    span: Span
    candidates: tuple[Span, ...]
    correct: tuple[Span, ...]
    refers: bool = True
    discussed: bool = True
