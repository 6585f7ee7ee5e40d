"""The objective of a step: its losses, their weights, and the forward pass that computes them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from models.coreference_model import CoreferenceModel
from training import losses
from training.losses import Term
from training.pseudo_labels import PseudoLabels
from utils.batch import Batch
from utils.config import Config
from utils.distributed.ranks import sum_over_ranks, world_size

# What goes through one forward and one backward pass: batches, each with its losses by name.
MicroBatch: TypeAlias = Sequence[tuple[Batch, Mapping[str, Term]]]

# Each loss, and the field of the configuration that weighs it.
WEIGHTS = {
    "coreference": "coreference_weight",
    "grounding": "grounding_weight",
    "box": "box_weight",
    "masked_words": "masked_words_weight",
    "image_text": "image_text_weight",
    "trace": "trace_weight",
    "mention_detection": "mention_weight",
    "alignment": "alignment_weight",
    "pseudo_coreference": "pseudo_coreference_weight",
    "pseudo_grounding": "pseudo_grounding_weight",
}
PSEUDO = ("pseudo_coreference", "pseudo_grounding")


class Objective(nn.Module):
    """The weighted sum of a micro-batch's losses; what DistributedDataParallel wraps.

    Args:
        precision: of the model's matrix products; the losses are computed in float32.
    """

    def __init__(
        self, model: CoreferenceModel, config: Config, precision: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.precision = precision

    def forward(
        self, micro_batch: MicroBatch, counts: Mapping[str, Tensor], pseudo_weight: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the micro-batch's part of the step's loss, and what it is made of.

        Args:
            counts: of the whole step, as `count_terms` returns them.
            pseudo_weight: what the weights of the pseudo-labels' losses are multiplied by.

        Returns:
            The scalar loss, of which the gradients' sum over the micro-batches of a step, in the
            mean over the ranks, is that of the whole step; and each loss by name before its mean, a
            scalar without gradient: the sum over this rank's micro-batch.
        """
        totals = sum_by_name(self._totals(micro_batch))
        weights = {
            name: getattr(self.config, WEIGHTS[name]) * (pseudo_weight if name in PSEUDO else 1.0)
            for name in totals
        }
        # The ranks average their gradients, where their sum divided by the whole count is meant.
        loss = sum(
            weights[name] * (world_size() * total / counts[name].clamp(min=1))
            for name, total in totals.items()
        )
        return loss, {name: total.detach() for name, total in totals.items()}

    def _totals(self, micro_batch: MicroBatch) -> Iterator[dict[str, Tensor]]:
        for batch, terms in micro_batch:
            output = self.model(batch, self.precision)
            yield {name: term.total(output) for name, term in terms.items()}


def make_micro_batch(
    labelled: Batch | None,
    unlabelled: Batch | None,
    pseudo_labels: PseudoLabels | None,
    config: Config,
) -> MicroBatch:
    """Choose the losses of a labelled and an unlabelled batch.

    Args:
        labelled: None where none are trained on; likewise `unlabelled`.
        pseudo_labels: of the unlabelled batch; None leaves their losses out.
    """
    micro_batch = []
    if labelled is not None:
        terms = supervised_terms(labelled, config) | unsupervised_terms(labelled, config)
        micro_batch.append((labelled, terms))
    if unlabelled is not None:
        terms = unsupervised_terms(unlabelled, config)
        if pseudo_labels is not None:
            terms |= pseudo_terms(unlabelled, pseudo_labels, config)
        micro_batch.append((unlabelled, terms))
    return micro_batch


def count_terms(micro_batches: Iterable[MicroBatch]) -> dict[str, Tensor]:
    """Count what each loss of a step is a mean over, over all its micro-batches and ranks.

    Args:
        micro_batches: this rank's; every rank has as many, with the same losses.

    Returns:
        Scalars by the names of the losses.
    """
    counts = sum_by_name(
        {name: term.count for name, term in terms.items()}
        for _, terms in itertools.chain.from_iterable(micro_batches)
    )
    over_ranks = sum_over_ranks(torch.stack(list(counts.values())))
    return dict(zip(counts, over_ranks, strict=True))


def sum_by_name(parts: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Add up what has the same name; a part may lack names that others have."""
    sums: dict[str, Tensor] = {}
    for part in parts:
        for name, value in part.items():
            sums[name] = sums[name] + value if name in sums else value
    return sums


def supervised_terms(batch: Batch, config: Config) -> dict[str, Term]:
    """Return the losses that need labels, by name, but those that the configuration leaves out."""
    if config.coreference_head == "antecedent":
        coreference = losses.antecedent_likelihood(batch)
    elif config.coreference_loss == "con":
        coreference = losses.contrastive_coreference(batch, config.coreference_temperature)
    elif config.coreference_loss == "fro":
        coreference = losses.frobenius_coreference(batch)
    else:
        coreference = losses.sigmoid_coreference(batch)
    terms = {"coreference": coreference}
    if config.grounding:
        terms["grounding"] = losses.grounding(batch)
    if config.box_regression:
        terms["box"] = losses.box_regression(batch)
    if config.mention_detection:
        terms["mention_detection"] = losses.mention_detection(batch)
    if config.alignment != "off":
        terms["alignment"] = losses.alignment(
            batch, config.alignment_temperature, by_chain=config.alignment == "chain"
        )
    return terms


def unsupervised_terms(batch: Batch, config: Config) -> dict[str, Term]:
    """Return the losses that need no labels, by name."""
    terms = {}
    if config.mlm_probability > 0:
        terms["masked_words"] = losses.masked_words(batch)
    if config.use_regions:
        terms["image_text"] = losses.image_text_contrast(batch, config.image_text_temperature)
    if config.use_traces:
        terms["trace"] = losses.trace_agreement(batch)
    return terms


def pseudo_terms(batch: Batch, labels: PseudoLabels, config: Config) -> dict[str, Term]:
    """Return the losses against pseudo-labels, by name."""
    if config.coreference_head == "antecedent":
        terms = {"pseudo_coreference": losses.pseudo_antecedents(batch, labels)}
    else:
        terms = {"pseudo_coreference": losses.pseudo_coreference(labels)}
    # A grounding that nothing trains would be taught its own guesses.
    if config.trains_grounding:
        terms["pseudo_grounding"] = losses.pseudo_grounding(batch, labels)
    return terms
