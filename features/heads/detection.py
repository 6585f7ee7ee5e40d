"""The detector of heads in frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from features.detectors import Detector
from utils.errors import InputError

_LEAST_SCORE = 0.5
_LEAST_SIDE = 4.0  # pixels; less shows nobody


class HeadDetections(NamedTuple):
    """The heads that are detected in one frame, the surest first.

    Attributes:
        boxes_xyxy: [heads, 4] float32, pixels.
        scores: [heads] float32, from 0 to 1.
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray


class HeadDetector:
    """Detects heads in frames.

    Args:
        labels: what the detector calls a head.
        device: to compute on.

    Raises:
        InputError: the detector has none of the labels.
    """

    def __init__(self, detector: Detector, labels: Sequence[str], device: torch.device) -> None:
        classes = [n for n, label in enumerate(detector.labels) if label in labels and label]
        if not classes:
            known = ", ".join(label for label in detector.labels[:20] if label)
            raise InputError(
                f"--labels {' '.join(labels)}: the detector knows none of them, but {known}"
            )
        self.network = detector.network.to(device)
        self.device = device
        self._classes = torch.tensor(classes, device=device)

    @torch.inference_mode()
    def __call__(self, frames: Sequence[np.ndarray]) -> list[HeadDetections]:
        """Detect the heads in some frames of one size.

        Args:
            frames: each [height, width, 3] uint8.
        """
        images = [torch.from_numpy(frame).permute(2, 0, 1) for frame in frames]
        found = []
        for each in self.network([image.to(self.device) / 255 for image in images]):
            boxes, scores = each["boxes"], each["scores"]
            kept = torch.isin(each["labels"], self._classes) & (scores >= _LEAST_SCORE)
            kept &= (boxes[:, 2:] - boxes[:, :2]).amin(dim=1) >= _LEAST_SIDE
            found.append(HeadDetections(boxes[kept].cpu().numpy(), scores[kept].cpu().numpy()))
        return found
