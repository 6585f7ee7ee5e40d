"""Draws a scene, and says where each thing and each of its parts can be seen."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from synthetic.world.scenes import (
    HEIGHT,
    HORIZON,
    SETTINGS,
    WIDTH,
    Entity,
    Scene,
    is_person,
)

PixelBox = tuple[int, int, int, int]
Rgb = tuple[int, int, int]
Point = tuple[float, float]

# A thing is (index of the entity, part); "" is the whole entity. What belongs to the setting
# stands under SETTING.
Thing = tuple[int, str]
SETTING = -1

PALETTE: dict[str, Rgb] = {
    "red": (205, 35, 40),
    "blue": (35, 70, 200),
    "green": (20, 125, 55),
    "yellow": (245, 215, 40),
    "black": (28, 28, 32),
    "white": (250, 250, 250),
    "brown": (125, 75, 35),
    "pink": (245, 120, 185),
}
# The settings are pale, so that colour of clothes and animals stands out from them.
_SETTING_COLOURS: dict[str, tuple[Rgb, ...]] = {
    "sky": ((206, 224, 238), (222, 228, 232), (236, 224, 214)),
    "grass": ((172, 204, 142), (186, 208, 150)),
    "hill": ((190, 208, 182), (176, 196, 178)),
    "road": ((158, 158, 162), (174, 172, 170)),
    "wall": ((212, 202, 192), (200, 206, 208)),
    "sand": ((228, 214, 176), (222, 206, 166)),
    "sea": ((150, 190, 208), (168, 200, 206)),
}
_SKIN: tuple[Rgb, ...] = ((244, 208, 180), (224, 172, 132), (176, 120, 84), (128, 84, 60))
_HAIR: tuple[Rgb, ...] = ((50, 38, 34), (94, 62, 40), (150, 112, 66), (120, 116, 116))
_DARK: Rgb = (58, 56, 60)
_METAL: Rgb = (120, 122, 128)

# Shapes are drawn larger and averaged down, which smooths their edges.
_OVERSAMPLING = 2
_PART_CODES = {"": 1, "shirt": 2, "trousers": 3, "skirt": 3, "hat": 4, "bag": 5}
# Of a thing that is hidden more than this nothing is said.
_LEAST_VISIBLE = 0.45
_LEAST_PIXELS = 40


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A drawn scene.

    Attributes:
        scene: what was drawn.
        pixels: [HEIGHT, WIDTH, 3] uint8.
        boxes: where each thing is seen, (x1, y1, x2, y2) in pixels; a thing that is mostly hidden
            by others has none.
    """

    scene: Scene
    pixels: np.ndarray
    boxes: Mapping[Thing, PixelBox]


