"""One training step's forward pass: the model with its losses, on both kinds of narrations."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from models import losses
from models.coreference_model import CoreferenceModel, Output
from models.losses import Term
from models.pseudo_labels import PseudoLabels
from utils.batch import Batch
from utils.config import Config
from utils.distributed import sum_over_ranks, world_size

# Each loss, and the field of the configuration that weighs it.
WEIGHTS = {
    "coreference": "coreference_weight",
    "grounding": "grounding_weight",
    "box": "box_weight",
    "masked_words": "masked_words_weight",
    "image_text": "image_text_weight",
    "trace": "trace_weight",
    "pseudo_coreference": "pseudo_coreference_weight",
    "pseudo_grounding": "pseudo_grounding_weight",
}
PSEUDO = ("pseudo_coreference", "pseudo_grounding")


class TrainingStep(nn.Module):
    """The loss of a step; what DistributedDataParallel wraps.

    Labelled and unlabelled narrations go through it together, so that a step has one forward and
    one backward pass whatever it trains on.

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
        self,
        labelled: Batch | None,
        unlabelled: Batch | None,
        pseudo_labels: PseudoLabels | None,
        pseudo_weight: float,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and what it is made of.

        Args:
            labelled: None where none are trained on; likewise `unlabelled`.
            pseudo_labels: of the unlabelled batch; None leaves their losses out.
            pseudo_weight: what the weights of the pseudo-labels' losses are multiplied by.

        Returns:
            The scalar loss, of which the gradients' mean over the ranks is that of the whole step;
            and for each loss by name its sum and count over all ranks, [2], without gradient.
        """
        terms: dict[str, Term] = {}
        if labelled is not None:
            output = self.model(labelled, self.precision)
            terms |= labelled_terms(output, labelled, self.config)
            terms |= terms_of_all(output, labelled, self.config)
        if unlabelled is not None:
            output = self.model(unlabelled, self.precision)
            for name, term in terms_of_all(output, unlabelled, self.config).items():
                terms[name] = terms[name] + term if name in terms else term
            if pseudo_labels is not None:
                terms |= pseudo_terms(output, unlabelled, pseudo_labels, self.config)
        return self._weighted(terms, pseudo_weight)

    def _weighted(
        self, terms: Mapping[str, Term], pseudo_weight: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        own = torch.stack([torch.stack([t.total.detach(), t.count]) for t in terms.values()])
        over_ranks = sum_over_ranks(own)
        weights = {
            name: getattr(self.config, WEIGHTS[name]) * (pseudo_weight if name in PSEUDO else 1.0)
            for name in terms
        }
        # The ranks average their gradients, where their sum divided by the whole count is meant.
        loss = sum(
            weights[name] * Term(world_size() * term.total, count).mean()
            for (name, term), count in zip(terms.items(), over_ranks[:, 1], strict=True)
        )
        return loss, dict(zip(terms, over_ranks, strict=True))


def labelled_terms(output: Output, batch: Batch, config: Config) -> dict[str, Term]:
    """The losses that need labels, by name, without those that the configuration leaves out."""
    if config.coreference_head == "antecedent":
        coreference = losses.antecedent_likelihood(output, batch)
    elif config.coreference_loss == "con":
        coreference = losses.contrastive_coreference(output, batch, config.coreference_temperature)
    elif config.coreference_loss == "fro":
        coreference = losses.frobenius_coreference(output, batch)
    else:
        coreference = losses.sigmoid_coreference(output, batch)
    terms = {"coreference": coreference}
    if config.grounding:
        terms["grounding"] = losses.grounding(output, batch)
    if config.box_regression:
        terms["box"] = losses.box_regression(output, batch)
    return terms


def terms_of_all(output: Output, batch: Batch, config: Config) -> dict[str, Term]:
    """The losses that need no labels, by name."""
    terms = {}
    if config.mlm_probability > 0:
        terms["masked_words"] = losses.masked_words(output, batch)
    if config.use_regions:
        temperature = config.image_text_temperature
        terms["image_text"] = losses.image_text_contrast(output, batch, temperature)
    if config.use_traces:
        terms["trace"] = losses.trace_agreement(output, batch)
    return terms


def pseudo_terms(
    output: Output, batch: Batch, labels: PseudoLabels, config: Config
) -> dict[str, Term]:
    """The losses against pseudo-labels, by name."""
    rank_antecedents = config.coreference_head == "antecedent"
    pull = losses.pseudo_antecedents if rank_antecedents else losses.pseudo_coreference
    terms = {"pseudo_coreference": pull(output, batch, labels)}
    # A grounding that nothing trains would be taught its own guesses.
    if config.grounding or config.use_traces:
        terms["pseudo_grounding"] = losses.pseudo_grounding(output, batch, labels)
    return terms
