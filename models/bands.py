"""Pairs of each mention with those before it, as far back as a reach: a band beside the diagonal.

Column j of a band of K columns holds mention m's pair with mention m - K + j, so that the farthest
comes first and the nearest last. Where that is below 0 there is no such pair.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def preceding(values: Tensor, reach: int) -> Tensor:
    """Put beside each mention what stands for those before it.

    Args:
        values: [B, M, ...].
        reach: K.

    Returns:
        [B, M, K, ...], a view; zeros where there is no mention.
    """
    mentions = values.shape[1]
    if not reach:
        return values[:, :, None][:, :, :0]
    padded = F.pad(values, (0, 0) * (values.ndim - 2) + (reach, 0))
    return padded.unfold(1, reach, 1)[:, :mentions].movedim(-1, 2)


def band_of(pairs: Tensor, reach: int) -> Tensor:
    """Take the pairs of each mention with those before it out of all pairs.

    Args:
        pairs: [..., M, M].
        reach: K.

    Returns:
        [..., M, K]; zeros where there is no mention.
    """
    return _diagonals(F.pad(pairs, (reach, 0)), reach)


def all_pairs(band: Tensor) -> Tensor:
    """Put a band, [..., M, K], into the pairs of all mentions, [..., M, M]; the others are 0."""
    mentions, reach = band.shape[-2:]
    pairs = band.new_zeros(*band.shape[:-1], reach + mentions)
    places = _places(mentions, reach, band.device).expand(band.shape)
    return pairs.scatter(-1, places, band)[..., reach:]


def products(vectors: Tensor, reach: int, rows: int = 256) -> Tensor:
    """Multiply the vector of each mention with those of the mentions before it.

    Args:
        vectors: [B, M, H].
        reach: K.
        rows: how many mentions are multiplied together, each with the mentions before any of them.

    Returns:
        [B, M, K]; zeros where there is no mention.
    """
    blocks = [vectors.new_zeros(len(vectors), 0, reach)]
    for start in range(0, vectors.shape[1], rows):
        before = min(start, reach)
        window = vectors[:, start - before : start + rows]
        block = vectors[:, start : start + rows] @ window.transpose(1, 2)
        blocks.append(_diagonals(F.pad(block, (reach - before, 0)), reach))
    return torch.cat(blocks, dim=1)


def _diagonals(block: Tensor, reach: int) -> Tensor:
    """Take the diagonals of a block, [..., R, K + R], that begin in its first row: [..., R, K]."""
    places = _places(block.shape[-2], reach, block.device)
    return block.gather(-1, places.expand(*block.shape[:-1], -1))


def _places(rows: int, reach: int, device: torch.device) -> Tensor:
    """Tell in which column of a block each column of a band is: [rows, reach] int64."""
    return torch.arange(rows, device=device)[:, None] + torch.arange(reach, device=device)
