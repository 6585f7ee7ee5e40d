"""Descriptors of heads: by the networks of regions, or by an image encoder of their crops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from features.heads.face_encoder import FaceEncoder, load_face_encoder
from features.region_extraction import RegionExtractor
from utils.errors import InputError

CROPS_PER_BATCH = 32

HeadDescriptor = Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], list[np.ndarray]]
"""Frames of one size, each [height, width, 3] uint8, and the boxes in each, [heads, 4] in pixels ->
the features of each, [heads, feature size] float32."""


def region_descriptor(extractor: RegionExtractor) -> HeadDescriptor:
    """Describe heads by the networks of regions: a trunk, or the detector's own head."""

    def describe(frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> list[np.ndarray]:
        images = [torch.from_numpy(frame).permute(2, 0, 1) for frame in frames]
        return extractor.describe(images, [torch.from_numpy(each) for each in boxes])

    return describe


def encoder_descriptor(name: str, device: torch.device) -> HeadDescriptor:
    """Describe heads by an image encoder of their crops.

    Args:
        name: a file of tools/train_faces.py, or an image encoder of transformers, by its hub name
            or its folder; of one of images and texts, such as Chinese-CLIP, the image side.

    Raises:
        InputError: it cannot be had, or is no image encoder.
    """
    if Path(name).is_file():
        encode = _face_encoder(load_face_encoder(Path(name)).to(device), device)
    else:
        encode = _image_encoder(name, device)

    def describe(frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> list[np.ndarray]:
        crops = [
            Image.fromarray(crop_box(frame, box))
            for frame, of_frame in zip(frames, boxes, strict=True)
            for box in of_frame
        ]
        # One head more, so that the size of a feature is known where there is none.
        crops.append(Image.fromarray(frames[0]))
        features = [
            encode(crops[first : first + CROPS_PER_BATCH]).float().cpu().numpy()
            for first in range(0, len(crops), CROPS_PER_BATCH)
        ]
        ends = np.cumsum([len(of_frame) for of_frame in boxes])
        return np.split(np.concatenate(features)[:-1], ends[:-1])

    return describe


def crop_box(frame: np.ndarray, box_xyxy: np.ndarray) -> np.ndarray:
    """Return the pixels in a box, at least one: [height, width, 3] uint8.

    Args:
        frame: [height, width, 3] uint8.
        box_xyxy: [4], pixels, within the frame.
    """
    height, width, _ = frame.shape
    left, top = (int(value) for value in np.floor(box_xyxy[:2]))
    right, bottom = (int(value) for value in np.ceil(box_xyxy[2:]))
    left, top = min(left, width - 1), min(top, height - 1)
    return frame[top : max(bottom, top + 1), left : max(right, left + 1)]


def _face_encoder(
    encoder: FaceEncoder, device: torch.device
) -> Callable[[list[Image.Image]], Tensor]:
    @torch.inference_mode()
    def encode(crops: list[Image.Image]) -> Tensor:
        return encoder(encoder.inputs_of(crops).to(device))

    return encode


def _image_encoder(name: str, device: torch.device) -> Callable[[list[Image.Image]], Tensor]:
    # Here, as they take seconds to import.
    from transformers import AutoImageProcessor, AutoModel

    folder = Path(name).expanduser()
    source = str(folder) if folder.is_dir() else name
    try:
        processor = AutoImageProcessor.from_pretrained(source)
        model = AutoModel.from_pretrained(source).eval().to(device)
    except (OSError, ValueError, KeyError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise InputError(
            f"the image encoder {name!r} cannot be loaded ({first_line}); expected a hub name "
            "or a folder of transformers, or a file of tools/train_faces.py"
        ) from error

    @torch.inference_mode()
    def encode(crops: list[Image.Image]) -> Tensor:
        inputs = processor(images=crops, return_tensors="pt").to(device)
        if hasattr(model, "get_image_features"):
            # The features themselves (transformers 4), or an output with them (transformers 5).
            features = model.get_image_features(**inputs)
            return features if isinstance(features, Tensor) else features.pooler_output
        outputs = model(**inputs)
        pooled = getattr(outputs, "pooler_output", None)
        # Convolutional ones pool to an image of one pixel.
        return outputs.last_hidden_state.mean(dim=1) if pooled is None else pooled.flatten(1)

    return encode
