"""What a model predicts for one narration: links, chains and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from data.encoding.left_out import LeftOut
from data.narration import Mention, Narration
from inference.links import MentionLinks
from metrics.chains import chains_from_links


@dataclass(frozen=True)
class AlignedVectors:
    """Vectors of mentions and regions in one space, in which like meets like.

    Attributes:
        mentions: [M, A] float32; zeros for a mention that the model did not see.
        regions: [R, A] float32.
    """

    mentions: np.ndarray
    regions: np.ndarray


@dataclass(frozen=True)
class Resolution:
    """What a model says of one narration; M is all its mentions.

    Attributes:
        narration: what was resolved.
        links: the scores of its mentions' links with those before them: the cosine of the two, or
            where the model ranks antecedents the probability that they are of one chain.
        threshold: the score above which two mentions are linked.
        boxes_xyxy: [M, 4] float32, relative to the image; None where there are no regions.
        box_scores: [M] float32, the attention on each mention's region, 0 for a mention that the
            model did not see; None where there are no regions.
        regions_xyxy: [R, 4] float32, the image's regions; R is 0 where there are none.
        aligned: the vectors of its mentions and regions; None where the model aligns nothing.
    """

    narration: Narration
    links: MentionLinks
    threshold: float
    boxes_xyxy: np.ndarray | None
    box_scores: np.ndarray | None
    regions_xyxy: np.ndarray
    aligned: AlignedVectors | None = None

    @property
    def mentions(self) -> tuple[Mention, ...]:
        """The narration's, sorted by their start; all indices count these.

        Their chains and boxes are gold ones, where such were given.
        """
        return self.narration.mentions

    @property
    def left_out(self) -> LeftOut:
        """How many mentions the model did not see, or did not compare with all before them."""
        unseen = len(self.mentions) - len(self.links.seen)
        return LeftOut(self.narration.id, unseen, self.links.beyond_reach)

    @cached_property
    def similarity(self) -> np.ndarray:
        """The scores of the links of every two mentions, [M, M] float32.

        -1 between mentions that are not compared: one that the model did not see and any other, and
        two that are out of each other's reach.
        """
        return self.links.similarity()

    @cached_property
    def chains(self) -> list[list[int]]:
        """Indices of mentions; every mention is in exactly one chain."""
        return self.chains_above(self.threshold)

    def chains_above(self, threshold: float) -> list[list[int]]:
        """Return the chains that links above another threshold make.

        Raises:
            InputError: a score or the threshold is not a number.
        """
        return chains_from_links(len(self.mentions), self.links.above(threshold))

    @cached_property
    def chain_of(self) -> list[int]:
        """The place in `chains` of each mention's chain."""
        places = {index: place for place, chain in enumerate(self.chains) for index in chain}
        return [places[index] for index in range(len(self.mentions))]

    @cached_property
    def boxes_pixels(self) -> np.ndarray | None:
        """[M, 4] float32, x1, y1, x2, y2; None without regions or where the size is not known."""
        if self.boxes_xyxy is None or self.narration.image_size is None:
            return None
        size = np.asarray(self.narration.image_size, dtype=np.float32)
        scaled: np.ndarray = self.boxes_xyxy * np.tile(size, 2)
        return scaled

    def chain_texts(self) -> list[list[str]]:
        """Return the words of each chain's mentions."""
        return [[self.mentions[index].phrase for index in chain] for chain in self.chains]

    def surest(self, chain: Sequence[int]) -> int | None:
        """Find the mention of a chain whose box has the highest score; None without boxes."""
        if self.box_scores is None or not self.box_scores[chain].any():
            return None
        return chain[int(self.box_scores[chain].argmax())]

    def to_dict(self, *, similarity: bool = False) -> dict[str, Any]:
        """Return it as plain values, fit for JSON; docs/formats.md says which.

        Args:
            similarity: whether the scores of all pairs are among them too.
        """
        values = {
            "text": self.narration.text,
            "image_size": self.narration.image_size and list(self.narration.image_size),
            "threshold": self.threshold,
            "mentions": [
                {
                    "start": mention.start,
                    "end": mention.end,
                    "text": mention.phrase,
                    "chain": self.chain_of[index],
                    **self._box(self.surest([index])),
                }
                for index, mention in enumerate(self.mentions)
            ],
            "chains": [
                {"mentions": chain, "texts": texts, **self._box(self.surest(chain))}
                for chain, texts in zip(self.chains, self.chain_texts(), strict=True)
            ],
            "links": [[*pair, round(score, 4)] for *pair, score in self.links.best()],
        }
        return values | {"similarity": _plain(self.similarity, 4)} if similarity else values

    def _box(self, index: int | None) -> dict[str, Any]:
        if index is None or self.boxes_xyxy is None or self.box_scores is None:
            return {"box_xyxy": None, "box_pixels": None, "box_score": None}
        pixels = None if self.boxes_pixels is None else _plain(self.boxes_pixels[index], 1)
        return {
            "box_xyxy": _plain(self.boxes_xyxy[index], 4),
            "box_pixels": pixels,
            "box_score": _plain(self.box_scores[index], 4),
        }


def _plain(array: np.ndarray, digits: int) -> Any:
    """Round an array to numbers in lists, or to one number."""
    return np.round(array.astype(np.float64), digits).tolist()
