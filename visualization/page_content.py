"""The content of a page: texts with the chains of one side or of two, images, boxes, errors."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image

from metrics.certainty import CONFIDENCE, Certainty, Name, warning_of_few
from metrics.chains import Chains
from metrics.error_analysis.errors import Error
from utils.text.spans import Span

_LONGEST_SIDE = 640  # pixels of an image on the page, so that hundreds of them make a small file


@dataclass(frozen=True)
class ScoreIntervals:
    """The intervals of the scores above the texts.

    Attributes:
        ends: in percent, by the names of the scores; not all scores need have one.
        note: what the intervals are, and whether they are to be believed.
    """

    ends: Mapping[str, tuple[float, float]]
    note: str


def score_intervals(certainty: Certainty, shown: Mapping[str, Name]) -> ScoreIntervals:
    """Return the intervals of some scores.

    Args:
        certainty: of the scores.
        shown: which to show, by their names on the page; those that are not known are left out.
    """
    known = {t: certainty.scores[name] for t, name in shown.items() if name in certainty.scores}
    note = f"Beside the scores: {CONFIDENCE:.0%} intervals over {certainty.documents} documents."
    warning = warning_of_few(certainty.documents, known)
    return ScoreIntervals(
        ends={t: (100 * found.low, 100 * found.high) for t, found in known.items()},
        note=note if warning is None else f"{note} {warning}.",
    )


@dataclass(frozen=True)
class PageImage:
    """An image that a text is about, or a frame of its video.

    Attributes:
        size: (width, height); only the proportions matter.
        uri: as `image_uri` gives it; None where only an empty frame can be drawn.
        caption: the line beneath, such as "frame 270"; may be empty.
    """

    size: tuple[int, int]
    uri: str | None = None
    caption: str = ""


@dataclass(frozen=True)
class PageBox:
    """The box of a mention in one of the images of its text.

    Attributes:
        xyxy: [4], from 0 to 1, relative to the image.
        image: the index of the image.
        score: the confidence of the system, from 0 to 1; None of a gold box.
    """

    xyxy: tuple[float, float, float, float]
    image: int = 0
    score: float | None = None


@dataclass(frozen=True)
class PageAnnotation:
    """The system's or the gold annotation of a text.

    Attributes:
        chains: spans of characters, the end exclusive, none empty.
        boxes: of the mentions that have any, by span.
    """

    chains: Chains[Span]
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
        title: its heading, such as the id of the narration.
        text: its characters.
        system: its chains and boxes, as predicted.
        gold: its gold chains and boxes; None where they are not known.
        images: the images that the boxes lie in.
        turns: in text order; each begins a line. Empty where no speaker is named.
        errors: of the system.
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
    """Return an RGB image as a data URI of a JPEG, its longest side at most 640 pixels."""
    small = image.copy()
    small.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    content = io.BytesIO()
    small.save(content, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()
