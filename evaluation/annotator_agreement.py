"""How well two annotators agree: what one has labelled is scored against what the other has.

The first one takes the place of gold, so that recall is the share of the first one's that the
second has, too, and precision the share of the second one's; F1 is the same either way. BLANC, too:
it is the mean over the kinds of links that either of them has.

- mentions: the spans, without white space at their ends; both ends must be the same.
- chains: the scores of `metrics/coreference/scores.py`, pooled, over these spans.
- boxes: of the mentions that both have with boxes, the pairs of boxes, each in one pair at most,
  that overlap with an intersection over union of at least 0.5.

A span that an annotator has labelled several times is in the first of its chains.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from data.mention_spans import gold_spans
from data.narration import Narration, RelativeBox
from metrics.certainty import (
    Certainty,
    Estimate,
    Name,
    estimate,
    tally_known_fractions,
    warning_of_few,
)
from metrics.chains import chains_from_labels
from metrics.coreference.certainty import estimate_known
from metrics.coreference.counts import count_documents
from metrics.coreference.scores import CHAIN_TITLES
from utils.boxes import SUFFICIENT_IOU, pairwise_iou
from utils.errors import InputError
from utils.printable import escape_unprintable, quote
from utils.text.conll import without_repeats
from utils.text.spans import Span

# What an annotator has labelled, by the ids of the narrations.
Annotations = Mapping[str, Narration]

_WAYS = {"pooled": 1, "pooled_without_singletons": 2}  # the fewest mentions of a chain


@dataclass(frozen=True)
class Agreement:
    """The agreement of two annotators.

    Attributes:
        first, second: their names.
        documents: how many both have annotated.
        only_first, only_second: how many one of them alone has; they are not scored.
        mentions: how many spans each has in what both have annotated, and how many both have.
        boxes: likewise, of the mentions that both have with boxes.
        repeats: how many spans each has labelled more than once.
        scores: by where they stand in the JSON object, such as ("pooled", "muc", "f1"); one that
            has nothing to count is left out.
    """

    first: str
    second: str
    documents: int
    only_first: int
    only_second: int
    mentions: tuple[int, int, int]
    boxes: tuple[int, int, int]
    repeats: tuple[int, int]
    scores: Mapping[Name, Estimate]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers, and the scores in percent; docs/formats.md says more."""
        sides = ("first", "second", "both")
        return {
            "first": self.first,
            "second": self.second,
            "only_first": self.only_first,
            "only_second": self.only_second,
            "mentions": dict(zip(sides, self.mentions, strict=True)),
            "boxes": dict(zip(sides, self.boxes, strict=True)),
            "labelled_again": dict(zip(sides, self.repeats, strict=False)),
            **Certainty(self.documents, self.scores).to_json(),
        }

    def format(self) -> str:
        """Return a table to read, in percent."""
        first, second = map(escape_unprintable, (self.first, self.second))
        alone = f"{self.only_first} by the first alone, {self.only_second} by the second alone"
        lines = [
            f"{first} and {second}: {self.documents} texts annotated by both ({alone}: not scored)"
        ]
        lines += [
            f"{what} of the first {counts[0]}, of the second {counts[1]}, of both {counts[2]}"
            for what, counts in (("mentions", self.mentions), ("boxes", self.boxes))
            if any(counts)
        ]
        if any(self.repeats):
            again = f"{self.repeats[0]} of the first, {self.repeats[1]} of the second"
            lines.append(f"spans labelled again, which count once: {again}")
        lines.append(f"{'':20}" + "".join(f"{c:>8}" for c in ("R", "P", "F1", "low", "high")))
        lines += [f"{title:20}{self._cells(name)}" for title, name in _rows()]
        shown = {title: self.scores.get(_name_of_f1(name)) for title, name in _rows()}
        known = {title: found for title, found in shown.items() if found is not None}
        warning = warning_of_few(self.documents, known)
        return "\n".join(lines if warning is None else [*lines, warning])

    def _cells(self, name: Name) -> str:
        """Return recall, precision, F1 and its interval; "-" where there is nothing to score."""
        f1 = self.scores.get(_name_of_f1(name))
        is_mean = _name_of_f1(name) == name
        parts = [self.scores.get((*name, part)) for part in ("recall", "precision")]
        values = [] if is_mean else [None if part is None else part.value for part in parts]
        values += [None] * 3 if f1 is None else [f1.value, f1.low, f1.high]
        cells = ("       -" if value is None else f"{100 * value:8.2f}" for value in values)
        return (" " * 16 if is_mean else "") + "".join(cells)


