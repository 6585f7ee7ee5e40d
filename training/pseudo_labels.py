"""Pseudo-labels: the targets that the teacher's output gives narrations without labels.

Goel et al., EMNLP 2023, section 3.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from data.narration import NO_REGION
from models.coreference_model import Output
from utils.batch import Batch


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
