"""Draws the frames of a generated video, and says where each head can be seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from synthetic.dialogues.moving import (
    HEIGHT,
    WIDTH,
    Place,
    Staging,
)
from synthetic.dialogues.people import (
    BALD,
    FEMALE,
    HAT_COLOURS,
    LONG,
    Person,
    Rgb,
)

PixelBox = tuple[int, int, int, int]
Point = tuple[float, float]

# Shapes are drawn larger and averaged down, which smooths their edges.
_OVERSAMPLING = 2
_LEAST_PIXELS = 30  # of a head, below which nothing of it counts as seen
_CROWN = (200, 340)  # where hair covers the head, in degrees
_DARK: Rgb = (40, 34, 36)
_BACKGROUNDS: tuple[Rgb, ...] = (
    (188, 206, 214), (214, 204, 188), (176, 190, 172), (204, 190, 206), (226, 224, 218),
    (150, 160, 176),
)  # fmt: skip
_SCREEN: tuple[Rgb, ...] = ((92, 78, 66), (70, 90, 86), (120, 116, 124))


@dataclass(frozen=True, slots=True)
class SeenHead:
    """A head in a frame.

    Attributes:
        person: number of its person.
        box_xyxy: around what is seen of it, in pixels, the ends exclusive.
        visible: which share of the head is seen, over 0 to 1.
    """

    person: int
    box_xyxy: PixelBox
    visible: float


@dataclass(frozen=True, slots=True, eq=False)
class DrawnFrame:
    """A frame: [HEIGHT, WIDTH, 3] uint8, and the heads in it."""

    pixels: np.ndarray
    heads: tuple[SeenHead, ...]


def draw_video(people: Sequence[Person], staging: Staging, random: Random) -> list[DrawnFrame]:
    """Draw all frames of a video.

    Args:
        random: decides what nobody speaks of: backgrounds, light, grain, blinking, mouths.
    """
    backdrops = [_Backdrop.make(random) for _ in range(max(staging.shots) + 1)]
    frames = []
    for number, (places, screens, shot) in enumerate(
        zip(staging.places, staging.screens, staging.shots, strict=True)
    ):
        backdrop = backdrops[shot]
        image = Image.new("RGB", (WIDTH * _OVERSAMPLING, HEIGHT * _OVERSAMPLING), backdrop.wall)
        draw = ImageDraw.Draw(image)
        backdrop.draw(draw)
        codes = Image.new("L", image.size)
        shapes = []
        # The nearest are the largest, and drawn last.
        for person in sorted(range(len(people)), key=lambda n: places[n].radius):
            alone = Image.new("L", image.size)
            pens = [_Pen(draw, places[person]), _Pen(ImageDraw.Draw(alone), places[person])]
            _draw_person(pens[0], people[person], _mood(person, number))
            _head_shape(pens[1], people[person])
            _cover_body(_Pen(ImageDraw.Draw(codes), places[person]))
            codes.paste(person + 1, mask=alone)
            shapes.append((person, alone))
        for screen in screens:
            box = [value * _OVERSAMPLING for value in screen]
            draw.rectangle(box, fill=backdrop.screen, outline=_DARK)
            ImageDraw.Draw(codes).rectangle(box, fill=0)
        pixels = np.asarray(image.reduce(_OVERSAMPLING), np.float32) * backdrop.light
        grain = np.random.default_rng(random.getrandbits(32)).integers(-5, 6, pixels.shape)
        pixels = np.clip(pixels + grain, 0, 255).astype(np.uint8)
        frames.append(DrawnFrame(pixels, tuple(_seen(np.asarray(codes), shapes))))
    return frames


@dataclass(frozen=True, slots=True)
class _Backdrop:
    """The background of a shot, and its light."""

    wall: Rgb
    floor: Rgb
    horizon: float
    panels: tuple[tuple[float, float, float, float, Rgb], ...]
    screen: Rgb
    light: float

    @classmethod
    def make(cls, random: Random) -> _Backdrop:
        wall, floor = random.sample(_BACKGROUNDS, 2)
        panels = []
        for _ in range(random.randint(1, 4)):
            x, y = random.uniform(0, WIDTH), random.uniform(0, HEIGHT / 2)
            size = random.uniform(10, 40)
            panels.append((x, y, x + size, y + size, random.choice(_BACKGROUNDS)))
        return cls(
            wall,
            floor,
            random.uniform(0.55, 0.8) * HEIGHT,
            tuple(panels),
            random.choice(_SCREEN),
            random.uniform(0.82, 1.1),
        )

    def draw(self, draw: ImageDraw.ImageDraw) -> None:
        for *box, colour in self.panels:
            scaled = [value * _OVERSAMPLING for value in box]
            draw.ellipse(scaled, fill=colour) if box[0] % 2 < 1 else draw.rectangle(scaled, colour)
        top = self.horizon * _OVERSAMPLING
        draw.rectangle((0, top, WIDTH * _OVERSAMPLING, HEIGHT * _OVERSAMPLING), fill=self.floor)


def _mood(person: int, frame: int) -> tuple[bool, float]:
    """Return whether the eyes are shut, and how far the mouth is open, 0 to 1."""
    return (frame + 5 * person) % 13 == 0, 0.5 + 0.5 * math.sin(frame / 1.5 + person)


def _seen(codes: np.ndarray, shapes: Sequence[tuple[int, Image.Image]]) -> list[SeenHead]:
    """Find the heads that are seen, by what covers each pixel in the end.

    Args:
        codes: [height, width] uint8, oversampled, the number of the person plus 1.
        shapes: the whole head of each person, were it alone.
    """
    heads = []
    for person, shape in sorted(shapes, key=lambda each: each[0]):
        whole = np.asarray(shape)[::_OVERSAMPLING, ::_OVERSAMPLING] > 0
        mine = codes[::_OVERSAMPLING, ::_OVERSAMPLING] == person + 1
        if mine.sum() < _LEAST_PIXELS:
            continue
        rows, columns = np.flatnonzero(mine.any(1)), np.flatnonzero(mine.any(0))
        box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
        heads.append(SeenHead(person, box, round(float(mine.sum() / whole.sum()), 3)))
    return heads


class _Pen:
    """Draws in a head's own measures: x to its left, y downwards from its centre, in radii."""

    def __init__(self, draw: ImageDraw.ImageDraw, place: Place) -> None:
        self._draw = draw
        self._place_of_head = place
        turn = math.radians(place.tilt)
        self._cos, self._sin = math.cos(turn), math.sin(turn)

    def place(self, point: Point) -> Point:
        head = self._place_of_head
        x, y = point[0] * head.radius, point[1] * head.radius
        return (
            (head.x + x * self._cos - y * self._sin) * _OVERSAMPLING,
            (head.y + x * self._sin + y * self._cos) * _OVERSAMPLING,
        )

    def polygon(self, points: Sequence[Point], colour: Rgb | int) -> None:
        self._draw.polygon([self.place(point) for point in points], fill=colour)

    def ellipse(
        self, centre: Point, radii: Point, colour: Rgb | int, arc: tuple[float, float] = (0, 360)
    ) -> None:
        """Draw an ellipse, or its part between two angles, which run clockwise from the right."""
        begin, end = map(math.radians, arc)
        steps = [begin + (end - begin) * step / 24 for step in range(25)]
        self.polygon(
            [
                (centre[0] + radii[0] * math.cos(a), centre[1] + radii[1] * math.sin(a))
                for a in steps
            ],
            colour,
        )

    def ring(self, centre: Point, radii: Point, width: float, colour: Rgb) -> None:
        steps = [2 * math.pi * step / 24 for step in range(25)]
        points = [
            (centre[0] + radii[0] * math.cos(a), centre[1] + radii[1] * math.sin(a)) for a in steps
        ]
        self.line(points, width, colour)

    def line(self, points: Sequence[Point], width: float, colour: Rgb) -> None:
        thick = max(1, round(width * self._place_of_head.radius * _OVERSAMPLING))
        self._draw.line([self.place(point) for point in points], fill=colour, width=thick)


