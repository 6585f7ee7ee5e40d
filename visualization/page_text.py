"""Texts as HTML: all that comes from data is escaped, and mentions are elements."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from metrics.error_analysis.nesting import brackets
from utils.printable import escape_unprintable
from utils.text.spans import Span
from visualization.page_content import SpeakerTurn


def escaped(text: str) -> str:
    """Escape a text from data, for an element or for an attribute in double quotes."""
    return html.escape(escape_unprintable(text, keep="\n\t"))


def span_name(span: Span) -> str:
    """Return the name by which the page's script knows a mention."""
    return f"{span[0]}-{span[1]}"


def marked_html(
    text: str,
    chains: Mapping[int, Sequence[Span]],
    turns: Sequence[SpeakerTurn],
    attributes: Mapping[int, str],
) -> str:
    """Return a text with its mentions as elements, in pieces where they cross.

    Args:
        text: its characters.
        chains: by their numbers: spans of characters, the end exclusive.
        turns: in text order; each begins a line.
        attributes: the HTML attributes of the elements of each chain, by its number.
    """
    mentions = [(span, number) for number, chain in chains.items() for span in chain]
    speaker_at = {turn.start: turn.speaker for turn in turns}
    pieces: list[str] = []
    previous = 0
    for here in brackets([span for span, _ in mentions], {len(text), *speaker_at}):
        pieces.append(escaped(text[previous : here.place]))
        looks = "number"
        for index in here.closing:
            span, number = mentions[index]
            if span[1] == here.place:
                pieces.append(f'<span class="{looks}">{number}</span>')
                looks = "number also"
            pieces.append("</span>")
        if here.place in speaker_at:
            line_break = "<br>" if here.place else ""
            pieces.append(f'{line_break}<b class="speaker">{escaped(speaker_at[here.place])}: </b>')
        for index in here.opening:
            span, number = mentions[index]
            # Of a mention in pieces the first one alone is gone to.
            focus = ' tabindex="-1"' if span[0] == here.place else ""
            pieces.append(
                f'<span class="mention"{focus} {attributes[number]} data-span="{span_name(span)}">'
            )
        previous = here.place
    return "".join(pieces)
