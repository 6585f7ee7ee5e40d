"""How the heads in videos are found and described: the settings, and the networks of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from data.readers.tiktalk.heads import HeadBox
from features.region_settings import RegionSettings
from features.weights import identity_of_weights
from utils.errors import InputError

if TYPE_CHECKING:
    from features.heads.finders import HeadFinder

DETECTED, ANNOTATED = "detected", "annotated"
RANDOM = "random"

HeadBoxes = Mapping[str, Sequence[HeadBox]]


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """How the heads in videos are found and described.

    Attributes:
        heads: DETECTED or ANNOTATED.
        every: one of so many frames is looked at, of detected heads.
        least_cosine: of two faces by the face encoder, above which they can be one person's.
        labels: what the detector calls a head.
        image_encoder: describes the heads; None where `networks` do, RANDOM where nothing does.
        face_encoder: tells faces apart; None where what describes the heads does.
        networks: the detector, and what describes regions; the detector's weights are None where
            no detector is needed.

    Raises:
        InputError: heads are to be found without any video.
    """

    heads: str
    every: int
    least_cosine: float
    labels: Sequence[str]
    image_encoder: str | None
    face_encoder: str | None
    networks: RegionSettings

    def __post_init__(self) -> None:
        if self.image_encoder == RANDOM and self.heads != ANNOTATED:
            raise InputError("--image-encoder random: expected --heads annotated with it")

    def identity(self, boxes: HeadBoxes) -> dict[str, Any]:
        """Return what the region files depend on, as JSON can hold it.

        Args:
            boxes: the annotated heads of each dialogue, by its id.
        """
        annotated = [[v, h.frame, *h.box_xyxy] for v, heads in boxes.items() for h in heads]
        return {
            "heads": self.heads,
            "every": self.every,
            "least_cosine": self.least_cosine,
            "labels": list(self.labels),
            "image_encoder": self.image_encoder and identity_of_weights(self.image_encoder),
            "face_encoder": self.face_encoder and identity_of_weights(self.face_encoder),
            **self.networks.identity(),
            "boxes": hashlib.sha256(json.dumps(annotated).encode()).hexdigest(),
        }

    def load(self, boxes: HeadBoxes, device: torch.device) -> HeadFinder:
        """Load the networks, as what finds and describes the heads of a video.

        Args:
            boxes: the annotated heads of each dialogue, by its id.

        Raises:
            InputError: one of them cannot be had, or does not know heads.
        """
        # Here, as torchvision's networks take seconds to import.
        from features.heads import finders
        from features.heads.descriptors import encoder_descriptor, region_descriptor
        from features.heads.detection import HeadDetector

        if self.image_encoder == RANDOM:
            return finders.RandomHeadFinder(boxes, self.networks.seed or 0)
        if self.heads == ANNOTATED and self.image_encoder is not None:
            describe = encoder_descriptor(self.image_encoder, device)
            return finders.AnnotatedHeadFinder(describe, boxes)
        if self.networks.detector_weights is None:
            raise InputError(
                "--detector-weights: none are given, expected those of a detector that knows heads "
                "(tools/train_detector.py)"
            )
        if self.image_encoder is not None:
            detector = self.networks.load_detector()
            describe = encoder_descriptor(self.image_encoder, device)
        else:
            extractor = self.networks.load(device)
            detector, describe = extractor.detector, region_descriptor(extractor)
        if self.heads == ANNOTATED:
            return finders.AnnotatedHeadFinder(describe, boxes)
        describe_faces = describe
        if self.face_encoder is not None:
            describe_faces = encoder_descriptor(self.face_encoder, device)
        return finders.TrackedHeadFinder(
            HeadDetector(detector, self.labels, device),
            describe,
            describe_faces,
            self.every,
            self.least_cosine,
        )
