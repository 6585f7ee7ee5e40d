"""The HTML page of predictions: texts with their chains, and images with their boxes.

The page is one file that loads nothing from anywhere. All that comes from data is text in it: its
content security policy lets no script run but the page's own. Gold chains stand beside those of the
system; a gold chain has the number of the system's chain that it shares most mentions with.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import Template

from metrics.error_analysis.errors import SORTS, Error
from metrics.error_analysis.marked_text import numbered, numbered_alike
from metrics.error_analysis.report import TITLES, describe_error
from utils.text.spans import Span
from visualization.page_boxes import images_html
from visualization.page_content import PageText, ScoreIntervals
from visualization.page_text import (
    escaped,
    marked_html,
    span_name,
)

_TEMPLATE = Path(__file__).with_suffix(".html")
_STYLE = Path(__file__).with_suffix(".css")
_SCRIPT = Path(__file__).with_suffix(".js")
# Both in the style. The colours are told apart by the colour-blind; chains after the first six have
# them again, with another line under their mentions. Grey is for single mentions.
_COLOURS, _LINES = 6, 3


def page_html(
    texts: Sequence[PageText],
    *,
    title: str = "Chains of mentions",
    scores: Mapping[str, float] | None = None,
    intervals: ScoreIntervals | None = None,
    figures: Sequence[tuple[str, bytes]] = (),
) -> str:
    """Return the page of texts as HTML.

    Args:
        texts: in the order of the page.
        title: its heading.
        scores: of all texts together, in percent, by their names.
        intervals: of these scores.
        figures: titles and PNG images to show above the texts.
    """
    script = _SCRIPT.read_text(encoding="utf-8")
    checksum = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        policy="default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{checksum}'",
        style=_STYLE.read_text(encoding="utf-8"),
        script=script,
        title=escaped(title),
        scores=_score_list(scores or {}, intervals or ScoreIntervals({}, "")),
        figures="".join(_figure(*figure) for figure in figures),
        filters=_filters(texts),
        sections="\n".join(_section(number, text) for number, text in enumerate(texts, start=1)),
    )


def _score_list(scores: Mapping[str, float], intervals: ScoreIntervals) -> str:
    if not scores:
        return ""
    rows = []
    for name, score in scores.items():
        interval = ""
        if name in intervals.ends:
            low, high = intervals.ends[name]
            interval = f" <small>{low:.1f} to {high:.1f}</small>"
        rows.append(f"<div><dt>{escaped(name)}</dt><dd>{score:.1f}{interval}</dd></div>")
    note = f'<p class="help">{escaped(intervals.note)}</p>' if intervals.note else ""
    return f'<dl class="scores">{"".join(rows)}</dl>{note}'


def _figure(title: str, content: bytes) -> str:
    uri = "data:image/png;base64," + base64.b64encode(content).decode()
    name = escaped(title)
    return (
        f'<details class="extra"><summary>{name}</summary><img src="{uri}" alt="{name}"></details>'
    )


def _filters(texts: Sequence[PageText]) -> str:
    """Return the buttons that choose the texts to see: one for every sort and kind of error."""
    if all(text.gold is None for text in texts):
        return ""
    errors = [error for text in texts for error in text.errors]
    sorts = Counter(error.sort for error in errors)
    kinds = Counter(error.kind for error in errors)
    all_kinds = dict.fromkeys(kind for of_sort in SORTS.values() for kind in of_sort)
    rows = [f'<p class="count" role="status">{len(texts)} of {len(texts)} shown</p>']
    if any(text.gold is not None and text.gold.boxes for text in texts):
        rows.append('<label><input type="checkbox" id="all-gold"> gold boxes (dashed)</label>')
    rows += _buttons("sort", "Errors", {s: TITLES[s] for s in TITLES if sorts[s]}, sorts)
    rows += _buttons("kind", "Of kind", {kind: kind for kind in all_kinds if kinds[kind]}, kinds)
    return "\n".join(['<div class="filters">', *rows, "</div>"])


def _buttons(
    group: str, heading: str, titles: Mapping[str, str], counts: Mapping[str, int]
) -> Iterator[str]:
    buttons = "".join(
        f'<button type="button" aria-pressed="false" data-{group}="{value}">{title} '
        f"<span>{counts[value]}</span></button>"
        for value, title in titles.items()
    )
    if buttons:
        yield f'<div role="group" aria-label="{heading}"><b>{heading}</b>{buttons}</div>'


def _section(number: int, page_text: PageText) -> str:
    sides = {"predicted": numbered(page_text.system.chains)}
    if page_text.gold is not None:
        sides["gold"] = numbered_alike(page_text.gold.chains, sides["predicted"])
    attributes = _chain_attributes(*sides.values())
    title = escaped(page_text.title)
    scores = " · ".join(f"{escaped(name)} {score:.1f}" for name, score in page_text.scores.items())
    parts = [
        f'<section id="n{number}" aria-label="{title}">',
        f'<h2><a href="#n{number}">{title}</a> <small>{scores}</small></h2>',
        '<div class="columns">',
        images_html(page_text, sides["predicted"], sides.get("gold", {}), attributes),
        '<div class="sides">',
    ]
    for name, chains in sides.items():
        heading = f"<h3>{name}</h3>" if len(sides) > 1 else ""
        text = marked_html(page_text.text, chains, page_text.turns, attributes)
        parts.append(f'<div class="side">{heading}<p class="text" dir="auto">{text}</p></div>')
    parts.append("</div></div>")
    if page_text.errors:
        items = "\n".join(_error(error, page_text.text) for error in page_text.errors)
        parts.append(f'<ul class="errors">{items}</ul>')
    return "\n".join([*parts, "</section>"])


def _chain_attributes(*sides: Mapping[int, Sequence[Span]]) -> dict[int, str]:
    """Return the HTML attributes of all elements of a chain, by the number of the chain.

    Chains of several mentions, on either side, get the colours in turn.
    """
    several = sorted({number for side in sides for number in side if len(side[number]) > 1})
    places = {number: place for place, number in enumerate(several)}
    attributes = {}
    for number in {number for side in sides for number in side}:
        line, colour = divmod(places[number], _COLOURS) if number in places else (0, -1)
        attributes[number] = (
            f'data-chain="{number}" data-colour="{colour + 1}" data-line="{line % _LINES}"'
        )
    return attributes


def _error(error: Error, text: str) -> str:
    spans = " ".join(map(span_name, error.spans))
    title = ", ".join(filter(None, (TITLES[error.sort], error.kind)))
    return (
        f'<li tabindex="-1" data-sort="{error.sort}" data-kind="{error.kind}" '
        f'data-spans="{spans}"><b>{title}</b> {escaped(describe_error(error, text))}</li>'
    )
