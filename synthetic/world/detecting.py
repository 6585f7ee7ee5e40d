"""A simulated object detector: it finds regions with features in a drawn image, with faults.

Features are computed from the pixels of each region's box alone. Their projection is the same in
every world, so that what is learned in one holds in another.
"""

from __future__ import annotations

import functools
from random import Random

import numpy as np
from PIL import Image

from data.regions.writer import ImageRegions
from synthetic.world.drawing import (
    SETTING,
    Drawing,
    PixelBox,
)
from synthetic.world.scenes import (
    HEIGHT,
    SETTINGS,
    WIDTH,
)

FEATURE_SIZE = 2048

_MISSED, _DOUBLED, _MISNAMED, _MISCOLOURED = 0.05, 0.12, 0.09, 0.15
_SHIFT = 0.03  # of a side, the standard deviation of each edge
_GRID = 8  # cells along each side of a crop
_BINS = 4  # of each colour, and twice as many directions of edges
_PROJECTION_SEED = 20231013
_SCALE = 0.26  # makes the mean about 0.4, that of a detector's pooled features

# What a detector takes a thing for when it is wrong.
_TAKEN_FOR = {
    "man": ("person", "boy", "woman"), "woman": ("person", "girl", "man"),
    "boy": ("child", "man", "girl"), "girl": ("child", "woman", "boy"),
    "dog": ("animal", "cat"), "cat": ("animal", "dog"),
    "horse": ("animal", "cow"), "bird": ("animal", "duck"),
    "car": ("truck", "vehicle"), "bicycle": ("bike", "motorcycle"),
    "bench": ("seat", "table"), "chair": ("seat", "bench"),
    "ball": ("frisbee", "balloon"), "kite": ("flag", "sign"),
    "umbrella": ("tent", "lamp"), "tree": ("bush", "plant"),
    "shirt": ("jacket", "t-shirt"), "trousers": ("pants", "jeans"), "skirt": ("dress", "shorts"),
    "hat": ("cap", "helmet"), "bag": ("purse", "backpack"),
    "sky": ("cloud",), "grass": ("field",), "road": ("street",), "sand": ("beach",),
}  # fmt: skip
_BACKGROUND = ("shadow", "line", "leg", "head", "arm", "ground", "wall", "traffic light")
_COLOUR_WORDS = ("red", "blue", "green", "yellow", "black", "white", "brown", "pink", "gray")


def detect(drawing: Drawing, image_id: int, random: Random) -> ImageRegions:
    """Find the regions of a drawing, the surest first.

    Args:
        random: decides where it is wrong: things that it misses, finds twice or misnames, shifted
            edges, and regions where nothing is.
    """
    boxes: list[PixelBox] = []
    labels: list[str] = []
    attributes: list[str] = []
    for thing, box in drawing.boxes.items():
        if random.random() < _MISSED:
            continue
        for _ in range(2 if random.random() < _DOUBLED else 1):
            label, attribute = _name(drawing, thing, random)
            boxes.append(_shifted(box, random))
            labels.append(label)
            attributes.append(attribute)
    for _ in range(random.randint(1, 4)):
        boxes.append(_anywhere(random))
        beyond = SETTINGS[drawing.scene.setting][1]
        labels.append(random.choice((*_BACKGROUND, beyond)))
        attributes.append(random.choice(_COLOUR_WORDS))
    order = list(range(len(boxes)))
    random.shuffle(order)
    return ImageRegions(
        image_id,
        np.array([boxes[i] for i in order], dtype=np.float64),
        [labels[i] for i in order],
        [attributes[i] for i in order],
        np.stack([describe(drawing.pixels, boxes[i]) for i in order]),
    )


