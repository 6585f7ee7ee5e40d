"""What travels from the loaders to the model: one padded batch of narrations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Group = TypeVar("Group", bound=DataclassInstance)

# What is known of a mention beside its vector: in which sentence it is, who speaks, what words and
# what head it has (equal numbers are equal words), and what kind of pronoun it is.
MENTION_FEATURES = ("sentence", "speaker", "words", "head", "pronoun")
UNKNOWN_SPEAKER = -1


@dataclass(frozen=True)
class MaskedWords:
    """The texts of a batch again, with some word-pieces masked."""

    token_ids: Tensor  # [B, T] int64
    positions: Tensor  # [K] int64, into the flattened [B, T]
    targets: Tensor  # [K] int64, the word-pieces that stood there


@dataclass(frozen=True)
class SpanCandidates:
    """Where mentions may begin and end in the texts of a batch, and where the gold ones do."""

    # The character at which a mention begins that begins with a word-piece, and the one after a
    # mention that ends with it; -1 where none may.
    starts: Tensor  # [B, T] int64
    ends: Tensor  # [B, T] int64
    gold: Tensor  # [gold mentions, 3] int64: narration, first word-piece, last word-piece


@dataclass(frozen=True)
class Batch:
    """Narrations side by side, padded to the longest of the batch.

    B narrations, T word-pieces, M mentions, R regions, G gold boxes of a mention, L distinct region
    labels of l word-pieces, K masked word-pieces, D numbers of a word vector. Boxes are relative to
    the image. A mask is True where something real stands. Every size but B may be 0.
    """

    narration_ids: tuple[str, ...]
    # For each narration the indices of its mentions that are in the batch: all, but for those
    # without a word-piece and those that the cap leaves out.
    mention_indices: tuple[tuple[int, ...], ...]

    # How many word-pieces each narration has, and each label, known without asking the device.
    token_lengths: tuple[int, ...]
    label_lengths: tuple[int, ...]

    token_ids: Tensor  # [B, T] int64
    token_mask: Tensor  # [B, T] bool
    mention_spans: Tensor  # [B, M, 2] int64, word-pieces from start to end, end exclusive
    mention_mask: Tensor  # [B, M] bool

    region_features: Tensor  # [B, R, feature size] float32
    region_boxes_xyxy: Tensor  # [B, R, 4] float32
    region_labels: Tensor  # [B, R] int64, rows of label_token_ids
    region_mask: Tensor  # [B, R] bool
    label_token_ids: Tensor  # [L, l] int64
    label_token_mask: Tensor  # [L, l] bool
    label_word_mask: Tensor  # [L, l] bool, without the special word-pieces

    chains: Tensor  # [B, M] int64, equal numbers are one chain; -1 where unknown
    gold_boxes_xyxy: Tensor  # [B, M, G, 4] float32
    gold_box_mask: Tensor  # [B, M, G] bool

    # The region that shows what a mention means: -1 where none does, -2 where it is not known. And
    # who each region shows: equal numbers are one person, 0 is somebody unknown.
    mention_regions: Tensor  # [B, M] int64
    region_people: Tensor  # [B, R] int64

    # Where the narrator's mouse was during a mention; False in the mask where no trace is read.
    trace_boxes_xyxy: Tensor  # [B, M, 4] float32
    trace_mask: Tensor  # [B, M] bool

    # As MENTION_FEATURES names them, None where the model compares vectors alone.
    mention_features: Tensor | None = None  # [B, M, features] int64

    # Of the word that each word-piece is part of, None where the model reads no word vectors.
    word_vectors: Tensor | None = None  # [B, T, D] float32

    # None where no masking is asked for.
    masked_words: MaskedWords | None = None

    # None where no mentions are to be found.
    candidates: SpanCandidates | None = None

    def __len__(self) -> int:
        return len(self.narration_ids)

    def to(self, device: torch.device) -> Batch:
        """Return the same batch on a device."""
        return map_tensors(self, lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """Return the same batch in page-locked memory; called by PyTorch's loaders."""
        return map_tensors(self, Tensor.pin_memory)


def map_tensors(group: Group, function: Callable[[Tensor], Tensor]) -> Group:
    """Apply a function to every tensor of a dataclass, and of the dataclasses that it holds."""
    mapped: dict[str, Any] = {}
    for field in dataclasses.fields(group):
        value = getattr(group, field.name)
        if isinstance(value, Tensor):
            mapped[field.name] = function(value)
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            mapped[field.name] = map_tensors(value, function)
    return dataclasses.replace(group, **mapped)
