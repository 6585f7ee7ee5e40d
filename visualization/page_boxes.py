"""Images as HTML, with the boxes of mentions over them."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from metrics.error_analysis.errors import WRONG_BOXES
from utils.text.spans import Span
from visualization.page_content import (
    PageBox,
    PageImage,
    PageText,
)
from visualization.page_text import escaped, span_name

_NumberedChains = Mapping[int, Sequence[Span]]
_SIGNS = {"right": "✓", "wrong": "✗", "": ""}
_EDGE = 0.07  # of an image: a box that begins there has no room above it for its number


def images_html(
    page_text: PageText,
    system: _NumberedChains,
    gold: _NumberedChains,
    attributes: Mapping[int, str],
) -> str:
    """Return the images of a text with the boxes of its mentions; nothing where there are none.

    Args:
        page_text: the text.
        system: its chains by their numbers.
        gold: likewise.
        attributes: the HTML attributes of the elements of each chain, by its number.
    """
    if not page_text.images:
        return ""
    boxes = [*_gold_boxes(page_text, gold), *_system_boxes(page_text, system)]
    # The largest first, so that the smaller ones lie over it and can be pointed at.
    boxes.sort(key=lambda drawn: -_size(drawn.box))
    elements = []
    for index, image in enumerate(page_text.images):
        of_image = [
            _element(drawn, page_text.text, attributes[drawn.number])
            for drawn in boxes
            if drawn.box.image == index
        ]
        elements.append(_image(image, of_image))
    return f'<div class="pictures">{"".join(elements)}</div>'


@dataclass(frozen=True)
class _DrawnBox:
    """A box and how it is drawn.

    Attributes:
        box: where it is.
        span: the characters of its mention.
        number: of the mention's chain.
        looks: its classes in the style sheet.
        judged: "right", "wrong", or empty where that is not known.
    """

    box: PageBox
    span: Span
    number: int
    looks: str
    judged: str = ""


def _system_boxes(page_text: PageText, chains: _NumberedChains) -> Iterator[_DrawnBox]:
    """Yield the system's boxes; the surest one of every chain in each image is always visible."""
    known = {} if page_text.gold is None else page_text.gold.boxes
    wrong = {
        span for error in page_text.errors if error.sort == WRONG_BOXES for span in error.spans
    }
    for number, chain in chains.items():
        boxes = [(span, box) for span in chain for box in page_text.system.boxes.get(span, ())]
        surest = {}
        # Backwards, so that of equals the first one stays.
        for _, box in sorted(reversed(boxes), key=lambda pair: pair[1].score or 0):  # noqa: C414
            surest[box.image] = box
        for span, box in boxes:
            looks = "box of-chain" if box is surest[box.image] else "box"
            judged = "wrong" if span in wrong else "right" if span in known else ""
            yield _DrawnBox(box, span, number, looks, judged)


def _gold_boxes(page_text: PageText, chains: _NumberedChains) -> Iterator[_DrawnBox]:
    if page_text.gold is not None:
        for number, chain in chains.items():
            for span in chain:
                for box in page_text.gold.boxes.get(span, ()):
                    yield _DrawnBox(box, span, number, "box gold")


def _image(image: PageImage, boxes: Sequence[str]) -> str:
    width, height = image.size
    content = ""
    if image.uri is not None:
        uri = html.escape(image.uri)
        # Not loaded lazily: what was never scrolled to would be missing from what is printed.
        content = f'<img src="{uri}" alt="" width="{width}" height="{height}" decoding="async">'
    caption = f"<figcaption>{escaped(image.caption)}</figcaption>" if image.caption else ""
    return (
        f'<figure><div class="picture" style="--ratio:{width}/{height}">{content}'
        f"{''.join(boxes)}</div>{caption}</figure>"
    )


def _element(drawn: _DrawnBox, text: str, attributes: str) -> str:
    box = drawn.box
    x1, y1, x2, y2 = (100 * float(side) for side in box.xyxy)
    place = "" if box.xyxy[1] >= _EDGE else " at-edge"
    side = "gold" if "gold" in drawn.looks else "predicted"
    score = "" if box.score is None else f"{box.score:.2f}"
    phrase = escaped(text[slice(*drawn.span)])
    told = ", ".join(filter(None, (phrase, side, score, drawn.judged)))
    return (
        f'<div class="{drawn.looks}{place}" tabindex="-1" role="img" {attributes} '
        f'data-span="{span_name(drawn.span)}" aria-label="{drawn.number}: {told}" title="{told}" '
        f'style="left:{x1:.2f}%;top:{y1:.2f}%;width:{x2 - x1:.2f}%;height:{y2 - y1:.2f}%">'
        f'<span class="number">{drawn.number}{_SIGNS[drawn.judged]}</span></div>'
    )


def _size(box: PageBox) -> float:
    x1, y1, x2, y2 = box.xyxy
    return (x2 - x1) * (y2 - y1)
