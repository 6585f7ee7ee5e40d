"""The text encoder: the first layers of a BERT-like model, by name or from a checkpoint."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging

from models.windows import Texts, cut_into_windows
from utils.pretrained import EncoderNotFound, locate_encoder, longest_input

# What another pass through the layers costs, in word-pieces of padding that cost as much.
GROUP_COST = {"cpu": 32, "cuda": 8192}
# How many word-pieces go through the layers together at most where no gradient is kept.
_PIECES_AT_ONCE = 2**14


def group_by_length(lengths: Sequence[int], group_cost: int) -> list[list[int]]:
    """Split texts into groups that cost the least when each is padded to its own longest.

    Args:
        lengths: of the texts.
        group_cost: what a group costs beside its word-pieces and their padding.

    Returns:
        The places of each group's texts; no group for no text.
    """
    places: dict[int, list[int]] = defaultdict(list)
    for place, length in enumerate(lengths):
        places[length].append(place)
    # Texts of one length always go together. costs[n] is the least cost of the n smallest lengths,
    # begins[n] where their last group begins, counts[n] how many texts they have.
    distinct = sorted(places)
    counts = [0, *itertools.accumulate(len(places[length]) for length in distinct)]
    costs, begins = [0], [0]
    for end in range(1, len(distinct) + 1):
        cost, begin = min(
            (costs[begin] + (counts[end] - counts[begin]) * distinct[end - 1] + group_cost, begin)
            for begin in range(end)
        )
        costs.append(cost)
        begins.append(begin)
    groups, end = [], len(distinct)
    while end:
        groups.append([place for n in distinct[begins[end] : end] for place in places[n]])
        end = begins[end]
    return groups[::-1]


def _parts(group: list[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Cut a group of texts into parts of so many word-pieces as go through the layers at once."""
    size = max(_PIECES_AT_ONCE // max(lengths[place] for place in group), 1)
    for start in range(0, len(group), size):
        yield group[start : start + size]


class TextEncoder(nn.Module):
    """The first layers of a BERT-like encoder, and the layer that predicts masked words.

    Args:
        config: of the encoder, with `num_hidden_layers` as many as are to be kept.
        body: the encoder that transformers builds of it.
    """

    def __init__(self, config: PretrainedConfig, body: PreTrainedModel) -> None:
        super().__init__()
        self.config = config
        # The pooler reads the first word-piece for whole-text tasks; nothing here does.
        if getattr(body, "pooler", None) is not None:
            body.pooler = None  # type: ignore[assignment]  # a module may be taken away
        self.body = body
        self.limit = longest_input(config)
        self.masked_words = MaskedWordHead(config.hidden_size, config.vocab_size)

    @property
    def hidden_size(self) -> int:
        """H, how many numbers the vector of a word-piece has."""
        return self.config.hidden_size

    def forward(self, *texts: Texts) -> list[Tensor]:
        """Encode texts of one or more kinds, of any length.

        The word embeddings of all are looked up at once, because the gradient of each look-up is as
        large as the vocabulary. Texts of similar length go through the layers together, so that
        little is computed for padding. A text that is longer than the encoder reads goes through
        them in windows.

        Returns:
            [N, T, H] for each kind; zeros where its padding was left out.
        """
        windows = {
            kind: cut_into_windows(of_kind, self.limit)
            for kind, of_kind in enumerate(texts)
            if max(of_kind.lengths, default=0) > self.limit
        }
        read = [windows[k].texts if k in windows else texts[k] for k in range(len(texts))]
        ids = torch.cat([of_kind.token_ids.flatten() for of_kind in read])
        vectors = self.body.get_input_embeddings()(ids)
        parts = vectors.split([of_kind.token_ids.numel() for of_kind in read])
        encoded = [
            self._encode(part.unflatten(0, of_kind.token_ids.shape), of_kind)
            for part, of_kind in zip(parts, read, strict=True)
        ]
        for kind, of_kind in windows.items():
            encoded[kind] = of_kind.join(encoded[kind])
        return encoded

    def _encode(self, vectors: Tensor, texts: Texts) -> Tensor:
        device, longest = vectors.device.type, vectors.shape[1]
        groups = group_by_length(texts.lengths, GROUP_COST[device])
        if not torch.is_grad_enabled():
            # What the layers compute on the way is kept for the gradient alone.
            groups = [part for group in groups for part in _parts(group, texts.lengths)]
        encoded = []
        for group in groups:
            length = max(texts.lengths[row] for row in group)
            rows = slice(None) if len(groups) == 1 else group
            of_group = self.body(
                inputs_embeds=vectors[rows, :length],
                attention_mask=texts.token_mask[rows, :length].long(),
            ).last_hidden_state
            encoded.append(F.pad(of_group, (0, 0, 0, longest - length)))
        if len(groups) == 1:
            return encoded[0]
        order = torch.tensor([row for group in groups for row in group], device=vectors.device)
        return torch.cat(encoded)[order.argsort()]

    def masked_word_logits(self, vectors: Tensor) -> Tensor:
        """Score every word of the vocabulary: [K, H] to [K, V]."""
        return self.masked_words(vectors, self.body.get_input_embeddings().weight)


class WordVectorLayer(nn.Module):
    """Joins vectors of whole words to those of their word-pieces.

    Args:
        hidden_size: H, the text encoder's.
        word_vector_size: D, how many numbers a word vector has.
    """

    def __init__(self, hidden_size: int, word_vector_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size + word_vector_size, hidden_size)
        # Word-pieces pass as they are at first, and word vectors add nothing.
        nn.init.eye_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, pieces: Tensor, word_vectors: Tensor) -> Tensor:
        """Join [N, T, H] and word vectors [N, T, D] to [N, T, H]."""
        return self.linear(torch.cat([pieces, word_vectors], dim=-1))


