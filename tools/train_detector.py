"""Train a small detector, where pretrained ones cannot be had: its regions and their features.

python tools/train_detector.py --boxes saved/world/boxes/val.json \
    --pictures saved/world/flickr30k-images --out saved/detector.pt
python prepare.py regions --pictures FOLDER --split train --out FOLDER \
    --detector-weights saved/detector.pt --trunk-weights detector
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.functional import pil_to_tensor
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.loading.loader import worker_errors_explained
from data.media.images import ImageFile, read_image
from features.detectors import (
    Detector,
    new_detector,
    save_detector,
)
from features.labelled_boxes import LabelledImage, read_labelled_boxes
from features.region_extraction import RegionExtractor
from utils.boxes import SUFFICIENT_IOU, pairwise_iou
from utils.device import choose_device, choose_precision
from utils.distributed.command import run_command
from utils.errors import InputError
from utils.options import command_parser, file_to_write, whole_number_from

_LONGEST = 5 / 3  # side of an image, as a multiple of its shorter one
_NONE = -100  # the attribute of what has none

Target = dict[str, Tensor]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as the command line says, and print what it finds in images that it never saw."""
    options = _parser().parse_args(arguments)
    if not 0 < options.held_out < 1:
        raise InputError(f"--held-out {options.held_out}: expected a share between 0 and 1")
    device = choose_device(options.device)
    images = read_labelled_boxes(options.boxes)
    torch.manual_seed(options.seed)
    order = torch.randperm(len(images)).tolist()
    count = math.ceil(options.held_out * len(images))
    held_out, trained_on = ([images[n] for n in part] for part in (order[:count], order[count:]))
    if not trained_on:
        raise InputError(f"{options.boxes} has boxes of {len(images)} pictures, too few")
    labels = sorted({label for image in images for label in image.labels})
    attributes = sorted({a for image in images for a in image.attributes if a})
    size = (options.size, int(_LONGEST * options.size))
    detector = new_detector(["", *labels], attributes, size)
    detector.network.to(device)
    with worker_errors_explained():
        train(
            detector,
            LabelledImages(options.pictures, trained_on, detector),
            steps=options.steps,
            batch=options.batch,
            lr=options.lr,
            workers=options.workers,
            device=device,
        )
    save_detector(options.out, detector)
    found = measure(RegionExtractor(detector, None, device), options.pictures, held_out)
    print(f"wrote {options.out}: {len(labels)} labels, {len(attributes)} attributes")
    print(f"of the things in {len(held_out)} pictures that were held out, percent:")
    for what, share in found.items():
        print(f"  {what}: {share}")


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "A small detector for prepare.py regions --detector-weights.", prog="train_detector.py"
    )
    parser.add_argument(
        "--boxes", type=Path, required=True, metavar="FILE", help="labelled boxes, COCO's JSON"
    )
    parser.add_argument(
        "--pictures", type=Path, required=True, metavar="FOLDER", help="that the boxes are of"
    )
    parser.add_argument(
        "--out",
        type=file_to_write,
        required=True,
        metavar="FILE",
        help="where the detector is written",
    )
    parser.add_argument("--held-out", type=float, default=0.05, help="share to measure on (0.05)")
    parser.add_argument("--size", type=whole_number_from(32), default=240, help="shorter side, px")
    number = whole_number_from(1)
    parser.add_argument("--steps", type=number, default=700, help="of a batch each (700)")
    parser.add_argument("--batch", type=number, default=8, help="pictures of a step (8)")
    parser.add_argument("--lr", type=float, default=1e-3, help="the highest learning rate (0.001)")
    parser.add_argument(
        "--workers", type=whole_number_from(0), default=0, help="processes that read ahead (0)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--seed", type=whole_number_from(0), default=0, help="of weights, order and held-out share"
    )
    return parser


class LabelledImages(Dataset[tuple[Tensor, Target]]):
    """Pictures [3, H, W] from 0 to 1, mirrored at random, with what torchvision trains on."""

    def __init__(self, folder: Path, images: Sequence[LabelledImage], detector: Detector) -> None:
        self.folder = folder
        self.images = images
        self.classes = {label: number for number, label in enumerate(detector.labels)}
        self.attributes = {word: number for number, word in enumerate(detector.attributes)}

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> tuple[Tensor, Target]:
        labelled = self.images[place]
        image = pil_to_tensor(read_image(_file_of(labelled, self.folder))) / 255
        boxes = torch.from_numpy(labelled.boxes_xyxy.copy())
        if torch.rand(()) < 0.5:
            image = image.flip(2)
            boxes[:, [0, 2]] = image.shape[2] - boxes[:, [2, 0]]
        attributes = [self.attributes.get(word, _NONE) for word in labelled.attributes]
        return image, {
            "boxes": boxes,
            "labels": torch.tensor([self.classes[label] for label in labelled.labels]),
            "attributes": torch.tensor(attributes),
        }


