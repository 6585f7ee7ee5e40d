"""Spans of a text as brackets that nest: the last one that was opened closes first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from utils.text.spans import Span


@dataclass(frozen=True, slots=True)
class Brackets:
    """The spans that close and those that open before a character.

    Attributes:
        place: the index of the character.
        closing: the indices of the spans that close, the innermost first.
        opening: of those that open then, the outermost first.
    """

    place: int
    closing: tuple[int, ...]
    opening: tuple[int, ...]


def brackets(spans: Sequence[Span], places: Collection[int] = ()) -> Iterator[Brackets]:
    """Yield the places where spans begin and end, in text order.

    Every closing bracket belongs to the last one that was opened. Where two spans cross, the one
    that ends later closes before the end of the other and opens again behind it. Of those that
    open and end together the first is the outer one.

    Args:
        spans: of characters, the end exclusive, none of them empty.
        places: other characters to stop at, where nothing may open or close.
    """
    opened: list[int] = []  # from the outermost one inwards
    for place in sorted({end for span in spans for end in span} | set(places)):
        ending = [depth for depth, index in enumerate(opened) if spans[index][1] == place]
        inside = ending[0] if ending else len(opened)
        closing = tuple(reversed(opened[inside:]))
        crossing = [index for index in closing if spans[index][1] > place]
        starting = [index for index, (start, _) in enumerate(spans) if start == place]
        opening = tuple(sorted(crossing + starting, key=lambda index: (-spans[index][1], index)))
        opened[inside:] = opening
        yield Brackets(place, closing, opening)