def describe(pixels: np.ndarray, box: PixelBox) -> np.ndarray:
    """Compute the feature of a region: a random projection of what its pixels look like.

    Args:
        pixels: [HEIGHT, WIDTH, 3] uint8.
        box: (x1, y1, x2, y2) in pixels.

    Returns:
        [FEATURE_SIZE] float32, none below 0.
    """
    crop = Image.fromarray(pixels).crop(box)
    cells = np.asarray(crop.resize((_GRID, _GRID), Image.Resampling.BOX), np.float64) / 255
    fine = np.asarray(crop.resize((4 * _GRID, 4 * _GRID), Image.Resampling.BILINEAR), np.float64)
    inner = fine[_GRID:-_GRID, _GRID:-_GRID]
    looks = np.concatenate(
        [
            4 * (cells.ravel() - 0.5) / _GRID,
            2 * _colours(fine),
            2 * _colours(inner),
            2 * _edges(fine.mean(axis=2)),
        ]
    )
    projection = _projection(len(looks))
    return np.maximum(looks @ projection, 0).astype(np.float32)


def _colours(pixels: np.ndarray) -> np.ndarray:
    """Return the square root of the share of each colour, [_BINS ** 3]."""
    bins = np.minimum(pixels.reshape(-1, 3) * _BINS / 256, _BINS - 1).astype(int)
    places = bins @ (_BINS * _BINS, _BINS, 1)
    return np.sqrt(np.bincount(places, minlength=_BINS**3) / len(places))


def _edges(grey: np.ndarray) -> np.ndarray:
    """Measure the edges of each direction in a 4 x 4 grid, [4 * 4 * 2 * _BINS], of length 1."""
    down, across = np.gradient(grey)
    strength = np.hypot(down, across)
    turn = np.arctan2(down, across) % (2 * np.pi) / (2 * np.pi)
    direction = np.minimum(turn * 2 * _BINS, 2 * _BINS - 1).astype(int)
    side = len(grey) // 4
    rows, columns = np.indices(grey.shape) // side
    places = (rows * 4 + columns) * 2 * _BINS + direction
    histogram = np.bincount(places.ravel(), strength.ravel(), 4 * 4 * 2 * _BINS)
    return np.sqrt(histogram / max(histogram.sum(), 1e-9))


@functools.cache
def _projection(size: int) -> np.ndarray:
    """Return the projection [size, FEATURE_SIZE], the same in every world."""
    normal = np.random.default_rng(_PROJECTION_SEED).normal(size=(size, FEATURE_SIZE))
    return normal * _SCALE


def true_name(drawing: Drawing, thing: tuple[int, str]) -> tuple[str, str | None]:
    """Return what a thing is called, and its colour; what belongs to the setting has none."""
    index, part = thing
    if index == SETTING:
        return part, None
    entity = drawing.scene.entities[index]
    colour = entity.colours.get(part or "shirt") or entity.colours.get("body") or "green"
    return part or entity.kind, colour


def _name(drawing: Drawing, thing: tuple[int, str], random: Random) -> tuple[str, str]:
    """Choose the label and the attribute that the detector gives a thing."""
    label, colour = true_name(drawing, thing)
    if colour is None:
        colour = random.choice(_COLOUR_WORDS)
    if random.random() < _MISNAMED:
        label = random.choice(_TAKEN_FOR[label])
    if random.random() < _MISCOLOURED:
        colour = random.choice(_COLOUR_WORDS)
    return label, colour


def _shifted(box: PixelBox, random: Random) -> PixelBox:
    """Move each edge of a box a little, inside the image; it is not empty afterwards."""
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    left, right = (round(x + random.gauss(0, _SHIFT * width)) for x in (x1, x2))
    top, bottom = (round(y + random.gauss(0, _SHIFT * height)) for y in (y1, y2))
    left, top = min(max(left, 0), WIDTH - 2), min(max(top, 0), HEIGHT - 2)
    return left, top, min(max(right, left + 2), WIDTH), min(max(bottom, top + 2), HEIGHT)


def _anywhere(random: Random) -> PixelBox:
    """Draw a box where nothing need be."""
    width, height = random.randint(12, 90), random.randint(12, 80)
    left, top = random.randint(0, WIDTH - width), random.randint(0, HEIGHT - height)
    return left, top, left + width, top + height
