"""Where the words of a text may begin, whatever language and tokenizer.

A word is a run of letters and digits; a letter of a script without capitals is a word by itself, as
such scripts may write words without spaces, and so is any other sign. What combines with the sign
before it, such as an accent, belongs to that.
"""

from __future__ import annotations

import unicodedata
from itertools import pairwise

from utils.text.spans import Span


def word_starts(text: str) -> list[bool]:
    """Tell whether a word may begin at each character, and behind the last one."""
    begins = []
    before_joins = False
    for character in text:
        category = unicodedata.category(character)
        if category[0] == "M":
            begins.append(False)
            continue
        joins = character.isalnum() and category != "Lo"
        begins.append(not (before_joins and joins))
        before_joins = joins
    return [*begins, True]


def words_of(text: str) -> list[Span]:
    """Return the characters of each word, the end exclusive; white space is in none."""
    starts = [place for place, begins in enumerate(word_starts(text)) if begins]
    spans = pairwise(starts)
    return [(start, end) for start, end in spans if not text[start:end].isspace()]


def find_words(text: str, words: tuple[str, ...]) -> list[Span] | None:
    """Find given words in a text, one behind the other, with nothing but white space between them.

    Returns:
        The characters of each, the end exclusive; None where the text is not these words.
    """
    spans = []
    place = 0
    for word in words:
        while not text.startswith(word, place) and text[place : place + 1].isspace():
            place += 1
        if not word or not text.startswith(word, place):
            return None
        spans.append((place, place + len(word)))
        place += len(word)
    return spans if not text[place:].strip() else None
