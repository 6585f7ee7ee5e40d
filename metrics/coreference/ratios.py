"""Recall, precision and F1 from sums of counts; a ratio of nothing to nothing is 0."""

from __future__ import annotations

import numpy as np


def _divide(numerators: np.ndarray, denominators: np.ndarray) -> np.ndarray:
    """Divide; the quotient is 0 where the denominator is."""
    return numerators / np.where(denominators == 0, 1, denominators)


def ratios_of(fractions: np.ndarray) -> np.ndarray:
    """Turn numerator and denominator of recall, of precision [..., 4] into R, P, F1 [..., 3]."""
    recall = _divide(fractions[..., 0], fractions[..., 1])
    precision = _divide(fractions[..., 2], fractions[..., 3])
    f1 = _divide(2 * recall * precision, recall + precision)
    return np.stack((recall, precision, f1), axis=-1)


def is_counted(fractions: np.ndarray) -> np.ndarray:
    """Return for R, P, F1 [..., 3] of `ratios_of` whether gold or system have anything to count."""
    something = np.any(fractions[..., [1, 3]], axis=-1)
    return np.repeat(something[..., None], 3, axis=-1)


def blanc_ratios(links: np.ndarray, has_kind: np.ndarray, without_links: float) -> np.ndarray:
    """Return BLANC of link counts: the mean over the kinds of links that are there.

    Args:
        links: [..., 2, 3], as in `DocumentCounts`.
        has_kind: [..., 2], which kinds count.
        without_links: the score where none does.

    Returns:
        R, P, F1 [..., 3].
    """
    correct, gold, system = links[..., 0], links[..., 1], links[..., 2]
    kinds = ratios_of(np.stack((correct, gold, correct, system), axis=-1))  # [..., 2, 3]
    counted = has_kind[..., None].sum(axis=-2)
    mean = _divide((kinds * has_kind[..., None]).sum(axis=-2), counted)
    return np.where(counted > 0, mean, without_links)
