"""Boxes: overlap, units, and deltas that decode to what they were encoded from."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.boxes import (
    LARGEST_SIZE_DELTA,
    decode_deltas,
    enclosing_box,
    encode_deltas,
    pairwise_iou,
    to_pixels,
    to_relative,
)


def random_boxes(*shape: int, seed: int = 0) -> torch.Tensor:
    """Proper boxes inside the image, [*shape, 4]."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(*shape, 2, 2, generator=generator)
    return torch.cat((corners.amin(-2), corners.amax(-2)), dim=-1)


def test_overlap_is_the_shared_part_of_the_union() -> None:
    boxes_xyxy = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 0.5], [0.5, 0.5, 1, 1], [0, 0.5, 0.5, 1.0]])
    expected = torch.tensor([
        [1, 0.5, 0.25, 0.25],
        [0.5, 1, 0, 0],
        [0.25, 0, 1, 0],
        [0.25, 0, 0, 1],
    ])  # fmt: skip
    assert torch.equal(pairwise_iou(boxes_xyxy, boxes_xyxy), expected)


def test_boxes_without_area_overlap_nothing() -> None:
    point_xyxy = torch.tensor([[0.5, 0.5, 0.5, 0.5]])
    assert pairwise_iou(point_xyxy, point_xyxy).item() == 0
    assert pairwise_iou(point_xyxy, torch.tensor([[0.0, 0.0, 1.0, 1.0]])).item() == 0


def test_a_batch_overlaps_as_its_items_alone() -> None:
    first_xyxy, second_xyxy = random_boxes(3, 2, 5), random_boxes(3, 2, 7, seed=1)
    batched = pairwise_iou(first_xyxy, second_xyxy)
    assert batched.shape == (3, 2, 5, 7)
    for i in range(3):
        for j in range(2):
            assert torch.equal(batched[i, j], pairwise_iou(first_xyxy[i, j], second_xyxy[i, j]))


def test_overlap_with_no_boxes_is_empty() -> None:
    assert pairwise_iou(torch.zeros(0, 4), random_boxes(3)).shape == (0, 3)


def test_overlap_does_not_depend_on_the_unit() -> None:
    first_xyxy, second_xyxy = random_boxes(6), random_boxes(6, seed=1)
    in_pixels = pairwise_iou(to_pixels(first_xyxy, 640, 480), to_pixels(second_xyxy, 640, 480))
    torch.testing.assert_close(in_pixels, pairwise_iou(first_xyxy, second_xyxy))


def test_pixels_and_relative_units_are_inverse() -> None:
    pixels_xyxy = torch.tensor([[64.0, 48.0, 320.0, 480.0]])
    relative_xyxy = to_relative(pixels_xyxy, 640, 480)
    torch.testing.assert_close(relative_xyxy, torch.tensor([[0.1, 0.1, 0.5, 1.0]]))
    torch.testing.assert_close(to_pixels(relative_xyxy, 640, 480), pixels_xyxy)


@pytest.mark.parametrize("size", [(0, 480), (640, -1), (math.nan, 480)])
def test_an_image_without_size_is_refused(size: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="picture of"):
        to_relative(torch.zeros(1, 4), *size)


def test_the_enclosing_box_is_the_smallest_around_all() -> None:
    boxes_xyxy = random_boxes(4, 5)
    enclosing_xyxy = enclosing_box(boxes_xyxy)
    assert torch.equal(enclosing_xyxy[:, :2], boxes_xyxy[..., :2].min(dim=1).values)
    assert torch.equal(enclosing_xyxy[:, 2:], boxes_xyxy[..., 2:].max(dim=1).values)
    assert torch.equal(enclosing_box(boxes_xyxy[0, :1]), boxes_xyxy[0, 0])
    with pytest.raises(ValueError, match="empty set"):
        enclosing_box(torch.zeros(0, 4))


def test_deltas_decode_to_what_they_encode() -> None:
    reference_xyxy, target_xyxy = random_boxes(2, 50), random_boxes(2, 50, seed=1)
    growth = encode_deltas(reference_xyxy, target_xyxy)[..., 2:] / 5
    usual = (growth < LARGEST_SIZE_DELTA).all(dim=-1)
    assert usual.float().mean() > 0.9
    decoded_xyxy = decode_deltas(encode_deltas(reference_xyxy, target_xyxy), reference_xyxy)
    torch.testing.assert_close(decoded_xyxy[usual], target_xyxy[usual], atol=1e-5, rtol=0)


def test_deltas_are_weighted_shifts_and_growths() -> None:
    reference_xyxy = torch.tensor([0.2, 0.2, 0.4, 0.6])
    target_xyxy = torch.tensor([0.3, 0.2, 0.7, 0.4])
    shift_and_growth = torch.tensor([0.2 / 0.2, -0.1 / 0.4, math.log(2), math.log(0.5)])
    expected = shift_and_growth * torch.tensor([10.0, 10.0, 5.0, 5.0])
    torch.testing.assert_close(encode_deltas(reference_xyxy, target_xyxy), expected)


def test_no_deltas_leave_the_box() -> None:
    boxes_xyxy = random_boxes(20)
    assert encode_deltas(boxes_xyxy, boxes_xyxy).abs().max() == 0
    torch.testing.assert_close(decode_deltas(torch.zeros(20, 4), boxes_xyxy), boxes_xyxy)


def test_growth_is_limited() -> None:
    small_xyxy = torch.tensor([0.5, 0.5, 0.501, 0.501])
    grown_xyxy = decode_deltas(torch.tensor([0.0, 0.0, 1000.0, 1000.0]), small_xyxy)
    half = 0.001 * 1000 / 16 / 2
    expected = torch.tensor([0.5005 - half, 0.5005 - half, 0.5005 + half, 0.5005 + half])
    torch.testing.assert_close(grown_xyxy, expected, atol=1e-5, rtol=0)


extreme = st.sampled_from([math.nan, math.inf, -math.inf, 1e38, -1e38, 0.0]) | st.floats(-50, 50)


@settings(max_examples=100, deadline=None)
@given(st.lists(extreme, min_size=4, max_size=4), st.integers(0, 5))
def test_a_decoded_box_is_always_finite_and_in_the_image(deltas: list[float], seed: int) -> None:
    references_xyxy = torch.cat((
        random_boxes(2, seed=seed),
        torch.tensor([[0, 0, 0, 0], [0.3, 0.3, 0.3, 0.9], [0, 0, 1, 1.0], [1, 1, 1, 1]]),
    ))  # fmt: skip
    decoded_xyxy = decode_deltas(torch.tensor(deltas).expand(6, 4), references_xyxy)
    assert decoded_xyxy.isfinite().all()
    assert (decoded_xyxy >= 0).all() and (decoded_xyxy <= 1).all()
    assert (decoded_xyxy[:, :2] <= decoded_xyxy[:, 2:]).all()


def test_deltas_of_boxes_without_sides_are_finite() -> None:
    point_xyxy, box_xyxy = torch.tensor([0.5, 0.5, 0.5, 0.5]), torch.tensor([0.0, 0.0, 1.0, 1.0])
    for first, second in ((point_xyxy, box_xyxy), (box_xyxy, point_xyxy), (point_xyxy, point_xyxy)):
        assert encode_deltas(first, second).isfinite().all()


def test_deltas_have_finite_gradients() -> None:
    references_xyxy = random_boxes(8).requires_grad_()
    encode_deltas(references_xyxy, random_boxes(8, seed=1)).sum().backward()
    assert references_xyxy.grad is not None and references_xyxy.grad.isfinite().all()
