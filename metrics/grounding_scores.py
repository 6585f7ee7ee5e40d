"""Grounding scores: how often the box predicted for a mention is right.

A mention is right where its predicted box overlaps ANY of its gold boxes with an intersection over
union of at least 0.5. Beside that stand two other readings of a mention with several boxes: the
overlap with the one box that encloses them all (`union`; the published code of MCR, Goel et al.,
EMNLP 2023, unites the boxes of a mention in this way), and every gold box counted for itself
(`per_box`). Two bounds say what the figures can be: the oracle picks the best region there is, the
random proposal any region.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metrics.certainty import Name, Tally, ratio_tally
from utils.boxes import SUFFICIENT_IOU, enclosing_box, pairwise_iou
from utils.printable import escape_unprintable
from utils.text.languages import ENGLISH, Language

# The words that count as pronouns in the published grounding figures (Goel et al., EMNLP 2023).
PRONOUNS = frozenset("them they their this that which those it who he she her him its his".split())

# The scores whose intervals are shown, with their places in `GroundingScores.to_json`.
SHOWN_SCORES: Mapping[str, Name] = {
    "overall": ("overall",),
    "nouns": ("nouns",),
    "pronouns": ("pronouns",),
    "enclosing box": ("union", "overall"),
    "per gold box": ("per_box", "overall"),
}

# An overlap of one half stays one where the coordinates were rounded to single precision.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class GroundedMention:
    """One mention with its gold boxes and its predicted box.

    All boxes are (x1, y1, x2, y2) in one unit.

    Attributes:
        phrase: the words of the mention.
        gold_boxes_xyxy: [gold boxes, 4]; a mention without any is not scored.
        box_xyxy: [4], the predicted box; None where there is none, which counts as wrong.
        regions_xyxy: [regions, 4], all that the system could have chosen from.
        kind: a subset of mentions to score apart, if any.
    """

    phrase: str
    gold_boxes_xyxy: np.ndarray
    box_xyxy: np.ndarray | None
    regions_xyxy: np.ndarray
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Shares of mentions that are right, from 0 to 1; None where there are no such mentions."""

    overall: float | None
    nouns: float | None
    pronouns: float | None

    def to_json(self) -> dict[str, float | None]:
        """Return the three shares in percent."""
        return {
            "overall": _percent(self.overall),
            "nouns": _percent(self.nouns),
            "pronouns": _percent(self.pronouns),
        }


@dataclass(frozen=True, slots=True)
class KindAccuracy:
    """The number of mentions of one kind, and the share that is right, from 0 to 1."""

    mentions: int
    overall: float

    def to_json(self) -> dict[str, float]:
        """Return the number, and the share in percent."""
        return {"mentions": self.mentions, "overall": 100 * self.overall}


@dataclass(frozen=True, slots=True)
class GroundingScores:
    """The grounding accuracy of a system; all shares from 0 to 1.

    Two boxes match where their IoU is at least 0.5.

    Attributes:
        mentions, nouns_mentions, pronouns_mentions: how many mentions have a gold box.
        any_box: of the mentions, those whose predicted box matches any gold box.
        union: of the mentions, those whose predicted box matches the box around all gold boxes.
        per_box: of the gold boxes, those that the predicted box matches.
        oracle: of the mentions, those with a region that matches a gold box; None without mentions.
        random: the expected accuracy of a region picked at random: the mean over mentions of the
            share of regions that match a gold box; None without mentions.
        kinds: the accuracy of `any_box` for every kind of mention.
    """

    mentions: int
    nouns_mentions: int
    pronouns_mentions: int
    any_box: Accuracy
    union: Accuracy
    per_box: Accuracy
    oracle: float | None
    random: float | None
    kinds: dict[str, KindAccuracy]

    def to_json(self) -> dict[str, Any]:
        """Return the scores in percent; the accuracy of `any_box` stands on the first level."""
        return {
            "mentions": self.mentions,
            "nouns_mentions": self.nouns_mentions,
            "pronouns_mentions": self.pronouns_mentions,
            **self.any_box.to_json(),
            "oracle": _percent(self.oracle),
            "random": _percent(self.random),
            "union": self.union.to_json(),
            "per_box": self.per_box.to_json(),
            "kinds": {kind: accuracy.to_json() for kind, accuracy in self.kinds.items()},
        }


