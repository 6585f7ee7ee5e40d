"""Regions of images: found by a detector, described by a network, and written to region files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import batched_nms, clip_boxes_to_image, remove_small_boxes
from torchvision.transforms.functional import pil_to_tensor

from data.files import BadRecord
from data.loading.loader import worker_errors_explained
from data.media.images import (
    ImageFile,
    read_image,
    size_of,
)
from data.narration import Regions
from data.regions.shards import Shard
from data.regions.store import MAX_REGIONS
from data.regions.writer import ImageRegions, write_region_store
from features.detectors import (
    Detector,
    Trunk,
    load_detector,
    load_trunk,
)

MIN_REGIONS = 10
_THRESHOLD = 0.2  # of the score of a region beyond the least number
_OVERLAP = 0.5  # IoU of two regions of one class, from which the surer one is kept alone
_LEAST_SIDE = 1.0  # pixels of the image as the detector sees it


class _Detections(NamedTuple):
    """The regions that are detected in an image, the surest first.

    Attributes:
        boxes_xyxy: [regions, 4], pixels of the image as the detector sees it.
        classes: [regions] int64, numbers of its labels.
    """

    boxes_xyxy: Tensor
    classes: Tensor


class RegionExtractor:
    """Find and describe the regions of images.

    Args:
        trunk: describes the regions; None where the head of the detector does.
        device: to compute on.
    """

    def __init__(self, detector: Detector, trunk: Trunk | None, device: torch.device) -> None:
        self.detector = detector
        self.network = detector.network.to(device)
        self.trunk = None if trunk is None else trunk.to(device)
        self.device = device
        named = [number for number, label in enumerate(detector.labels) if label]
        self._named = torch.tensor(named, device=device)

    @classmethod
    def load(
        cls,
        detector: str,
        detector_weights: str,
        trunk_weights: str,
        device: torch.device,
        size: int | None = None,
        seed: int = 0,
    ) -> RegionExtractor:
        """Load the networks by the names that `load_detector` and `load_trunk` take."""
        return cls(
            load_detector(detector, detector_weights, size, seed),
            load_trunk(trunk_weights, seed),
            device,
        )

    def regions_of(self, images: Sequence[Image.Image]) -> list[Regions]:
        """Return the regions of images in RGB, as a model takes them."""
        return [self._regions_of(image) for image in images]

    def _regions_of(self, image: Image.Image) -> Regions:
        # Alone, as images of other sizes beside it would change what is found in it.
        (found,) = self([""], [pil_to_tensor(image)])
        return Regions(
            (found.boxes_xyxy / np.tile(image.size, 2)).clip(0, 1).astype(np.float32),
            tuple(found.classes),
            tuple(found.attributes or ()),
            found.features,
        )

    @torch.inference_mode()
    def __call__(self, names: Sequence[str], images: Sequence[Tensor]) -> list[ImageRegions]:
        """Find and describe the regions of images; of one size, each is as it would be found alone.

        Args:
            names: ids of the images.
            images: each [3, H, W] uint8.
        """
        network = self.network
        batch, _ = network.transform([image.to(self.device) / 255 for image in images])
        maps = network.backbone(batch.tensors)
        proposals, _ = network.rpn(batch, maps)
        detections = self._detect(maps, proposals, batch.image_sizes)
        boxes = [found.boxes_xyxy for found in detections]
        features, attributes = self._describe(batch, maps, boxes)
        return [
            ImageRegions(
                name,
                _in_image(found.boxes_xyxy, seen, tuple(image.shape[1:])).cpu().numpy(),
                [self.detector.labels[number] for number in found.classes.tolist()],
                words,
                vectors.cpu().numpy(),
            )
            for name, image, seen, found, words, vectors in zip(
                names, images, batch.image_sizes, detections, attributes, features, strict=True
            )
        ]

    @torch.inference_mode()
    def describe(self, images: Sequence[Tensor], boxes_xyxy: Sequence[Tensor]) -> list[np.ndarray]:
        """Describe given regions of some images, all of one size.

        Args:
            images: each [3, H, W] uint8.
            boxes_xyxy: for each image [regions, 4] float32, in its pixels.

        Returns:
            For each image [regions, feature size] float32.
        """
        batch, targets = self.network.transform(
            [image.to(self.device) / 255 for image in images],
            [{"boxes": boxes.to(self.device)} for boxes in boxes_xyxy],
        )
        maps = self.network.backbone(batch.tensors)
        features, _ = self._describe(batch, maps, [target["boxes"] for target in targets])
        return [vectors.cpu().numpy() for vectors in features]

    def _detect(
        self,
        maps: dict[str, Tensor],
        proposals: list[Tensor],
        sizes: list[tuple[int, int]],
    ) -> list[_Detections]:
        heads = self.network.roi_heads
        represented = heads.box_head(heads.box_roi_pool(maps, proposals, sizes))
        logits, deltas = heads.box_predictor(represented)
        scores, places = logits.softmax(dim=1)[:, self._named].max(dim=1)
        classes = self._named[places]
        decoded = heads.box_coder.decode(deltas, proposals)  # [proposals, classes, 4]
        boxes = decoded[torch.arange(len(classes), device=self.device), classes]
        counts = list(map(len, proposals))
        parts = zip(boxes.split(counts), scores.split(counts), classes.split(counts), strict=True)
        return [
            choose_regions(clip_boxes_to_image(boxes, size), scores, classes)
            for (boxes, scores, classes), size in zip(parts, sizes, strict=True)
        ]

    def _describe(
        self, batch: ImageList, maps: dict[str, Tensor], boxes_xyxy: list[Tensor]
    ) -> tuple[Sequence[Tensor], Sequence[list[str] | None]]:
        """Return features [regions, feature size] of each image, and attributes where known."""
        heads, words = self.network.roi_heads, self.detector.attributes
        attributes: list[list[str] | None] = [None] * len(boxes_xyxy)
        if self.trunk is not None and not words:
            return self.trunk(batch.tensors, boxes_xyxy), attributes
        pooled = heads.box_roi_pool(maps, boxes_xyxy, batch.image_sizes)
        represented = heads.box_head(pooled).split(list(map(len, boxes_xyxy)))
        if words:
            for place, vectors in enumerate(represented):
                numbers = heads.attribute_predictor(vectors).argmax(dim=1).tolist()
                attributes[place] = [words[number] for number in numbers]
        if self.trunk is not None:
            return self.trunk(batch.tensors, boxes_xyxy), attributes
        return represented, attributes


def choose_regions(boxes_xyxy: Tensor, scores: Tensor, classes: Tensor) -> _Detections:
    """Choose the regions that are kept of an image, the surest first.

    Of those of one class that overlap the surest is kept. At least MIN_REGIONS and at most
    MAX_REGIONS are: where too few are sure enough, the surest of the others, then of those that
    overlap; where the image has fewer proposals with an area, these.

    Args:
        boxes_xyxy: [proposals, 4], within the image.
        scores: [proposals], of the likeliest class.
        classes: [proposals], that class.
    """
    large = remove_small_boxes(boxes_xyxy, _LEAST_SIDE)
    boxes_xyxy, scores, classes = boxes_xyxy[large], scores[large], classes[large]
    kept = batched_nms(boxes_xyxy, scores, classes, _OVERLAP)
    if len(kept) < MIN_REGIONS:
        order = scores.argsort(descending=True, stable=True)
        others = order[~torch.isin(order, kept)]
        kept = torch.cat([kept, others[: MIN_REGIONS - len(kept)]])
    sure = int((scores[kept] > _THRESHOLD).sum())
    kept = kept[: min(max(sure, MIN_REGIONS), MAX_REGIONS)]
    return _Detections(boxes_xyxy[kept], classes[kept])


def _in_image(boxes_xyxy: Tensor, seen: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Scale boxes to pixels of the image as it is on the disk; sizes are (height, width)."""
    height, width = size
    scale = boxes_xyxy.new_tensor([width / seen[1], height / seen[0]] * 2)
    return clip_boxes_to_image(boxes_xyxy * scale, size)


