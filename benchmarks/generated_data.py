"""Generated data in the shapes of the published ones, and the published model with random weights.

A narration has about 80 word-pieces and 17 mentions, its image 100 regions of which about 45 have
a label of their own. What the words and features are decides nothing that is measured.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from data.encoding.example import ExampleEncoder, Masking
from data.encoding.tokenizer import load_tokenizer
from data.loading.collate import Collate
from data.loading.dataset import NarrationDataset
from data.narration import Mention, Narration, Regions
from data.regions.store import GivenRegions
from models.coreference_model import CoreferenceModel
from models.factory import build_from_config
from utils.batch import Batch
from utils.config import Config, make_config, read_config_file
from utils.pretrained import PACKAGED_ENCODER

CONFIG_FILE = Path(__file__).resolve().parent.parent / "configs" / "mcr_config.json"
REGIONS, FEATURE_SIZE, MENTIONS, CHAINS = 100, 2048, 17, 9
_SHORTEST, _LONGEST = 58, 98  # words of one word-piece each; two special word-pieces come on top
# So many labels there are, the n-th with a weight of 1 / n^1.1: some 45 of 100 differ.
_LABELS = 200
# What the released code pads to: word-pieces of a caption and of a label, and mentions.
RELEASED_TOKENS, RELEASED_LABEL_TOKENS, RELEASED_MENTIONS = 512, 16, 128

# BERT's base size, whose layers the published configuration reads.
BERT_BASE: dict[str, Any] = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
}


class GeneratedData:
    """Narrations with the regions of their images, in memory.

    Args:
        count: of narrations.
        seed: the same gives the same.

    Attributes:
        narrations: with chains and one box for each mention.
        regions: of every image, by its id.
        store: the same as a region store gives them.
        tokenizer: of BERT's uncased vocabulary.
    """

    def __init__(self, count: int, seed: int = 0) -> None:
        self.tokenizer = load_tokenizer(PACKAGED_ENCODER)
        self._random = np.random.default_rng(seed)
        vocabulary = self.tokenizer.backend.get_vocab()
        self._words = sorted(word for word in vocabulary if word.isascii() and word.isalpha())
        self._labels = [self._word() for _ in range(_LABELS)]
        self.regions = {str(number): self._make_regions() for number in range(count)}
        self.store = GivenRegions(self.regions)
        self.narrations = [self._narrate(image_id) for image_id in self.regions]

    def batch(self, places: Sequence[int], masking: Masking | None) -> Batch:
        """Make a batch of some of the narrations, as a loader does."""
        encoder = ExampleEncoder(self.tokenizer, RELEASED_MENTIONS, masking=masking)
        dataset = NarrationDataset(self.narrations, self.store, encoder)
        return Collate(self.tokenizer)([dataset[0, place] for place in places])

    def _word(self) -> str:
        return self._words[self._random.integers(len(self._words))]

    def _make_regions(self) -> Regions:
        weights = np.arange(1, _LABELS + 1) ** -1.1
        labels = self._random.choice(_LABELS, REGIONS, p=weights / weights.sum())
        corners = np.sort(self._random.random((REGIONS, 2, 2)), axis=1)
        return Regions(
            boxes_xyxy=corners.reshape(REGIONS, 4).astype(np.float32),
            labels=tuple(self._labels[label] for label in labels),
            attributes=(),
            features=self._random.random((REGIONS, FEATURE_SIZE), dtype=np.float32),
        )

    def _narrate(self, image_id: str) -> Narration:
        words = [self._word() for _ in range(self._random.integers(_SHORTEST, _LONGEST + 1))]
        ends = np.cumsum([len(word) + 1 for word in words]) - 1
        boxes = self.regions[image_id].boxes_xyxy.tolist()
        mentions = []
        for first in sorted(self._random.choice(len(words) - 2, MENTIONS, replace=False)):
            last = first + self._random.integers(3)
            start, end = int(ends[first] - len(words[first])), int(ends[last])
            mentions.append(
                Mention(
                    start,
                    end,
                    phrase=" ".join(words[first : last + 1]),
                    chain=str(self._random.integers(CHAINS)),
                    boxes_xyxy=(tuple(boxes[self._random.integers(REGIONS)]),),
                )
            )
        return Narration(image_id, " ".join(words), tuple(mentions), image_id=image_id)


def published_config(**changed: Any) -> Config:
    """Return the published configuration with everything that its command line asks for."""
    values, _ = read_config_file(CONFIG_FILE)
    asked_for = {
        "use_labelled": True,
        "grounding": True,
        "box_regression": True,
        "use_pseudo_labels": True,
        "use_ema": True,
    }
    return make_config(values, {**asked_for, **changed})


def published_model(config: Config) -> CoreferenceModel:
    """Make the published model with random weights."""
    torch.manual_seed(0)
    return build_from_config(config, {**BERT_BASE, "num_hidden_layers": config.text_layers})


def as_released(batch: Batch) -> Batch:
    """Pad a batch as the released code does.

    Captions have 512 word-pieces, narrations 128 mentions, and every region brings a label of its
    own of 16 word-pieces.
    """
    rows, regions = batch.region_labels.shape
    labels = batch.region_labels.flatten()
    extra = RELEASED_MENTIONS - batch.mention_mask.shape[1]

    def wider(tensor: Tensor, size: int) -> Tensor:
        return F.pad(tensor, (0, size - tensor.shape[1]))

    def more(tensor: Tensor, value: float = 0) -> Tensor:
        """Add mentions to [B, M, ...]."""
        return F.pad(tensor, (0, 0) * (tensor.dim() - 2) + (0, extra), value=value)

    masked_words = batch.masked_words
    if masked_words is not None:
        length, positions = batch.token_ids.shape[1], masked_words.positions
        masked_words = dataclasses.replace(
            masked_words,
            token_ids=wider(masked_words.token_ids, RELEASED_TOKENS),
            positions=positions // length * RELEASED_TOKENS + positions % length,
        )
    return dataclasses.replace(
        batch,
        token_lengths=(RELEASED_TOKENS,) * rows,
        label_lengths=(RELEASED_LABEL_TOKENS,) * (rows * regions),
        token_ids=wider(batch.token_ids, RELEASED_TOKENS),
        token_mask=wider(batch.token_mask, RELEASED_TOKENS),
        masked_words=masked_words,
        mention_spans=more(batch.mention_spans),
        mention_mask=more(batch.mention_mask),
        chains=more(batch.chains, -1),
        gold_boxes_xyxy=more(batch.gold_boxes_xyxy),
        gold_box_mask=more(batch.gold_box_mask),
        trace_boxes_xyxy=more(batch.trace_boxes_xyxy),
        trace_mask=more(batch.trace_mask),
        region_labels=torch.arange(rows * regions).view(rows, regions),
        label_token_ids=wider(batch.label_token_ids[labels], RELEASED_LABEL_TOKENS),
        label_token_mask=wider(batch.label_token_mask[labels], RELEASED_LABEL_TOKENS),
        label_word_mask=wider(batch.label_word_mask[labels], RELEASED_LABEL_TOKENS),
    )
