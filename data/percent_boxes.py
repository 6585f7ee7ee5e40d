"""Boxes as annotations have them: x, y, width and height in percent of the image."""

from __future__ import annotations

import itertools
import math
from typing import Any

from data.narration import RelativeBox

# How far a box may reach over the image before it is wrong rather than rounded, in percent.
BOX_TOLERANCE = 0.5


def relative_box(box: Any) -> RelativeBox | None:
    """Convert (x, y, width, height) in percent to (x1, y1, x2, y2), relative and clipped.

    Returns:
        None where it is no box in the image.
    """
    if not isinstance(box, list) or len(box) != 4:
        return None
    # No number that is in the image, or just outside, is larger; NaN is not smaller than any.
    if not all(type(x) in (int, float) and abs(x) < 200 for x in box):
        return None
    x, y, width, height = box
    inside = min(x, y) >= -BOX_TOLERANCE and max(x + width, y + height) <= 100 + BOX_TOLERANCE
    corners = (x, y, x + width, y + height)
    x1, y1, x2, y2 = (min(max(corner / 100, 0.0), 1.0) for corner in corners)
    return (x1, y1, x2, y2) if inside and x1 < x2 and y1 < y2 else None


def percent_box(box_xyxy: RelativeBox) -> list[float]:
    """Convert (x1, y1, x2, y2), relative to the image, to (x, y, width, height) in percent.

    `relative_box` gives the same corners again, to the last bit where any numbers in percent do.
    """
    x1, y1, x2, y2 = box_xyxy
    x, y = _percent(x1), _percent(y1)
    return [x, y, _extent(x, x2), _extent(y, y2)]


def _percent(corner: float) -> float:
    percents = _beside(100 * corner)
    return next((percent for percent in percents if percent / 100 == corner), percents[0])


def _extent(start: float, corner: float) -> float:
    """Return the extent in percent from a start in percent to a relative corner."""
    ends = _beside(100 * corner)
    extents = list(itertools.chain.from_iterable(_beside(end - start) for end in ends))
    return next((extent for extent in extents if (start + extent) / 100 == corner), extents[0])


def _beside(number: float) -> tuple[float, float, float]:
    """Return the number, and the two floats next to it."""
    return number, math.nextafter(number, math.inf), math.nextafter(number, -math.inf)
