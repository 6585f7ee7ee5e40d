"""Tells what a drawn scene shows, in words whose referents are known.

The narrator is truthful. It leaves out, when it introduces people and things, what it later tells
them apart by, so that for many mentions the image alone decides which of them is meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from synthetic.world.attributes import Attributes
from synthetic.world.drawing import Drawing
from synthetic.world.phrases import NounPhrases, with_article
from synthetic.world.scenes import PEOPLE
from synthetic.world.transcript import IMAGE, Told, Transcript

_SHORTEST, _LONGEST = 40, 90  # words
_MOST_TOGETHER = 3  # that one sentence introduces
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
    """Says sentence after sentence and remembers whom it introduced.

    Entities go by their index in the scene.
    """

    def __init__(self, drawing: Drawing, random: Random) -> None:
        self.drawing = drawing
        self.scene = drawing.scene
        self.random = random
        self.transcript = Transcript()
        self.say, self.end_sentence = self.transcript.say, self.transcript.end_sentence
        self.attributes = Attributes(drawing)
        self.phrases = NounPhrases(drawing, self.transcript, self.attributes, random)
        self.introduced: list[int] = []
        self.said_once: set[str] = set()

    def introduce(self, indices: Sequence[int]) -> bool:
        """Introduce entities; of those of one kind only so much that they are told apart.

        Who is the only one of a kind is known by it. Several of a kind are introduced each by what
        the image shows of it alone, or together as a group: else nothing, not even the image,
        could tell later which of the mentions means whom.

        Returns:
            False where nothing tells them apart; then nothing is said.
        """
        kinds = {self.kind(index) for index in indices}
        alone = len(indices) == 1 or self.of_a_kind(indices[0])
        as_group = len(kinds) == 1 and not alone and self.random.random() < 0.3
        described: dict[int, str] = {}
        for index in indices:
            here = [i for i in indices if self.kind(i) == self.kind(index)]
            of_a_kind = [*self.of_a_kind(index), *here]
            if len(of_a_kind) > 1 and not as_group:
                tells = self.attributes.distinguishing(index, of_a_kind)
                if not tells:
                    return False
                described[index] = self.random.choice(tells)
        self.say(self.random.choice(_FURTHER if self.introduced else _OPENINGS))
        self.hesitate()
        if as_group:
            (kind,) = kinds
            number, plural = _NUMBERS[len(indices)], _PLURALS.get(kind, kind + "s")
            self.phrases.mention_group(f"{number} {plural}", indices)
        else:
            self._introduce_each(indices, described)
        self.introduced += indices
        self.end_sentence()
        return True

    def _introduce_each(self, indices: Sequence[int], described: Mapping[int, str]) -> None:
        """Mention entities for the first time, those that are described by their attribute."""
        named = {self.kind(i) for i in self.introduced}
        for place, index in enumerate(indices):
            if place:
                self.say("and" if place == len(indices) - 1 else ",")
            kind = self.kind(index)
            if index in described:
                article = self.random.choice(("another", "a")) if kind in named else "a"
                self.phrases.describe(article, index, described[index])
            else:
                self.phrases.mention(with_article("a", self.phrases.name(index)), index)
            named.add(kind)

    def about_one(self, index: int) -> None:
        """Say something of an entity that the text tells from all others."""
        new = self.attributes.untold(index)
        if not new:
            return
        if len(self.of_a_kind(index)) > 1 or (
            self.introduced[-1] == index and self.random.random() < 0.6
        ):
            self.phrases.mention(self.phrases.pronoun(index), index)
        else:
            self.phrases.mention(f"the {self.phrases.name(index)}", index)
        self.predicate(index, self.random.choice(new))
        if self.random.random() < 0.4:
            self.follow_up(index)
        self.end_sentence()

    def about_described(self, rivals: Sequence[int]) -> None:
        """Say something of one of several, told from the others by what is seen."""
        able = self.distinguishable(rivals)
        if len(able) < 2:
            return
        index = self.random.choice(able)
        attribute = self.random.choice(self.attributes.distinguishing(index, rivals))
        self.phrases.describe("the", index, attribute, rivals)
        new = self.attributes.untold(index)
        if new:
            self.predicate(index, self.random.choice(new))
        else:
            self.say("can be seen clearly")
        if self.random.random() < 0.6:
            self.follow_up(index)
        self.end_sentence()
        others = [i for i in rivals if i != index]
        if len(others) == 1 and self.random.random() < 0.4:
            self.about_the_other(others[0])

    def about_unnamed(self, rivals: Sequence[int]) -> None:
        """Say something of one of several by a pronoun that only the image decides."""
        index = self.image_pronoun(rivals)
        if index is None:
            return
        if self.random.random() < 0.25:
            self.follow_up(index)
        self.end_sentence()
        others = [i for i in rivals if i != index]
        if len(others) == 1 and self.random.random() < 0.2:
            self.about_the_other(others[0])
        elif self.random.random() < 0.1:
            # Any of them: the next one named must not betray who was meant.
            self.about_named(self.random.choice(rivals))

    def about_named(self, index: int) -> None:
        """Say something of the only one of its kind, by its name."""
        new = self.attributes.untold(index)
        if new and len(self.of_a_kind(index)) == 1:
            self.phrases.mention(f"the {self.phrases.name(index)}", index)
            self.predicate(index, self.random.choice(new))
            self.end_sentence()

    def about_the_other(self, index: int) -> None:
        """Say something of the one of two that was not spoken of."""
        new = self.attributes.untold(index)
        if new:
            alike = len(self.of_a_kind(index)) > 1
            noun = self.kind(index) if alike and self.random.random() < 0.5 else "one"
            self.phrases.mention(f"the other {noun}", index)
            self.predicate(index, self.random.choice(new))
            self.end_sentence()

    def about_group(self, members: Sequence[int]) -> None:
        """Say something of two or more together, by a pronoun; the same is never said twice."""
        new = [what for what in _OF_GROUPS if what not in self.said_once]
        if not new:
            return
        what = self.random.choice(new)
        self.said_once.add(what)
        all_words = ("both of them", "these two") if len(members) == 2 else ("all of them",)
        self.phrases.mention_group(self.random.choice(("they", "they", *all_words)), members)
        self.say("are")
        if what == _ON_THE_GROUND:
            self.say("on")
            self.phrases.mention_setting(self.scene.ground)
        else:
            self.say(what)
        self.end_sentence()

    def about_no_entity(self) -> None:
        """Say something of the sky, or of the weather, which cannot be boxed; of each once."""
        new = [what for what in ("sky", "occasion") if what not in self.said_once]
        if not new:
            return
        what = self.random.choice(new)
        self.said_once.add(what)
        if what == "sky":
            self.say(self.random.choice(("in the background we see", "at the top there is")))
            self.phrases.mention_setting("sky")
        else:
            self.say(self.random.choice(("it looks like", "it could be", "this must be")))
            self.phrases.mention_occasion(self.random.choice(_OCCASIONS))
        self.end_sentence()

    def image_pronoun(self, rivals: Sequence[int]) -> int | None:
        """Begin a sentence about one of several by a pronoun that fits all; the image decides.

        Returns:
            Whom it is about; None where nothing tells at least two of them from the others: were
            it always the same one, rules of the text would know.
        """
        able = self.distinguishable(rivals)
        if len(able) < 2:
            return None
        index = self.random.choice(able)
        attribute = self.random.choice(self.attributes.distinguishing(index, rivals))
        pronoun = self.phrases.pronoun(index)
        if attribute in ("place", "hat") and self.random.random() < 0.4:
            self.attributes.mark_told(index, attribute)
            if attribute == "place":
                self.say(self.whereabouts(index))
            else:
                self.say("with")
                self.phrases.mention_part(index, "hat", "a")
            self.say(",")
            self.phrases.mention(pronoun, index, rivals, IMAGE)
            self.say(self.random.choice(("can be seen", "is there", "looks at us")))
        else:
            self.phrases.mention(pronoun, index, rivals, IMAGE)
            self.hesitate()
            self.predicate(index, attribute)
        return index

    def follow_up(self, index: int) -> None:
        """Say more of the one that was just spoken of, by a pronoun or by a possessive."""
        pronoun = self.phrases.pronoun(index)
        new = self.attributes.untold(index)
        parts = [attribute for attribute in new if (index, attribute) in self.drawing.boxes]
        if parts and self.random.random() < 0.5:
            part = self.random.choice(parts)
            self.attributes.mark_told(index, part)
            self.say(self.random.choice(("and", ",")))
            self.phrases.mention_possession(_POSSESSIVES[pronoun], index, part)
            verb = "are" if part == "trousers" else "is"
            self.say(f"{verb} {self.attributes.value(index, part)}")
        elif new:
            self.say("and")
            self.phrases.mention(pronoun, index)
            self.predicate(index, self.random.choice(new))

    def predicate(self, index: int, attribute: str) -> None:
        """Say an attribute of the entity that was just named."""
        self.attributes.mark_told(index, attribute)
        value, choose = self.attributes.value(index, attribute), self.random.choice
        if attribute == "pose":
            self.say(f"is {value}")
        elif attribute == "place":
            self.say(choose(("is", "can be seen", "stays")) + " " + self.whereabouts(index))
        elif attribute == "size":
            self.say(choose((f"is {value}", f"looks very {value}")))
        elif attribute == "body":
            self.say(choose((f"is {value}", f"is {value} in color")))
        else:
            verbs = {"bag": ("has", "is carrying", "holds"), "hat": ("has", "is wearing")}
            self.say(choose(verbs.get(attribute, ("is wearing", "is dressed in"))))
            self.phrases.mention_part(index, attribute, "a")

    def whereabouts(self, index: int) -> str:
        """Return the words for where an entity is."""
        place = self.attributes.value(index, "place")
        return "in the middle" if place == "middle" else f"on the {place} side"

    def hesitate(self) -> None:
        """Say a filler now and then, or the last word again."""
        if self.random.random() < 0.15:
            last = self.transcript.text.split()[-1].lower()
            self.say(self.random.choice((*_HESITATIONS, last)))

    def distinguishable(self, rivals: Sequence[int]) -> list[int]:
        """Return those of several entities that the image tells from the others."""
        return [index for index in rivals if self.attributes.distinguishing(index, rivals)]

    def sharing_a_pronoun(self, index: int) -> list[int]:
        """Return everything introduced that the pronoun of an entity could mean."""
        pronoun = self.phrases.pronoun(index)
        return [i for i in self.introduced if self.phrases.pronoun(i) == pronoun]

    def of_a_kind(self, index: int) -> list[int]:
        """Return everything introduced of the kind of an entity."""
        return [i for i in self.introduced if self.kind(i) == self.kind(index)]

    def kind(self, index: int) -> str:
        """Return the kind of an entity."""
        return self.scene.entities[index].kind


def narrate(drawing: Drawing, random: Random) -> Told | None:
    """Tell what a drawing shows.

    Returns:
        None where too little of the scene is seen to fill a narration.
    """
    narrator = _Narrator(drawing, random)
    topics = _topics(narrator)
    target = random.randint(_SHORTEST + 16, _LONGEST - 12)
    for topic in topics:
        if narrator.transcript.count_words() >= target:
            break
        if narrator.introduce(topic):
            _speak_of(narrator, topic, target)
    for _ in range(12):
        if narrator.transcript.count_words() >= target or not narrator.introduced:
            break
        _speak_of_any(narrator)
    if not _SHORTEST <= narrator.transcript.count_words() <= _LONGEST:
        return None
    return narrator.transcript.told()


def _topics(narrator: _Narrator) -> list[list[int]]:
    """Choose whom to introduce together, up to three that share a pronoun; the most first."""
    left = [i for i in range(len(narrator.scene.entities)) if (i, "") in narrator.drawing.boxes]
    narrator.random.shuffle(left)
    topics: list[list[int]] = []
    while left:
        index = left.pop(0)
        pronoun = narrator.phrases.pronoun(index)
        partners = [i for i in left if narrator.phrases.pronoun(i) == pronoun]
        if narrator.random.random() < 0.1:
            partners = []
        topics.append([index, *partners[: _MOST_TOGETHER - 1]])
        left = [i for i in left if i not in topics[-1]]
    topics.sort(key=lambda topic: -len(topic))
    return topics


def _speak_of(narrator: _Narrator, topic: Sequence[int], target: int) -> None:
    """Say some sentences about those who were just introduced, until there are enough words."""
    random = narrator.random
    if len(topic) == 1:
        if random.random() < 0.5:
            narrator.about_one(topic[0])
        return
    if random.random() < 0.2:
        narrator.about_group(topic)
    narrator.about_unnamed(topic)
    for _ in range(random.randint(2, 3)):
        if narrator.transcript.count_words() < target:
            by_pronoun = random.random() < 0.8
            about = narrator.about_unnamed if by_pronoun else narrator.about_described
            about(topic)


def _speak_of_any(narrator: _Narrator) -> None:
    """Say a sentence about anybody who was introduced, maybe after one about all or none."""
    random = narrator.random
    people = [i for i in narrator.introduced if narrator.kind(i) in PEOPLE]
    if random.random() < 0.25:
        if random.random() < 0.4 or len(people) < 2:
            narrator.about_no_entity()
        else:
            narrator.about_group(people)
    index = random.choice(narrator.introduced)
    alike, rivals = narrator.of_a_kind(index), narrator.sharing_a_pronoun(index)
    if len(alike) > 1 and random.random() < 0.35:
        narrator.about_described(alike)
    elif len(rivals) > 1:
        narrator.about_unnamed(rivals)
    else:
        narrator.about_one(index)
