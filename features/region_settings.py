"""The networks that find and describe the regions of images, and the weights of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from features.weights import identity_of_weights
from utils.errors import InputError
from utils.printable import quote

if TYPE_CHECKING:
    from features.detectors import Detector
    from features.region_extraction import RegionExtractor

# What regions are made with where nothing else is asked for.
DETECTOR = "fasterrcnn_resnet50_fpn_v2"
TRUNK_WEIGHTS = "IMAGENET1K_V2"

_WEIGHTS = ("detector_weights", "trunk_weights")


@dataclass(frozen=True, slots=True)
class RegionSettings:
    """Which networks find and describe regions; None where nothing is said of it.

    Attributes:
        detector: the name of torchvision's builder.
        detector_weights, trunk_weights: as `load_detector` and `load_trunk` take them.
        size: the shorter side of the images that the networks see, in pixels.
        seed: of random weights.
    """

    detector: str | None
    detector_weights: str | None
    trunk_weights: str | None
    size: int | None
    seed: int | None = None

    def identity(self) -> dict[str, Any]:
        """Return what regions depend on, as JSON can hold it: files of weights by their content."""
        weights = {name: getattr(self, name) for name in _WEIGHTS}
        digests = {name: value and identity_of_weights(value) for name, value in weights.items()}
        return {**asdict(self), **digests}

    def completed_by(self, identity: Mapping[str, Any]) -> RegionSettings:
        """Return these settings with what they leave out taken from those of other regions.

        Args:
            identity: of the settings that those were made with, as it was kept.

        Raises:
            InputError: these ask for something else, or leave out a file of weights, of which only
                the name and the content are kept.
        """
        own = self.identity()
        for field in fields(self):
            name, expected = field.name, identity.get(field.name)
            option = "--" + name.replace("_", "-")
            found = own[name]
            if found is not None and found != expected:
                raise InputError(
                    f"{option}: found {quote(found)}, expected {quote(expected)}, which the "
                    "regions of the training were made with"
                )
            # Of a file, the name and the digest of its content are kept.
            if found is None and name in _WEIGHTS and isinstance(expected, str) and " " in expected:
                raise InputError(
                    f"{option}: found none, expected the file {expected.split()[0]} that the "
                    "regions of the training were made with"
                )
        kept = {name: identity.get(name) for name, value in asdict(self).items() if value is None}
        return replace(self, **kept)

    def load_detector(self) -> Detector:
        """Load the detector alone.

        Raises:
            InputError: it cannot be had.
        """
        # Here, as torchvision's networks take seconds to import.
        from features.detectors import load_detector

        return load_detector(
            self.detector or "", self.detector_weights or "", self.size, self.seed or 0
        )

    def load(self, device: torch.device) -> RegionExtractor:
        """Load the networks.

        Raises:
            InputError: one of them cannot be had, or they do not fit together.
        """
        # Here, as torchvision's networks take seconds to import.
        from features.detectors import load_trunk
        from features.region_extraction import RegionExtractor

        detector = self.load_detector()
        trunk = load_trunk(self.trunk_weights or "", self.seed or 0)
        return RegionExtractor(detector, trunk, device)


def load_extractor(
    settings: RegionSettings,
    trained_with: Mapping[str, Any] | None,
    checkpoint: Path,
    device: torch.device,
) -> RegionExtractor:
    """Load the networks that make the regions of new images for a trained model.

    Where it is not known what made the regions of its training, a warning says so.

    Args:
        settings: what is asked for.
        trained_with: the identity of the settings that made the regions of the training; None
            where it is not known.
        checkpoint: the model's, for the warning.

    Raises:
        InputError: both are known and differ, neither says which weights the detector has, or they
            cannot be had.
    """
    if trained_with is not None:
        return settings.completed_by(trained_with).load(device)
    if settings.detector_weights is None:
        raise InputError(
            "a picture takes a detector, and no --detector-weights are given; expected those that "
            "the regions of the training were made with"
        )
    print(
        f"warning: {checkpoint} does not say what made the regions that it was trained on; "
        "boxes and chains are right only where that was this detector",
        file=sys.stderr,
    )
    settings = replace(
        settings,
        detector=settings.detector or DETECTOR,
        trunk_weights=settings.trunk_weights or TRUNK_WEIGHTS,
    )
    return settings.load(device)
