"""Texts for a terminal, their mentions in brackets with the number of their chain.

`[a man]1 holds [[his]1 dog]2`: brackets and numbers are always there, so that it reads without
colour too. Where two mentions cross, the one that ends later is marked in two pieces, `[an old
[man…]2]1[…'s dog]2`, so that every closing bracket belongs to the last one that was opened.

Texts come from data: what a terminal would obey in place of showing it is shown as an escape.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TextIO

from metrics.error_analysis.nesting import brackets
from utils.printable import escape_unprintable
from utils.text.spans import Span

_COLOURS = (*range(91, 97), *range(31, 37))
_PLAIN = "\033[0m"
_CODE = re.compile(r"\033\[[0-9;]*m")
# Windows of an excerpt that lie closer together than this many characters are one.
_SMALLEST_GAP = 20


def uses_colour(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal that shows colours, and NO_COLOR is not set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def numbered(chains: Iterable[Collection[Span]]) -> dict[int, list[Span]]:
    """Give chains numbers from 1, in the order in which they begin in the text."""
    return dict(enumerate(sorted(map(sorted, chains)), start=1))


def numbered_alike(
    chains: Iterable[Collection[Span]], others: Mapping[int, Collection[Span]]
) -> dict[int, list[Span]]:
    """Give chains the numbers of the other chains that they share most mentions with.

    Every number is given once, to the pair that shares most mentions first; chains without a
    partner are numbered on from the highest number.

    Args:
        chains: spans of characters.
        others: the chains of the other side by their numbers.
    """
    ordered = sorted(map(sorted, chains))
    number_of = {span: number for number, chain in others.items() for span in chain}
    shared = {
        (place, number): sum(number_of.get(span) == number for span in chain)
        for place, chain in enumerate(ordered)
        for number in {number_of[span] for span in chain if span in number_of}
    }
    given: dict[int, int] = {}
    for place, number in sorted(shared, key=lambda pair: (-shared[pair], pair)):
        if place not in given and number not in given.values():
            given[place] = number
    free = max(others, default=0) + 1
    for place in range(len(ordered)):
        if place not in given:
            given[place], free = free, free + 1
    return {number: ordered[place] for place, number in sorted(given.items(), key=lambda g: g[1])}


def windows_around(text: str, spans: Iterable[Span], context: int) -> list[Span]:
    """Return the windows of a text around spans, widened to whole words; close ones are joined.

    Args:
        spans: of characters, the end exclusive.
        context: about how many characters a window has on either side of a span.
    """
    windows: list[Span] = []
    for first, last in sorted(spans):
        start = text.rfind(" ", 0, max(first - context, 0)) + 1
        end = text.find(" ", last + context)
        end = len(text) if end < 0 else end
        if windows and start - windows[-1][1] < _SMALLEST_GAP:
            windows[-1] = (windows[-1][0], max(end, windows[-1][1]))
        else:
            windows.append((start, end))
    return windows


def marked_text(
    text: str,
    chains: Mapping[int, Iterable[Span]],
    *,
    windows: Sequence[Span] | None = None,
    pointed_at: Collection[Span] = (),
    colour: bool = False,
) -> str:
    """Put the mentions of a text in brackets, each with the number of its chain.

    Args:
        chains: by their numbers; spans of characters, the end exclusive, none of them empty.
        windows: the spans to show, in text order and apart from each other; "…" stands for what
            lies between. None to show all.
        pointed_at: mentions that get a star behind their number.
        colour: whether each chain gets a colour, by terminal codes.
    """
    windows = [(0, len(text))] if windows is None else windows
    mentions = [
        _Mention(span, shown, number, span in pointed_at, colour)
        for number, chain in sorted(chains.items())
        for span in chain
        if (shown := _shown(span, windows))
    ]
    edges = {place for window in windows for place in window} | {len(text)}
    pieces: list[str] = []
    opened: list[_Mention] = []
    previous = 0
    for here in brackets([(m.start, m.end) for m in mentions], edges):
        place = here.place
        if any(first <= previous and place <= last for first, last in windows):
            pieces.append(escape_unprintable(text[previous:place]))
        elif pieces[-1:] != [" … "]:
            pieces.append(" … ")
        for _ in here.closing:
            closed = opened.pop()
            pieces.append(closed.closing(place, opened[-1] if opened else None))
        opening = [mentions[index] for index in here.opening]
        pieces += [mention.opening(place) for mention in opening]
        opened += opening
        previous = place
    return "".join(pieces).strip()


def _shown(span: Span, windows: Sequence[Span]) -> Span | None:
    """Return the span from the first to the last character of it that a window shows, if any."""
    parts = [(max(span[0], first), min(span[1], last)) for first, last in windows]
    parts = [(start, end) for start, end in parts if start < end]
    return (parts[0][0], parts[-1][1]) if parts else None


class _Mention:
    """A mention of a text that is being marked.

    Args:
        span: its characters.
        shown: the span from the first to the last of them that are shown.
        number: of its chain.
        pointed_at: whether it has a star.
        coloured: whether it has the colour of its chain.
    """

    def __init__(
        self, span: Span, shown: Span, number: int, pointed_at: bool, coloured: bool
    ) -> None:
        self.start, self.end = shown
        self.number = number
        self._span = span
        self._star = "*" if pointed_at else ""
        colour = _COLOURS[number % len(_COLOURS)]
        self._code = f"\033[{'1;' if pointed_at else ''}{colour}m" if coloured else ""

    def opening(self, place: int) -> str:
        """Return what stands before its text, or before the rest of it."""
        return f"{self._code}[{'…' if place > self._span[0] else ''}"

    def closing(self, place: int, around: _Mention | None) -> str:
        """Return what stands behind its text, or behind a piece of it.

        Args:
            place: the character where the text or the piece ends.
            around: the mention that goes on there, if any: it gets its colour back.
        """
        after = _PLAIN + (around._code if around else "") if self._code else ""
        return f"{'…' if place < self._span[1] else ''}]{self.number}{self._star}{after}"


def labelled_lines(lines: Mapping[str, str], indent: int = 0) -> str:
    """Put labels before texts, and break these at spaces to the width of the terminal.

    Args:
        lines: marked texts by their labels.
        indent: the number of free columns on the left.
    """
    label_width = max(map(len, lines)) + 2
    room = max(shutil.get_terminal_size((100, 24)).columns - 1 - indent - label_width, 20)
    rows = []
    for label, text in lines.items():
        first, *others = _wrapped(text, room)
        rows.append(" " * indent + f"{label:{label_width}}" + first)
        rows += [" " * (indent + label_width) + line for line in others]
    return "\n".join(rows)


def _wrapped(text: str, width: int) -> list[str]:
    """Break a text into lines of so many columns, terminal codes aside, or of one longer word."""
    lines, columns = [""], 0
    for word in text.split(" "):
        length = len(_CODE.sub("", word))
        if columns and columns + 1 + length > width:
            lines.append(word)
            columns = length
        else:
            lines[-1] += f" {word}" if columns else word
            columns += length + bool(columns)
    return lines
