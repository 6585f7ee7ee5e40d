"""Tells what a drawn scene shows, in words whose referents are known.

The narrator is truthful. It leaves out, when it introduces people and things, what it later tells
them apart by, so that for many mentions the image alone decides which of them is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from synthetic.world.drawing import (
    SETTING,
    Drawing,
    PixelBox,
)
from synthetic.world.scenes import (
    ANIMAL_COLOURS,
    ANIMALS,
    FEMALE,
    MALE,
    PEOPLE,
    WIDTH,
    Entity,
)

# A pronoun whose referent no text-only rule can tell better than by chance.
IMAGE = "picture"


@dataclass(frozen=True, slots=True)
class ToldMention:
    """A mention of a told narration.

    Attributes:
        start, end: characters of the text, the end exclusive.
        chain: number of its chain.
        boxes: in pixels, (x1, y1, x2, y2); empty where nothing drawn is meant.
        kind: PICTURE, or None.
        rivals: where the image decides, the chains that the text would allow, its own among them.
    """

    start: int
    end: int
    chain: int
    boxes: tuple[PixelBox, ...]
    kind: str | None
    rivals: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """A narration: its text and its mentions in text order, the outer of two that start together
    first.
    """

    text: str
    mentions: tuple[ToldMention, ...]


_SHORTEST, _LONGEST = 40, 90  # words
_MOST_TOGETHER = 3  # that one sentence introduces
_NAMES = {
    "man": ("man", "guy", "gentleman"),
    "woman": ("woman", "lady"),
    "boy": ("boy", "kid"),
    "girl": ("girl", "kid"),
    "dog": ("dog", "pet", "animal"),
    "cat": ("cat", "pet", "animal"),
    "horse": ("horse", "animal"),
    "bird": ("bird", "animal"),
    "car": ("car", "vehicle"),
    "bicycle": ("bicycle", "bike"),
    "ball": ("ball", "toy"),
    "kite": ("kite", "toy"),
    "chair": ("chair", "seat"),
}
_NUMBERS = {2: "two", 3: "three"}
_PLURALS = {"man": "men", "woman": "women"}
_POSSESSIVES = {"he": "his", "she": "her", "it": "its"}
_OPENINGS = (
    "In this picture I can see",
    "In this image there is",
    "This picture shows",
    "Here I see",
    "In this photo there is",
    "Looking at this photo we can see",
)
_FURTHER = (
    "There is also",
    "I can also see",
    "Then we see",
    "Next to that there is",
    "And there is",
)
_ON_THE_GROUND = "on the ground"
_OF_GROUPS = (_ON_THE_GROUND, "looking at the camera", "close to each other", "outside")
# Nothing that is drawn is meant by these.
_OCCASIONS = ("a sunny day", "a nice afternoon", "a lovely morning", "the weekend")
_HESITATIONS = ("um", "uh", "I think", "I guess", "you know", "well")


class _Narrator:
    """Says sentence after sentence and remembers what was said of whom."""

    def __init__(self, drawing: Drawing, random: Random) -> None:
        self.drawing = drawing
        self.random = random
        self.entities: tuple[Entity, ...] = drawing.scene.entities
        self.text = ""
        self.mentions: list[ToldMention] = []
        self.chains: dict[object, int] = {}
        self.introduced: list[int] = []
        # What was told of each entity: nothing is told of somebody by what is known already.
        self.known: dict[int, set[str]] = {i: set() for i in range(len(self.entities))}
        self.said_around: set[str] = set()

    # Words and mentions.

    def say(self, words: str) -> None:
        glue = "" if not self.text or words[0] in ",." else " "
        if not self.text or self.text.endswith("."):
            words = words[0].upper() + words[1:]
        self.text += glue + words

    def stop(self) -> None:
        self.text += "."

    def start(self) -> int:
        """Where the next word will stand."""
        return len(self.text) + bool(self.text)

    def mark(
        self,
        start: int,
        key: object,
        boxes: Sequence[PixelBox | None],
        rivals: Sequence[object] = (),
        kind: str | None = None,
    ) -> None:
        """The words since `start` are a mention of what `key` stands for."""
        self.mentions.append(
            ToldMention(
                start,
                len(self.text),
                self.chain(key),
                tuple(box for box in boxes if box is not None),
                kind,
                tuple(self.chain(rival) for rival in rivals),
            )
        )

    def chain(self, key: object) -> int:
        return self.chains.setdefault(key, len(self.chains))

    def box(self, index: int, part: str = "") -> PixelBox | None:
        return self.drawing.boxes.get((index, part))

    def speak_of(self, words: str, index: int) -> None:
        """A mention of one entity."""
        start = self.start()
        self.say(words)
        self.mark(start, index, [self.box(index)])

    def speak_of_part(self, words: str, index: int, part: str) -> None:
        start = self.start()
        self.say(words)
        self.mark(start, (index, part), [self.box(index, part)])

    def speak_of_group(self, words: str, members: Sequence[int]) -> None:
        start = self.start()
        self.say(words)
        self.mark(start, frozenset(members), [self.box(index) for index in members])

    def hesitate(self) -> None:
        """Now and then a filler, or the last word again."""
        if self.random.random() < 0.15:
            self.say(self.random.choice((*_HESITATIONS, self.text.split()[-1].lower())))

    # What is true of an entity, and what tells it from others.

    def value(self, index: int, attribute: str) -> str | None:
        """What an attribute of an entity is; None where it has none that is seen."""
        entity = self.entities[index]
        if attribute == "place":
            return self.place(index)
        if attribute == "pose":
            return entity.pose if entity.kind in PEOPLE else None
        if attribute == "size":
            return entity.size or None
        return entity.colours.get(attribute)

    def place(self, index: int) -> str | None:
        x1, _, x2, _ = self.box(index)
        middle = (x1 + x2) / 2 / WIDTH
        for name, low, high in (("left", 0, 0.33), ("middle", 0.4, 0.6), ("right", 0.67, 1)):
            if low <= middle <= high:
                return name
        return None

    def attributes(self, index: int) -> list[str]:
        entity = self.entities[index]
        if entity.kind in PEOPLE:
            parts = [part for part in entity.colours if self.box(index, part) is not None]
            return [*parts, "pose", "place"]
        return [*(["body"] if entity.colours else []), "size", "place"]

    def telling(self, index: int, rivals: Sequence[int]) -> list[str]:
        """Attributes that the image shows of one entity alone, and that nobody spoke of yet."""
        kinds = {self.entities[i].kind for i in rivals}
        found = []
        for attribute in self.attributes(index):
            mine = self.value(index, attribute)
            values = [self.value(i, attribute) for i in rivals if i != index]
            if mine is None or mine in values or any(attribute in self.known[i] for i in rivals):
                continue
            # Where it stands in between, a place is no clear difference; nor is an unsaid size.
            if attribute in ("place", "size") and None in values:
                continue
            # What is small among horses is not among balls.
            if attribute == "size" and len(kinds) > 1:
                continue
            # Words must not tell either: no dog is green, and of no tree is a colour told.
            if attribute == "body" and None in values:
                continue
            if attribute == "body" and kinds & set(ANIMALS) and mine not in ANIMAL_COLOURS:
                continue
            found.append(attribute)
        return found

    def fresh(self, index: int) -> list[str]:
        """Attributes that nobody spoke of yet."""
        return [
            attribute
            for attribute in self.attributes(index)
            if attribute not in self.known[index] and self.value(index, attribute) is not None
        ]

    # Parts of sentences.

    def name(self, index: int) -> str:
        """What an entity is called; a wider name only where nothing else here bears it."""
        kind = self.entities[index].kind
        names = _NAMES.get(kind, (kind,))
        if self.random.random() < 0.75:
            return kind
        choice = self.random.choice(names)
        bearers = {e.kind for e in self.entities if choice in _NAMES.get(e.kind, (e.kind,))}
        return choice if bearers == {kind} else kind

    def predicate(self, index: int, attribute: str) -> None:
        """Says one thing of the subject that was just named, truthfully."""
        self.known[index].add(attribute)
        value, choose = self.value(index, attribute), self.random.choice
        if attribute == "pose":
            self.say(f"is {value}")
        elif attribute == "place":
            where = "in the middle" if value == "middle" else f"on the {value} side"
            self.say(choose(("is", "can be seen", "stays")) + " " + where)
        elif attribute == "size":
            self.say(choose((f"is {value}", f"looks very {value}")))
        elif attribute == "body":
            self.say(choose((f"is {value}", f"is {value} in color")))
        else:
            verbs = {"bag": ("has", "is carrying", "holds"), "hat": ("has", "is wearing")}
            self.say(choose(verbs.get(attribute, ("is wearing", "is dressed in"))))
            self.speak_of_part(self.part_phrase(index, attribute, "a"), index, attribute)

    def part_phrase(self, index: int, part: str, article: str) -> str:
        article = "" if part == "trousers" and article == "a" else article + " "
        return f"{article}{self.value(index, part)} {part}"

    def describe(
        self, article: str, index: int, attribute: str, rivals: Sequence[int] = ()
    ) -> None:
        """A mention by an attribute: "the man in the red shirt", "a black dog", "the small one".

        Among rivals of different kinds its name tells; only where it is called "one" it does not.
        """
        self.known[index].add(attribute)
        value, start, name = self.value(index, attribute), self.start(), self.name(index)
        if len({self.entities[rival].kind for rival in rivals}) > 1:
            if self.random.random() < 0.5:
                name = "one"
            else:
                rivals = ()
        if attribute in ("pose", "size", "body"):
            self.say(f"{article} {value} {name}")
        elif attribute == "place":
            where = "in the middle" if value == "middle" else f"on the {value}"
            self.say(f"{_article(article, name)} {name} {where}")
        else:
            preposition = "with" if attribute in ("hat", "bag") else "in"
            self.say(f"{_article(article, name)} {name} {preposition}")
            of_part = self.random.choice(("the", "a")) if article == "the" else "a"
            self.speak_of_part(self.part_phrase(index, attribute, of_part), index, attribute)
        self.mark(start, index, [self.box(index)], rivals)

    def pronoun(self, index: int) -> str:
        kind = self.entities[index].kind
        return "he" if kind in MALE else "she" if kind in FEMALE else "it"

    # Sentences.

    def introduce(self, indices: Sequence[int]) -> bool:
        """New entities; of those of one kind only enough is said to know which is which.

        Who is the only one of a kind is known by it. Several of a kind are introduced each by what
        the image shows of it alone, or together as a group: else nothing, not even the image,
        could tell later which of the mentions means whom.

        Returns:
            False where nothing tells them apart; then nothing is said.
        """
        kinds = {self.entities[index].kind for index in indices}
        alone = len(indices) == 1 or self.of_a_kind(indices[0])
        as_group = len(kinds) == 1 and not alone and self.random.random() < 0.3
        described: dict[int, str] = {}
        for index in indices:
            here = [i for i in indices if self.entities[i].kind == self.entities[index].kind]
            of_a_kind = [*self.of_a_kind(index), *here]
            if len(of_a_kind) > 1 and not as_group:
                tells = self.telling(index, of_a_kind)
                if not tells:
                    return False
                described[index] = self.random.choice(tells)
        self.say(self.random.choice(_FURTHER if self.introduced else _OPENINGS))
        self.hesitate()
        if as_group:
            (kind,) = kinds
            self.speak_of_group(
                f"{_NUMBERS[len(indices)]} {_PLURALS.get(kind, kind + 's')}", indices
            )
        else:
            named: set[str] = {self.entities[i].kind for i in self.introduced}
            for place, index in enumerate(indices):
                if place:
                    self.say("and" if place == len(indices) - 1 else ",")
                kind = self.entities[index].kind
                if index in described:
                    article = self.random.choice(("another", "a")) if kind in named else "a"
                    self.describe(article, index, described[index])
                else:
                    name = self.name(index)
                    self.speak_of(f"{_article('a', name)} {name}", index)
                named.add(kind)
        self.introduced += indices
        self.stop()
        return True

    def image_pronoun(self, rivals: Sequence[int]) -> int | None:
        """A sentence about one of several, by a pronoun that fits all; the image decides.

        Returns:
            Whom it is about; None where nothing tells at least two of them from the others: were
            it always the same one, rules of the text would know.
        """
        able = [index for index in rivals if self.telling(index, rivals)]
        if len(able) < 2:
            return None
        index = self.random.choice(able)
        attribute = self.random.choice(self.telling(index, rivals))
        word = self.pronoun(index)
        if attribute in ("place", "hat") and self.random.random() < 0.4:
            self.known[index].add(attribute)
            if attribute == "place":
                value = self.value(index, "place")
                self.say("in the middle" if value == "middle" else f"on the {value} side")
            else:
                self.say("with")
                self.speak_of_part(self.part_phrase(index, "hat", "a"), index, "hat")
            self.say(",")
            self._image_mention(word, index, rivals)
            self.say(self.random.choice(("can be seen", "is there", "looks at us")))
        else:
            self._image_mention(word, index, rivals)
            self.hesitate()
            self.predicate(index, attribute)
        return index

    def _image_mention(self, word: str, index: int, rivals: Sequence[int]) -> None:
        start = self.start()
        self.say(word)
        self.mark(start, index, [self.box(index)], rivals, IMAGE)

    def follow_up(self, index: int) -> None:
        """More of the one that was just spoken of, by a pronoun or by a possessive."""
        word = self.pronoun(index)
        new = self.fresh(index)
        parts = [attribute for attribute in new if self.box(index, attribute) is not None]
        if parts and self.random.random() < 0.5:
            part = self.random.choice(parts)
            self.known[index].add(part)
            self.say(self.random.choice(("and", ",")))
            start = self.start()
            self.speak_of(_POSSESSIVES[word], index)
            self.say(part)
            self.mark(start, (index, part), [self.box(index, part)])
            self.say(f"{'are' if part == 'trousers' else 'is'} {self.value(index, part)}")
        elif new:
            self.say("and")
            self.speak_of(word, index)
            self.predicate(index, self.random.choice(new))

    def the_other(self, index: int) -> None:
        """The one of two that was not spoken of."""
        new = self.fresh(index)
        if new:
            alike = len(self.of_a_kind(index)) > 1
            noun = self.entities[index].kind if alike and self.random.random() < 0.5 else "one"
            self.speak_of(f"the other {noun}", index)
            self.predicate(index, self.random.choice(new))
            self.stop()

    def group(self, members: Sequence[int]) -> None:
        """A sentence about two or more together, by a pronoun; the same is never said twice."""
        new = [what for what in _OF_GROUPS if what not in self.said_around]
        if not new:
            return
        what = self.random.choice(new)
        self.said_around.add(what)
        all_words = ("both of them", "these two") if len(members) == 2 else ("all of them",)
        self.speak_of_group(self.random.choice(("they", "they", *all_words)), members)
        self.say("are")
        if what == _ON_THE_GROUND:
            self.say("on")
            self.setting(self.drawing.scene.ground)
        else:
            self.say(what)
        self.stop()

    def setting(self, name: str) -> None:
        start = self.start()
        self.say(f"the {name}")
        self.mark(start, (SETTING, name), [self.drawing.boxes[SETTING, name]])

    def around(self) -> None:
        """What is not about any entity: the sky, the weather, what cannot be boxed; each once."""
        new = [what for what in ("sky", "occasion") if what not in self.said_around]
        if not new:
            return
        what = self.random.choice(new)
        self.said_around.add(what)
        if what == "sky":
            self.say(self.random.choice(("in the background we see", "at the top there is")))
            self.setting("sky")
        else:
            self.say(self.random.choice(("it looks like", "it could be", "this must be")))
            start = self.start()
            self.say(self.random.choice(_OCCASIONS))
            self.mark(start, ("occasion",), [])
        self.stop()

    def about_one(self, index: int) -> None:
        """A sentence about one entity that the text tells from all others."""
        new = self.fresh(index)
        if not new:
            return
        same = [i for i in self.introduced if self.entities[i].kind == self.entities[index].kind]
        if len(same) > 1 or (self.introduced[-1] == index and self.random.random() < 0.6):
            self.speak_of(self.pronoun(index), index)
        else:
            self.speak_of(f"the {self.name(index)}", index)
        self.predicate(index, self.random.choice(new))
        if self.random.random() < 0.4:
            self.follow_up(index)
        self.stop()

    def about_described(self, rivals: Sequence[int]) -> None:
        """A sentence about one of several, told from the others by what is seen."""
        able = [index for index in rivals if self.telling(index, rivals)]
        if len(able) < 2:
            return
        index = self.random.choice(able)
        self.describe("the", index, self.random.choice(self.telling(index, rivals)), rivals)
        new = self.fresh(index)
        if new:
            self.predicate(index, self.random.choice(new))
        else:
            self.say("can be seen clearly")
        if self.random.random() < 0.6:
            self.follow_up(index)
        self.stop()
        others = [i for i in rivals if i != index]
        if len(others) == 1 and self.random.random() < 0.4:
            self.the_other(others[0])

    def about_unnamed(self, rivals: Sequence[int]) -> None:
        """A sentence by a pronoun that only the image decides, and what follows from it."""
        index = self.image_pronoun(rivals)
        if index is None:
            return
        if self.random.random() < 0.25:
            self.follow_up(index)
        self.stop()
        others = [i for i in rivals if i != index]
        if len(others) == 1 and self.random.random() < 0.2:
            self.the_other(others[0])
        elif self.random.random() < 0.1:
            # Any of them: the next one named must not betray who was meant.
            self.about_named(self.random.choice(rivals))

    def about_named(self, index: int) -> None:
        """A sentence about the only one of its kind, by its name."""
        new = self.fresh(index)
        if new and len(self.of_a_kind(index)) == 1:
            self.speak_of(f"the {self.name(index)}", index)
            self.predicate(index, self.random.choice(new))
            self.stop()

    def rivals(self, index: int) -> list[int]:
        """Everything introduced that the pronoun of an entity could mean."""
        word = self.pronoun(index)
        return [i for i in self.introduced if self.pronoun(i) == word]

    def of_a_kind(self, index: int) -> list[int]:
        """Everything introduced of the same kind."""
        kind = self.entities[index].kind
        return [i for i in self.introduced if self.entities[i].kind == kind]

    def words(self) -> int:
        return len(self.text.split())


def narrate(drawing: Drawing, random: Random) -> Told | None:
    """Tells what a drawing shows.

    Returns:
        None where too little of the scene is seen to fill a narration.
    """
    teller = _Narrator(drawing, random)
    seen = [i for i in range(len(teller.entities)) if teller.box(i) is not None]
    topics = _topics(teller, seen, random)
    target = random.randint(_SHORTEST + 16, _LONGEST - 12)
    for topic in topics:
        if teller.words() >= target:
            break
        if not teller.introduce(topic):
            continue
        if len(topic) == 1:
            if random.random() < 0.5:
                teller.about_one(topic[0])
            continue
        if random.random() < 0.2:
            teller.group(topic)
        teller.about_unnamed(topic)
        for _ in range(random.randint(2, 3)):
            if teller.words() < target:
                about = teller.about_unnamed if random.random() < 0.8 else teller.about_described
                about(topic)
    for _ in range(12):
        if teller.words() >= target or not teller.introduced:
            break
        people = [i for i in teller.introduced if teller.entities[i].kind in PEOPLE]
        if random.random() < 0.25:
            if random.random() < 0.4 or len(people) < 2:
                teller.around()
            else:
                teller.group(people)
        index = random.choice(teller.introduced)
        if len(teller.of_a_kind(index)) > 1 and random.random() < 0.35:
            teller.about_described(teller.of_a_kind(index))
        elif len(teller.rivals(index)) > 1:
            teller.about_unnamed(teller.rivals(index))
        else:
            teller.about_one(index)
    if not _SHORTEST <= teller.words() <= _LONGEST:
        return None
    mentions = sorted(teller.mentions, key=lambda mention: (mention.start, -mention.end))
    return Told(teller.text, tuple(mentions))


def _article(article: str, name: str) -> str:
    """The article before a name, "an" before a vowel."""
    return "an" if article == "a" and name[0] in "aeiou" else article


def _topics(teller: _Narrator, seen: Sequence[int], random: Random) -> list[list[int]]:
    """Whom to introduce together: those that share a pronoun, up to three; the most first."""
    left = list(seen)
    random.shuffle(left)
    topics: list[list[int]] = []
    while left:
        index = left.pop(0)
        partners = [i for i in left if teller.pronoun(i) == teller.pronoun(index)]
        if random.random() < 0.1:
            partners = []
        topics.append([index, *partners[: _MOST_TOGETHER - 1]])
        left = [i for i in left if i not in topics[-1]]
    topics.sort(key=lambda topic: -len(topic))
    return topics
