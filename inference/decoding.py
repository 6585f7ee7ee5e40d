"""Decode the output of a model into resolutions of narrations and spans of mentions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from data.encoding.candidates import without_crossing
from data.narration import Narration
from inference.links import MentionLinks
from inference.resolution import AlignedVectors, Resolution
from metrics.mention_scores import ScoredSpan
from models.coreference_model import Output, decode_boxes
from utils.batch import Batch, SpanCandidates
from utils.errors import InputError
from utils.thresholds import LOWEST_MENTION_THRESHOLD


@dataclass(frozen=True)
class Predictions:
    """The output of a model for a batch, as arrays; sizes as in `Batch`.

    Attributes:
        mention_indices: for each narration the indices of its mentions that the model saw.
        region_counts: how many regions each image has.
        link_scores: [B, M, K], a band as in `models/bands.py`.
        boxes_xyxy: [B, M, 4], relative to the image.
        box_scores: [B, M], the attention on each mention's region.
        regions_xyxy: [B, R, 4].
        aligned: [B, M, A] and [B, R, A]; None where the model aligns nothing.
    """

    mention_indices: tuple[tuple[int, ...], ...]
    region_counts: tuple[int, ...]
    link_scores: np.ndarray
    boxes_xyxy: np.ndarray
    box_scores: np.ndarray
    regions_xyxy: np.ndarray
    aligned: AlignedVectors | None

    @classmethod
    def of(cls, output: Output, batch: Batch, *, refine_boxes: bool) -> Predictions:
        """Read the output of a batch.

        Args:
            refine_boxes: whether the box head was trained.
        """
        boxes, scores = decode_boxes(output, batch, refine=refine_boxes)
        aligned = None
        if output.alignment is not None:
            aligned = AlignedVectors(
                _array(output.alignment.mentions), _array(output.alignment.regions)
            )
        return cls(
            mention_indices=batch.mention_indices,
            region_counts=tuple(batch.region_mask.sum(dim=1).tolist()),
            link_scores=_array(output.link_scores),
            boxes_xyxy=_array(boxes),
            box_scores=_array(scores),
            regions_xyxy=_array(batch.region_boxes_xyxy),
            aligned=aligned,
        )

    def resolution(self, row: int, narration: Narration, threshold: float) -> Resolution:
        """Make the resolution of one narration, with the mentions that the model did not see.

        Args:
            row: the narration's place in the batch.
            threshold: the score above which two mentions are linked.

        Raises:
            InputError: a score is not finite.
        """
        seen = np.asarray(self.mention_indices[row], dtype=np.int64)
        count, regions, mentions = len(seen), self.region_counts[row], len(narration.mentions)
        # A narration that is shorter than the longest of its batch needs the last columns alone.
        reach = self.link_scores.shape[2]
        own = min(reach, max(count - 1, 0))
        scores = self.link_scores[row, :count, reach - own :].copy()
        if not np.isfinite(scores).all():
            raise InputError(
                f"narration {narration.id}: the scores of links are not finite everywhere, as "
                "those of a broken model are"
            )

        def with_unseen(values: np.ndarray) -> np.ndarray:
            """Turn [B, M, ...] into [mentions, ...], zeros for mentions that were not seen."""
            padded = np.zeros((mentions, *values.shape[2:]), dtype=np.float32)
            padded[seen] = values[row, :count]
            return padded

        aligned = None
        if self.aligned is not None:
            aligned = AlignedVectors(
                with_unseen(self.aligned.mentions), self.aligned.regions[row, :regions]
            )
        return Resolution(
            narration=narration,
            links=MentionLinks(mentions, seen, scores),
            threshold=threshold,
            boxes_xyxy=with_unseen(self.boxes_xyxy) if regions else None,
            box_scores=with_unseen(self.box_scores) if regions else None,
            regions_xyxy=self.regions_xyxy[row, :regions],
            aligned=aligned,
        )


def decode_spans(logits: Tensor, candidates: SpanCandidates) -> list[list[ScoredSpan]]:
    """Rank what may be mentions of each narration of a batch.

    The spans come the most probable first, down to the lowest threshold that a model can have. Of
    two spans that cross, only the more probable one is kept.

    Args:
        logits: [B, T, W], of the spans from each word-piece on, of one word-piece, two and so on.
        candidates: of the same texts, on the CPU.
    """
    decoded = []
    for probabilities, starts, ends in zip(
        logits.sigmoid().cpu(), candidates.starts.tolist(), candidates.ends.tolist(), strict=True
    ):
        first, width = torch.nonzero(probabilities > LOWEST_MENTION_THRESHOLD, as_tuple=True)
        values = probabilities[first, width]
        spans = torch.stack([first, first + width], dim=1).numpy()
        order = values.argsort(descending=True, stable=True).tolist()
        decoded.append(
            [
                ScoredSpan(starts[spans[i, 0]], ends[spans[i, 1]], values[i].item())
                for i in without_crossing(spans, order)
            ]
        )
    return decoded


def _array(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.float().cpu().numpy()
    return array
