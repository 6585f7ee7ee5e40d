"""Rules that resolve coreference from the words of the mentions alone: what a model must beat.

Each takes the phrases of a narration's mentions in text order and returns its chains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evaluation.chains import chains_from_labels

# Words that refer back to something said before: personal, possessive, reflexive, demonstrative
# and relative pronouns of the third person.
PRONOUNS = frozenset(
    "he him his himself she her hers herself it its itself they them their theirs themselves "
    "this that these those who whom whose which".split()
)

# Words after which a noun phrase only says more about its head.
_MODIFIER_STARTS = frozenset(
    "about above across against along among around at before behind below beneath beside between "
    "by down for from in inside into like near of off on onto out outside over past through to "
    "toward towards under underneath up upon with within without "
    "that which who whom whose where".split()
)

_POSSESSIVE_ENDINGS = ("'s", "’s", "'", "’")


def singletons(phrases: Sequence[str]) -> list[list[int]]:
    """Every mention is a chain of its own."""
    return chains_from_labels([None] * len(phrases))


def one_chain(phrases: Sequence[str]) -> list[list[int]]:
    """All mentions are one chain."""
    return chains_from_labels([""] * len(phrases))


def same_head(phrases: Sequence[str]) -> list[list[int]]:
    """Mentions with the same head word are one chain; a pronoun is its own head word."""
    return chains_from_labels([head_word(phrase) for phrase in phrases])


def same_head_and_pronouns(phrases: Sequence[str]) -> list[list[int]]:
    """As `same_head`, but a pronoun joins the chain of the mention before it.

    So it goes to the entity that was mentioned last; a pronoun before all else starts a chain.
    """
    labels: list[str] = []
    for phrase in phrases:
        head = head_word(phrase)
        labels.append(labels[-1] if labels and head in PRONOUNS else head)
    return chains_from_labels(labels)


RULES: dict[str, Callable[[Sequence[str]], list[list[int]]]] = {
    "singletons": singletons,
    "one chain": one_chain,
    "same head word": same_head,
    "same head word, pronouns to the previous entity": same_head_and_pronouns,
}


def head_word(phrase: str) -> str:
    """The word a noun phrase is about, in lower case: its last one before any modifier.

    "a man in a red shirt" is about a man, and so is "the man's"; "the man's shirt" about a shirt.
    A phrase without any word is its own head.
    """
    words = [word for word in map(_bare_word, phrase.lower().split()) if word]
    modifiers = [index for index, word in enumerate(words) if index and word in _MODIFIER_STARTS]
    end = modifiers[0] if modifiers else len(words)
    return words[end - 1] if words else phrase.lower()


def _bare_word(word: str) -> str:
    """A word without the punctuation around it and without a possessive ending."""
    word = word.strip('.,;:!?"()[]')
    for ending in _POSSESSIVE_ENDINGS:
        if word.endswith(ending):
            return word.removesuffix(ending)
    return word
