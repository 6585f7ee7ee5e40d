"""The operations that the method asks for, without padding and without repeated work.

Counted are the products of matrices, a multiplication and an addition as two operations; what else
there is (norms, activations, the optimizer) is not. Every text, mention and region is counted at
its own length, each distinct region label once for the batches that share it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from models.coreference_model import CoreferenceModel
from utils.batch import Batch


@dataclass(frozen=True)
class Sizes:
    """The sizes of a model that decide what a batch costs."""

    hidden: int
    vocabulary: int
    feature: int
    text_layers: int
    text_inner: int
    region_layers: int
    region_inner: int
    fusion_layers: int
    fusion_inner: int
    box_inner: int

    @classmethod
    def of(cls, model: CoreferenceModel) -> Sizes:
        """Read the sizes of a model."""
        text = model.text_encoder.config
        return cls(
            hidden=text.hidden_size,
            vocabulary=text.vocab_size,
            feature=_linear(model, "region_encoder.feature.0").in_features,
            text_layers=text.num_hidden_layers,
            text_inner=text.intermediate_size,
            region_layers=len(model.region_encoder.layers),
            region_inner=_linear(model, "region_encoder.layers.0.feedforward.0").out_features,
            fusion_layers=len(model.fusion.layers),
            fusion_inner=_linear(model, "fusion.layers.0.feedforward.0").out_features,
            box_inner=_linear(model, "box_head.layers.0").out_features,
        )


def forward_operations(batch: Batch, sizes: Sizes) -> float:
    """Count the operations of the model's output of a batch, with masked words if there are any."""
    h = sizes.hidden
    tokens = batch.token_lengths
    mentions, regions = _counts(batch.mention_mask), _counts(batch.region_mask)
    total = _texts(tokens, sizes) + _texts(batch.label_lengths, sizes)
    total += 2 * len(batch.label_lengths) * h * h  # their projection
    for m, r in zip(mentions, regions, strict=True):
        total += _region_operations(r, sizes) + _fusion_operations(m, r, sizes)
        total += 2 * m * sizes.box_inner * (h + 4)
        total += 2 * m * m * h  # the similarities
    if batch.masked_words is not None:
        masked = len(batch.masked_words.positions)
        total += _texts(tokens, sizes) + 2 * masked * h * (h + sizes.vocabulary)
    return total


def training_operations(batches: Iterable[Batch], unlabelled: Batch, sizes: Sizes) -> float:
    """Count the operations of a step: forward and backward passes, and the teacher's forward pass.

    A backward pass costs two products for each one of the forward pass, but one where nothing asks
    for the gradient of what came in: the features and the places of regions. What pseudo-labels
    cost beside the teacher's pass is not counted.

    Args:
        batches: all that is learned from.
        unlabelled: the one among them that the teacher labels; its masked words it does not read.
    """
    total = 0.0
    for batch in batches:
        regions = sum(_counts(batch.region_mask))
        total += 3 * (forward_operations(batch, sizes) + _contrast_operations(batch, sizes))
        total -= 2 * regions * sizes.hidden * (sizes.feature + 5)
    clean = dataclasses.replace(unlabelled, masked_words=None)
    return total + forward_operations(clean, sizes)


def _linear(model: CoreferenceModel, name: str) -> nn.Linear:
    layer = model.get_submodule(name)
    assert isinstance(layer, nn.Linear)
    return layer


def _texts(lengths: Sequence[int], sizes: Sizes) -> float:
    return sum(
        sizes.text_layers * _layer(length, sizes.hidden, sizes.text_inner) for length in lengths
    )


def _layer(length: int, hidden: int, inner: int) -> float:
    """Count those of a Transformer layer: four projections, attention, and feed-forward."""
    return 2 * length * hidden * (4 * hidden + 2 * inner + 2 * length)


def _region_operations(r: int, sizes: Sizes) -> float:
    h = sizes.hidden
    projections = 2 * r * h * (sizes.feature + 5 + h)
    return projections + sizes.region_layers * _layer(r, h, sizes.region_inner)


def _fusion_operations(m: int, r: int, sizes: Sizes) -> float:
    h = sizes.hidden
    among_mentions = 2 * m * h * (4 * h + 2 * m)
    to_regions = 2 * h * (2 * m * h + 2 * r * h + 2 * m * r)
    return sizes.fusion_layers * (among_mentions + to_regions + 4 * m * h * sizes.fusion_inner)


def _contrast_operations(batch: Batch, sizes: Sizes) -> float:
    """Count those of the image-text contrast: all mentions of the batch with all its regions."""
    mentions, regions = (sum(_counts(m)) for m in (batch.mention_mask, batch.region_mask))
    return 2 * mentions * regions * sizes.hidden


def _counts(mask: Tensor) -> list[int]:
    """Count the real slots of each row."""
    return mask.sum(dim=1).tolist()