def write_shard(
    folder: Path,
    shard: Shard[ImageFile],
    extractor: RegionExtractor,
    *,
    batch: int,
    workers: int,
    done: Callable[[], object],
    skip: Callable[[BadRecord], None] | None = None,
) -> None:
    """Find the regions of a shard's images and write them, whole or not at all.

    Args:
        batch: the most images that are looked at together; all of them are of one size.
        workers: processes that read ahead; 0 reads in this one.
        done: is called after each image.
        skip: is told of each image that cannot be read, which is then left out.

    Raises:
        BadRecord: an image cannot be read, and such are not skipped.
        DataError: none can.
    """

    def regions() -> Iterator[ImageRegions]:
        for read in _read_batches(shard.images, batch, workers):
            for problem in (p for p in read if isinstance(p, BadRecord)):
                if skip is None:
                    raise problem
                skip(problem)
                done()
            readable = [image for image in read if not isinstance(image, BadRecord)]
            if not readable:
                continue
            for found in extractor(*zip(*readable, strict=True)):
                yield found
                done()

    with worker_errors_explained():
        write_region_store(folder, shard.name, regions())


def _read_batches(
    images: Sequence[ImageFile], batch: int, workers: int
) -> Iterator[list[tuple[str, Tensor] | BadRecord]]:
    """Yield images of one size together, so that none is padded and each is seen as it is alone."""
    by_size: dict[tuple[int, int], list[int]] = {}
    for place, image in enumerate(images):
        by_size.setdefault(size_of(image), []).append(place)
    batches = [
        places[first : first + batch]
        for _, places in sorted(by_size.items())
        for first in range(0, len(places), batch)
    ]
    return iter(
        DataLoader(_Images(images), batch_sampler=batches, collate_fn=list, num_workers=workers)
    )


class _Images(Dataset):
    """Images as [3, H, W] uint8 with their ids, or what is wrong with them."""

    def __init__(self, images: Sequence[ImageFile]) -> None:
        self.images = images

    def __getitem__(self, place: int) -> tuple[str, Tensor] | BadRecord:
        image = self.images[place]
        try:
            return image.image_id, pil_to_tensor(read_image(image))
        except BadRecord as problem:
            return problem
