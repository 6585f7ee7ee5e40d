"""The head that puts mentions and regions into one space, in which like meets like."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Alignment:
    """The vectors of mentions and regions in one space."""

    mentions: Tensor  # [B, M, A]
    regions: Tensor  # [B, R, A]


class AlignmentHead(nn.Module):
    """Mentions before the fusion and features of regions as vectors whose cosine says how well they
    fit.

    A mention's projection is affine: that of the mean of some mentions is the mean of theirs. A
    region is projected from its feature alone, so that neither depends on what else is in the
    image.

    Args:
        hidden_size: H, of the mentions.
        feature_size: of the regions' features.
    """

    SIZE = 128
    INNER_SIZE = 256

    def __init__(self, hidden_size: int, feature_size: int) -> None:
        super().__init__()
        self.mention = nn.Linear(hidden_size, self.SIZE)
        self.region = nn.Sequential(
            nn.LayerNorm(feature_size),
            nn.Linear(feature_size, self.INNER_SIZE),
            nn.GELU(),
            nn.Linear(self.INNER_SIZE, self.SIZE),
        )

    def forward(self, mentions: Tensor, features: Tensor) -> Alignment:
        """Project both; A is SIZE.

        Args:
            mentions: [B, M, H].
            features: [B, R, feature size]; of any size where R is 0.
        """
        regions = features.new_zeros(*features.shape[:2], self.SIZE)
        if features.shape[1]:
            regions = self.region(features)
        return Alignment(self.mention(mentions), regions)


def chain_means(mentions: Tensor, chains: Tensor) -> Tensor:
    """Average the vectors of each mention's chain.

    Args:
        mentions: [B, M, size].
        chains: [B, M] int64; negative numbers are chains of their own.

    Returns:
        [B, M, size], the same for all mentions of a chain.
    """
    same = chains[:, :, None] == chains[:, None]
    alone = chains.new_ones(chains.shape[1]).diag().bool()
    together = (same & (chains[:, :, None] >= 0) | alone).to(mentions.dtype)
    return F.normalize(together, p=1, dim=-1) @ mentions
