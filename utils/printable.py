"""Text from data made safe to print: nothing is left in it that a terminal would obey."""

from __future__ import annotations

import reprlib
import unicodedata


def escape_unprintable(text: str, keep: str = "") -> str:
    """Escape every character of a text that cannot be seen.

    Those are control characters, marks that turn the direction of writing, halves of surrogate
    pairs and the like.

    Args:
        keep: characters to leave as they are.
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
    """Quote a value in an error message: its `repr`, shortened, on one line, nothing live in it."""
    shortener = reprlib.Repr()
    shortener.maxstring = shortener.maxother = 100
    return shortener.repr(value)
