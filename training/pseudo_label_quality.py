"""How many pseudo-labels a model makes, and how many of them are right."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from data.encoding.example import ExampleEncoder
from data.loading.dataset import NarrationDataset
from data.loading.loader import make_loader
from data.loading.samplers import OrderedBatches
from data.loading.training_data import TrainingData, unlabelled_root
from data.narration import NO_REGION, with_truth
from data.readers import get_reader
from training.gradients import pseudo_label
from training.pseudo_labels import PseudoLabels
from utils.batch import Batch
from utils.boxes import SUFFICIENT_IOU, pairwise_iou
from utils.config import Config

# How many unlabelled narrations the pseudo-labels are measured on after each epoch.
MEASURED_NARRATIONS = 100


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
        """Return the shares that are known, in percent, by name."""
        values = dataclasses.asdict(self).items()
        return {name: 100 * share for name, share in values if share is not None}

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> PseudoLabelQuality:
        """Make the shares of what `count_pseudo_labels` counted, added up over batches."""

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
    """Count the pseudo-labels of a batch, and those that are right where its truth is known."""
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
        iou = iou.reshape(batch.gold_box_mask.shape) * batch.gold_box_mask
        counts["regions known"] = sure & batch.gold_box_mask.any(dim=-1)
        counts["regions right"] = counts["regions known"] & (iou.amax(dim=-1) >= SUFFICIENT_IOU)
    return {name: int(mask.sum()) for name, mask in counts.items()}


def measure_pseudo_labels(
    labeller: nn.Module, batches: Iterable[Batch], config: Config
) -> PseudoLabelQuality:
    """Measure the pseudo-labels of narrations, against their truth where a batch knows it."""
    counts: Counter[str] = Counter()
    device = next(labeller.parameters()).device
    for batch in batches:
        batch = batch.to(device)
        counts.update(count_pseudo_labels(pseudo_label(labeller, batch, config), batch))
    return PseudoLabelQuality.of(counts)


def pseudo_label_sample(
    data: TrainingData,
    encoder: ExampleEncoder,
    config: Config,
    device: torch.device,
) -> list[Batch]:
    """Make batches of unlabelled narrations to measure on, with their truth where it is known.

    Nothing but the measurements reads that truth.
    """
    source = data.unlabelled[-1]
    truth = get_reader(config.dataset).read_truth(unlabelled_root(config))
    chosen = [with_truth(n, truth.get(n.id)) for n in source.narrations[:MEASURED_NARRATIONS]]
    dataset = NarrationDataset(chosen, source.store, encoder)
    return list(make_loader(dataset, OrderedBatches(len(dataset), config.batch), 0, device))