def _darker(colour: Rgb, share: float = 0.7) -> Rgb:
    red, green, blue = (round(share * value) for value in colour)
    return red, green, blue


def _draw_person(pen: _Pen, person: Person, mood: tuple[bool, float]) -> None:
    if person.hair_style == LONG:
        half = 1.12 * person.width
        pen.polygon([(-half, -0.3), (half, -0.3), (1.15 * half, 1.5), (-1.15 * half, 1.5)],
                    person.hair)  # fmt: skip
    _draw_body(pen, person.clothes, person.skin)
    pen.ellipse((0, 0), (person.width, 1), person.skin)
    for side in (-1, 1):
        pen.ellipse((side * person.width, 0.08), (0.12, 0.2), _darker(person.skin, 0.9))
    if person.beard:
        pen.ellipse((0, 0.1), (person.width, 0.9), person.hair, (20, 160))
        pen.ellipse((0, 0.3), (0.72 * person.width, 0.42), person.skin)
    _draw_face(pen, person, mood)
    if person.hair_style != BALD:
        _draw_hair(pen, person)
    if person.glasses:
        for side in (-1, 1):
            centre = (side * person.eye_gap, -person.eye_height)
            pen.ring(centre, (0.24, 0.2), 0.07, _DARK)
        y = -person.eye_height
        pen.line([(0.24 - person.eye_gap, y), (person.eye_gap - 0.24, y)], 0.07, _DARK)
    if person.hat:
        _draw_hat(pen, person, HAT_COLOURS[person.hat])


