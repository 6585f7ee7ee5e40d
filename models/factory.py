"""Builders: a configuration into a model."""

from __future__ import annotations

import json
from collections.abc import Mapping

from models.alignment_head import AlignmentHead
from models.antecedent_head import AntecedentHead
from models.box_head import BoxHead
from models.coreference_model import CoreferenceModel
from models.fusion import Fusion
from models.mention_head import MentionDetector
from models.region_encoder import RegionEncoder
from models.text_encoder import (
    TextEncoder,
    WordVectorLayer,
    pretrained_text_encoder,
    text_encoder_from_config,
)
from utils.config import Config


def build_pretrained(config: Config) -> tuple[CoreferenceModel, int]:
    """A model to train: its text encoder and the start of its fusion come from `text_encoder`.

    Returns:
        The model, and how many fusion layers start from the encoder; the others are random.

    Raises:
        EncoderNotFound: the text encoder cannot be had.
    """
    text_encoder, further = pretrained_text_encoder(
        config.text_encoder,
        config.text_layers,
        config.fusion_layers,
        config.dropout,
        config.attention_dropout,
    )
    model = _around(text_encoder, config)
    return model, model.fusion.start_from(further)


def build_from_checkpoint(config: Config, encoder_config: Mapping[str, object]) -> CoreferenceModel:
    """A model of a checkpoint's shape, with random weights; nothing is looked up by name."""
    return _around(text_encoder_from_config(encoder_config), config)


def encoder_config_of(model: CoreferenceModel) -> dict[str, object]:
    """What `build_from_checkpoint` needs of the text encoder, as plain values."""
    config = model.text_encoder.config
    return {**json.loads(config.to_json_string(use_diff=False)), "model_type": config.model_type}


def _around(text_encoder: TextEncoder, config: Config) -> CoreferenceModel:
    hidden_size = text_encoder.hidden_size
    encoder = text_encoder.config
    return CoreferenceModel(
        text_encoder=text_encoder,
        region_encoder=RegionEncoder(
            hidden_size,
            config.region_feature_size,
            config.region_layers,
            config.region_heads,
            config.region_feedforward_size,
            config.dropout,
            config.attention_dropout,
        ),
        fusion=Fusion(
            hidden_size,
            config.fusion_layers,
            encoder.num_attention_heads,
            config.cross_attention_heads or encoder.num_attention_heads,
            encoder.intermediate_size,
            config.dropout,
            config.attention_dropout,
        ),
        box_head=BoxHead(hidden_size),
        antecedent_head=(
            AntecedentHead(hidden_size, config.dropout)
            if config.coreference_head == "antecedent"
            else None
        ),
        # Last, so that everything before them draws the same random numbers as without.
        word_vector_layer=(
            WordVectorLayer(hidden_size, config.word_vector_size)
            if config.word_vector_size
            else None
        ),
        mention_detector=(
            MentionDetector(hidden_size, config.max_mention_pieces, config.dropout)
            if config.mention_detection
            else None
        ),
        alignment_head=(
            AlignmentHead(hidden_size, config.region_feature_size)
            if config.alignment != "off"
            else None
        ),
    )
