"""Moves people through a generated video: where everybody is in each frame.

People drift, change places, walk out and come back, and are hidden by something that passes; some
videos are cut, so that everybody is elsewhere from one frame to the next. A tracker loses them
then, and only their looks say who is who.

Lengths are pixels of a frame of WIDTH x HEIGHT; y grows downwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

WIDTH, HEIGHT = 144, 192
FRAMES = 32
_MARGIN = 10
_RADII = {1: (24, 32), 2: (19, 26), 3: (15, 19), 4: (13, 16)}  # by how many there are
_ABSENCE = 6  # frames that somebody is hidden or out of the image, about

_DRIFT, _LEAVE, _HIDE, _CROSS = "drift", "leave", "hide", "cross"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a head is: its centre, its radius, and how far it leans, in degrees."""

    x: float
    y: float
    radius: float
    tilt: float


Screen = tuple[float, float, float, float]  # (x1, y1, x2, y2) in pixels, before everybody


@dataclass(frozen=True, slots=True)
class Staging:
    """A video before it is drawn.

    Attributes:
        places: for each frame, where each person's head is; far outside where they have left.
        screens: for each frame, what hides somebody.
        shots: for each frame, the number of its shot: another one has another background.
    """

    places: tuple[tuple[Place, ...], ...]
    screens: tuple[tuple[Screen, ...], ...]
    shots: tuple[int, ...]


def stage(count: int, random: Random) -> Staging:
    """Decide where some people are in every frame of a video.

    Args:
        count: how many, 1 to 4.
    """
    cut = random.randint(10, FRAMES - 10) if random.random() < 0.5 else FRAMES
    places: list[tuple[Place, ...]] = []
    screens: list[tuple[Screen, ...]] = []
    shots = []
    for shot, length in enumerate((cut, FRAMES - cut)):
        if length:
            of_shot, before = _shot(count, length, random)
            places += of_shot
            screens += before
            shots += [shot] * length
    return Staging(tuple(places), tuple(screens), tuple(shots))


def _shot(
    count: int, length: int, random: Random
) -> tuple[list[tuple[Place, ...]], list[tuple[Screen, ...]]]:
    """Decide for the frames between two cuts where everybody is, and what hides somebody."""
    slots = [_MARGIN + (WIDTH - 2 * _MARGIN) * (n + 0.5) / count for n in range(count)]
    random.shuffle(slots)
    radii = [random.uniform(*_RADII[count]) for _ in range(count)]
    heights = [random.uniform(0.32, 0.62) * HEIGHT for _ in range(count)]
    phases = [random.uniform(0, 2 * math.pi) for _ in range(count)]
    event = random.choice((_DRIFT, _LEAVE, _HIDE, _CROSS if count > 1 else _HIDE))
    mover, other = (0, 0) if count == 1 else random.sample(range(count), 2)
    begin = random.randint(2, max(2, length - _ABSENCE - 4))
    side = random.choice((-1, 1))
    places: list[tuple[Place, ...]] = []
    screens: list[tuple[Screen, ...]] = []
    for frame in range(length):
        centres = list(slots)
        # From 0 to 1 while it happens, and beyond afterwards.
        progress = (frame - begin) / _ABSENCE
        if event == _CROSS:
            share = min(1.0, max(0.0, progress))
            gone = (slots[other] - slots[mover]) * share
            centres[mover] += gone
            centres[other] -= gone
        elif event == _LEAVE and 0 <= progress <= 1:
            # Fast out, away, fast in again.
            centres[mover] += side * WIDTH * min(1.0, 3 * min(progress, 1 - progress))
        of_frame = tuple(
            Place(
                centres[n] + 3 * math.sin(phases[n] + frame / 4),
                heights[n] + 3 * math.sin(1.7 * phases[n] + frame / 5),
                radii[n] * (1 + 0.05 * math.sin(phases[n] + frame / 6)),
                8 * math.sin(2 * phases[n] + frame / 5),
            )
            for n in range(count)
        )
        places.append(of_frame)
        hidden = event == _HIDE and 0 <= progress <= 1
        screens.append((_screen(of_frame[mover]),) if hidden else ())
    return places, screens


def _screen(place: Place) -> Screen:
    """Return what hides a head, and all below it."""
    reach = 1.7 * place.radius
    return place.x - reach, place.y - reach, place.x + reach, HEIGHT
