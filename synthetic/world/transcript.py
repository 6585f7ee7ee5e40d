"""The text of a narration while it is told, with the mentions in it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from synthetic.world.drawing import PixelBox

# The kind of a pronoun whose referent no text-only rule can tell better than by chance.
IMAGE = "picture"


@dataclass(frozen=True, slots=True)
class ToldMention:
    """A mention of a told narration.

    Attributes:
        start, end: characters of the text, the end exclusive.
        chain: number of its chain.
        boxes: in pixels, (x1, y1, x2, y2); empty where nothing drawn is meant.
        kind: IMAGE, or None.
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


class Transcript:
    """What was said so far, and what was mentioned by it.

    Attributes:
        text: sentences, the last one maybe not at its end.
    """

    def __init__(self) -> None:
        self.text = ""
        self._mentions: list[ToldMention] = []
        self._chains: dict[Hashable, int] = {}

    def say(self, words: str) -> None:
        """Add words to the sentence, or begin the next one with them."""
        glue = "" if not self.text or words[0] in ",." else " "
        if not self.text or self.text.endswith("."):
            words = words[0].upper() + words[1:]
        self.text += glue + words

    def end_sentence(self) -> None:
        """Add the full stop."""
        self.text += "."

    def next_start(self) -> int:
        """Return the character where the next word will stand."""
        return len(self.text) + bool(self.text)

    def mark(
        self,
        start: int,
        referent: Hashable,
        boxes: Sequence[PixelBox | None],
        rivals: Sequence[Hashable] = (),
        kind: str | None = None,
    ) -> None:
        """Mark what was said since a character as a mention.

        Args:
            start: the character, as `next_start` gave it.
            referent: whatever stands for what is meant, always the same for the same.
            boxes: where it is seen, in pixels; None of what is not.
            rivals: the referents that the text would allow, where the image decides.
            kind: of the mention.
        """
        self._mentions.append(
            ToldMention(
                start,
                len(self.text),
                self._chain(referent),
                tuple(box for box in boxes if box is not None),
                kind,
                tuple(self._chain(rival) for rival in rivals),
            )
        )

    def count_words(self) -> int:
        """Return the number of words said so far."""
        return len(self.text.split())

    def told(self) -> Told:
        """Return the narration as it stands."""
        mentions = sorted(self._mentions, key=lambda mention: (mention.start, -mention.end))
        return Told(self.text, tuple(mentions))

    def _chain(self, referent: Hashable) -> int:
        return self._chains.setdefault(referent, len(self._chains))
