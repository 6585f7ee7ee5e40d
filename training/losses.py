"""The losses on labelled narrations, on unlabelled ones, and on every narration.

Each is a `Term`: how many things it counts, which the batch and its labels alone say, and the sum
over them. A step divides the one by the other, over all its batches and ranks, so that a term
weighs the same however its narrations are spread over them; and as no count waits for the model,
those of the whole step are known before the first of its batches is learned from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from data.narration import NO_REGION
from models.alignment_head import chain_means
from models.bands import band_of
from models.coreference_model import Output
from training.pseudo_labels import PseudoLabels
from utils.batch import Batch
from utils.boxes import encode_deltas, pairwise_iou
from utils.distributed.ranks import gather_padded, rank

# The overlap from which a region's box is worth refining to the gold box.
REFINABLE_IOU = 0.5
TRIPLET_MARGIN = 1.0


@dataclass(frozen=True)
class Term:
    """A loss of a batch that the model has yet to read.

    Attributes:
        count: how many things the loss is a mean over, a scalar.
        total: from the model's output of the batch to the sum over them, a scalar with gradient.
    """

    count: Tensor
    total: Callable[[Output], Tensor]


def contrastive_coreference(batch: Batch, temperature: float) -> Term:
    """Return the contrastive coreference loss (CR in the paper, `--ssl_loss con`).

    Supervised contrast over an image's mentions (Goel et al., EMNLP 2023, equation 4).

    The mean over mentions m of -1/|P(m)| sum_{n in P(m)} log softmax_n(s(m, n) / temperature),
    where P(m) is m's chain with m itself and the softmax runs over all mentions with m itself, so
    that a mention alone in its chain is pushed from the others too.
    """
    positive, valid = _same_chain(batch)
    chain_sizes = positive.sum(dim=-1).clamp(min=1)

    def total(output: Output) -> Tensor:
        scores = (output.mention_similarity / temperature).masked_fill(
            ~valid, torch.finfo(output.fused_mentions.dtype).min
        )
        log_probabilities = scores.log_softmax(dim=-1).masked_fill(~positive, 0.0)
        return -(log_probabilities.sum(dim=-1) / chain_sizes).sum()

    return Term(valid.any(dim=-1).sum(), total)


def frobenius_coreference(batch: Batch) -> Term:
    """Return the Frobenius coreference loss (CR in the paper, `--ssl_loss fro`).

    The distance of the similarities to the 0/1 matrix of chains: for each image the Frobenius norm
    over all its pairs of mentions.
    """
    positive, valid = _same_chain(batch)
    counted = valid.any(dim=2).any(dim=1)

    def total(output: Output) -> Tensor:
        difference = (output.mention_similarity - positive.float()) * valid
        # The square root has no gradient at 0, where an image has no mention.
        squares = difference.square().sum(dim=(1, 2))
        return (squares.clamp(min=1e-12).sqrt() * counted).sum()

    return Term(counted.sum(), total)


def sigmoid_coreference(batch: Batch) -> Term:
    """Return the sigmoid coreference loss (CR in the paper, `--ssl_loss sigmoid`).

    Binary cross-entropy of the dot products of every two mentions.
    """
    positive, valid = _same_chain(batch)

    def total(output: Output) -> Tensor:
        scores = output.fused_mentions @ output.fused_mentions.transpose(1, 2)
        losses = F.binary_cross_entropy_with_logits(scores, positive.float(), reduction="none")
        return (losses * valid).sum()

    return Term(valid.sum(), total)


def antecedent_likelihood(batch: Batch) -> Term:
    """Return the coreference loss of `--coref-head antecedent`: antecedents are in the chain.

    -log of the summed probability of all right antecedents of a mention, or of a new entity where
    it is the first of its chain (Lee et al., EMNLP 2017, equation 1).
    """
    positive, valid = _same_chain(batch)
    return _antecedents(batch, positive, valid & ~positive, valid.any(dim=-1))


def grounding(batch: Batch) -> Term:
    """Return the grounding loss (GD in the paper).

    Cross-entropy of a mention's region attention with its target region.

    The target is the region of the (region, gold box) pair with the highest IoU; a mention without
    a box, or whose best IoU is 0, gives no term.
    """
    if not batch.region_mask.shape[1]:
        return _nothing(batch)
    match = match_regions(batch)
    has_target = match.iou > 0

    def total(output: Output) -> Tensor:
        log_attention = output.region_log_attention.gather(-1, match.region[..., None])[..., 0]
        return -log_attention.where(has_target, 0.0).sum()

    return Term(has_target.sum(), total)


def box_regression(batch: Batch) -> Term:
    """Return the box regression loss (BBR in the paper).

    Smooth-L1 between predicted deltas and those from target region to gold box.

    Over the mentions whose target region overlaps the gold box by an IoU of at least 0.5; the four
    deltas are in the weighted space of `utils.boxes.encode_deltas` and are added up.
    """
    if not batch.region_mask.shape[1]:
        return _nothing(batch)
    match = match_regions(batch)
    refinable = match.iou >= REFINABLE_IOU
    regions = batch.region_boxes_xyxy.gather(1, match.region[..., None].expand(-1, -1, 4))
    deltas = encode_deltas(regions, match.gold_boxes_xyxy)

    def total(output: Output) -> Tensor:
        # What is not worth refining is its own target, which costs nothing; to choose the others
        # would wait for the device.
        targets = deltas.where(refinable[..., None], output.box_deltas.detach())
        return F.smooth_l1_loss(output.box_deltas, targets, reduction="sum")

    return Term(refinable.sum(), total)


def masked_words(batch: Batch) -> Term:
    """Return the masked language modelling loss (MLM): cross-entropy over masked word-pieces."""
    assert batch.masked_words is not None
    targets = batch.masked_words.targets

    def total(output: Output) -> Tensor:
        assert output.masked_word_logits is not None
        return F.cross_entropy(output.masked_word_logits, targets, reduction="sum")

    return Term(torch.full((), len(targets), device=targets.device), total)


def image_text_contrast(batch: Batch, temperature: float) -> Term:
    """Return the image-text contrastive loss (ITC).

    Each text finds its image in the batch of all ranks, and each image its text.

    S(x, y) is the mean over the mentions of text x of the highest cosine with a region of image
    y, before the fusion, divided by the temperature. A narration without mentions or without
    regions takes no part.

    Every rank computes the whole contrast, in which only its own vectors have gradients: added up
    over the ranks these are the gradients of the whole. A step of several batches contrasts each by
    itself: this loss and the alignment are then others than those of one large batch.
    """
    own = (batch.mention_mask.any(dim=1) & batch.region_mask.any(dim=1)).sum()

    def total(output: Output) -> Tensor:
        mentions, mention_mask = _of_all_ranks(output.mention_vectors, batch.mention_mask)
        regions, region_mask = _of_all_ranks(output.region_vectors, batch.region_mask)
        if not region_mask.shape[1] or not mention_mask.shape[1]:
            return _zero(output)
        takes_part = mention_mask.any(dim=1) & region_mask.any(dim=1)
        mentions, regions = F.normalize(mentions, dim=-1), F.normalize(regions, dim=-1)
        cosines = torch.einsum("xmh,yrh->xymr", mentions, regions)
        cosines = cosines.masked_fill(~region_mask[None, :, None, :], -1.0)
        best = cosines.amax(dim=-1) * mention_mask[:, None, :]
        scores = best.sum(dim=-1) / mention_mask.sum(dim=1).clamp(min=1)[:, None]
        # Not left out but never chosen and not counted: to choose the others would wait for the
        # device.
        both = takes_part[:, None] & takes_part[None, :]
        scores = (scores / temperature).masked_fill(~both, torch.finfo(scores.dtype).min)
        pairs = torch.arange(len(scores), device=scores.device)
        losses = F.cross_entropy(scores, pairs, reduction="none")
        losses = (losses + F.cross_entropy(scores.T, pairs, reduction="none")) / 2
        whole = losses.where(takes_part, 0.0).sum()
        return _share_of_ranks(whole, own, takes_part.sum())

    return Term(own, total)


def alignment(batch: Batch, temperature: float, *, by_chain: bool) -> Term:
    """Return the alignment loss (NT-Xent; Li et al., ACL 2025).

    Each mention, or each chain, finds its region in the batch of all ranks, and each region the
    mention or the chain that means it.

    The mean over the pairs of a text u and its region r of
    -1/2 (log softmax_r' s(u, r') / temperature + log softmax_u' s(u', r) / temperature), s the
    cosine of the aligned vectors. r' are all regions but the others that show the same person;
    u' are all texts, those without a region too, but those whose region shows the same person, or
    is r itself. A text of which it is not known whether a region shows it takes no part.

    Ranks and batches of a step are as in `image_text_contrast`.

    Args:
        by_chain: whether a text is the mean of a chain, or one mention.
    """
    known = batch.mention_mask & (batch.mention_regions >= -1)
    if by_chain:
        # A chain is there once, in the place of its first mention.
        same, _ = _same_chain(batch)
        known &= ~same.tril(diagonal=-1).any(dim=-1)
    own = (known & (batch.mention_regions >= 0)).sum()

    def total(output: Output) -> Tensor:
        assert output.alignment is not None
        vectors = output.alignment.mentions
        if by_chain:
            vectors = chain_means(vectors, batch.chains)
        texts, takes_part = _of_all_ranks(vectors, known)
        regions, region_mask = _of_all_ranks(output.alignment.regions, batch.region_mask)
        count = region_mask.shape[1]
        if not count or not takes_part.shape[1]:
            return _zero(output)
        region = torch.cat(gather_padded(batch.mention_regions))
        images = torch.arange(len(region), device=region.device)[:, None]
        target = (region.clamp(min=0) + count * images).flatten()
        paired = (takes_part & (region >= 0)).flatten()
        person = torch.cat(gather_padded(batch.region_people)).flatten()
        # All texts by all regions: which of these shows what is meant, and which the same person.
        places = torch.arange(len(person), device=region.device)
        meant = (target[:, None] == places) & paired[:, None]
        alike = (person[target][:, None] == person) & (person != 0) & paired[:, None] | meant
        texts, regions = F.normalize(texts.flatten(0, 1)), F.normalize(regions.flatten(0, 1))
        scores = texts @ regions.T / temperature
        lowest = torch.finfo(scores.dtype).min
        no_candidate = alike & ~meant | ~region_mask.flatten()
        to_regions = scores.masked_fill(no_candidate, lowest)
        losses = F.cross_entropy(to_regions, target, reduction="none")
        right = scores.gather(1, target[:, None])[:, 0]
        no_candidate = alike | ~takes_part.flatten()[:, None]
        others = scores.masked_fill(no_candidate, lowest).logsumexp(dim=0)[target]
        losses = (losses + torch.logaddexp(right, others) - right) / 2
        whole = losses.where(paired, 0.0).sum()
        return _share_of_ranks(whole, own, paired.sum())

    return Term(own, total)


def mention_detection(batch: Batch) -> Term:
    """Return the mention detection loss (MD).

    Binary cross-entropy over all spans that may be mentions, for each gold mention.

    So a mention that is missed weighs as much in long texts, of which few spans are mentions.
    """
    assert batch.candidates is not None
    row, first, last = batch.candidates.gold.unbind(dim=1)

    def total(output: Output) -> Tensor:
        assert output.mention_logits is not None
        targets = torch.zeros_like(output.mention_logits)
        targets[row, first, last - first] = 1
        return F.binary_cross_entropy_with_logits(output.mention_logits, targets, reduction="sum")

    return Term(torch.full((), len(row), device=row.device), total)


def trace_agreement(batch: Batch) -> Term:
    """Return the trace loss: a mention's region attention lies where the narrator's mouse was.

    -log sum_r p(r|m) a(r, m), where a(r, m) is the IoU of region r with the box of m's trace,
    divided by the largest such IoU of the image's regions: all attention on the region that
    agrees best costs nothing, and one that agrees half as well costs log 2, so that a coarse trace
    leaves the choice among what lies around it. A mention without a trace, or whose trace overlaps
    no region, gives no term.
    """
    if not batch.region_mask.shape[1]:
        return _nothing(batch)
    iou = pairwise_iou(batch.trace_boxes_xyxy, batch.region_boxes_xyxy)
    iou = iou * batch.region_mask[:, None, :]
    best = iou.amax(dim=-1)
    counted = batch.trace_mask & (best > 0)
    # Where nothing agrees, the logarithm of the sum has no gradient: there everything shall agree.
    agreement = (iou / best[..., None]).where(counted[..., None], 1.0)

    def total(output: Output) -> Tensor:
        scores = output.region_log_attention + agreement.log()
        return -scores.logsumexp(dim=-1).where(counted, 0.0).sum()

    return Term(counted.sum(), total)


def pseudo_coreference(labels: PseudoLabels) -> Term:
    """Return the pseudo coreference loss (PCR in the paper).

    A mention comes closer to its pseudo-positives than to its pseudo-negatives.

    Triplet loss with margin 1 over the squared distances of unit vectors, from a mention to the
    mean of each of its two sets; no term where a set is empty (Goel et al., section 3.3).
    """
    counted = labels.positives.any(dim=-1) & labels.negatives.any(dim=-1)

    def total(output: Output) -> Tensor:
        unit = F.normalize(output.fused_mentions, dim=-1)
        near = _squared_distance_to_mean(unit, labels.positives)
        far = _squared_distance_to_mean(unit, labels.negatives)
        return (near - far + TRIPLET_MARGIN).clamp(min=0).where(counted, 0.0).sum()

    return Term(counted.sum(), total)


def pseudo_antecedents(batch: Batch, labels: PseudoLabels) -> Term:
    """Return the pseudo coreference loss of `--coref-head antecedent`.

    A mention's antecedent is among its pseudo-positives.

    A mention whose pairs with all before it are negatives begins a new entity. Pairs that are
    neither are left out of the ranking; a mention that may have its antecedent among these alone
    gives no term.
    """
    return _antecedents(batch, labels.positives, labels.negatives, batch.mention_mask)


def pseudo_grounding(batch: Batch, labels: PseudoLabels) -> Term:
    """Return the pseudo grounding loss (PGD in the paper).

    Cross-entropy of a mention's region attention with the region that its pseudo-label names.
    """
    if not batch.region_mask.shape[1]:
        return _nothing(batch)
    sure = labels.regions != NO_REGION
    region = labels.regions.clamp(min=0)

    def total(output: Output) -> Tensor:
        log_attention = output.region_log_attention.gather(-1, region[..., None])[..., 0]
        return -log_attention.where(sure, 0.0).sum()

    return Term(sure.sum(), total)


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
    iou = pairwise_iou(batch.gold_boxes_xyxy.flatten(1, 2), batch.region_boxes_xyxy)
    iou = iou.reshape(*batch.gold_box_mask.shape, iou.shape[-1])
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


def _antecedents(batch: Batch, positive: Tensor, negative: Tensor, counted: Tensor) -> Term:
    """Make the term of the right antecedents' likelihood among the known mentions before.

    Args:
        positive, negative: [B, M, M] bool, pairs that are of one chain, and that are not.
        counted: [B, M] bool, mentions that may give a term.
    """
    pairs = batch.mention_mask[:, :, None] & batch.mention_mask[:, None, :]
    before = pairs.tril(diagonal=-1)
    right, wrong = positive & before, negative & before
    counted = counted & (right.any(dim=-1) | (wrong == before).all(dim=-1))

    def total(output: Output) -> Tensor:
        log_probabilities = output.antecedent_log_probabilities
        assert log_probabilities is not None
        right_near, wrong_near = (band_of(of, output.mention_reach) for of in (right, wrong))
        # A mention whose antecedents are all beyond the reach begins an entity within it.
        begins = ~right_near.any(dim=-1, keepdim=True)
        begins_or_right = torch.cat([begins, right_near], dim=-1)
        known = torch.cat([torch.ones_like(begins), right_near | wrong_near], dim=-1)
        lowest = torch.finfo(log_probabilities.dtype).min
        likelihood = log_probabilities.masked_fill(~begins_or_right, lowest).logsumexp(dim=-1)
        whole = log_probabilities.masked_fill(~known, lowest).logsumexp(dim=-1)
        return (whole - likelihood).where(counted, 0.0).sum()

    return Term(counted.sum(), total)


def _squared_distance_to_mean(vectors: Tensor, chosen: Tensor) -> Tensor:
    """From each vector to the mean of those chosen for it.

    Args:
        vectors: [B, M, H].
        chosen: [B, M, M] bool.

    Returns:
        [B, M]; to zero where nothing is chosen.
    """
    weights = chosen.to(vectors.dtype)
    means = weights @ vectors / weights.sum(dim=-1, keepdim=True).clamp(min=1)
    return (vectors - means).square().sum(dim=-1)


def _of_all_ranks(vectors: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Gather the vectors of all ranks, of which this rank's own have gradients, and their mask.

    Args:
        vectors: [B, N, H].
        mask: [B, N] bool.

    Returns:
        [B of all ranks, N, H] and [B of all ranks, N], N the largest of all ranks.
    """
    # Masks travel as numbers: not every backend carries truth values.
    all_vectors = gather_padded(vectors)
    all_masks = [mask.bool() for mask in gather_padded(mask.to(torch.uint8))]
    batch, longest = all_masks[rank()].shape
    missing = (0, longest - mask.shape[1], 0, batch - mask.shape[0])
    all_vectors[rank()] = F.pad(vectors, (0, 0, *missing))
    return torch.cat(all_vectors), torch.cat(all_masks)


def _share_of_ranks(whole: Tensor, own: Tensor, count: Tensor) -> Tensor:
    """Make a sum over all ranks this rank's: its value is the share of what this rank counts, its
    gradient that of the whole.

    Args:
        whole, own, count: scalars; the sum, and how many this rank and all of them count.
    """
    share = whole.detach() * own / count.clamp(min=1)
    return whole + (share - whole.detach())


def _nothing(batch: Batch) -> Term:
    """Make the term of a batch that has nothing to count."""
    return Term(torch.zeros((), dtype=torch.int64, device=batch.token_ids.device), _zero)


def _zero(output: Output) -> Tensor:
    """Sum over nothing: zero, which reaches the weights with a zero gradient."""
    return output.fused_mentions.sum() * 0
