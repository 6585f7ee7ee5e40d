"""The region encoder: what each region of an image looks like, is called, and where it is."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.attention import Attention, FeedForward, Residual


class RegionEncoder(nn.Module):
    """Encodes regions as vectors of the words' size.

    The vector of a region is the LayerNorm of the sum of three projections, each with a LayerNorm
    of its own: of its detector feature, of the encoding of its label, and of its place; then
    Transformer layers let the regions of an image see each other.
    """

    def __init__(
        self,
        hidden_size: int,
        feature_size: int,
        layers: int,
        heads: int,
        feedforward_size: int,
        dropout: float,
        attention_dropout: float,
    ) -> None:
        super().__init__()
        self.feature = nn.Sequential(
            nn.Linear(feature_size, hidden_size), nn.LayerNorm(hidden_size)
        )
        self.label = nn.Sequential(nn.Linear(hidden_size, hidden_size), nn.LayerNorm(hidden_size))
        self.place = nn.Sequential(
            nn.Linear(5, hidden_size),
            nn.GELU(),
            nn.Linear(hidden_size, hidden_size),
            nn.LayerNorm(hidden_size),
        )
        self.norm = nn.LayerNorm(hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            RegionLayer(hidden_size, heads, feedforward_size, dropout, attention_dropout)
            for _ in range(layers)
        )

    def forward(
        self,
        features: Tensor,
        labels: Tensor,
        region_labels: Tensor,
        boxes_xyxy: Tensor,
        region_mask: Tensor,
    ) -> Tensor:
        """Encode the regions of a batch of images.

        Args:
            features: [B, R, feature size].
            labels: [L, H], the text encoder's mean over each distinct label.
            region_labels: [B, R] int64, rows of `labels`.
            boxes_xyxy: [B, R, 4], relative.
            region_mask: [B, R] bool.

        Returns:
            [B, R, H].
        """
        width, height = (boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]).unbind(-1)
        place = torch.cat([boxes_xyxy, (width * height)[..., None]], dim=-1)
        label = F.embedding(region_labels, self.label(labels))
        vectors = self.feature(features) + label + self.place(place)
        vectors = self.dropout(self.norm(vectors))
        for layer in self.layers:
            vectors = layer(vectors, region_mask)
        return vectors


class RegionLayer(nn.Module):
    """One Transformer layer over the regions of an image."""

    def __init__(
        self,
        hidden_size: int,
        heads: int,
        feedforward_size: int,
        dropout: float,
        attention_dropout: float,
    ) -> None:
        super().__init__()
        self.attention = Attention(hidden_size, heads, attention_dropout)
        self.after_attention = Residual(hidden_size, dropout)
        self.feedforward = FeedForward(hidden_size, feedforward_size)
        self.after_feedforward = Residual(hidden_size, dropout)

    def forward(self, vectors: Tensor, region_mask: Tensor) -> Tensor:
        """Let regions see each other: [B, R, H] with a mask [B, R] to [B, R, H]."""
        vectors = self.after_attention(vectors, self.attention(vectors, vectors, region_mask))
        return self.after_feedforward(vectors, self.feedforward(vectors))
