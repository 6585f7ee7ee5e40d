"""What the teacher's output says of narrations without labels: targets for the student.

Goel et al., EMNLP 2023, section 3.3.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from models.coreference_model import Output
from utils.batch import Batch
from utils.boxes import SUFFICIENT_IOU, pairwise_iou

NO_REGION = -1


@dataclass(frozen=True)
class PseudoLabels:
    """Targets of a batch; sizes as in `Batch`."""

    positives: Tensor  # [B, M, M] bool, taken to be of one chain; never a mention with itself
    negatives: Tensor  # [B, M, M] bool, taken to be of two chains
    regions: Tensor  # [B, M] int64, the region a mention means; NO_REGION where none is sure


@torch.no_grad()
def make_pseudo_labels(
    output: Output,
    batch: Batch,
    *,
    positive_above: float,
    negative_below: float,
    region_above: float,
    propagation_steps: int,
) -> PseudoLabels:
    """Targets from what the teacher, in evaluation mode, says of the clean texts.

    A similarity above `positive_above` is a link. Over the graph of links a mention passes its
    chain on to its neighbours as many times as there are steps, so that with one step the links
    themselves are the positives, and with n steps all pairs that a path of at most n links joins.
    Pairs below `negative_below` are negatives, whatever path joins them; what is neither is left
    out.

    Args:
        output: the teacher's, of `batch`. It may come from inference mode; this function may not
            run in it, because its targets are kept for the student's backward pass.
        region_above: a region is a target where the attention on it is above this.
        propagation_steps: at least 1.
    """
    similarity = output.mention_similarity
    pairs = batch.mention_mask[:, :, None] & batch.mention_mask[:, None, :]
    pairs &= ~torch.eye(pairs.shape[1], dtype=torch.bool, device=pairs.device)
    negatives = (similarity < negative_below) & pairs
    links = (similarity > positive_above) & pairs
    positives = propagate(links, propagation_steps) & pairs & ~negatives
    return PseudoLabels(positives, negatives, _sure_regions(output, batch, region_above))


def propagate(links: Tensor, steps: int) -> Tensor:
    """Pairs that a path of at most `steps` links joins.

    Args:
        links: [..., M, M] bool, symmetric.

    Returns:
        [..., M, M] bool; a mention is joined to itself where it has a link and steps are over 1.
    """
    # 16-bit floats have no matrix product on every CPU.
    neighbours = links.float()
    reached = links
    for _ in range(steps - 1):
        reached = reached | (reached.float() @ neighbours > 0)
    return reached


def _sure_regions(output: Output, batch: Batch, above: float) -> Tensor:
    if not batch.region_mask.shape[1]:
        return torch.full_like(batch.mention_mask, NO_REGION, dtype=torch.int64)
    best, region = output.region_log_attention.max(dim=-1)
    sure = (best.exp() > above) & batch.mention_mask & batch.region_mask.any(dim=1)[:, None]
    return region.where(sure, NO_REGION)


@dataclass(frozen=True)
class PseudoLabelQuality:
    """How many pseudo-labels there are, and how many of them are right; shares from 0 to 1.

    Attributes:
        coverage: mentions that have positives and negatives.
        region_coverage: mentions that have a region.
        precision: positive pairs that are of one chain; None where no truth is known, or no pair.
        negative_precision: negative pairs that are of two chains; None likewise.
        region_precision: regions that overlap the truth by an IoU of at least 0.5; None likewise.
    """

    coverage: float
    region_coverage: float
    precision: float | None
    negative_precision: float | None
    region_precision: float | None

    def named(self) -> dict[str, float]:
        """The shares that are known, in percent, by name."""
        values = dataclasses.asdict(self).items()
        return {name: 100 * share for name, share in values if share is not None}

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> PseudoLabelQuality:
        """From what `count_pseudo_labels` counted, added up over batches."""

        def share(part: str, whole: str) -> float | None:
            return counts[part] / counts[whole] if counts.get(whole) else None

        return cls(
            coverage=share("covered", "mentions") or 0.0,
            region_coverage=share("regions", "mentions") or 0.0,
            precision=share("positives right", "positives known"),
            negative_precision=share("negatives right", "negatives known"),
            region_precision=share("regions right", "regions known"),
        )


def count_pseudo_labels(labels: PseudoLabels, batch: Batch) -> dict[str, int]:
    """How many pseudo-labels a batch has, and how many are right where its truth is known."""
    known = batch.chains >= 0
    known_pairs = known[:, :, None] & known[:, None, :]
    same = batch.chains[:, :, None] == batch.chains[:, None, :]
    covered = labels.positives.any(dim=-1) & labels.negatives.any(dim=-1)
    sure = labels.regions != NO_REGION
    counts = {
        "mentions": batch.mention_mask,
        "covered": covered,
        "positives known": labels.positives & known_pairs,
        "positives right": labels.positives & known_pairs & same,
        "negatives known": labels.negatives & known_pairs,
        "negatives right": labels.negatives & known_pairs & ~same,
        "regions": sure,
    }
    if batch.region_mask.shape[1] and batch.gold_box_mask.shape[2]:
        region = labels.regions.clamp(min=0)
        boxes = batch.region_boxes_xyxy.gather(1, region[..., None].expand(-1, -1, 4))
        iou = pairwise_iou(batch.gold_boxes_xyxy.flatten(0, 1), boxes.flatten(0, 1)[:, None])
        overlap = (iou[..., 0].unflatten(0, region.shape) * batch.gold_box_mask).amax(dim=-1)
        counts["regions known"] = sure & batch.gold_box_mask.any(dim=-1)
        counts["regions right"] = counts["regions known"] & (overlap >= SUFFICIENT_IOU)
    return {name: int(mask.sum()) for name, mask in counts.items()}
