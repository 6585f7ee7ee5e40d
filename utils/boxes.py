"""Geometry of boxes on tensors: overlap, units, and the deltas that refine one box into another.

Every function works on any leading dimensions. A box is (x1, y1, x2, y2); unless a function says
otherwise its unit is the image: 0 is the left or upper edge, 1 the right or lower one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchvision.ops import box_convert, box_iou, clip_boxes_to_image

# The least overlap of a predicted box with a gold one for it to be right, as in PASCAL VOC
# (Everingham et al. 2010).
SUFFICIENT_IOU = 0.5

# The box coding of R-CNN detectors (Ren et al., "Faster R-CNN", 2015): what the deltas of the
# centre and those of width and height are multiplied by, and the largest growth of a side that is
# decoded.
CENTRE_WEIGHT, SIZE_WEIGHT = 10.0, 5.0
LARGEST_SIZE_DELTA = math.log(1000 / 16)

# The shortest side that deltas are counted in: a box without width or height still has some.
_SHORTEST_SIDE = 1e-6


def pairwise_iou(first_xyxy: Tensor, second_xyxy: Tensor) -> Tensor:
    """Compute the intersection over union of each box of one set with each of another.

    Two boxes without area have no union; their overlap is 0.

    Args:
        first_xyxy: [..., N, 4], any unit.
        second_xyxy: [..., M, 4], in the same unit.

    Returns:
        [..., N, M], from 0 to 1.
    """
    return torch.nan_to_num(box_iou(first_xyxy, second_xyxy), nan=0.0)


def enclosing_box(boxes_xyxy: Tensor) -> Tensor:
    """Return the smallest box around all boxes of a set.

    Args:
        boxes_xyxy: [..., N, 4], N at least 1, any unit.

    Returns:
        [..., 4], in the same unit.

    Raises:
        ValueError: the set is empty.
    """
    if boxes_xyxy.shape[-2] == 0:
        raise ValueError("an empty set of boxes has no enclosing box")
    upper_left = boxes_xyxy[..., :2].amin(dim=-2)
    lower_right = boxes_xyxy[..., 2:].amax(dim=-2)
    return torch.cat((upper_left, lower_right), dim=-1)


def to_relative(boxes_xyxy: Tensor, width: float, height: float) -> Tensor:
    """Convert boxes in pixels of an image to boxes relative to it.

    Args:
        boxes_xyxy: [..., 4], pixels.
        width, height: of the image, pixels.

    Raises:
        ValueError: the image has no width or no height.
    """
    return boxes_xyxy / _image_scale(boxes_xyxy, width, height)


def to_pixels(boxes_xyxy: Tensor, width: float, height: float) -> Tensor:
    """Convert boxes relative to an image to boxes in its pixels; arguments as in `to_relative`."""
    return boxes_xyxy * _image_scale(boxes_xyxy, width, height)


def encode_deltas(reference_xyxy: Tensor, target_xyxy: Tensor) -> Tensor:
    """Encode target boxes as deltas of reference boxes, weighted as R-CNN does.

    Finite for boxes without width or height too: their sides count as very short.

    Args:
        reference_xyxy: [..., 4], relative.
        target_xyxy: [..., 4], relative.

    Returns:
        [..., 4]: shift of the centre in sides of the reference, logarithm of the growth of the
        sides, times `CENTRE_WEIGHT` and `SIZE_WEIGHT`.
    """
    reference_centre, reference_size = _centre_and_size(reference_xyxy)
    target_centre, target_size = _centre_and_size(target_xyxy)
    shift = CENTRE_WEIGHT * (target_centre - reference_centre) / reference_size
    growth = SIZE_WEIGHT * torch.log(target_size / reference_size)
    return torch.cat((shift, growth), dim=-1)


def decode_deltas(deltas: Tensor, reference_xyxy: Tensor) -> Tensor:
    """Decode weighted deltas of reference boxes into boxes, inside the image.

    Always finite: where a delta is not, that coordinate stays the reference's.

    Args:
        deltas: [..., 4], as `encode_deltas` gives them.
        reference_xyxy: [..., 4], relative.

    Returns:
        [..., 4], relative, from 0 to 1, x1 <= x2 and y1 <= y2.
    """
    centre, size = _centre_and_size(reference_xyxy)
    shift, growth = deltas[..., :2] / CENTRE_WEIGHT, deltas[..., 2:] / SIZE_WEIGHT
    decoded_cxcywh = torch.cat(
        (centre + shift * size, size * growth.clamp(max=LARGEST_SIZE_DELTA).exp()), dim=-1
    )
    decoded_xyxy = box_convert(decoded_cxcywh, "cxcywh", "xyxy")
    finite_xyxy = torch.where(decoded_xyxy.isfinite(), decoded_xyxy, reference_xyxy)
    return clip_boxes_to_image(torch.nan_to_num(finite_xyxy), (1, 1))


def _image_scale(boxes_xyxy: Tensor, width: float, height: float) -> Tensor:
    if not (width > 0 and height > 0):
        raise ValueError(f"a picture of {width} x {height} pixels, expected both above 0")
    return boxes_xyxy.new_tensor((width, height, width, height))


def _centre_and_size(boxes_xyxy: Tensor) -> tuple[Tensor, Tensor]:
    """Split boxes [..., 4] into centres and sides [..., 2], in single precision at least."""
    boxes_xyxy = boxes_xyxy.to(torch.promote_types(boxes_xyxy.dtype, torch.float32))
    boxes_cxcywh = box_convert(boxes_xyxy, "xyxy", "cxcywh")
    return boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:].clamp(min=_SHORTEST_SIDE)
