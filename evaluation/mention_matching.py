"""Comparing narrations whose mentions were found in the text with their gold mentions, by span.

The mentions of both sides are put together: one of both sides is one mention, and the chains of
each side are over its own. What holds for gold mentions holds here too: where boxes are known, only
mentions that have a box count. A found mention in the place of a gold one that does not count is
left out; every other one counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from data.mention_spans import gold_spans
from data.narration import Mention, Narration, counted_mentions
from metrics.chains import chains_from_labels, restrict
from metrics.grounding_scores import GroundedMention
from utils.text.spans import Span


@dataclass(frozen=True, slots=True)
class ComparedNarration:
    """A narration with the mentions of both sides that count, and the chains of each side.

    Attributes:
        narration: its mentions are sorted by their start, the outer of those that start together
            first; no two are in one place.
        gold: gold chains over the indices of these mentions.
        system: predicted chains, likewise.
    """

    narration: Narration
    gold: list[list[int]]
    system: list[list[int]]

    @property
    def names(self) -> list[str]:
        """What chain files call the mentions, the same on both sides: phrase and characters."""
        return [f"{m.phrase}@{m.start}-{m.end}" for m in self.narration.mentions]


def compare(
    gold: Narration, found: Narration, chains: Sequence[Sequence[int]], *, boxes_known: bool
) -> ComparedNarration:
    """Put the gold and the found mentions of a narration together.

    Of gold mentions in one place the first that counts stays.

    Args:
        gold: with its gold mentions; none where they are not known.
        found: the same text with the mentions that were found.
        chains: predicted, over the indices of the found mentions.
        boxes_known: whether any narration of the data set has a box.
    """
    counted = {(m.start, m.end): m for m in with_distinct_mentions(gold, boxes_known).mentions}
    left_out = set(gold_spans(gold)) - counted.keys()
    places = {(m.start, m.end): index for index, m in enumerate(found.mentions)}
    kept = [span for span in places if span not in left_out]
    spans = _sorted({*counted, *kept})
    place_of = {span: place for place, span in enumerate(spans)}
    gold_chains = chains_from_labels([mention.chain for mention in counted.values()])
    system_chains = restrict(chains, [places[span] for span in kept])
    mentions = (counted.get(span) or found.mentions[places[span]] for span in spans)
    return ComparedNarration(
        narration=replace(gold, mentions=tuple(mentions)),
        gold=[[place_of[list(counted)[i]] for i in chain] for chain in gold_chains],
        system=[[place_of[kept[i]] for i in chain] for chain in system_chains],
    )


def with_distinct_mentions(narration: Narration, boxes_known: bool) -> Narration:
    """The narration with its mentions that count, each place once and without white space at the
    ends, which is how mentions are found.
    """
    spans = gold_spans(narration)
    mentions: dict[Span, Mention] = {}
    for index in counted_mentions(narration, boxes_known=boxes_known):
        start, end = spans[index]
        if start < end and (start, end) not in mentions:
            mentions[start, end] = replace(
                narration.mentions[index], start=start, end=end, phrase=narration.text[start:end]
            )
    return replace(narration, mentions=tuple(mentions[span] for span in _sorted(mentions)))


def grounded_gold_mentions(
    gold: Narration, found: Narration, boxes_xyxy: np.ndarray | None, regions_xyxy: np.ndarray
) -> list[GroundedMention]:
    """What the grounding scores need of the gold mentions that have a box.

    One that was not found has no predicted box, which counts as wrong.

    Args:
        boxes_xyxy: [found mentions, 4], what was predicted; None where there are no regions.
        regions_xyxy: [regions, 4].
    """
    places = {(m.start, m.end): index for index, m in enumerate(found.mentions)}
    grounded = []
    for mention, span in zip(gold.mentions, gold_spans(gold), strict=True):
        if mention.boxes_xyxy:
            is_missed = boxes_xyxy is None or span not in places
            grounded.append(
                GroundedMention(
                    phrase=mention.phrase,
                    gold_boxes_xyxy=np.asarray(mention.boxes_xyxy, dtype=np.float32),
                    box_xyxy=None if is_missed else boxes_xyxy[places[span]],
                    regions_xyxy=regions_xyxy,
                    kind=mention.kind,
                )
            )
    return grounded


def _sorted(spans: Iterable[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: (span[0], -span[1]))
