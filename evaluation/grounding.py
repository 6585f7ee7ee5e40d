"""The boxes of a split's mentions: what grounding is scored on, and what is written of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from data.mention_spans import gold_spans
from data.narration import Narration, with_truth
from evaluation.mention_matching import with_distinct_mentions
from inference.resolution import Resolution
from inference.split_predictions import SplitPredictions
from metrics.grounding_scores import GroundedMention
from utils.text.spans import Span


def grounded_by_span(split: SplitPredictions) -> dict[str, list[tuple[Span, GroundedMention]]]:
    """Return what grounding is scored on, with its characters.

    It is the gold mentions of every narration that have a box, whether they were found or not.
    """
    grounded = {}
    for narration, resolution in zip(split.narrations, split.resolutions, strict=True):
        if split.mentions == "gold":
            spans = [(mention.start, mention.end) for mention in narration.mentions]
            mentions = grounded_mentions([resolution])
        else:
            spans = gold_spans(narration)
            mentions = grounded_gold_mentions(narration, resolution)
        with_box = (span for span, m in zip(spans, narration.mentions, strict=True) if m.boxes_xyxy)
        grounded[narration.id] = list(zip(with_box, mentions, strict=True))
    return grounded


def grounded_mentions(resolutions: Iterable[Resolution]) -> list[GroundedMention]:
    """Return what the grounding scores need of every mention that has a gold box.

    Args:
        resolutions: of narrations with their gold mentions.
    """
    return [
        GroundedMention(
            phrase=mention.phrase,
            gold_boxes_xyxy=np.asarray(mention.boxes_xyxy, dtype=np.float32),
            box_xyxy=None if resolution.boxes_xyxy is None else resolution.boxes_xyxy[index],
            regions_xyxy=resolution.regions_xyxy,
            kind=mention.kind,
        )
        for resolution in resolutions
        for index, mention in enumerate(resolution.narration.mentions)
        if mention.boxes_xyxy
    ]


def grounded_gold_mentions(gold: Narration, resolution: Resolution) -> list[GroundedMention]:
    """Return what the grounding scores need of the gold mentions that have a box.

    One that was not found has no predicted box, which counts as wrong.

    Args:
        gold: with its gold mentions.
        resolution: of the mentions that were found in the same text.
    """
    indices = {(m.start, m.end): index for index, m in enumerate(resolution.mentions)}
    boxes_xyxy = resolution.boxes_xyxy
    grounded = []
    for mention, span in zip(gold.mentions, gold_spans(gold), strict=True):
        if mention.boxes_xyxy:
            index = indices.get(span)
            grounded.append(
                GroundedMention(
                    phrase=mention.phrase,
                    gold_boxes_xyxy=np.asarray(mention.boxes_xyxy, dtype=np.float32),
                    box_xyxy=None if boxes_xyxy is None or index is None else boxes_xyxy[index],
                    regions_xyxy=resolution.regions_xyxy,
                    kind=mention.kind,
                )
            )
    return grounded


def with_gold_boxes(split: SplitPredictions) -> Sequence[Resolution]:
    """Return the resolutions; found mentions get the boxes of the gold mentions in their place."""
    if split.mentions == "gold":
        return split.resolutions
    of_narrations = zip(split.narrations, split.resolutions, split.counted, strict=True)
    return [
        replace(
            resolution,
            narration=with_truth(resolution.narration, with_distinct_mentions(narration, counted)),
        )
        for narration, resolution, counted in of_narrations
    ]


def boxes_to_json(resolution: Resolution) -> dict[str, Any]:
    """Return the mentions of a narration with their boxes, predicted and gold.

    Boxes are relative to the image, rounded to less than a pixel.
    """
    mentions = [
        {
            "phrase": mention.phrase,
            "start": mention.start,
            "end": mention.end,
            "box_xyxy": _predicted_box(resolution, index),
            "gold_boxes_xyxy": [[round(x, 5) for x in box] for box in mention.boxes_xyxy],
        }
        for index, mention in enumerate(resolution.narration.mentions)
    ]
    return {"id": resolution.narration.id, "mentions": mentions}


def _predicted_box(resolution: Resolution, index: int) -> list[float] | None:
    if resolution.boxes_xyxy is None:
        return None
    return [round(x, 5) for x in resolution.boxes_xyxy[index].tolist()]
