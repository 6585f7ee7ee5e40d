"""The characters of the mentions of a narration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from data.narration import Mention, Narration
from utils.errors import InputError
from utils.printable import quote
from utils.text.spans import Span


def gold_spans(narration: Narration) -> list[Span]:
    """Return the spans of the narration's mentions, without white space at their ends."""
    return [trimmed(narration.text, m.start, m.end) for m in narration.mentions]


def trimmed(text: str, start: int, end: int) -> Span:
    """Return a span of a text without the white space at its ends, which may leave it empty."""
    within = text[start:end]
    first = start + len(within) - len(within.lstrip())
    return first, first + len(within.strip())


def checked_spans(text: str, spans: object) -> list[Span]:
    """Check the spans of mentions that somebody gives, and sort them by their start.

    Args:
        spans: pairs of characters (start, end), the end exclusive, in any order.

    Raises:
        InputError: they are anything else, or one is empty or reaches over the text.
    """
    characters = len(text)
    expected = f"(start, end) within the {characters} characters of the text"
    if not isinstance(spans, list | tuple):
        raise InputError(f"mentions: found {quote(spans)}, expected a list of {expected}")
    for span in spans:
        is_pair = isinstance(span, list | tuple) and len(span) == 2
        is_pair = is_pair and all(type(place) is int for place in span)
        if not is_pair or not 0 <= span[0] < span[1] <= characters:
            raise InputError(f"mentions: found {quote(span)}, expected {expected}")
    return sorted(((start, end) for start, end in spans), key=lambda span: span[0])


def with_spans(narration: Narration, spans: Iterable[Span]) -> Narration:
    """Replace the mentions of a narration by ones of which only the spans are known.

    Args:
        spans: characters (start, end), the end exclusive, sorted by their start.
    """
    mentions = (Mention(start, end, narration.text[start:end]) for start, end in spans)
    return replace(narration, mentions=tuple(mentions))
