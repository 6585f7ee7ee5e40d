"""The text encoder: the first layers of a BERT-like model, by name or from a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, PretrainedConfig
from transformers.utils import logging

from utils.pretrained import EncoderNotFound, locate_encoder


class TextEncoder(nn.Module):
    """The first layers of a BERT-like encoder, and the layer that predicts masked words.

    Args:
        config: of the encoder, with `num_hidden_layers` as many as are to be kept.
        body: the encoder that transformers builds of it.
    """

    def __init__(self, config: PretrainedConfig, body: nn.Module) -> None:
        super().__init__()
        self.config = config
        # The pooler reads the first word-piece for whole-text tasks; nothing here does.
        if getattr(body, "pooler", None) is not None:
            body.pooler = None
        self.body = body
        self.masked_words = MaskedWordHead(config.hidden_size, config.vocab_size)

    @property
    def hidden_size(self) -> int:
        return self.config.hidden_size

    def forward(self, token_ids: Tensor, token_mask: Tensor) -> Tensor:
        """Encode word-pieces.

        Args:
            token_ids: [N, T] int64.
            token_mask: [N, T] bool.

        Returns:
            [N, T, H].
        """
        return self.body(input_ids=token_ids, attention_mask=token_mask.long()).last_hidden_state

    def masked_word_logits(self, vectors: Tensor) -> Tensor:
        """Scores of every word of the vocabulary, [K, H] to [K, V]."""
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
        """[N, T, H] and word vectors [N, T, D] to [N, T, H]."""
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
        """[K, H] and embeddings [V, H] to [K, V]."""
        return self.norm(self.activation(self.dense(vectors))) @ embeddings.T + self.bias


def pretrained_text_encoder(
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
            whole, loading = AutoModelForMaskedLM.from_pretrained(
                source, config=config, output_loading_info=True
            )
    except EncoderNotFound:
        raise
    except Exception as error:
        # A missing, broken or unfit encoder ends in nearly any kind of error.
        raise EncoderNotFound(name, error) from error
    body = whole.base_model
    if not isinstance(getattr(getattr(body, "encoder", None), "layer", None), nn.ModuleList):
        raise EncoderNotFound(name, "it has no stack of layers like BERT's (encoder.layer)")
    if body.get_input_embeddings().embedding_dim != config.hidden_size:
        raise EncoderNotFound(name, "its word embeddings are of another size than its layers")
    further = body.encoder.layer[text_layers:]
    body.encoder.layer = body.encoder.layer[:text_layers]
    config.num_hidden_layers = text_layers
    encoder = TextEncoder(config, body)
    _copy_masked_word_head(whole, encoder.masked_words, set(loading["missing_keys"]))
    return encoder, further


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No warnings of transformers: that layers and heads are left out is what was asked for."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def text_encoder_from_config(values: Mapping[str, object]) -> TextEncoder:
    """An encoder of the shape that a checkpoint's `encoder_config` tells, with random weights."""
    values = dict(values)
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    # In single precision, whatever the encoder's own files are in: so are the weights trained.
    config.torch_dtype = torch.float32
    return TextEncoder(config, AutoModel.from_config(config))


def _copy_masked_word_head(source: nn.Module, head: MaskedWordHead, missing: set[str]) -> None:
    """Start the head from the encoder's own, where its checkpoint brings one in BERT's form."""
    predictions = getattr(getattr(source, "cls", None), "predictions", None)
    if predictions is None or any(key.startswith("cls.predictions.transform") for key in missing):
        return
    head.dense.load_state_dict(predictions.transform.dense.state_dict())
    head.norm.load_state_dict(predictions.transform.LayerNorm.state_dict())
    with torch.no_grad():
        head.bias.copy_(predictions.bias)