def draw_scene(scene: Scene, random: Random) -> Drawing:
    """Draw the setting, then the entities from the farthest to the nearest.

    Args:
        random: decides what no narration speaks of: skin, hair, shades and grain.
    """
    image = Image.new("RGB", (WIDTH * _OVERSAMPLING, HEIGHT * _OVERSAMPLING))
    boxes = _draw_setting(scene, ImageDraw.Draw(image), random)
    seen = np.zeros((HEIGHT, WIDTH), np.int32)
    areas: dict[Thing, int] = {}
    for index, entity in enumerate(scene.entities):
        pen = _Pen(image, entity)
        _DRAWERS[entity.kind](pen, entity, random)
        codes = pen.part_codes()
        for part in _parts(entity):
            areas[index, part] = _count(codes, part)
        seen = np.where(codes > 0, codes + 16 * (index + 1), seen)
    for (index, part), area in areas.items():
        mine = np.where(seen // 16 == index + 1, seen % 16, 0)
        visible = _count(mine, part)
        if visible >= max(_LEAST_PIXELS, _LEAST_VISIBLE * area):
            boxes[index, part] = _extent(_is_part(mine, part))
    pixels = np.asarray(image.reduce(_OVERSAMPLING), np.int16)
    grain = np.random.default_rng(random.getrandbits(32)).integers(-6, 7, pixels.shape)
    return Drawing(scene, np.clip(pixels + grain, 0, 255).astype(np.uint8), boxes)


def _parts(entity: Entity) -> tuple[str, ...]:
    return ("", *entity.colours) if is_person(entity.kind) else ("",)


def _is_part(codes: np.ndarray, part: str) -> np.ndarray:
    return codes > 0 if part == "" else codes == _PART_CODES[part]


def _count(codes: np.ndarray, part: str) -> int:
    return int(_is_part(codes, part).sum())


def _extent(mask: np.ndarray) -> PixelBox:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


class _Pen:
    """Draws in an entity's own measures and remembers which part covers which pixel.

    Points are (x, y) in units of the entity's height: x from its middle towards where it looks,
    y upwards from where it stands.
    """

    def __init__(self, image: Image.Image, entity: Entity) -> None:
        self._entity = entity
        self._colour_draw = ImageDraw.Draw(image)
        self._codes = Image.new("L", image.size)
        self._code_draw = ImageDraw.Draw(self._codes)

    def part_codes(self) -> np.ndarray:
        """Return the code of the part that covers each pixel, [HEIGHT, WIDTH] int32; 0 for none."""
        return np.asarray(self._codes, np.int32)[::_OVERSAMPLING, ::_OVERSAMPLING]

    def polygon(self, points: Sequence[Point], colour: Rgb, part: str = "") -> None:
        places = [self._place(point) for point in points]
        self._colour_draw.polygon(places, fill=colour, outline=_darker(colour))
        self._code_draw.polygon(places, fill=_PART_CODES[part], outline=_PART_CODES[part])

    def ellipse(self, centre: Point, radii: Point, colour: Rgb, part: str = "") -> None:
        box = self._ellipse_box(centre, radii)
        self._colour_draw.ellipse(box, fill=colour, outline=_darker(colour))
        self._code_draw.ellipse(box, fill=_PART_CODES[part])

    def ring(self, centre: Point, radius: float, width: float, colour: Rgb) -> None:
        box = self._ellipse_box(centre, (radius, radius))
        self._colour_draw.ellipse(box, outline=colour, width=self._width(width))
        self._code_draw.ellipse(box, fill=_PART_CODES[""])

    def line(self, points: Sequence[Point], width: float, colour: Rgb, part: str = "") -> None:
        places = [self._place(point) for point in points]
        self._colour_draw.line(places, colour, self._width(width), "curve")
        self._code_draw.line(places, _PART_CODES[part], self._width(width), "curve")

    def _width(self, width: float) -> int:
        return max(2, round(width * self._entity.height * _OVERSAMPLING))

    def _place(self, point: Point) -> Point:
        entity = self._entity
        x = -point[0] if entity.looks_left else point[0]
        return (
            (entity.centre_x + x * entity.height) * _OVERSAMPLING,
            (entity.ground_y - point[1] * entity.height) * _OVERSAMPLING,
        )

    def _ellipse_box(self, centre: Point, radii: Point) -> tuple[float, float, float, float]:
        x, y = self._place(centre)
        width, height = (radius * self._entity.height * _OVERSAMPLING for radius in radii)
        return x - width, y - height, x + width, y + height


def _darker(colour: Rgb) -> Rgb:
    return tuple(round(0.7 * value) for value in colour)  # type: ignore[return-value]


def _shade(colour: Rgb, random: Random) -> Rgb:
    light = random.uniform(0.9, 1.06)
    return tuple(  # type: ignore[return-value]
        min(255, max(0, round(value * light + random.uniform(-8, 8)))) for value in colour
    )


def _draw_setting(scene: Scene, draw: ImageDraw.ImageDraw, random: Random) -> dict[Thing, PixelBox]:
    """Draw sky, what lies beyond, and ground as bands; return the boxes of sky and ground."""
    ground, beyond = SETTINGS[scene.setting]
    edges = (0, HORIZON - random.randint(12, 40), HORIZON + random.randint(-6, 10), HEIGHT)
    bands = zip(("sky", beyond, ground), itertools.pairwise(edges), strict=True)
    for name, (top, bottom) in bands:
        colour = _shade(random.choice(_SETTING_COLOURS[name]), random)
        box = (0, top * _OVERSAMPLING, WIDTH * _OVERSAMPLING, bottom * _OVERSAMPLING)
        draw.rectangle(box, fill=colour)
    return {
        (SETTING, "sky"): (0, 0, WIDTH, edges[1]),
        (SETTING, ground): (0, edges[2], WIDTH, HEIGHT),
    }


def _draw_person(pen: _Pen, person: Entity, random: Random) -> None:
    adult = person.kind in ("man", "woman")
    female = person.kind in ("woman", "girl")
    skin, hair = random.choice(_SKIN), random.choice(_HAIR)
    shirt = _shade(PALETTE[person.colours["shirt"]], random)
    # A sitting figure is the standing one let down onto its folded legs.
    drop = 0.0 if person.pose != "sitting" else 0.3
    head_radius = 0.075 if adult else 0.105
    shoulder = (0.80 if adult else 0.74) - drop
    waist = (0.47 if adult else 0.42) - drop
    head = (0.0, shoulder + 0.02 + head_radius)

    if female:
        _draw_long_hair(pen, person.kind, head, head_radius, hair)
    _draw_legs(pen, person, waist, skin, random)
    _draw_arms(pen, person.pose, shoulder, waist, shirt, skin)
    half = 0.115 if not female else 0.1
    pen.polygon(
        [(-half, shoulder), (half, shoulder), (0.9 * half, waist), (-0.9 * half, waist)],
        shirt,
        "shirt",
    )
    pen.ellipse(head, (head_radius, head_radius * 1.1), skin)
    _draw_face(pen, person.kind, head, head_radius, hair)
    if "hat" in person.colours:
        _draw_hat(pen, head, head_radius, _shade(PALETTE[person.colours["hat"]], random))
    if "bag" in person.colours:
        _draw_bag(pen, shoulder, waist, _shade(PALETTE[person.colours["bag"]], random))


def _draw_long_hair(pen: _Pen, kind: str, head: Point, radius: float, hair: Rgb) -> None:
    x, y = head
    if kind == "woman":
        width, end = 1.35 * radius, y - 2.6 * radius
        pen.polygon([(x - width, y + radius), (x + width, y + radius), (x + width, end),
                     (x - width, end)], hair)  # fmt: skip
        return
    for side in (-1, 1):
        pen.ellipse(
            (x + side * 1.5 * radius, y - 0.2 * radius), (0.55 * radius, 0.9 * radius), hair
        )


def _draw_legs(pen: _Pen, person: Entity, waist: float, skin: Rgb, random: Random) -> None:
    part = "skirt" if "skirt" in person.colours else "trousers"
    cloth = _shade(PALETTE[person.colours[part]], random)
    if person.pose == "sitting":
        knee = 0.3
        pen.polygon([(-0.1, waist), (0.1, waist), (knee, 0.15), (knee, 0.03), (-0.1, 0.03)],
                    cloth, part)  # fmt: skip
        pen.line([(knee - 0.02, 0.07), (knee + 0.1, 0.04)], 0.06, skin)
        return
    spread = 0.16 if person.pose == "walking" else 0.055
    for side in (-1, 1):
        foot = (side * spread, 0.02)
        hip = (side * 0.05, waist)
        if part == "skirt":
            pen.line([hip, foot], 0.055, skin)
        else:
            pen.line([hip, (side * spread, 0.05)], 0.1, cloth, part)
        pen.ellipse((foot[0] + 0.02, 0.02), (0.06, 0.025), _DARK)
    if part == "skirt":
        hem = 0.15 + 0.3 * spread
        pen.polygon([(-0.09, waist), (0.09, waist), (hem, 0.2), (-hem, 0.2)], cloth, part)
    else:
        pen.polygon([(-0.1, waist), (0.1, waist), (0.1, waist - 0.08), (-0.1, waist - 0.08)],
                    cloth, part)  # fmt: skip


def _draw_arms(pen: _Pen, pose: str, shoulder: float, waist: float, shirt: Rgb, skin: Rgb) -> None:
    for side in (-1, 1):
        joint = (side * 0.11, shoulder - 0.03)
        if pose == "waving":
            elbow, hand = (side * 0.2, shoulder + 0.06), (side * 0.2, shoulder + 0.24)
        else:
            out = 0.22 if pose == "walking" else 0.17
            elbow, hand = (side * 0.16, 0.5 * (shoulder + waist)), (side * out, waist - 0.03)
        pen.line([elbow, hand], 0.045, skin)
        pen.line([joint, elbow], 0.07, shirt, "shirt")


def _draw_face(pen: _Pen, kind: str, head: Point, radius: float, hair: Rgb) -> None:
    x, y = head
    pen.polygon([(x - radius, y + 0.25 * radius), (x - 0.7 * radius, y + 1.15 * radius),
                 (x + 0.7 * radius, y + 1.15 * radius), (x + radius, y + 0.25 * radius),
                 (x, y + 0.7 * radius)], hair)  # fmt: skip
    for side in (-1, 1):
        pen.ellipse((x + side * 0.4 * radius, y), (0.1 * radius, 0.13 * radius), _DARK)
    if kind == "man":
        pen.ellipse((x, y - 0.75 * radius), (0.55 * radius, 0.35 * radius), hair)
    else:
        pen.line([(x - 0.3 * radius, y - 0.5 * radius), (x + 0.3 * radius, y - 0.5 * radius)],
                 0.01, (190, 70, 70))  # fmt: skip


def _draw_hat(pen: _Pen, head: Point, radius: float, colour: Rgb) -> None:
    x, y = head
    brim, top = y + 0.6 * radius, y + 1.9 * radius
    pen.polygon([(x - 0.95 * radius, brim), (x + 0.95 * radius, brim), (x + 0.75 * radius, top),
                 (x - 0.75 * radius, top)], colour, "hat")  # fmt: skip
    pen.ellipse((x, brim), (1.7 * radius, 0.28 * radius), colour, "hat")


def _draw_bag(pen: _Pen, shoulder: float, waist: float, colour: Rgb) -> None:
    pen.line([(-0.08, shoulder), (0.17, waist + 0.02)], 0.02, colour, "bag")
    pen.polygon([(0.11, waist + 0.05), (0.29, waist + 0.05), (0.31, waist - 0.13),
                 (0.09, waist - 0.13)], colour, "bag")  # fmt: skip


def _draw_dog(pen: _Pen, dog: Entity, random: Random) -> None:
    coat = _shade(PALETTE[dog.colours["body"]], random)
    for x in (-0.5, -0.36, 0.28, 0.42):
        pen.line([(x, 0.45), (x, 0.02)], 0.12, coat)
    pen.line([(-0.5, 0.6), (-0.72, 0.92)], 0.1, coat)
    pen.ellipse((-0.03, 0.52), (0.56, 0.23), coat)
    pen.ellipse((0.56, 0.78), (0.24, 0.2), coat)
    pen.ellipse((0.78, 0.72), (0.16, 0.1), coat)
    pen.ellipse((0.42, 0.74), (0.09, 0.2), _darker(coat))
    pen.ellipse((0.92, 0.74), (0.05, 0.05), _DARK)


def _draw_cat(pen: _Pen, cat: Entity, random: Random) -> None:
    coat = _shade(PALETTE[cat.colours["body"]], random)
    pen.line([(-0.35, 0.2), (-0.7, 0.25), (-0.75, 0.6), (-0.6, 0.8)], 0.1, coat)
    pen.ellipse((-0.05, 0.3), (0.42, 0.3), coat)
    pen.line([(0.2, 0.3), (0.2, 0.03)], 0.13, coat)
    for side in (-1, 1):
        pen.polygon([(0.2 + side * 0.05, 0.8), (0.2 + side * 0.27, 0.75),
                     (0.2 + side * 0.22, 1.02)], coat)  # fmt: skip
    pen.ellipse((0.2, 0.65), (0.28, 0.24), coat)
    for side in (-1, 1):
        pen.ellipse((0.2 + side * 0.11, 0.69), (0.05, 0.06), (150, 190, 90))


def _draw_horse(pen: _Pen, horse: Entity, random: Random) -> None:
    coat = _shade(PALETTE[horse.colours["body"]], random)
    for x in (-0.4, -0.3, 0.2, 0.3):
        pen.line([(x, 0.45), (x, 0.02)], 0.07, coat)
    pen.line([(-0.42, 0.62), (-0.55, 0.3)], 0.07, _darker(coat))
    pen.ellipse((-0.05, 0.55), (0.42, 0.17), coat)
    pen.polygon([(0.2, 0.6), (0.36, 0.5), (0.5, 0.92), (0.36, 0.96)], coat)
    pen.polygon([(0.14, 0.68), (0.24, 0.64), (0.38, 0.97), (0.3, 0.97)], _darker(coat))
    pen.ellipse((0.52, 0.86), (0.16, 0.09), coat)
    pen.polygon([(0.38, 0.92), (0.45, 0.92), (0.42, 1.0)], coat)


def _draw_bird(pen: _Pen, bird: Entity, random: Random) -> None:
    coat = _shade(PALETTE[bird.colours["body"]], random)
    if bird.pose != "flying":
        for x in (-0.1, 0.1):
            pen.line([(x, 0.3), (x, 0.0)], 0.07, (220, 140, 40))
    pen.polygon([(-0.4, 0.5), (-0.95, 0.7), (-0.9, 0.4)], coat)
    pen.ellipse((0.0, 0.48), (0.5, 0.27), coat)
    pen.ellipse((0.48, 0.72), (0.22, 0.22), coat)
    pen.polygon([(0.66, 0.78), (0.98, 0.68), (0.66, 0.62)], (230, 150, 40))
    tip = 1.25 if bird.pose == "flying" else 0.35
    pen.polygon([(-0.3, 0.5), (0.2, 0.55), (-0.45, tip)], _darker(coat))


def _draw_car(pen: _Pen, car: Entity, random: Random) -> None:
    paint = _shade(PALETTE[car.colours["body"]], random)
    pen.polygon([(-0.62, 0.6), (-0.36, 0.98), (0.34, 0.98), (0.66, 0.6)], paint)
    for left, right in ((-0.46, -0.04), (0.04, 0.48)):
        pen.polygon([(left, 0.62), (left + 0.13, 0.9), (right - 0.13, 0.9), (right, 0.62)],
                    (196, 214, 224))  # fmt: skip
    pen.polygon([(-1.0, 0.2), (-1.0, 0.56), (-0.6, 0.62), (0.68, 0.62), (1.02, 0.5),
                 (1.02, 0.2)], paint)  # fmt: skip
    for x in (-0.58, 0.6):
        pen.ellipse((x, 0.18), (0.2, 0.18), _DARK)
        pen.ellipse((x, 0.18), (0.09, 0.08), _METAL)


def _draw_bicycle(pen: _Pen, bicycle: Entity, random: Random) -> None:
    paint = _shade(PALETTE[bicycle.colours["body"]], random)
    for x in (-0.5, 0.5):
        pen.ring((x, 0.32), 0.32, 0.05, _DARK)
    pen.line([(-0.5, 0.32), (-0.2, 0.72), (0.36, 0.72), (0.0, 0.3), (-0.5, 0.32)], 0.1, paint)
    pen.line([(-0.2, 0.72), (0.0, 0.3)], 0.1, paint)
    pen.line([(0.5, 0.32), (0.34, 0.92), (0.5, 0.98)], 0.1, paint)
    pen.line([(-0.24, 0.72), (-0.26, 0.84)], 0.06, paint)
    pen.ellipse((-0.28, 0.87), (0.14, 0.05), _DARK)


def _draw_bench(pen: _Pen, bench: Entity, random: Random) -> None:
    paint = _shade(PALETTE[bench.colours["body"]], random)
    for x in (-0.75, 0.75):
        pen.line([(x, 0.95), (x, 0.0)], 0.08, _METAL)
    for low in (0.36, 0.58, 0.8):
        pen.polygon([(-0.95, low), (0.95, low), (0.95, low + 0.17), (-0.95, low + 0.17)], paint)


def _draw_chair(pen: _Pen, chair: Entity, random: Random) -> None:
    paint = _shade(PALETTE[chair.colours["body"]], random)
    for x in (-0.28, 0.26):
        pen.line([(x, 0.45), (x, 0.0)], 0.07, paint)
    pen.polygon([(-0.34, 0.38), (0.32, 0.38), (0.32, 0.52), (-0.34, 0.52)], paint)
    pen.polygon([(-0.36, 0.45), (-0.22, 0.45), (-0.22, 1.0), (-0.36, 1.0)], paint)


def _draw_ball(pen: _Pen, ball: Entity, random: Random) -> None:
    paint = _shade(PALETTE[ball.colours["body"]], random)
    pen.ellipse((0.0, 0.5), (0.5, 0.5), paint)
    pen.line([(-0.35, 0.85), (0.0, 0.5), (0.35, 0.85)], 0.04, _darker(paint))
    pen.line([(0.0, 0.5), (0.0, 0.02)], 0.04, _darker(paint))


def _draw_kite(pen: _Pen, kite: Entity, random: Random) -> None:
    paint = _shade(PALETTE[kite.colours["body"]], random)
    pen.line([(0.0, 0.1), (-0.12, -0.15), (0.05, -0.4)], 0.04, _darker(paint))
    pen.polygon([(0.0, 0.0), (0.36, 0.6), (0.0, 1.0), (-0.36, 0.6)], paint)
    pen.line([(0.0, 0.05), (0.0, 0.95)], 0.03, _darker(paint))
    pen.line([(-0.34, 0.6), (0.34, 0.6)], 0.03, _darker(paint))


def _draw_umbrella(pen: _Pen, umbrella: Entity, random: Random) -> None:
    paint = _shade(PALETTE[umbrella.colours["body"]], random)
    pen.line([(0.0, 0.95), (0.0, 0.0)], 0.03, _METAL)
    pen.polygon([(-0.5, 0.66), (-0.38, 0.85), (-0.15, 0.97), (0.15, 0.97), (0.38, 0.85),
                 (0.5, 0.66), (0.25, 0.71), (0.0, 0.67), (-0.25, 0.71)], paint)  # fmt: skip


def _draw_tree(pen: _Pen, tree: Entity, random: Random) -> None:
    crown = _shade((92, 140, 72), random)
    pen.polygon([(-0.06, 0.0), (0.06, 0.0), (0.045, 0.5), (-0.045, 0.5)], (112, 88, 66))
    for x, y, radius in ((-0.17, 0.55, 0.18), (0.17, 0.55, 0.18), (0.0, 0.75, 0.23)):
        pen.ellipse((x, y), (radius, radius), crown)


_DRAWERS: dict[str, Callable[[_Pen, Entity, Random], None]] = {
    "man": _draw_person, "woman": _draw_person, "boy": _draw_person, "girl": _draw_person,
    "dog": _draw_dog, "cat": _draw_cat, "horse": _draw_horse, "bird": _draw_bird,
    "car": _draw_car, "bicycle": _draw_bicycle, "bench": _draw_bench, "chair": _draw_chair,
    "ball": _draw_ball, "kite": _draw_kite, "umbrella": _draw_umbrella, "tree": _draw_tree,
}  # fmt: skip
