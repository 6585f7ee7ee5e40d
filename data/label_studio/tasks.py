"""Narrations as tasks that Label Studio imports, their mentions and boxes as predictions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from data.narration import Narration, RelativeBox
from data.percent_boxes import percent_box
from utils.errors import InputError

# Labels without a mention, for chains that a person adds to those there are, or to none.
_SPARE = 10
_SPARE_OF_PLAIN_TEXT = 30

# Told apart by the colour-blind; chains take them in turn.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

_TEXT = """\
  <View style="flex: 1">
    <Labels name="chain" toName="text" value="$chains"/>
    <Text name="text" value="$text"/>
  </View>
"""
_IMAGE = """\
  <View style="flex: 1">
    <RectangleLabels name="box" toName="image" value="$chains" canRotate="false"/>
    <Image name="image" value="$image" zoom="true" zoomControl="true" rotateControl="false"/>
  </View>
"""


def image_name(narration: Narration) -> str | None:
    """Return the name of the image's file; None for a text alone."""
    if narration.image_path is not None:
        return narration.image_path.name
    return f"{narration.id}.jpg" if narration.image_size is not None else None


def has_images(narrations: Sequence[Narration]) -> bool:
    """Return whether all narrations have images, as in a project all tasks or none have them.

    Raises:
        InputError: some have one and others none.
    """
    imaged = [n for n in narrations if image_name(n) is not None]
    if imaged and len(imaged) < len(narrations):
        alone = next(n for n in narrations if image_name(n) is None)
        raise InputError(
            f"{len(imaged)} of {len(narrations)} narrations have a picture, {alone.id} has none; "
            "expected all or none, as a project of Label Studio has one kind of task: make two"
        )
    return bool(imaged)


def labelling_config(*, imaged: bool) -> str:
    """Return the labelling configuration of the tasks, as XML.

    Args:
        imaged: whether the tasks have images.
    """
    parts = _IMAGE + _TEXT if imaged else _TEXT
    return f'<View style="display: flex; gap: 1em">\n{parts}</View>\n'


def task_of(narration: Narration, address_of_images: str, model_version: str) -> dict[str, Any]:
    """Return a narration as a task, with its known mentions as a prediction to correct.

    Args:
        address_of_images: what comes before the name of an image's file in its address.
        model_version: what made the prediction.
    """
    chains = _chain_names(narration)
    data: dict[str, Any] = {
        "id": narration.id,
        "text": narration.text,
        "chains": _labels(narration, chains),
    }
    name = image_name(narration)
    if name is not None:
        data["image"] = address_of_images + quote(name)
    if narration.image_size is not None:
        data["image_size"] = list(narration.image_size)
    if not narration.mentions:
        return {"data": data}
    result = [_text_region(index, narration, chain) for index, chain in enumerate(chains)]
    result += _image_regions(narration, chains)
    return {"data": data, "predictions": [{"model_version": model_version, "result": result}]}


def _chain_names(narration: Narration) -> list[str]:
    """Return the chain of each mention; one that is not known becomes a chain of its own."""
    known = [mention.chain for mention in narration.mentions if mention.chain is not None]
    new = _new_names(known)
    return [next(new) if m.chain is None else m.chain for m in narration.mentions]


def _new_names(taken: Sequence[str]) -> Iterator[str]:
    names = (f"new {number}" for number in itertools.count(1))
    return (name for name in names if name not in taken)


def _labels(narration: Narration, chains: Sequence[str]) -> list[dict[str, str]]:
    """Return a label for each chain, and spare ones; its hint has the words of the mentions."""
    words: dict[str, list[str]] = {}
    for mention, chain in zip(narration.mentions, chains, strict=True):
        words.setdefault(chain, []).append(narration.text[mention.start : mention.end])
    spare = itertools.islice(_new_names(chains), _SPARE if chains else _SPARE_OF_PLAIN_TEXT)
    words |= {name: ["a chain without a mention"] for name in spare}
    return [
        {"value": name, "background": colour, "hint": ", ".join(of_chain)}
        for (name, of_chain), colour in zip(words.items(), itertools.cycle(_COLOURS))
    ]


def _text_region(index: int, narration: Narration, chain: str) -> dict[str, Any]:
    start, end = narration.mentions[index].start, narration.mentions[index].end
    return {
        "id": _mention_id(index),
        "from_name": "chain",
        "to_name": "text",
        "type": "labels",
        # Label Studio counts characters as Python does, not the halves of surrogate pairs.
        "value": {
            "start": start,
            "end": end,
            "text": narration.text[start:end],
            "labels": [chain],
        },
    }


def _image_regions(narration: Narration, chains: Sequence[str]) -> list[dict[str, Any]]:
    """Return the boxes of every chain, and relations where its mentions' boxes differ."""
    sharing: dict[str, dict[tuple[RelativeBox, ...], list[int]]] = {}
    for index, (mention, chain) in enumerate(zip(narration.mentions, chains, strict=True)):
        sharing.setdefault(chain, {}).setdefault(mention.boxes_xyxy, []).append(index)
    regions: list[dict[str, Any]] = []
    relations: list[dict[str, Any]] = []
    for chain, groups in sharing.items():
        for boxes, indices in groups.items():
            for box in boxes:
                name = f"box-{len(regions)}"
                regions.append(_rectangle(name, box, chain, narration))
                if len(groups) > 1:
                    relations += [_relation(name, index) for index in indices]
    return regions + relations


def _rectangle(
    name: str, box_xyxy: RelativeBox, chain: str, narration: Narration
) -> dict[str, Any]:
    if narration.image_size is None:
        raise InputError(f"{narration.id}: found boxes and no size of the picture, expected both")
    width, height = narration.image_size
    places = zip(("x", "y", "width", "height"), percent_box(box_xyxy), strict=True)
    return {
        "id": name,
        "from_name": "box",
        "to_name": "image",
        "type": "rectanglelabels",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {**dict(places), "rotation": 0, "rectanglelabels": [chain]},
    }


def _relation(name: str, index: int) -> dict[str, Any]:
    return {
        "type": "relation",
        "from_id": name,
        "to_id": _mention_id(index),
        "direction": "right",
        "labels": [],
    }


def _mention_id(index: int) -> str:
    return f"mention-{index}"
