"""Networks of torchvision that find regions in images, and those that describe them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from data.files import DataError
from features.weights import read_weights
from utils.errors import InputError
from utils.files import replaced_when_whole
from utils.json_files import is_text
from utils.printable import quote

try:
    from torchvision import models
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.backbone_utils import BackboneWithFPN
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
    from torchvision.ops import MultiScaleRoIAlign, roi_align
except (ImportError, RuntimeError) as error:
    raise InputError(
        f"torchvision cannot be imported ({error}): regions of pictures need the one that was "
        "released with the installed torch (requirements.txt)"
    ) from error

RANDOM = "random"  # as the name of weights: none, for tests
OF_DETECTOR = "detector"  # as the name of a trunk's weights: there is no trunk
FEATURE_SIZE = 2048

_NO_NAME = "N/A"  # of COCO's classes that no box has
_POOLED = 14  # bins along each side of a region, as its layer4 halves them to 7
_TRUNK_STRIDE = 16
_LONGEST_SIDE = 10_000  # pixels that a detector may see

# Of a detector that is trained here: small, for drawn images or few labelled ones.
_CHANNELS = 64
_ANCHORS = ((12, 24, 40), (64, 96, 150), (200, 260, 320))  # pixels, of the levels of 8, 16 and 32


@dataclass(frozen=True)
class Detector:
    """A two-stage detector and what its classes are called.

    Attributes:
        network: in evaluation mode.
        labels: of each class; empty for those that no region is given, the background among them.
        attributes: what its `attribute_predictor` tells apart; empty where it has none.
    """

    network: FasterRCNN
    labels: tuple[str, ...]
    attributes: tuple[str, ...] = ()


class Trunk(nn.Module):
    """A ResNet-101 that describes regions: up to layer3 for the image, layer4 for each region."""

    def __init__(self, resnet: models.ResNet) -> None:
        super().__init__()
        stem = (resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool)
        self.image_layers = nn.Sequential(*stem, resnet.layer1, resnet.layer2, resnet.layer3)
        self.region_layers = resnet.layer4

    def forward(self, images: Tensor, boxes_xyxy: Sequence[Tensor]) -> list[Tensor]:
        """Describe the regions of a batch.

        Args:
            images: [B, 3, H, W], normalized.
            boxes_xyxy: for each image [regions, 4] in pixels of it as it is here.

        Returns:
            For each image [regions, FEATURE_SIZE].
        """
        described = []
        for maps, boxes in zip(self.image_layers(images), boxes_xyxy, strict=True):
            scale = 1 / _TRUNK_STRIDE
            # One image at a time: a hundred regions take 80 MB here.
            pooled = roi_align(maps[None], [boxes], _POOLED, scale, sampling_ratio=2, aligned=True)
            described.append(self.region_layers(pooled).mean(dim=(2, 3)))
        return described


def load_detector(name: str, weights: str, size: int | None, seed: int) -> Detector:
    """Load a detector with its weights, in evaluation mode.

    Args:
        name: of torchvision's builder; a file that `save_detector` wrote brings its own network.
        weights: a name of torchvision's weights of this builder, a file, or RANDOM.
        size: the shorter side of the images that it sees, in pixels; None as it was trained.
        seed: of random weights.

    Raises:
        InputError: there is no such builder, or the weights cannot be had or do not fit.
    """
    content = read_weights(Path(weights)) if Path(weights).is_file() else None
    if content is not None and "labels" in content:
        detector = _saved_detector(Path(weights), content)
    else:
        detector = _published_detector(name, weights, content, seed)
    if size is not None:
        transform = detector.network.transform
        # As the published 800 and 1333.
        transform.min_size, transform.max_size = (size,), size * 5 // 3
    detector.network.eval()
    return detector


def load_trunk(weights: str, seed: int) -> Trunk | None:
    """Load the network that describes regions, in evaluation mode; None where the detector does.

    Args:
        weights: a name of torchvision's weights of a ResNet-101, a file, RANDOM or OF_DETECTOR.
        seed: of random weights.

    Raises:
        InputError: the weights cannot be had or do not fit.
    """
    if weights == OF_DETECTOR:
        return None
    if weights != RANDOM and not Path(weights).is_file():
        return Trunk(_published_network("resnet101", weights)).eval()
    torch.manual_seed(seed)
    # Each residual block begins as the identity, which keeps the numbers of untrained ones small.
    resnet = models.resnet101(zero_init_residual=True)
    if weights != RANDOM:
        _take_weights(resnet, weights, read_weights(Path(weights)))
    return Trunk(resnet).eval()


def new_detector(
    labels: Sequence[str], attributes: Sequence[str], size: tuple[int, int]
) -> Detector:
    """Build a small detector to train, with a head for attributes where there are some.

    Args:
        labels: of the classes, the background first, with an empty label.
        size: the shortest and the longest side of the images that it sees, in pixels.
    """
    body = models.resnet18()
    backbone = BackboneWithFPN(body, {"layer2": "0", "layer3": "1"}, [128, 256], _CHANNELS)
    network = FasterRCNN(
        backbone,
        min_size=size[0],
        max_size=size[1],
        rpn_anchor_generator=AnchorGenerator(_ANCHORS, ((0.4, 1.0, 2.5),) * len(_ANCHORS)),
        rpn_pre_nms_top_n_train=500,
        rpn_post_nms_top_n_train=200,
        rpn_pre_nms_top_n_test=500,
        rpn_post_nms_top_n_test=200,
        box_roi_pool=MultiScaleRoIAlign(["0", "1"], output_size=7, sampling_ratio=2),
        box_head=TwoMLPHead(_CHANNELS * 7 * 7, FEATURE_SIZE),
        box_predictor=FastRCNNPredictor(FEATURE_SIZE, len(labels)),
        box_batch_size_per_image=64,
    )
    if attributes:
        network.roi_heads.attribute_predictor = nn.Linear(FEATURE_SIZE, len(attributes))
    return Detector(network, tuple(labels), tuple(attributes))


def save_detector(path: Path, detector: Detector) -> None:
    """Write a file that `load_detector` takes: the weights, and what classes are called."""
    transform = detector.network.transform
    with replaced_when_whole(path) as temporary:
        torch.save(
            {
                "labels": list(detector.labels),
                "attributes": list(detector.attributes),
                "size": [transform.min_size[0], transform.max_size],
                "weights": detector.network.state_dict(),
            },
            temporary,
        )


def _saved_detector(path: Path, content: dict[str, Any]) -> Detector:
    labels, attributes = content.get("labels"), content.get("attributes")
    size = content.get("size")
    if not (_are_words(labels) and _are_words(attributes) and _is_size(size) and labels):
        raise DataError(
            f"{path} holds labels {quote(labels)}, attributes {quote(attributes)} and size "
            f"{quote(size)}, expected what tools/train_detector.py writes"
        )
    detector = new_detector(labels, attributes, (size[0], size[1]))
    _take_weights(detector.network, str(path), content.get("weights"))
    return detector


def _are_words(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(map(is_text, value))


def _is_size(value: Any) -> TypeGuard[list[int]]:
    """Return whether it is the shortest and the longest side of images, in pixels."""
    is_pair = isinstance(value, list) and len(value) == 2
    if not is_pair or not all(type(side) is int for side in value):
        return False
    return 0 < value[0] <= value[1] <= _LONGEST_SIDE


def _published_detector(
    name: str, weights: str, content: dict[str, Any] | None, seed: int
) -> Detector:
    names = models.list_models(models.detection)
    if name not in names:
        raise InputError(f"--detector {name}: expected one of {', '.join(names)}")
    torch.manual_seed(seed)
    network = models.get_model(name, weights=None, weights_backbone=None)
    if not hasattr(network, "roi_heads"):
        raise InputError(
            f"--detector {name}: expected a detector of two stages (fasterrcnn, maskrcnn, "
            "keypointrcnn), whose proposals are what the least number of regions is filled from"
        )
    if content is not None:
        _take_weights(network, weights, content)
    elif weights != RANDOM:
        network = _published_network(name, weights)
    _, *categories = models.get_model_weights(name).DEFAULT.meta["categories"]
    labels = tuple("" if label == _NO_NAME else label for label in categories)
    return Detector(network, ("", *labels))


def _published_network(name: str, weights: str) -> nn.Module:
    known = models.get_model_weights(name).__members__
    if weights not in known:
        raise InputError(
            f"weights {quote(weights)} of {name}: expected a file, {RANDOM}, or one of "
            f"{', '.join(known)}"
        )
    try:
        return models.get_model(name, weights=known[weights])
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{known[weights].url} cannot be had ({error}); downloaded elsewhere it is found in "
            f"{torch.hub.get_dir()}/checkpoints"
        ) from error


def _take_weights(network: nn.Module, name: str, weights: Any) -> None:
    try:
        network.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        *_, last = str(error).strip().splitlines()
        raise InputError(
            f"weights {name} do not fit a {type(network).__name__} of these classes: {last.strip()}"
        ) from error