def measure_agreement(
    first: Annotations, second: Annotations, names: tuple[str, str]
) -> Agreement | None:
    """Score what two annotators have labelled in the texts that both have annotated.

    Returns:
        None where they have no text in common.

    Raises:
        InputError: a narration has two texts.
    """
    common = [name for name in first if name in second]
    if not common:
        return None
    pairs = [(first[name], second[name]) for name in common]
    for one, other in pairs:
        if one.text != other.text:
            raise InputError(f"{one.id}: {names[0]} and {names[1]}: {_difference(one, other)}")
    boxes_of = [(_boxes_of_spans(one), _boxes_of_spans(other)) for one, other in pairs]
    mentions = np.array(
        [(len(one), len(other), len(one.keys() & other.keys())) for one, other in boxes_of]
    )
    boxes = np.array([_count_boxes(one, other) for one, other in boxes_of])
    scores: dict[Name, Estimate] = {}
    for what, counts in (("mentions", mentions), ("boxes", boxes)):
        scores |= estimate([tally_known_fractions([(what,)], counts[:, None, [2, 0, 2, 1]])]).scores
    for way, least in _WAYS.items():
        sides = [(_chains(one, least), _chains(other, least)) for one, other in pairs]
        known = estimate_known(count_documents(sides), blanc_kinds="either")
        scores |= {(way, *name): found for name, found in known.scores.items()}
    return Agreement(
        *names,
        documents=len(common),
        only_first=len(first) - len(common),
        only_second=len(second) - len(common),
        mentions=tuple(mentions.sum(axis=0).tolist()),
        boxes=tuple(boxes.sum(axis=0).tolist()),
        repeats=(_repeats(one for one, _ in pairs), _repeats(other for _, other in pairs)),
        scores=scores,
    )


def _rows() -> list[tuple[str, Name]]:
    """Return the titles of the rows of a table, and what they show."""
    rows: list[tuple[str, Name]] = [("mentions", ("mentions",))]
    for way, title in (("pooled", "{}"), ("pooled_without_singletons", "{}, no singletons")):
        rows += [(title.format(shown), (way, name)) for name, shown in CHAIN_TITLES.items()]
        rows.append((title.format("CoNLL"), (way, "conll")))
    return [*rows, ("boxes", ("boxes",))]


def _name_of_f1(name: Name) -> Name:
    """Return the name of a row's F1; CoNLL is one itself, without a recall and a precision."""
    return name if name[-1] == "conll" else (*name, "f1")


def _difference(first: Narration, second: Narration) -> str:
    """Say where two texts differ first."""
    places = zip(first.text, second.text, strict=False)
    same = next((place for place, (a, b) in enumerate(places) if a != b), None)
    place = min(len(first.text), len(second.text)) if same is None else same
    found, other = (quote(text[place : place + 20]) for text in (first.text, second.text))
    return f"the texts differ at character {place}: found {found} and {other}, expected one text"


def _boxes_of_spans(narration: Narration) -> dict[Span, tuple[RelativeBox, ...]]:
    """Return the boxes of each span that is labelled; those of the first of its chains."""
    spans, mentions = gold_spans(narration), narration.mentions
    boxes: dict[Span, tuple[RelativeBox, ...]] = {}
    for chain in chains_from_labels([mention.chain for mention in mentions]):
        for mention in chain:
            boxes.setdefault(spans[mention], mentions[mention].boxes_xyxy)
    return boxes


def _repeats(narrations: Iterable[Narration]) -> int:
    """Count the spans that are labelled more than once."""
    return sum(sum(times > 1 for times in Counter(gold_spans(n)).values()) for n in narrations)


def _chains(narration: Narration, least: int) -> list[list[Span]]:
    """Return the chains of spans that have so many mentions at least."""
    spans = gold_spans(narration)
    chains = chains_from_labels([mention.chain for mention in narration.mentions])
    once = without_repeats([spans[mention] for mention in chain] for chain in chains)
    return [chain for chain in once if len(chain) >= least]


def _count_boxes(
    first: Mapping[Span, Sequence[RelativeBox]], second: Mapping[Span, Sequence[RelativeBox]]
) -> tuple[int, int, int]:
    """Count the boxes of the mentions that both have with boxes: of each, and in pairs."""
    counts = np.zeros(3, dtype=int)
    for span in first.keys() & second.keys():
        if first[span] and second[span]:
            pairs = _count_pairs(first[span], second[span])
            counts += len(first[span]), len(second[span]), pairs
    one, other, both = counts.tolist()
    return one, other, both


def _count_pairs(first: Sequence[RelativeBox], second: Sequence[RelativeBox]) -> int:
    """Return the most pairs of boxes that overlap enough, each box in one at most."""
    overlap = pairwise_iou(*(torch.tensor(boxes, dtype=torch.float64) for boxes in (first, second)))
    enough = (overlap >= SUFFICIENT_IOU).numpy().astype(int)
    rows, columns = linear_sum_assignment(enough, maximize=True)
    return int(enough[rows, columns].sum())
