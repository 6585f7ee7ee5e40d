"""Build a model of a configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping

from models.alignment_head import AlignmentHead
from models.antecedent_head import AntecedentHead
from models.box_head import BoxHead
from models.coreference_model import CoreferenceModel, Heads
from models.fusion import Fusion
from models.mention_head import MentionDetector
from models.region_encoder import RegionEncoder
from models.text_encoder import (
    TextEncoder,
    WordVectorLayer,
    text_encoder_from_config,
    text_encoder_from_pretrained,
)
from utils.config import Config


def build_from_pretrained(config: Config) -> tuple[CoreferenceModel, int]:
    """Build a model to train, of the pretrained text encoder that the configuration names.

    Returns:
        The model, and how many fusion layers start from the encoder; the others are random.

    Raises:
        EncoderNotFound: the text encoder cannot be had.
    """
    text_encoder, further = text_encoder_from_pretrained(
        config.text_encoder,
        config.text_layers,
        config.fusion_layers,
        config.dropout,
        config.attention_dropout,
    )
    model = _build_model(text_encoder, config)
    return model, model.fusion.start_from(further)


def build_from_config(config: Config, encoder_config: Mapping[str, object]) -> CoreferenceModel:
    """Build a model with random weights; nothing is looked up by name.

    Args:
        encoder_config: of the text encoder, as `encoder_config_of` gives it.
    """
    return _build_model(text_encoder_from_config(encoder_config), config)


def encoder_config_of(model: CoreferenceModel) -> dict[str, object]:
    """Return what `build_from_config` needs of the text encoder, as plain values."""
    config = model.text_encoder.config
    return {**json.loads(config.to_json_string(use_diff=False)), "model_type": config.model_type}


def _build_model(text_encoder: TextEncoder, config: Config) -> CoreferenceModel:
    """Build what is around a text encoder.

    The optional parts come last, so that those before them draw the same random numbers without.
    """
    hidden_size, encoder = text_encoder.hidden_size, text_encoder.config
    region_encoder = RegionEncoder(
        hidden_size,
        config.region_feature_size,
        config.region_layers,
        config.region_heads,
        config.region_feedforward_size,
        config.dropout,
        config.attention_dropout,
    )
    fusion = Fusion(
        hidden_size,
        config.fusion_layers,
        encoder.num_attention_heads,
        config.cross_attention_heads or encoder.num_attention_heads,
        encoder.intermediate_size,
        config.dropout,
        config.attention_dropout,
    )
    box = BoxHead(hidden_size)
    antecedent = word_vector_layer = mention = alignment = None
    if config.coreference_head == "antecedent":
        antecedent = AntecedentHead(hidden_size, config.dropout)
    if config.word_vector_size:
        word_vector_layer = WordVectorLayer(hidden_size, config.word_vector_size)
    if config.mention_detection:
        mention = MentionDetector(hidden_size, config.max_mention_pieces, config.dropout)
    if config.alignment != "off":
        alignment = AlignmentHead(hidden_size, config.region_feature_size)
    heads = Heads(box, antecedent, mention, alignment)
    return CoreferenceModel(
        text_encoder,
        region_encoder,
        fusion,
        heads,
        word_vector_layer,
        mention_reach=config.mention_reach,
    )
