"""What a user hands to a model: texts, their mentions and their images, checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data.media.images import open_image
from data.mention_spans import checked_spans, with_spans
from data.narration import Narration, Regions
from data.regions.store import GivenRegions
from utils.config import Config
from utils.errors import InputError
from utils.json_files import is_text
from utils.printable import quote
from utils.text.spans import Span

# From images in RGB to the regions of each.
ImagesToRegions = Callable[[Sequence[Image.Image]], list[Regions]]

# A file, an image, or what a detector found in one.
ImageInput = Path | str | Image.Image | Regions


def as_lists(
    images: Any, texts: Sequence[str] | str, mentions: Any
) -> tuple[Sequence[ImageInput | None], Sequence[str], Sequence[Sequence[Span] | None]]:
    """Return the image, the text and the mentions of each text.

    Args:
        images, mentions: of `texts`, in a list where the texts are, None for none of any; their
            types follow from that.

    Raises:
        InputError: there are not as many of all as there are texts.
    """
    if isinstance(texts, str):
        return [images], [texts], [mentions]
    images = [None] * len(texts) if images is None else images
    mentions = [None] * len(texts) if mentions is None else mentions
    for name, given in (("images", images), ("mentions", mentions)):
        if len(given) != len(texts):
            raise InputError(f"{name}: found {len(given)}, expected one for each text")
    return images, texts, mentions


def narrations_of(
    texts: Sequence[str], mentions: Sequence[Sequence[Span] | None]
) -> list[Narration]:
    """Make narrations of texts, named by their places, with the mentions that are given.

    Args:
        mentions: of each text as characters (start, end), the end exclusive, in any order; None
            where they are to be found.

    Raises:
        InputError: a text is none, or a mention lies outside of its text.
    """
    return [
        _narration(number, text, spans)
        for number, (text, spans) in enumerate(zip(texts, mentions, strict=True))
    ]


def check_images(images: Sequence[ImageInput | None], config: Config, *, can_extract: bool) -> None:
    """Refuse what a model cannot read, before anything is opened.

    Args:
        config: of the run that trained the model.
        can_extract: whether there is a region extractor.

    Raises:
        InputError: an image is none, or the model cannot see it.
    """
    for number, image in enumerate(images):
        if image is None:
            continue
        if not isinstance(image, ImageInput):
            raise InputError(
                f"images[{number}]: found {type(image).__name__}, expected a path, a picture, "
                "its regions or None"
            )
        if not config.use_regions:
            raise InputError(
                f"images[{number}]: the model reads texts alone (main.py --no-regions)"
            )
        if not can_extract and not isinstance(image, Regions):
            raise InputError(
                f"images[{number}]: a picture takes a region extractor (`region_extractor` of "
                "the resolver), and there is none; pass one, or the picture's Regions"
            )


def with_images(
    narrations: Sequence[Narration],
    images: Sequence[ImageInput | None],
    extractor: ImagesToRegions | None,
    config: Config,
) -> tuple[list[Narration], GivenRegions]:
    """Give narrations the ids and sizes of their images, and find the images' regions.

    Args:
        images: of each narration; None for a text alone.
        extractor: finds the regions of images; None where all that are given have theirs.
        config: of the run that trained the model.

    Returns:
        The narrations, and the regions by the ids of the images.

    Raises:
        InputError: an image cannot be read, or its regions are not the model's.
    """
    regions: dict[str, Regions] = {}
    opened: dict[str, Image.Image] = {}
    for narration, image in zip(narrations, images, strict=True):
        if isinstance(image, Regions):
            regions[narration.id] = image
        elif image is not None:
            opened[narration.id] = _opened(narration.id, image)
    if extractor is not None and opened:
        regions |= zip(opened, extractor(list(opened.values())), strict=True)
    checked = {name: _checked_regions(name, found, config) for name, found in regions.items()}
    imaged = [
        replace(
            narration,
            image_id=narration.id,
            image_size=opened[narration.id].size if narration.id in opened else None,
        )
        if narration.id in checked
        else narration
        for narration in narrations
    ]
    return imaged, GivenRegions(checked)


def _narration(number: int, text: str, spans: Sequence[Span] | None) -> Narration:
    if not is_text(text):
        raise InputError(f"texts[{number}]: found {quote(text)}, expected text")
    try:
        return with_spans(
            Narration(str(number), text), checked_spans(text, () if spans is None else spans)
        )
    except InputError as error:
        raise InputError(f"texts[{number}]: {error}") from error


def _opened(name: str, image: Path | str | Image.Image) -> Image.Image:
    try:
        return open_image(image)
    except InputError as error:
        raise InputError(f"images[{name}]: {error}") from error


def _checked_regions(name: str, regions: Regions, config: Config) -> Regions:
    """Return the regions that the model reads, which are at most so many; the first ones are."""
    size, expected = regions.features.shape[1], config.region_feature_size
    if size != expected:
        raise InputError(
            f"images[{name}]: the regions have features of {size} numbers, the model takes "
            f"{expected} (region_feature_size)"
        )
    if not np.isfinite(regions.features).all():
        raise InputError(f"images[{name}]: the features of the regions are not all finite")
    boxes = regions.boxes_xyxy
    if not ((boxes >= 0) & (boxes <= 1)).all():
        raise InputError(
            f"images[{name}]: the boxes of the regions reach from {boxes.min():g} to "
            f"{boxes.max():g}, expected parts of the picture, from 0 to 1"
        )
    kept = slice(config.max_regions)
    return Regions(
        boxes[kept].astype(np.float32),
        regions.labels[kept],
        regions.attributes[kept],
        regions.features[kept].astype(np.float32),
    )