def _draw_body(pen: _Pen, clothes: Rgb | int, skin: Rgb | int) -> None:
    pen.polygon([(-0.3, 0.7), (0.3, 0.7), (0.3, 1.4), (-0.3, 1.4)], skin)
    pen.polygon([(-0.5, 1.2), (0.5, 1.2), (1.5, 1.7), (1.6, 9), (-1.6, 9), (-1.5, 1.7)], clothes)


def _cover_body(pen: _Pen) -> None:
    """Hide the heads behind a body."""
    _draw_body(pen, 0, 0)


def _draw_face(pen: _Pen, person: Person, mood: tuple[bool, float]) -> None:
    shut, open_mouth = mood
    y = -person.eye_height
    for side in (-1, 1):
        x = side * person.eye_gap
        if shut:
            pen.line([(x - person.eye_size, y), (x + person.eye_size, y)], 0.05, _DARK)
        else:
            pen.ellipse((x, y), (1.3 * person.eye_size, person.eye_size), (250, 250, 250))
            pen.ellipse((x, y), (0.7 * person.eye_size, 0.7 * person.eye_size), _DARK)
        brow = y - person.eye_size - 0.12
        pen.line([(x - 0.16, brow), (x + 0.16, brow)], person.brows, _darker(person.hair))
    nose = 0.08 + person.nose
    pen.line([(0, y + 0.08), (-0.08, nose), (0.06, nose)], 0.05, _darker(person.skin))
    lips = (176, 66, 72) if person.gender == FEMALE else _darker(person.skin, 0.62)
    mouth = (person.mouth_width, person.mouth_height * (0.5 + open_mouth))
    pen.ellipse((0, 0.36 + person.nose / 2), mouth, lips)


def _draw_hair(pen: _Pen, person: Person) -> None:
    """Draw hair from the crown down to the fringe, and beside the face where it is long."""
    half, edge = person.width, -0.95 + person.fringe
    pen.ellipse((0, 0), (1.06 * half, 1.12), person.hair, _CROWN)
    left = [(-0.8 * half, -0.75), (-0.95 * half, -0.35), (-0.5 * half, edge)]
    pen.polygon([*left, *((-x, y) for x, y in reversed(left))], person.hair)
    if person.hair_style == LONG:
        _draw_strands(pen, person, person.hair)


def _draw_strands(pen: _Pen, person: Person, colour: Rgb | int) -> None:
    for side in (-1, 1):
        x = side * person.width
        pen.polygon([(0.82 * x, -0.5), (1.12 * x, -0.3), (1.18 * x, 0.9), (0.95 * x, 0.9)], colour)


def _draw_hat(pen: _Pen, person: Person, colour: Rgb | int) -> None:
    pen.ellipse((0, -0.5), (1.1 * person.width, 0.85), colour, (180, 360))
    brim = _darker(colour) if isinstance(colour, tuple) else colour
    pen.polygon([(-1.3 * person.width, -0.58), (1.3 * person.width, -0.58),
                 (1.3 * person.width, -0.44), (-1.3 * person.width, -0.44)], brim)  # fmt: skip


def _head_shape(pen: _Pen, person: Person) -> None:
    """Draw all of a head as white: the face, the hair on it and the hat."""
    pen.ellipse((0, 0), (person.width, 1), 255)
    for side in (-1, 1):
        pen.ellipse((side * person.width, 0.08), (0.12, 0.2), 255)
    if person.hair_style != BALD:
        pen.ellipse((0, 0), (1.06 * person.width, 1.12), 255, _CROWN)
    if person.hair_style == LONG:
        _draw_strands(pen, person, 255)
    if person.hat:
        _draw_hat(pen, person, 255)