def _file_of(labelled: LabelledImage, folder: Path) -> ImageFile:
    return ImageFile(labelled.image_id, folder / labelled.file_name)


def train(
    detector: Detector,
    images: LabelledImages,
    *,
    steps: int,
    batch: int,
    lr: float,
    workers: int,
    device: torch.device,
) -> None:
    """Train a detector; it is in evaluation mode afterwards.

    Args:
        steps: of a batch of images each; the learning rate rises to `lr` and falls to nothing.
    """
    loader = DataLoader(
        images,
        batch_size=batch,
        shuffle=True,
        collate_fn=lambda examples: tuple(zip(*examples, strict=True)),
        num_workers=workers,
    )
    precision = choose_precision("auto", device)
    optimizer = torch.optim.AdamW(detector.network.parameters(), lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    detector.network.train()
    with tqdm(range(steps), desc="training") as bar:
        for _, (given, wanted) in zip(bar, _without_end(loader), strict=False):
            targets = [{name: v.to(device) for name, v in target.items()} for target in wanted]
            with torch.autocast(device.type, precision, enabled=precision != torch.float32):
                losses = losses_of(detector, [image.to(device) for image in given], targets)
            optimizer.zero_grad()
            functools.reduce(torch.add, losses.values()).backward()
            optimizer.step()
            schedule.step()
            bar.set_postfix({name: f"{loss.item():.2f}" for name, loss in losses.items()})
    detector.network.eval()


def _without_end(
    loader: DataLoader[Any],
) -> Iterator[tuple[tuple[Tensor, ...], tuple[Target, ...]]]:
    while True:
        yield from loader


def losses_of(
    detector: Detector, images: Sequence[Tensor], targets: Sequence[Target]
) -> dict[str, Tensor]:
    """Compute torchvision's four losses, and that of attributes where there are some.

    Attributes are learned from the labelled boxes themselves, as regions that are only near say
    less. They are what keeps colours in the features that describe a region.
    """
    network, heads = detector.network, detector.network.roi_heads
    batch, resized = network.transform(list(images), list(targets))
    maps = network.backbone(batch.tensors)
    proposals, of_proposals = network.rpn(batch, maps, resized)
    _, of_regions = heads(maps, proposals, batch.image_sizes, resized)
    losses = {**of_proposals, **of_regions}
    wanted = torch.cat([target["attributes"] for target in resized])
    if (wanted != _NONE).any():
        boxes = [target["boxes"] for target in resized]
        pooled = heads.box_roi_pool(maps, boxes, batch.image_sizes)
        told = heads.attribute_predictor(heads.box_head(pooled))
        losses["loss_attribute"] = functional.cross_entropy(told, wanted, ignore_index=_NONE)
    return losses


def measure(
    extractor: RegionExtractor, folder: Path, images: Sequence[LabelledImage]
) -> dict[str, float]:
    """Measure what is found of the labelled things.

    Returns:
        In percent of the things: those with a region of IoU 0.5 or more, and where the one that
        fits best has the right label; in percent of the attributes of those that are found, the
        right ones.
    """
    found = named = things = told = coloured = 0
    for labelled in images:
        image = pil_to_tensor(read_image(_file_of(labelled, folder)))
        (regions,) = extractor([labelled.image_id], [image])
        boxes = torch.from_numpy(labelled.boxes_xyxy)
        classes, words = list(regions.classes), list(regions.attributes or ())
        overlaps, places = pairwise_iou(boxes, torch.from_numpy(regions.boxes_xyxy)).max(dim=1)
        things += len(boxes)
        for thing, place in enumerate(places.tolist()):
            if overlaps[thing] < SUFFICIENT_IOU:
                continue
            found += 1
            named += classes[place] == labelled.labels[thing]
            if labelled.attributes[thing]:
                coloured += 1
                told += words[place] == labelled.attributes[thing]
    scores = {"found": found / things, "found with the right label": named / things}
    if coloured:
        scores["right attributes of those found"] = told / coloured
    return {name: round(100 * score, 1) for name, score in scores.items()}


if __name__ == "__main__":
    run_command(main)
