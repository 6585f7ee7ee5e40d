"""Who is seen in generated videos: what a face looks like, and what can be said of it.

Looks are drawn from attributes that words name (gender, hat, glasses, beard, hair) and from
measures that no word names, by which two faces of the same attributes still differ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

Rgb = tuple[int, int, int]

MALE, FEMALE = "male", "female"
LONG, SHORT, BALD = "long", "short", "bald"
CELEBRITIES = 12

HAT_COLOURS: dict[str, Rgb] = {
    "红": (205, 35, 40),
    "蓝": (35, 70, 200),
    "绿": (20, 125, 55),
    "黄": (240, 205, 40),
}
_SKIN: tuple[Rgb, ...] = ((250, 218, 192), (236, 190, 152), (206, 152, 112), (160, 110, 80))
_HAIR: tuple[Rgb, ...] = (
    (32, 26, 28),
    (92, 54, 32),
    (168, 112, 52),
    (128, 126, 130),
    (150, 44, 40),
)
_CLOTHES: tuple[Rgb, ...] = (
    (70, 80, 110), (150, 60, 70), (90, 130, 100), (200, 190, 170), (60, 60, 64), (190, 130, 60),
)  # fmt: skip

_SURNAMES = "林陈周沈苏顾陆叶方许宋唐"
# Borne by men and women alike, so that a name does not say which.
_GIVEN = "子墨一诺文君安然思远若溪明月清扬嘉禾知行景初云舒"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, as they look in every frame.

    Attributes:
        key: tells them from everybody else of the same seed.
        name: of a celebrity; empty for others, whose name nobody says.
        gender: MALE or FEMALE.
        skin, hair, clothes: colours.
        hair_style: LONG, SHORT or BALD.
        fringe: how far hair reaches into the forehead, in radii of the head.
        hat: a key of HAT_COLOURS; empty where they wear none.
        glasses, beard: whether they have them.
        width: of the face, as a share of its height.
        eye_gap, eye_size, eye_height, nose, mouth_width, mouth_height, brows: measures of the
            face, in radii of the head.
    """

    key: str
    name: str
    gender: str
    skin: Rgb
    hair: Rgb
    clothes: Rgb
    hair_style: str
    fringe: float
    hat: str
    glasses: bool
    beard: bool
    width: float
    eye_gap: float
    eye_size: float
    eye_height: float
    nose: float
    mouth_width: float
    mouth_height: float
    brows: float


def make_celebrity(seed: int, number: int) -> Person:
    """Make the celebrity of this number, who looks the same in every dialogue of the seed."""
    random = Random(f"{seed}/celebrity/{number}")
    gender = random.choice((MALE, FEMALE))
    name = _SURNAMES[number] + _GIVEN[2 * number : 2 * number + 2]
    return make_person(f"celebrity {number}", name, gender, random)


def make_pair(key: str, random: Random) -> tuple[Person, Person]:
    """Make a man and a woman, in any order, each with a hat or glasses that the other has not."""
    genders = random.sample((MALE, FEMALE), 2)
    people = [make_person(f"{key}/{n}", "", gender, random) for n, gender in enumerate(genders)]
    colours = random.sample(tuple(HAT_COLOURS), 2)
    other = random.choice([("", True), (colours[1], False)])
    first, second = (
        replace(person, hat=hat, glasses=glasses)
        for person, (hat, glasses) in zip(people, [(colours[0], False), other], strict=True)
    )
    return first, second


def make_person(key: str, name: str, gender: str, random: Random) -> Person:
    """Make somebody whose looks are drawn at random."""
    if gender == FEMALE:
        hair_style = random.choices((LONG, SHORT), (75, 25))[0]
    else:
        hair_style = random.choices((SHORT, BALD), (82, 18))[0]
    return Person(
        key=key,
        name=name,
        gender=gender,
        skin=_near(random.choice(_SKIN), random),
        hair=_near(random.choice(_HAIR), random),
        clothes=_near(random.choice(_CLOTHES), random),
        hair_style=hair_style,
        fringe=random.uniform(0.1, 0.45),
        hat=random.choice(tuple(HAT_COLOURS)) if random.random() < 0.45 else "",
        glasses=random.random() < 0.45,
        beard=gender == MALE and random.random() < 0.4,
        width=random.uniform(0.72, 0.98),
        eye_gap=random.uniform(0.26, 0.42),
        eye_size=random.uniform(0.08, 0.17),
        eye_height=random.uniform(-0.02, 0.2),
        nose=random.uniform(0.12, 0.34),
        mouth_width=random.uniform(0.18, 0.42),
        mouth_height=random.uniform(0.03, 0.13),
        brows=random.uniform(0.03, 0.1),
    )


def _near(colour: Rgb, random: Random) -> Rgb:
    red, green, blue = (min(255, max(0, value + random.randint(-14, 14))) for value in colour)
    return red, green, blue
