"""Noun phrases: says words for what is drawn and marks them as mentions of it."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from synthetic.world.attributes import Attributes
from synthetic.world.drawing import SETTING, Drawing, PixelBox
from synthetic.world.scenes import FEMALE, MALE
from synthetic.world.transcript import Transcript

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


class NounPhrases:
    """Mentions of the entities of a drawing, which go by their index in the scene.

    Args:
        transcript: takes the words and the mentions.
        attributes: of the entities; what a phrase tells is noted there.
        random: chooses among words that say the same.
    """

    def __init__(
        self, drawing: Drawing, transcript: Transcript, attributes: Attributes, random: Random
    ) -> None:
        self._drawing = drawing
        self._entities = drawing.scene.entities
        self._transcript = transcript
        self._attributes = attributes
        self._random = random

    def name(self, index: int) -> str:
        """Choose a name of an entity; a wider one only where nothing else here bears it."""
        kind = self._entities[index].kind
        names = _NAMES.get(kind, (kind,))
        if self._random.random() < 0.75:
            return kind
        choice = self._random.choice(names)
        bearers = {e.kind for e in self._entities if choice in _NAMES.get(e.kind, (e.kind,))}
        return choice if bearers == {kind} else kind

    def pronoun(self, index: int) -> str:
        """Return the pronoun of an entity."""
        kind = self._entities[index].kind
        return "he" if kind in MALE else "she" if kind in FEMALE else "it"

    def mention(
        self, words: str, index: int, rivals: Sequence[int] = (), kind: str | None = None
    ) -> None:
        """Say words that mean one entity.

        Args:
            rivals, kind: of the mention, as `Transcript.mark` takes them.
        """
        start = self._transcript.next_start()
        self._transcript.say(words)
        self._transcript.mark(start, index, [self._box(index)], rivals, kind)

    def mention_group(self, words: str, members: Sequence[int]) -> None:
        """Say words that mean several entities together."""
        start = self._transcript.next_start()
        self._transcript.say(words)
        self._transcript.mark(start, frozenset(members), [self._box(index) for index in members])

    def mention_part(self, index: int, part: str, article: str) -> None:
        """Mention what somebody wears or carries by its colour: "a red hat"."""
        article = "" if part == "trousers" and article == "a" else article + " "
        start = self._transcript.next_start()
        self._transcript.say(f"{article}{self._attributes.value(index, part)} {part}")
        self._transcript.mark(start, (index, part), [self._box(index, part)])

    def mention_possession(self, possessive: str, index: int, part: str) -> None:
        """Mention what somebody wears or carries by whose it is: "his hat"."""
        start = self._transcript.next_start()
        self.mention(possessive, index)
        self._transcript.say(part)
        self._transcript.mark(start, (index, part), [self._box(index, part)])

    def mention_setting(self, name: str) -> None:
        """Mention the sky or the ground."""
        start = self._transcript.next_start()
        self._transcript.say(f"the {name}")
        self._transcript.mark(start, (SETTING, name), [self._drawing.boxes[SETTING, name]])

    def mention_occasion(self, words: str) -> None:
        """Mention the one thing that cannot be boxed."""
        start = self._transcript.next_start()
        self._transcript.say(words)
        self._transcript.mark(start, ("occasion",), [])

    def describe(
        self, article: str, index: int, attribute: str, rivals: Sequence[int] = ()
    ) -> None:
        """Mention an entity by an attribute: "the man in the red shirt", "the small one".

        Among rivals of different kinds its name tells; only where it is called "one" it does not.
        """
        self._attributes.mark_told(index, attribute)
        value, start = self._attributes.value(index, attribute), self._transcript.next_start()
        name = self.name(index)
        if len({self._entities[rival].kind for rival in rivals}) > 1:
            if self._random.random() < 0.5:
                name = "one"
            else:
                rivals = ()
        if attribute in ("pose", "size", "body"):
            self._transcript.say(f"{article} {value} {name}")
        elif attribute == "place":
            where = "in the middle" if value == "middle" else f"on the {value}"
            self._transcript.say(f"{with_article(article, name)} {where}")
        else:
            preposition = "with" if attribute in ("hat", "bag") else "in"
            self._transcript.say(f"{with_article(article, name)} {preposition}")
            of_part = self._random.choice(("the", "a")) if article == "the" else "a"
            self.mention_part(index, attribute, of_part)
        self._transcript.mark(start, index, [self._box(index)], rivals)

    def _box(self, index: int, part: str = "") -> PixelBox | None:
        return self._drawing.boxes.get((index, part))


def with_article(article: str, name: str) -> str:
    """Put an article before a name: "an" for "a" before a vowel."""
    return f"{'an' if article == 'a' and name[0] in 'aeiou' else article} {name}"
