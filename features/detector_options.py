"""Command-line options of the networks that find and describe regions."""

from __future__ import annotations

import argparse

from features.region_settings import DETECTOR, TRUNK_WEIGHTS
from utils.options import whole_number_from


def add_detector_options(
    group: argparse._ArgumentGroup,
    *,
    detector: str | None = DETECTOR,
    detector_weights: str | None = None,
    trunk_weights: str | None = TRUNK_WEIGHTS,
) -> None:
    """Add the names and the weights of the networks that find and describe regions.

    Args:
        detector, detector_weights, trunk_weights: the defaults of these options.
    """
    weights = "a name of torchvision's weights, a file, or random"
    group.add_argument(
        "--detector",
        default=detector,
        metavar="NAME",
        help=f"name of a two-stage detector of torchvision{_in_brackets(detector)}",
    )
    group.add_argument(
        "--detector-weights",
        default=detector_weights,
        metavar="WEIGHTS",
        help=f"{weights}{_in_brackets(detector_weights)}; a file of tools/train_detector.py brings "
        "its own network",
    )
    group.add_argument(
        "--trunk-weights",
        default=trunk_weights,
        metavar="WEIGHTS",
        help="weights of the ResNet-101 that describes the regions: "
        f"{weights}{_in_brackets(trunk_weights)}, or detector: the detector's own head describes "
        "them",
    )
    group.add_argument(
        "--size",
        type=whole_number_from(32),
        metavar="PIXELS",
        help="shorter side of the pictures as the networks see them; by default as the detector "
        "was trained",
    )


def _in_brackets(default: str | None) -> str:
    return "" if default is None else f" ({default})"
