"""The types of one example: a narration, its mentions, and the regions of its image.

Every reader in `data/readers` yields `Narration` objects; everything after the readers sees only
these. Positions in a text are counted in characters, the end exclusive, so that
`text[mention.start:mention.end]` is the mention. Boxes are (x1, y1, x2, y2) relative to the
image: 0 is its left or upper edge, 1 its right or lower one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

RelativeBox = tuple[float, float, float, float]  # (x1, y1, x2, y2), 0 to 1

NO_REGION = -1


@dataclass(frozen=True, slots=True)
class Mention:
    """A span of the text that refers to something.

    Attributes:
        start: first character in the text.
        end: character after the last one.
        phrase: the words of the mention as its data set writes them; chain files name it by them.
        chain: name of its gold chain within the narration; None where unknown.
        boxes_xyxy: its gold boxes, relative to the image; empty where it has none.
        kind: a subset to score apart, where the data set names one.
        region: number of the region of its image that shows what its chain means, NO_REGION where
            nothing there does; None where it is not known, or what shows it is no region.
    """

    start: int
    end: int
    phrase: str
    chain: str | None = None
    boxes_xyxy: tuple[RelativeBox, ...] = ()
    kind: str | None = None
    region: int | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """One detected region of an image.

    Attributes:
        box_xyxy: relative to the image.
        label: the detector's name for it ("man"); may be several words.
        attribute: what the detector says of it ("red"); empty where it says nothing.
        feature: the detector's description of it, [feature size].
    """

    box_xyxy: RelativeBox
    label: str
    attribute: str
    feature: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Regions(Sequence[Region]):
    """The detected regions of one image, kept as arrays; each item is a `Region`.

    Attributes:
        boxes_xyxy: [regions, 4] float32, relative to the image.
        labels: a name for each region.
        attributes: an attribute for each region, or empty where the detector gives none at all.
        features: [regions, feature size] float32.
    """

    boxes_xyxy: np.ndarray
    labels: tuple[str, ...]
    attributes: tuple[str, ...]
    features: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.labels)
        if self.boxes_xyxy.shape != (count, 4):
            raise ValueError(f"boxes_xyxy has shape {self.boxes_xyxy.shape}, expected ({count}, 4)")
        if self.features.ndim != 2 or len(self.features) != count:
            raise ValueError(f"features has shape {self.features.shape}, expected ({count}, size)")
        if self.attributes and len(self.attributes) != count:
            raise ValueError(f"{len(self.attributes)} attributes for {count} regions")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Region:  # type: ignore[override]
        return Region(
            box_xyxy=tuple(self.boxes_xyxy[index].tolist()),
            label=self.labels[index],
            attribute=self.attributes[index] if self.attributes else "",
            feature=self.features[index],
        )

    def __iter__(self) -> Iterator[Region]:
        return (self[index] for index in range(len(self)))


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a text or a turn of a dialogue, as its data set splits it.

    Attributes:
        start: first character in the text.
        end: character after the last one.
        speaker: who says it; None where unknown.
    """

    start: int
    end: int
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class Narration:
    """A text about an image.

    Attributes:
        id: names the narration in every output; unique in its split.
        text: what is said.
        mentions: in the order in which they start; those that start together as the data set has
            them.
        image_id: key into the region store; None where the text stands alone.
        image_size: (width, height) of the image in pixels, where known.
        image_path: the image itself, where it is at hand.
        trace_path: the file of its mouse trace, where there is one.
        trace_offset: the byte of that file that its record begins at, where the file has the
            traces of many.
        words: the words of the text as the data set splits it, where it does; a trace has one box
            for each.
        sentences: the sentences or turns of the text, in text order; they do not overlap. Empty
            where the data set does not split it.
        people: the name of the person that each region of its image shows, None where that is not
            known; empty where it is of none.
        genre: of the text, where its data set names one.

    Raises:
        ValueError: a mention or sentence is empty or reaches over the text, the order is wrong, or
            sentences overlap.
    """

    id: str
    text: str
    mentions: tuple[Mention, ...] = ()
    image_id: str | None = None
    image_size: tuple[int, int] | None = None
    image_path: Path | None = None
    trace_path: Path | None = None
    trace_offset: int | None = None
    words: tuple[str, ...] = field(default=())
    sentences: tuple[Sentence, ...] = ()
    people: tuple[str | None, ...] = ()
    genre: str | None = None

    def __post_init__(self) -> None:
        previous = 0
        for index, mention in enumerate(self.mentions):
            if not 0 <= mention.start < mention.end <= len(self.text):
                raise ValueError(
                    f"narration {self.id}: mention {index} ({mention.phrase!r}) spans characters "
                    f"{mention.start} to {mention.end} of a text of {len(self.text)}"
                )
            if mention.start < previous:
                raise ValueError(f"narration {self.id}: mention {index} starts before the last one")
            previous = mention.start
        end = 0
        for index, sentence in enumerate(self.sentences):
            if not end <= sentence.start < sentence.end <= len(self.text):
                raise ValueError(
                    f"narration {self.id}: sentence {index} spans characters {sentence.start} to "
                    f"{sentence.end}, after one to {end} and in a text of {len(self.text)}"
                )
            end = sentence.end

    @property
    def is_labelled(self) -> bool:
        """Return whether every mention's chain is known.

        So it is of a text that was annotated and has no mention. One of an unlabelled split has
        none either, so ask only of narrations of labelled splits and of those with found mentions.
        """
        return all(mention.chain is not None for mention in self.mentions)


def are_boxes_known(narrations: Iterable[Narration]) -> bool:
    """Return whether any mention has a box."""
    return any(mention.boxes_xyxy for narration in narrations for mention in narration.mentions)


def counted_mentions(narrations: Sequence[Narration]) -> list[tuple[int, ...]]:
    """Return the indices of the mentions of each narration that scores count, in text order.

    Chain files hold the same ones. The published gold chains hold only mentions that have a box; a
    data set without any boxes is counted whole.

    Args:
        narrations: all of a split or a training, as one box among them decides for all.
    """
    if not are_boxes_known(narrations):
        return [tuple(range(len(narration.mentions))) for narration in narrations]
    return [tuple(i for i, m in enumerate(n.mentions) if m.boxes_xyxy) for n in narrations]


def keep_mentions(narration: Narration, kept: Iterable[int]) -> Narration:
    """Return the narration with some of its mentions alone, given by their indices."""
    return replace(narration, mentions=tuple(narration.mentions[index] for index in kept))


def without_labels(narration: Narration) -> Narration:
    """Return the narration with the spans of its mentions, and without any other label."""
    mentions = tuple(
        replace(m, chain=None, boxes_xyxy=(), kind=None, region=None) for m in narration.mentions
    )
    return replace(narration, mentions=mentions, people=())


def with_truth(narration: Narration, truth: Narration | None) -> Narration:
    """Add the labels of its truth to those mentions that the truth has at the same span.

    Args:
        truth: of the same text; None where nothing is known.
    """
    if truth is None:
        return narration
    known = {(mention.start, mention.end): mention for mention in truth.mentions}
    mentions = (known.get((m.start, m.end), m) for m in narration.mentions)
    return replace(narration, mentions=tuple(mentions))
