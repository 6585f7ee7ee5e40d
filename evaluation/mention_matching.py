"""Matching mentions that were found in a text with the gold mentions, by their characters.

A mention of both sides is one mention, and the chains of each side are over its own. What holds for
gold mentions holds here too: where boxes are known, only mentions that have a box count. A found
mention in the place of a gold one that does not count is left out; every other one counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from data.mention_spans import gold_spans
from data.narration import Mention, Narration
from metrics.chains import chains_from_labels, restrict
from utils.text.spans import Span


@dataclass(frozen=True, slots=True)
class MatchedNarration:
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


def match_mentions(
    gold: Narration, system: Narration, chains: Sequence[Sequence[int]], counted: Sequence[int]
) -> MatchedNarration:
    """Match the gold and the found mentions of a narration.

    Of gold mentions in one place the first that counts stays.

    Args:
        gold: with its gold mentions; none where they are not known.
        system: the same text with the mentions that were found.
        chains: predicted, over the indices of the found mentions.
        counted: the indices of the gold mentions that count.
    """
    of_gold = {(m.start, m.end): m for m in with_distinct_mentions(gold, counted).mentions}
    left_out = set(gold_spans(gold)) - of_gold.keys()
    indices = {(m.start, m.end): index for index, m in enumerate(system.mentions)}
    of_system = [span for span in indices if span not in left_out]
    spans = _sorted({*of_gold, *of_system})
    place_of = {span: place for place, span in enumerate(spans)}
    gold_chains = chains_from_labels([mention.chain for mention in of_gold.values()])
    system_chains = restrict(chains, [indices[span] for span in of_system])
    mentions = (of_gold.get(span) or system.mentions[indices[span]] for span in spans)
    return MatchedNarration(
        narration=replace(gold, mentions=tuple(mentions)),
        gold=[[place_of[list(of_gold)[i]] for i in chain] for chain in gold_chains],
        system=[[place_of[of_system[i]] for i in chain] for chain in system_chains],
    )


def with_distinct_mentions(narration: Narration, counted: Sequence[int]) -> Narration:
    """Return the narration with its mentions that count, each place once.

    They have no white space at the ends, which is how mentions are found.

    Args:
        counted: the indices of the mentions that count.
    """
    spans = gold_spans(narration)
    mentions: dict[Span, Mention] = {}
    for index in counted:
        start, end = spans[index]
        if start < end and (start, end) not in mentions:
            mentions[start, end] = replace(
                narration.mentions[index], start=start, end=end, phrase=narration.text[start:end]
            )
    return replace(narration, mentions=tuple(mentions[span] for span in _sorted(mentions)))


def _sorted(spans: Iterable[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: (span[0], -span[1]))
