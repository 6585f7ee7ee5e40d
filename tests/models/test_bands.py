"""Bands: the pairs of each mention with those before it, as far back as a reach."""

from __future__ import annotations

import pytest
import torch

from models.bands import all_pairs, band_of, preceding, products


@pytest.mark.parametrize(("mentions", "reach"), [(0, 0), (1, 0), (5, 0), (5, 2), (5, 4), (5, 7)])
def test_a_band_holds_each_pair_with_a_mention_before_within_the_reach(
    mentions: int, reach: int
) -> None:
    pairs = torch.arange(1, 1 + 2 * mentions**2).reshape(2, mentions, mentions)
    band = band_of(pairs, reach)
    assert band.shape == (2, mentions, reach)
    for m in range(mentions):
        for column, n in enumerate(range(m - reach, m)):
            assert band[:, m, column].tolist() == (pairs[:, m, n].tolist() if n >= 0 else [0, 0])
    near = torch.ones(mentions, mentions).tril(diagonal=-1).triu(diagonal=-reach).long()
    assert torch.equal(all_pairs(band), pairs * near)


@pytest.mark.parametrize(("mentions", "reach"), [(1, 0), (6, 0), (6, 2), (6, 5)])
def test_what_precedes_a_mention_stands_beside_it(mentions: int, reach: int) -> None:
    values = torch.arange(1, 1 + 2 * mentions * 3).reshape(2, mentions, 3)
    before = preceding(values, reach)
    assert before.shape == (2, mentions, reach, 3)
    for m in range(mentions):
        for column, n in enumerate(range(m - reach, m)):
            expected = values[:, n] if n >= 0 else torch.zeros_like(values[:, 0])
            assert torch.equal(before[:, m, column], expected)


@pytest.mark.parametrize("rows", [1, 3, 4, 100])
@pytest.mark.parametrize("reach", [0, 1, 5, 10])
def test_products_are_those_of_all_vectors(rows: int, reach: int) -> None:
    vectors = torch.randn(2, 11, 4, generator=torch.Generator().manual_seed(0))
    expected = band_of(vectors @ vectors.transpose(1, 2), reach)
    torch.testing.assert_close(products(vectors, reach, rows), expected)
    assert products(vectors[:, :0], 0, rows).shape == (2, 0, 0)
