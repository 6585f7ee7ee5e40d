"""What a generated image shows: people, animals and things, their colours, and where they are.

A scene is the truth from which both the drawing and the narration are made. Lengths are pixels of
an image of WIDTH x HEIGHT; y grows downwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

WIDTH, HEIGHT = 320, 240

COLOURS = ("red", "blue", "green", "yellow", "black", "white", "brown", "pink")
ANIMAL_COLOURS = ("black", "white", "brown")

MALE, FEMALE, ANIMALS = ("man", "boy"), ("woman", "girl"), ("dog", "cat", "horse", "bird")
PEOPLE = MALE + FEMALE
THINGS = ("car", "bicycle", "bench", "chair", "ball", "kite", "umbrella")
LANDMARKS = ("tree",)
KINDS = PEOPLE + ANIMALS + THINGS + LANDMARKS

# What lies on the ground in each setting, and what is seen beyond it.
SETTINGS = {"meadow": ("grass", "hill"), "street": ("road", "wall"), "beach": ("sand", "sea")}
HORIZON = 96

# Of an adult that stands in front.
_HEIGHTS = {
    "man": 122, "woman": 116, "boy": 84, "girl": 82,
    "dog": 46, "cat": 36, "horse": 92, "bird": 26,
    "car": 54, "bicycle": 54, "bench": 42, "chair": 50, "ball": 24, "kite": 38, "umbrella": 92,
    "tree": 122,
}  # fmt: skip
_SCALE_OF_SIZE = {"small": 0.72, "": 1.0, "big": 1.35}
_POSES = ("standing", "standing", "walking", "waving", "sitting")
_NEAREST_GROUND, _FARTHEST_GROUND = 230, 150
_HEIGHT_WHERE_FARTHEST = 0.78


@dataclass(frozen=True, slots=True)
class Entity:
    """One person, animal or thing.

    Attributes:
        kind: one of KINDS.
        colours: colour of each part that has one: shirt, trousers or skirt, hat and bag for a
            person, "body" for anything else; empty for a tree.
        pose: standing, walking, waving or sitting for a person, flying for a bird or a kite in
            the air, else empty.
        size: "small", "big" or empty; always empty for people.
        centre_x: of its upright middle.
        ground_y: where it stands, or its lower end where it flies.
        height: of the whole thing if it stood upright, without its hat.
        looks_left: whether it is drawn mirrored.
    """

    kind: str
    colours: Mapping[str, str]
    pose: str
    size: str
    centre_x: float
    ground_y: float
    height: float
    looks_left: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """A setting and the entities in it, from the farthest to the nearest."""

    setting: str
    entities: tuple[Entity, ...]

    @property
    def ground(self) -> str:
        """What everything stands on: grass, road or sand."""
        return SETTINGS[self.setting][0]


def make_scene(random: Random) -> Scene:
    """Draw a scene of three to eight entities at random."""
    kinds = _cast(random)
    if random.random() < 0.25:
        # Those of one class keep together on one side, so that "they are on the left" can be said.
        kinds.sort(key=lambda kind: (KINDS.index(kind), random.random()), reverse=True)
    else:
        random.shuffle(kinds)
    slot = (WIDTH - 30) / len(kinds)
    entities = [
        _entity(kind, 15 + slot * (index + 0.5 + random.uniform(-0.25, 0.25)), random)
        for index, kind in enumerate(kinds)
    ]
    setting = random.choice(tuple(SETTINGS))
    return Scene(setting, tuple(sorted(entities, key=lambda entity: entity.ground_y)))


def is_person(kind: str) -> bool:
    """Return whether the kind is one of PEOPLE."""
    return kind in PEOPLE


def clothes_below(kind: str) -> str:
    """Return the name of what a person of this kind wears below the shirt."""
    return "trousers" if kind in MALE else "skirt"


def _cast(random: Random) -> list[str]:
    """Choose kinds: at least two people share their pronoun, often two animals or things too."""
    main, others = random.sample((MALE, FEMALE), k=2)
    people = random.choices(main, k=random.choices((2, 3), (35, 65))[0])
    people += random.choices(others, k=random.choices((0, 1, 2), (40, 15, 45))[0])
    animals = random.choices(ANIMALS, k=random.choices((0, 1, 2, 3), (30, 15, 30, 25))[0])
    things = random.sample(THINGS, k=random.choices((0, 1, 2), (45, 35, 20))[0])
    landmarks = random.choices(LANDMARKS, k=random.choices((0, 1), (75, 25))[0])
    cast = people + animals + things + landmarks
    while len(cast) < 3:
        cast.append(random.choice(THINGS))
    return cast[:8]


def _entity(kind: str, centre_x: float, random: Random) -> Entity:
    flies = kind == "kite" or (kind == "bird" and random.random() < 0.5)
    if is_person(kind):
        pose = random.choice(_POSES)
    else:
        pose = "flying" if flies else ""
    size = "" if is_person(kind) else random.choice(("small", "", "big"))
    low = _FARTHEST_GROUND + 20 if is_person(kind) or kind in ANIMALS else _FARTHEST_GROUND
    ground = random.uniform(low, _NEAREST_GROUND)
    nearness = (ground - _FARTHEST_GROUND) / (_NEAREST_GROUND - _FARTHEST_GROUND)
    scale = _HEIGHT_WHERE_FARTHEST + (1 - _HEIGHT_WHERE_FARTHEST) * nearness
    height = _HEIGHTS[kind] * scale * _SCALE_OF_SIZE[size] * random.uniform(0.95, 1.05)
    return Entity(
        kind=kind,
        colours=_colours(kind, random),
        pose=pose,
        size=size,
        centre_x=centre_x,
        ground_y=random.uniform(50, 85) if flies else ground,
        height=height,
        looks_left=random.random() < 0.5,
    )


def _colours(kind: str, random: Random) -> dict[str, str]:
    if kind in LANDMARKS:
        return {}
    if not is_person(kind):
        return {"body": random.choice(ANIMAL_COLOURS if kind in ANIMALS else COLOURS)}
    # Neighbouring parts differ, so that each can be told from the next in the image.
    shirt, below = random.sample(COLOURS, k=2)
    colours = {"shirt": shirt, clothes_below(kind): below}
    if random.random() < 0.5:
        colours["hat"] = random.choice(COLOURS)
    if random.random() < 0.4:
        colours["bag"] = random.choice(
            [colour for colour in COLOURS if colour not in (shirt, below)]
        )
    return colours