class MaskedWordHead(nn.Module):
    """BERT's prediction of a masked word; the word embeddings are its last layer."""

    def __init__(self, hidden_size: int, vocabulary_size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.activation = nn.GELU()
        self.norm = nn.LayerNorm(hidden_size)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))

    def forward(self, vectors: Tensor, embeddings: Tensor) -> Tensor:
        """Score vectors [K, H] against embeddings [V, H]: [K, V]."""
        return self.norm(self.activation(self.dense(vectors))) @ embeddings.T + self.bias


def text_encoder_from_pretrained(
    name: str, text_layers: int, further_layers: int, dropout: float, attention_dropout: float
) -> tuple[TextEncoder, nn.ModuleList]:
    """Load an encoder by name.

    Args:
        name: a hub name, a folder, or the packaged encoder's name.
        text_layers: how many of its layers read the text.
        further_layers: how many of those after are returned beside it, as far as there are any.

    Returns:
        The encoder, and its following layers.

    Raises:
        EncoderNotFound: it cannot be had, is too small, or is not built like BERT.
    """
    source = locate_encoder(name)
    try:
        config = AutoConfig.from_pretrained(source)
        available = config.num_hidden_layers
        if available < text_layers:
            raise EncoderNotFound(name, f"it has {available} layers, {text_layers} are asked for")
        config.num_hidden_layers = min(available, text_layers + further_layers)
        config.hidden_dropout_prob = dropout
        config.attention_probs_dropout_prob = attention_dropout
        with _quiet_transformers():
            pretrained, loading = AutoModelForMaskedLM.from_pretrained(
                source, config=config, output_loading_info=True
            )
    except EncoderNotFound:
        raise
    except Exception as error:
        # A missing, broken or unfit encoder ends in nearly any kind of error.
        raise EncoderNotFound(name, error) from error
    body = pretrained.base_model
    if not isinstance(getattr(getattr(body, "encoder", None), "layer", None), nn.ModuleList):
        raise EncoderNotFound(name, "it has no stack of layers like BERT's (encoder.layer)")
    if body.get_input_embeddings().embedding_dim != config.hidden_size:
        raise EncoderNotFound(name, "its word embeddings are of another size than its layers")
    further = body.encoder.layer[text_layers:]
    body.encoder.layer = body.encoder.layer[:text_layers]
    config.num_hidden_layers = text_layers
    encoder = TextEncoder(config, body)
    _copy_masked_word_head(pretrained, encoder.masked_words, set(loading["missing_keys"]))
    return encoder, further


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Turn off the warnings of transformers inside the block: layers are left out on purpose."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def text_encoder_from_config(values: Mapping[str, Any]) -> TextEncoder:
    """Build an encoder with random weights.

    Args:
        values: transformers' configuration of it, as `encoder_config_of` gives it.
    """
    # In single precision, whatever the encoder's own files are in: so are the weights trained.
    # transformers 5 keeps it as `dtype`, and takes the older name as an argument still.
    values = {name: value for name, value in values.items() if name != "dtype"}
    values["torch_dtype"] = torch.float32
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    return TextEncoder(config, AutoModel.from_config(config, trust_remote_code=False))


def _copy_masked_word_head(source: Any, head: MaskedWordHead, missing: set[str]) -> None:
    """Start the head from the encoder's own, where its checkpoint brings one of this form.

    Args:
        source: the encoder with what predicts words.
        missing: the names of the weights that its checkpoint lacks.
    """
    found = _masked_word_layers(source)
    if found is None:
        return
    prefix, dense, norm, bias = found
    if any(name.startswith(prefix) for name in missing) or dense.weight.shape != (
        head.dense.weight.shape
    ):
        return
    head.dense.load_state_dict(dense.state_dict())
    head.norm.load_state_dict(norm.state_dict())
    with torch.no_grad():
        head.bias.copy_(bias)


def _masked_word_layers(source: Any) -> tuple[str, Any, Any, Tensor] | None:
    """Return the dense layer, the norm and the words' scores of what predicts masked words.

    Returns:
        They come behind what the names of the first two begin with; None where its form is none of
        those of BERT, RoBERTa (also XLM-R and MPNet) and ELECTRA.
    """
    if (predictions := getattr(getattr(source, "cls", None), "predictions", None)) is not None:
        transform = predictions.transform
        return "cls.predictions.transform.", transform.dense, transform.LayerNorm, predictions.bias
    if (head := getattr(source, "lm_head", None)) is not None and hasattr(head, "layer_norm"):
        return "lm_head.", head.dense, head.layer_norm, head.decoder.bias
    if (head := getattr(source, "generator_predictions", None)) is not None:
        bias = source.generator_lm_head.bias
        return "generator_predictions.", head.dense, head.LayerNorm, bias
    return None
