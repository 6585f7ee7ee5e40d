"""A page to look at: pictures with their boxes, and texts with their chains.

The page is one file that loads nothing from anywhere. All that comes from data is text in it: its
policy lets no script run but the page's own.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

import numpy as np
from PIL import Image

from evaluation.nesting import brackets
from utils.spans import Span
from utils.visible import visible

_TEMPLATE = Path(__file__).with_suffix(".html")
_LONGEST_SIDE = 1000  # pixels of a picture on the page
_COLOURS = 6  # in the template, all told apart by the colour-blind; grey is for single mentions


@dataclass(frozen=True)
class ShownText:
    """A text on the page; M is its mentions.

    Attributes:
        title: what it is called.
        text: what is said.
        mentions: characters of each, the end exclusive, none empty.
        chains: indices of mentions, each in exactly one chain.
        boxes_xyxy: [M, 4] relative to the picture; None where there are none.
        box_scores: [M], 0 where a mention has no box; None where there are none.
        picture: as `picture_uri` gives it; None where the text stands alone.
    """

    title: str
    text: str
    mentions: Sequence[Span]
    chains: Sequence[Sequence[int]]
    boxes_xyxy: np.ndarray | None = None
    box_scores: np.ndarray | None = None
    picture: str | None = None


def picture_uri(picture: Image.Image) -> str:
    """A picture in RGB as an address that holds all of it, made smaller where it is large."""
    small = picture.copy()
    small.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    content = io.BytesIO()
    small.save(content, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()


def page_of(texts: Sequence[ShownText]) -> str:
    """The page of some texts, as HTML."""
    template = _TEMPLATE.read_text(encoding="utf-8")
    _, _, rest = template.partition("<script>")
    script, _, _ = rest.partition("</script>")
    checksum = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Template(template).substitute(
        policy="default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{checksum}'",
        sections="\n".join(map(_section, texts)),
    )


def _section(shown: ShownText) -> str:
    number_of = {
        index: number for number, chain in enumerate(shown.chains, start=1) for index in chain
    }
    # The colour of each mention's chain: in turn for the chains of several, grey for the others.
    colour_of: dict[int, int] = {}
    several = [chain for chain in shown.chains if len(chain) > 1]
    for place, chain in enumerate(several):
        colour_of |= dict.fromkeys(chain, 1 + place % _COLOURS)
    marks = [
        f'data-chain="{number_of[index]}" data-colour="{colour_of.get(index, 0)}"'
        for index in range(len(shown.mentions))
    ]
    parts = [f"<section>\n<h2>{_escaped(shown.title)}</h2>"]
    if shown.picture is not None:
        parts.append(f'<div class="picture"><img src="{html.escape(shown.picture)}" alt="">')
        parts += _boxes(shown, number_of, marks)
        parts.append("</div>")
    parts.append(f'<p class="text" dir="auto">{_marked(shown, number_of, marks)}</p>\n</section>')
    return "\n".join(parts)


def _boxes(shown: ShownText, number_of: dict[int, int], marks: Sequence[str]) -> list[str]:
    """A box for each mention; that of its chain's surest one is always to be seen."""
    if shown.boxes_xyxy is None or shown.box_scores is None:
        return []
    scores = shown.box_scores
    surest = {max(chain, key=lambda index: scores[index]) for chain in shown.chains}
    sizes = (shown.boxes_xyxy[:, 2:] - shown.boxes_xyxy[:, :2]).prod(axis=1)
    elements = []
    # The largest first, so that the smaller ones lie over it and can be pointed at.
    for index in np.argsort(-sizes, kind="stable").tolist():
        if not scores[index] > 0:
            continue
        x1, y1, x2, y2 = (100 * float(side) for side in shown.boxes_xyxy[index])
        start, end = shown.mentions[index]
        label = _escaped(shown.text[start:end])
        kind = "box of-chain" if index in surest else "box"
        elements.append(
            f'<div class="{kind}" tabindex="0" role="img" {marks[index]} '
            f'aria-label="{number_of[index]}: {label}" title="{label}, {scores[index]:.2f}" '
            f'style="left:{x1:.2f}%;top:{y1:.2f}%;width:{x2 - x1:.2f}%;height:{y2 - y1:.2f}%">'
            f'<span class="number">{number_of[index]}</span></div>'
        )
    return elements


def _marked(shown: ShownText, number_of: dict[int, int], marks: Sequence[str]) -> str:
    """The text with its mentions as elements, in pieces where they cross."""
    pieces: list[str] = []
    previous = 0
    for here in brackets(shown.mentions, [len(shown.text)]):
        pieces.append(_escaped(shown.text[previous : here.place]))
        for index in here.closing:
            if shown.mentions[index][1] == here.place:
                pieces.append(f'<span class="number">{number_of[index]}</span>')
            pieces.append("</span>")
        for index in here.opening:
            # Of a mention in pieces the first one alone is gone to.
            focus = ' tabindex="0"' if shown.mentions[index][0] == here.place else ""
            pieces.append(f'<span class="mention"{focus} {marks[index]}>')
        previous = here.place
    return "".join(pieces)


def _escaped(text: str) -> str:
    return html.escape(visible(text, keep="\n\t"))
