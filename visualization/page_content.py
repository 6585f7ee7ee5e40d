"""What a page shows of a text: chains on one side or on two, images with boxes, errors."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image

from metrics.error_analysis.errors import Error
from utils.text.spans import Span

_LONGEST_SIDE = 640  # pixels of an image on the page, so that hundreds of them make a small file


@dataclass(frozen=True)
class PageImage:
    """An image that a text is about, or a frame of its video.

    Attributes:
        size: (width, height), of which the proportions alone are read.
        uri: as `image_uri` gives it; None where only an empty frame can be drawn.
        caption: what is written beneath, such as "frame 270"; may be empty.
    """

    size: tuple[int, int]
    uri: str | None = None
    caption: str = ""


@dataclass(frozen=True)
class PageBox:
    """Where a mention is in one of the images of its text.

    Attributes:
        xyxy: relative to the image.
        image: the index of the image.
        score: how sure it is, from 0 to 1; None where nothing says so, as of gold boxes.
    """

    xyxy: tuple[float, float, float, float]
    image: int = 0
    score: float | None = None


@dataclass(frozen=True)
class PageAnnotation:
    """What is predicted of a text, or what is known of it.

    Attributes:
        chains: the mentions of each, as characters, the end exclusive, none empty.
        boxes: of the mentions that have any.
    """

    chains: Sequence[Sequence[Span]]
    boxes: Mapping[Span, Sequence[PageBox]] = field(default_factory=dict)


@dataclass(frozen=True)
class SpeakerTurn:
    """Where a speaker begins to speak.

    Attributes:
        start: the first character of the turn.
        speaker: who speaks.
    """

    start: int
    speaker: str


@dataclass(frozen=True)
class PageText:
    """A text on the page.

    Attributes:
        title: what it is called.
        text: what is said.
        system: its chains and boxes, as predicted.
        gold: as they are known; None where they are not.
        images: that boxes lie in.
        turns: in text order; each begins a line. Empty where nobody is named.
        errors: what is wrong with what was predicted.
        scores: of this text, in percent, by their names.
    """

    title: str
    text: str
    system: PageAnnotation
    gold: PageAnnotation | None = None
    images: Sequence[PageImage] = ()
    turns: Sequence[SpeakerTurn] = ()
    errors: Sequence[Error] = ()
    scores: Mapping[str, float] = field(default_factory=dict)


def image_uri(image: Image.Image) -> str:
    """An image in RGB as an address that holds all of it, made smaller where it is large."""
    small = image.copy()
    small.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    content = io.BytesIO()
    small.save(content, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()
