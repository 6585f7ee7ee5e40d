"""The model: mentions of a text and regions of its image in, links and boxes out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.alignment_head import Alignment, AlignmentHead
from models.antecedent_head import AntecedentHead, same_chain_probability
from models.attention import Float32Attention
from models.bands import all_pairs, products
from models.box_head import BoxHead
from models.fusion import Fusion
from models.mention_head import MentionDetector
from models.region_encoder import RegionEncoder
from models.text_encoder import TextEncoder, WordVectorLayer
from models.windows import Texts
from utils.batch import Batch, SpanCandidates, map_tensors
from utils.boxes import decode_deltas


@dataclass(frozen=True)
class Output:
    """What the model says of a batch; sizes as in `Batch`, H the hidden size, V words known."""

    mention_vectors: Tensor  # [B, M, H], before the fusion
    region_vectors: Tensor  # [B, R, H]
    fused_mentions: Tensor  # [B, M, H]
    region_log_attention: Tensor  # [B, M, R], log-softmax over real regions
    box_deltas: Tensor  # [B, M, 4]
    masked_word_logits: Tensor | None = None  # [K, V]
    # Of a model that ranks antecedents: that a mention has none, and that each of the K before it
    # is its antecedent, a band as in `models/bands.py`.
    antecedent_log_probabilities: Tensor | None = None  # [B, M, 1 + K]
    mention_logits: Tensor | None = None  # [B, T, W], as `MentionDetector` gives them
    alignment: Alignment | None = None  # of a model that aligns mentions and regions
    mention_reach: int = 0  # K, how many mentions before each are compared with it

    @property
    def link_scores(self) -> Tensor:
        """How likely each mention and the K before it are of one chain, [B, M, K] float32.

        Where antecedents are ranked a probability, else the cosine of the fused mentions; a band as
        in `models/bands.py`.
        """
        if self.antecedent_log_probabilities is not None:
            return same_chain_probability(self.antecedent_log_probabilities)
        return products(F.normalize(self.fused_mentions, dim=-1), self.mention_reach)

    @property
    def mention_similarity(self) -> Tensor:
        """The same of every two mentions, [B, M, M] float32, those beyond the reach too."""
        if self.antecedent_log_probabilities is None:
            unit = F.normalize(self.fused_mentions, dim=-1)
            return unit @ unit.transpose(1, 2)
        none, ranked = self.antecedent_log_probabilities.split([1, self.mention_reach], dim=-1)
        beyond = max(ranked.shape[1] - 1, 0) - self.mention_reach
        ranked = F.pad(ranked, (beyond, 0), value=float("-inf"))
        earlier = all_pairs(same_chain_probability(torch.cat([none, ranked], dim=-1)))
        own = torch.eye(earlier.shape[1], device=earlier.device)
        return earlier + earlier.transpose(1, 2) + own


@dataclass(frozen=True)
class Heads:
    """What predicts from the vectors of mentions.

    Attributes:
        box: refines the boxes of regions.
        antecedent: ranks the antecedents of mentions; None for a model that links them by their
            cosine.
        mention: finds mentions in captions; None for a model that finds none.
        alignment: puts mentions and regions into one space; None for a model that does not.
    """

    box: BoxHead
    antecedent: AntecedentHead | None = None
    mention: MentionDetector | None = None
    alignment: AlignmentHead | None = None


class CoreferenceModel(nn.Module):
    """Text encoder, region encoder, fusion and heads (Goel et al., EMNLP 2023, section 3).

    Args:
        text_encoder: reads captions and region labels.
        region_encoder, fusion, heads: of the text encoder's hidden size.
        word_vector_layer: joins word vectors to the captions' word-pieces, and to nothing else;
            None for a model that reads none.
        mention_reach: how many mentions before each it is compared with, and how many before and
            after it looks at in the fusion.
    """

    def __init__(
        self,
        text_encoder: TextEncoder,
        region_encoder: RegionEncoder,
        fusion: Fusion,
        heads: Heads,
        word_vector_layer: WordVectorLayer | None = None,
        *,
        mention_reach: int,
    ) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        self.region_encoder = region_encoder
        self.fusion = fusion
        self.box_head = heads.box
        self.word_vector_layer = word_vector_layer
        self.mention_reach = mention_reach
        self.antecedent_head = heads.antecedent
        self.mention_detector = heads.mention
        self.alignment_head = heads.alignment

    def forward(
        self,
        batch: Batch,
        precision: torch.dtype = torch.float32,
        label_vectors: Tensor | None = None,
    ) -> Output:
        """Run everything that the losses and the decoding read.

        Masked words are predicted where the batch has some, and mentions found where it says where
        they may be.

        Args:
            precision: of matrix products; the output is float32 whatever it is.
            label_vectors: what `encode_labels` gives for the batch's labels, where it is known
                already.
        """
        with _matrix_products(precision, batch.token_ids.device):
            output = self._run(batch, label_vectors)
        return map_tensors(output, Tensor.float)

    def _run(self, batch: Batch, label_vectors: Tensor | None) -> Output:
        has_regions, masked = bool(batch.region_mask.shape[1]), batch.masked_words
        captions = Texts(batch.token_ids, batch.token_mask, batch.token_lengths)
        if masked is not None:
            captions = Texts(
                torch.cat([batch.token_ids, masked.token_ids]),
                batch.token_mask.repeat(2, 1),
                batch.token_lengths * 2,
            )
        if has_regions and label_vectors is None:
            labels = Texts(batch.label_token_ids, batch.label_token_mask, batch.label_lengths)
            words, pieces = self.text_encoder(captions, labels)
            label_vectors = mean_over_words(pieces, batch.label_word_mask)
        else:
            (words,) = self.text_encoder(captions)
        masked_word_logits = None
        if masked is not None:
            words, masked_words = words.chunk(2)
            masked_word_logits = self.text_encoder.masked_word_logits(
                masked_words.flatten(0, 1)[masked.positions]
            )
        if self.word_vector_layer is not None:
            words = self.word_vector_layer(words, batch.word_vectors)
        mention_logits = self._score_spans(words, batch.candidates)
        mentions = mean_over_spans(words, batch.mention_spans)
        regions = batch.region_features.new_zeros(*batch.region_mask.shape, words.shape[-1])
        if has_regions:
            regions = self.region_encoder(
                batch.region_features,
                label_vectors,
                batch.region_labels,
                batch.region_boxes_xyxy,
                batch.region_mask,
            )
        reach = min(self.mention_reach, max(mentions.shape[1] - 1, 0))
        fused, log_attention = self.fusion(
            mentions, batch.mention_mask, regions, batch.region_mask, reach
        )
        antecedents = None
        if self.antecedent_head is not None:
            antecedents = self.antecedent_head(
                fused, batch.mention_mask, batch.mention_features, reach
            )
        alignment = None
        if self.alignment_head is not None:
            # Before the fusion, which shows a mention the regions of its image: whose image a
            # region is of would be the answer, where those of other images are candidates too.
            alignment = self.alignment_head(mentions, batch.region_features)
        return Output(
            mention_vectors=mentions,
            region_vectors=regions,
            fused_mentions=fused,
            region_log_attention=log_attention,
            box_deltas=self.box_head(fused),
            masked_word_logits=masked_word_logits,
            antecedent_log_probabilities=antecedents,
            mention_logits=mention_logits,
            alignment=alignment,
            mention_reach=reach,
        )

    def mention_logits(self, batch: Batch, precision: torch.dtype = torch.float32) -> Tensor:
        """Score the spans of a batch as mentions, as `forward` does; mentions need not be known.

        Args:
            precision: of matrix products.

        Returns:
            [B, T, W], as `MentionDetector` gives them.

        Raises:
            ValueError: the model finds no mentions, or the batch does not ask for them.
        """
        with _matrix_products(precision, batch.token_ids.device):
            texts = Texts(batch.token_ids, batch.token_mask, batch.token_lengths)
            (words,) = self.text_encoder(texts)
            if self.word_vector_layer is not None:
                words = self.word_vector_layer(words, batch.word_vectors)
            logits = self._score_spans(words, batch.candidates)
        if logits is None:
            raise ValueError("the model finds no mentions, or the batch does not ask for them")
        return logits.float()

    def _score_spans(self, words: Tensor, candidates: SpanCandidates | None) -> Tensor | None:
        if self.mention_detector is None or candidates is None:
            return None
        may_start, may_end = candidates.starts >= 0, candidates.ends >= 0
        # What finds mentions learns from the text encoder's vectors and does not change them: it
        # finds as many so, and coreference is what it is without.
        return self.mention_detector(words.detach(), may_start, may_end)

    def encode_labels(
        self, labels: Texts, word_mask: Tensor, precision: torch.dtype = torch.float32
    ) -> Tensor:
        """Encode region labels.

        Args:
            labels: L distinct ones.
            word_mask: [L, l] bool, their word-pieces without the special ones.
            precision: of matrix products.

        Returns:
            [L, H].
        """
        with _matrix_products(precision, word_mask.device):
            (pieces,) = self.text_encoder(labels)
            return mean_over_words(pieces, word_mask)


def mean_over_words(pieces: Tensor, word_mask: Tensor) -> Tensor:
    """Average the word-pieces of each text.

    Args:
        pieces: [N, T, H].
        word_mask: [N, T] bool, without the special word-pieces.

    Returns:
        [N, H]; zeros for a text without any.
    """
    weights = word_mask.to(pieces.dtype)[..., None]
    return (pieces * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


@contextmanager
def _matrix_products(precision: torch.dtype, device: torch.device) -> Iterator[None]:
    """Multiply matrices in a precision inside the block."""
    if precision == torch.float32:
        yield
        return
    attention = Float32Attention() if device.type == "cpu" else nullcontext()
    with torch.autocast(device.type, precision), attention:
        yield


def mean_over_spans(words: Tensor, spans: Tensor) -> Tensor:
    """Average the word-pieces of each span.

    What is computed grows with T and M, never with their product.

    Args:
        words: [B, T, H].
        spans: [B, M, 2] int64, first word-piece and the one after the last.

    Returns:
        [B, M, H]; zeros for an empty span.
    """
    # The sum of a span is the difference of two of these, in float64 for all of their digits.
    sums = F.pad(words.double().cumsum(dim=1), (0, 0, 1, 0))
    starts, ends = (spans[..., n, None].expand(-1, -1, words.shape[-1]) for n in (0, 1))
    lengths = (spans[..., 1] - spans[..., 0]).clamp(min=1)[..., None]
    return ((sums.gather(1, ends) - sums.gather(1, starts)) / lengths).to(words.dtype)


def decode_boxes(output: Output, batch: Batch, refine: bool) -> tuple[Tensor, Tensor]:
    """Find each mention's box: of the region that it attends to most, refined by the box head.

    Args:
        refine: whether the box head was trained; else the region's box is taken as it is.

    Returns:
        boxes [B, M, 4], finite and inside the image, and how much attention the region has,
        [B, M]; zeros for a narration without regions.
    """
    if not batch.region_mask.shape[1]:
        return output.box_deltas * 0, output.box_deltas[..., 0] * 0
    log_attention, best = output.region_log_attention.max(dim=-1)
    boxes = batch.region_boxes_xyxy.gather(1, best[..., None].expand(-1, -1, 4))
    if refine:
        boxes = decode_deltas(output.box_deltas, boxes)
    has_regions = batch.region_mask.any(dim=1)[:, None]
    return boxes * has_regions[..., None], log_attention.exp() * has_regions
