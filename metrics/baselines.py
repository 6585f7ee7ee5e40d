"""Rules that resolve coreference from the words of the mentions alone: what a model must beat.

Each takes the phrases of a narration's mentions in text order and what is known of the words of
their language, and returns the narration's chains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from metrics.chains import chains_from_labels
from utils.text.languages import ENGLISH, Language


def singletons(phrases: Sequence[str], language: Language = ENGLISH) -> list[list[int]]:
    """Return one chain for each mention."""
    return chains_from_labels([None] * len(phrases))


def one_chain(phrases: Sequence[str], language: Language = ENGLISH) -> list[list[int]]:
    """Return one chain of all mentions."""
    return chains_from_labels([""] * len(phrases))


def same_head(phrases: Sequence[str], language: Language = ENGLISH) -> list[list[int]]:
    """Return one chain for each head word; a pronoun is its own head word."""
    return chains_from_labels([language.head_word(phrase) for phrase in phrases])


def same_head_and_pronouns(phrases: Sequence[str], language: Language = ENGLISH) -> list[list[int]]:
    """Return the chains of `same_head`, but let a pronoun join the chain of the mention before it.

    It joins the entity that was mentioned last; a pronoun before all other mentions starts a chain.
    """
    labels: list[str] = []
    for phrase in phrases:
        head = language.head_word(phrase)
        labels.append(labels[-1] if labels and head in language.referring_pronouns else head)
    return chains_from_labels(labels)


RULES: dict[str, Callable[[Sequence[str], Language], list[list[int]]]] = {
    "singletons": singletons,
    "one chain": one_chain,
    "same head word": same_head,
    "same head word, pronouns to the previous entity": same_head_and_pronouns,
}
