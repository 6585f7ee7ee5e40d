"""The losses on labelled narrations and on every narration.

Each is a `Term`: a sum and how many things it sums over. A step divides the one by the other, so
that a term weighs the same however its narrations are spread over batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.coreference_model import Output
from utils.batch import Batch
from utils.boxes import encode_deltas, pairwise_iou

# The overlap from which a region's box is worth refining to the gold box.
REFINABLE_IOU = 0.5


@dataclass(frozen=True)
class Term:
    """A loss before its mean: the sum, a scalar with gradient, and the count, a scalar without."""

    total: Tensor
    count: Tensor

    def mean(self) -> Tensor:
        """The sum over the count; 0 where there is nothing to count."""
        return self.total / self.count.clamp(min=1)


def weighted_sum(terms: Mapping[str, Term], weights: Mapping[str, float]) -> Tensor:
    """The loss of a step: the means of the terms by their weights."""
    return torch.stack([weights[name] * term.mean() for name, term in terms.items()]).sum()


def contrastive_coreference(output: Output, batch: Batch, temperature: float) -> Term:
    """CR, `--ssl_loss con`: supervised contrast over an image's mentions (MCR, equation 4).

    The mean over mentions m of -1/|P(m)| sum_{n in P(m)} log softmax_n(s(m, n) / temperature),
    where P(m) is m's chain with m itself and the softmax runs over all mentions with m itself, so
    that a mention alone in its chain is pushed from the others too.
    """
    positive, valid = _same_chain(batch)
    scores = (output.mention_similarity / temperature).masked_fill(
        ~valid, torch.finfo(output.fused_mentions.dtype).min
    )
    log_probabilities = scores.log_softmax(dim=-1).masked_fill(~positive, 0.0)
    chain_sizes = positive.sum(dim=-1).clamp(min=1)
    total = -(log_probabilities.sum(dim=-1) / chain_sizes).sum()
    return Term(total, valid.any(dim=-1).sum())


def frobenius_coreference(output: Output, batch: Batch) -> Term:
    """CR, `--ssl_loss fro`: the distance of the similarities to the 0/1 matrix of chains.

    The Frobenius norm for each image, over all its pairs of mentions.
    """
    positive, valid = _same_chain(batch)
    difference = (output.mention_similarity - positive.float()) * valid
    # The square root has no gradient at 0, where an image has no mention.
    squares = difference.square().sum(dim=(1, 2))
    counted = valid.any(dim=2).any(dim=1)
    total = (squares.clamp(min=1e-12).sqrt() * counted).sum()
    return Term(total, counted.sum())


def sigmoid_coreference(output: Output, batch: Batch) -> Term:
    """CR, `--ssl_loss sigmoid`: binary cross-entropy of the dot products of every two mentions."""
    positive, valid = _same_chain(batch)
    scores = output.fused_mentions @ output.fused_mentions.transpose(1, 2)
    losses = F.binary_cross_entropy_with_logits(scores, positive.float(), reduction="none")
    return Term((losses * valid).sum(), valid.sum())


def grounding(output: Output, batch: Batch) -> Term:
    """GD: cross-entropy of a mention's region attention with its target region.

    The target is the region of the (region, gold box) pair with the highest IoU; a mention without
    a box, or whose best IoU is 0, gives no term.
    """
    if not batch.region_mask.shape[1]:
        return _nothing(output)
    match = match_regions(batch)
    has_target = match.iou > 0
    log_attention = output.region_log_attention.gather(-1, match.region[..., None])[..., 0]
    return Term(-log_attention.where(has_target, 0.0).sum(), has_target.sum())


def box_regression(output: Output, batch: Batch) -> Term:
    """BBR: smooth-L1 between predicted deltas and those from target region to gold box.

    Over the mentions whose target region overlaps the gold box by an IoU of at least 0.5; the four
    deltas are in the weighted space of `utils.boxes.encode_deltas` and are added up.
    """
    if not batch.region_mask.shape[1]:
        return _nothing(output)
    match = match_regions(batch)
    refinable = match.iou >= REFINABLE_IOU
    regions = batch.region_boxes_xyxy.gather(1, match.region[..., None].expand(-1, -1, 4))
    targets = encode_deltas(regions[refinable], match.gold_boxes_xyxy[refinable])
    total = F.smooth_l1_loss(output.box_deltas[refinable], targets, reduction="sum")
    return Term(total, refinable.sum())


def masked_words(output: Output, batch: Batch) -> Term:
    """MLM: cross-entropy over the masked word-pieces."""
    total = F.cross_entropy(output.masked_word_logits, batch.masked_targets, reduction="sum")
    return Term(total, torch.as_tensor(len(batch.masked_targets), device=total.device))


def image_text_contrast(output: Output, batch: Batch, temperature: float) -> Term:
    """ITC: each text finds its picture in the batch, and each picture its text.

    S(x, y) is the mean over the mentions of text x of the highest cosine with a region of picture
    y, before the fusion, divided by the temperature. A narration without mentions or without
    regions takes no part.
    """
    if not batch.region_mask.shape[1]:
        return _nothing(output)
    mentions = F.normalize(output.mention_vectors, dim=-1)
    regions = F.normalize(output.region_vectors, dim=-1)
    takes_part = batch.mention_mask.any(dim=1) & batch.region_mask.any(dim=1)
    cosines = torch.einsum("xmh,yrh->xymr", mentions, regions)
    cosines = cosines.masked_fill(~batch.region_mask[None, :, None, :], -1.0)
    best = cosines.amax(dim=-1) * batch.mention_mask[:, None, :]
    scores = best.sum(dim=-1) / batch.mention_mask.sum(dim=1).clamp(min=1)[:, None]
    scores = (scores / temperature)[takes_part][:, takes_part]
    pairs = torch.arange(len(scores), device=scores.device)
    total = F.cross_entropy(scores, pairs, reduction="sum")
    total = (total + F.cross_entropy(scores.T, pairs, reduction="sum")) / 2
    return Term(total, takes_part.sum())


@dataclass(frozen=True)
class RegionMatch:
    """For each mention of a batch the (region, gold box) pair with the highest IoU.

    Attributes:
        iou: [B, M], 0 where there is no region or no gold box.
        region: [B, M] int64, which region.
        gold_boxes_xyxy: [B, M, 4], which gold box.
    """

    iou: Tensor
    region: Tensor
    gold_boxes_xyxy: Tensor


def match_regions(batch: Batch) -> RegionMatch:
    """Find the region that stands for each mention of a batch that has regions."""
    mentions, boxes = batch.gold_box_mask.shape[1:]
    iou = pairwise_iou(batch.gold_boxes_xyxy.flatten(1, 2), batch.region_boxes_xyxy)
    iou = iou.unflatten(1, (mentions, boxes))
    iou = iou * batch.gold_box_mask[..., None] * batch.region_mask[:, None, None, :]
    # A column of zeros before the real pairs makes the maximum exist where there are none.
    best, pair = F.pad(iou.flatten(2), (1, 0)).max(dim=-1)
    pair = (pair - 1).clamp(min=0)
    regions = batch.region_mask.shape[1]
    gold = F.pad(batch.gold_boxes_xyxy, (0, 0, 0, 1))
    index = (pair // regions)[..., None, None].expand(-1, -1, 1, 4)
    return RegionMatch(best, pair % regions, gold.gather(2, index)[:, :, 0])


def _same_chain(batch: Batch) -> tuple[Tensor, Tensor]:
    """Which pairs of mentions are of one chain, and which pairs have known chains; [B, M, M]."""
    known = batch.mention_mask & (batch.chains >= 0)
    valid = known[:, :, None] & known[:, None, :]
    return (batch.chains[:, :, None] == batch.chains[:, None, :]) & valid, valid


def _nothing(output: Output) -> Term:
    """A term of a batch that has nothing to count; it reaches the weights with a zero gradient."""
    zero = output.fused_mentions.sum() * 0
    return Term(zero, torch.zeros((), dtype=torch.int64, device=zero.device))
