"""The head that refines a region's box for a mention."""

from __future__ import annotations

from torch import Tensor, nn


class BoxHead(nn.Module):
    """Box deltas of a mention, an MLP of sizes H, 256, 4 on its fused vector."""

    INNER_SIZE = 256

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(hidden_size, self.INNER_SIZE), nn.ReLU(), nn.Linear(self.INNER_SIZE, 4)
        )

    def forward(self, fused_mentions: Tensor) -> Tensor:
        """Predict R-CNN deltas [B, M, 4] from [B, M, H], weighted as `utils.boxes` weighs them."""
        return self.layers(fused_mentions)
