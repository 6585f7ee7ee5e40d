"""Hold out narrations, and keep a share of the labels, by a hash of their ids."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from data.narration import Narration


def hold_out(
    narrations: Sequence[Narration], fraction: float
) -> tuple[list[Narration], list[Narration]]:
    """Split off narrations that are never trained on, by a hash of their id.

    The same id falls on the same side in every run and for every seed.

    Args:
        fraction: the share to hold out, from 0 to 1.

    Returns:
        The narrations to train on, and those held out, each in the given order.
    """
    kept: list[Narration] = []
    held: list[Narration] = []
    for narration in narrations:
        (held if _share_of_id(narration.id) < fraction else kept).append(narration)
    return kept, held


def keep_labels(narrations: Sequence[Narration], fraction: float) -> list[Narration]:
    """Keep the share of labelled narrations whose labels are read, by a hash of their id.

    A smaller share is part of a larger one. The hash is another than that of `hold_out`, so that
    both shares are taken independently.

    Args:
        fraction: above 0, up to 1; rounded to a whole number of narrations, at least one.

    Returns:
        That many narrations, in the given order.
    """
    count = max(1, round(fraction * len(narrations)))
    ids = sorted((n.id for n in narrations), key=lambda i: _share_of_id(f"labels of {i}"))
    kept = set(ids[:count])
    return [narration for narration in narrations if narration.id in kept]


def _share_of_id(narration_id: str) -> float:
    """Return a number from 0 to 1 that the id alone decides."""
    digest = hashlib.sha256(narration_id.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