def pronouns_of(language: Language) -> Collection[str]:
    """Return the words that count as pronouns; those of English as published."""
    return PRONOUNS if language is ENGLISH else language.referring_pronouns


def score_grounding(
    mentions: Sequence[GroundedMention], pronouns: Collection[str] = PRONOUNS
) -> GroundingScores:
    """Score the boxes predicted for mentions.

    Args:
        mentions: those without a gold box are left out.
        pronouns: a mention whose phrase is one of these words, whatever the case, is a pronoun;
            every other one is a noun.

    Raises:
        ValueError: boxes are not of the shape that `GroundedMention` says; the phrase is named.
    """
    judged = [_judge(mention, pronouns) for mention in mentions if len(mention.gold_boxes_xyxy)]
    kinds = sorted({mention.kind for mention in judged if mention.kind is not None})
    return GroundingScores(
        mentions=len(judged),
        nouns_mentions=sum(not mention.is_pronoun for mention in judged),
        pronouns_mentions=sum(mention.is_pronoun for mention in judged),
        any_box=_accuracy(judged, lambda mention: [any(mention.matched_boxes)]),
        union=_accuracy(judged, lambda mention: [mention.union_matched]),
        per_box=_accuracy(judged, lambda mention: mention.matched_boxes),
        oracle=_mean([mention.right_regions > 0 for mention in judged]),
        random=_mean([mention.right_regions for mention in judged]),
        kinds={kind: _kind_accuracy(judged, kind) for kind in kinds},
    )


def tally_grounding(
    documents: Sequence[Sequence[GroundedMention]], pronouns: Collection[str] = PRONOUNS
) -> Tally:
    """Count the documents whose sums make the scores, for `metrics.certainty`.

    Args:
        documents: the mentions of each.
        pronouns: as `score_grounding` takes them.

    Raises:
        ValueError: as `score_grounding`.
    """
    right = np.zeros((len(documents), len(SHOWN_SCORES)))
    all_of = np.zeros_like(right)
    for place, mentions in enumerate(documents):
        judged = [_judge(mention, pronouns) for mention in mentions if len(mention.gold_boxes_xyxy)]
        any_box = [any(mention.matched_boxes) for mention in judged]
        of_pronouns = [mention.is_pronoun for mention in judged]
        outcomes = (
            any_box,
            [hit for hit, of_pronoun in zip(any_box, of_pronouns, strict=True) if not of_pronoun],
            [hit for hit, of_pronoun in zip(any_box, of_pronouns, strict=True) if of_pronoun],
            [mention.union_matched for mention in judged],
            [hit for mention in judged for hit in mention.matched_boxes],
        )
        right[place] = [sum(hits) for hits in outcomes]
        all_of[place] = [len(hits) for hits in outcomes]
    return ratio_tally(tuple(SHOWN_SCORES.values()), right, all_of)


def is_right(mention: GroundedMention) -> bool:
    """Tell whether the predicted box of a mention matches any of its gold boxes.

    Raises:
        ValueError: as `score_grounding`.
    """
    return any(_judge(mention, pronouns=()).matched_boxes)


