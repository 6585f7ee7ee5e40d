"""What comes from data, fit to be printed: nothing in it that a terminal would obey."""

from __future__ import annotations

import reprlib
import unicodedata


def escape_unprintable(text: str, keep: str = "") -> str:
    """The text with every character escaped that is not seen.

    Those are control characters, marks that turn the direction of writing, halves of surrogate
    pairs and the like.

    Args:
        keep: characters that stay as they are all the same.
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or unicodedata.category(character) == "Zs" or character in keep
        else character.encode("unicode_escape").decode()
        for character in text
    )


def quote(value: object) -> str:
    """A value as an error may print it: short, on one line, nothing live in it."""
    shortener = reprlib.Repr()
    shortener.maxstring = shortener.maxother = 100
    return shortener.repr(value)
