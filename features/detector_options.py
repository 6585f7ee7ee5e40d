"""Command-line options of the networks that find and describe regions."""

from __future__ import annotations

import argparse

from utils.options import whole_number_from

PUBLISHED_DETECTOR = "fasterrcnn_resnet50_fpn_v2"
PUBLISHED_TRUNK_WEIGHTS = "IMAGENET1K_V2"


def add_detector_options(
    group: argparse._ArgumentGroup,
    *,
    detector: str | None = PUBLISHED_DETECTOR,
    detector_weights: str | None = None,
    trunk_weights: str | None = PUBLISHED_TRUNK_WEIGHTS,
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
        help="name of a two-stage detector of torchvision (%(default)s)",
    )
    group.add_argument(
        "--detector-weights",
        default=detector_weights,
        metavar="WEIGHTS",
        help=f"{weights} (%(default)s); a file of tools/train_detector.py brings its own network",
    )
    group.add_argument(
        "--trunk-weights",
        default=trunk_weights,
        metavar="WEIGHTS",
        help="weights of the ResNet-101 that describes the regions: "
        f"{weights} (%(default)s), or detector: the detector's own head describes them",
    )
    group.add_argument(
        "--size",
        type=whole_number_from(32),
        metavar="PIXELS",
        help="shorter side of the pictures as the networks see them; by default as the detector "
        "was trained",
    )