def format_grounding(scores: GroundingScores) -> str:
    """Return a table, in percent; a dash where there are no such mentions."""
    rows: list[tuple[str, Sequence[float | None]]] = [
        ("any gold box", _columns(scores.any_box)),
        ("enclosing box", _columns(scores.union)),
        ("per gold box", _columns(scores.per_box)),
        ("oracle", (scores.oracle,)),
        ("random", (scores.random,)),
    ]
    rows += [
        (f"kind: {escape_unprintable(kind)}", (accuracy.overall,))
        for kind, accuracy in scores.kinds.items()
    ]
    width = max(len(name) for name, _ in rows)
    counts = (scores.mentions, scores.nouns_mentions, scores.pronouns_mentions)
    lines = [
        f"{'':{width}}{'overall':>11}{'nouns':>11}{'pronouns':>11}",
        f"{'mentions':{width}}" + "".join(f"{count:>11}" for count in counts),
    ]
    for name, values in rows:
        shown = ("-" if value is None else f"{100 * value:.2f}" for value in values)
        lines.append(f"{name:{width}}" + "".join(f"{value:>11}" for value in shown))
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Judged:
    """What is right about one mention.

    Attributes:
        is_pronoun: whether it counts as a pronoun, otherwise as a noun.
        kind: as in `GroundedMention`.
        matched_boxes: [gold boxes], whether the predicted box matches each.
        union_matched: whether the predicted box matches the box that encloses them.
        right_regions: the share of regions that match a gold box; 0 without regions.
    """

    is_pronoun: bool
    kind: str | None
    matched_boxes: list[bool]
    union_matched: bool
    right_regions: float


def _judge(mention: GroundedMention, pronouns: Collection[str]) -> _Judged:
    gold_xyxy = _checked(mention, "gold_boxes_xyxy", mention.gold_boxes_xyxy)
    regions_xyxy = _checked(mention, "regions_xyxy", mention.regions_xyxy)
    matched_boxes, union_matched, right_regions = [False] * len(gold_xyxy), False, 0.0
    if mention.box_xyxy is not None:
        box_xyxy = _checked(mention, "box_xyxy", mention.box_xyxy[None])
        targets_xyxy = torch.cat((gold_xyxy, enclosing_box(gold_xyxy)[None]))
        *matched_boxes, union_matched = _match(box_xyxy, targets_xyxy)[0].tolist()
    if len(regions_xyxy):
        right_regions = _match(regions_xyxy, gold_xyxy).any(dim=1).double().mean().item()
    return _Judged(
        is_pronoun=mention.phrase.strip().lower() in pronouns,
        kind=mention.kind,
        matched_boxes=matched_boxes,
        union_matched=union_matched,
        right_regions=right_regions,
    )


def _checked(mention: GroundedMention, name: str, boxes_xyxy: np.ndarray) -> Tensor:
    """Return the boxes [N, 4] in double precision.

    Raises:
        ValueError: they are of another shape.
    """
    if boxes_xyxy.ndim != 2 or boxes_xyxy.shape[1] != 4:
        raise ValueError(
            f"mention {mention.phrase!r}: {name} has shape {list(boxes_xyxy.shape)}, "
            "expected 4 coordinates a box"
        )
    return torch.from_numpy(np.array(boxes_xyxy, dtype=np.float64))


def _match(first_xyxy: Tensor, second_xyxy: Tensor) -> Tensor:
    """Tell which of the first boxes [N, 4] match which of the second ones [M, 4], as [N, M]."""
    return pairwise_iou(first_xyxy, second_xyxy) >= SUFFICIENT_IOU - _ROUNDING


def _accuracy(judged: Sequence[_Judged], outcomes: Callable[[_Judged], Sequence[bool]]) -> Accuracy:
    """Average the outcomes of all mentions, of the nouns and of the pronouns."""
    nouns = [right for mention in judged if not mention.is_pronoun for right in outcomes(mention)]
    pronouns = [right for mention in judged if mention.is_pronoun for right in outcomes(mention)]
    return Accuracy(_mean(nouns + pronouns), _mean(nouns), _mean(pronouns))


def _kind_accuracy(judged: Sequence[_Judged], kind: str) -> KindAccuracy:
    right = [any(mention.matched_boxes) for mention in judged if mention.kind == kind]
    return KindAccuracy(len(right), sum(right) / len(right))


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _columns(accuracy: Accuracy) -> tuple[float | None, float | None, float | None]:
    return accuracy.overall, accuracy.nouns, accuracy.pronouns
