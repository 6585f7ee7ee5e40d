"""A small network that tells faces apart, for where no image encoder can be downloaded."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from data.files import DataError
from features.weights import read_weights
from utils.files import replaced_when_whole

SIDE = 48  # pixels that a face is seen as
FEATURE_SIZE = 128
_CHANNELS = (3, 32, 64, 128, 256)


class FaceEncoder(nn.Module):
    """Faces as vectors of length 1; those of one person have a cosine near 1."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for given, made in itertools.pairwise(_CHANNELS):
            convolution = nn.Conv2d(given, made, 3, stride=2, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(made), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)
        side = SIDE // 2 ** (len(_CHANNELS) - 1)
        self.projection = nn.Linear(_CHANNELS[-1] * side * side, FEATURE_SIZE)

    def forward(self, faces: Tensor) -> Tensor:
        """Describe faces.

        Args:
            faces: [B, 3, SIDE, SIDE], as `inputs_of` gives them.

        Returns:
            [B, FEATURE_SIZE], of length 1.
        """
        return functional.normalize(self.projection(self.layers(faces).flatten(1)), dim=1)

    @staticmethod
    def inputs_of(crops: Sequence[Image.Image]) -> Tensor:
        """Return crops of faces in RGB as [B, 3, SIDE, SIDE], from -1 to 1."""
        resized = [crop.resize((SIDE, SIDE), Image.Resampling.BILINEAR) for crop in crops]
        pixels = torch.from_numpy(np.stack([np.asarray(crop) for crop in resized]))
        return pixels.permute(0, 3, 1, 2) / 127.5 - 1


def save_face_encoder(path: Path, encoder: FaceEncoder) -> None:
    """Write a file that `load_face_encoder` takes."""
    with replaced_when_whole(path) as temporary:
        torch.save({"face_encoder": encoder.state_dict()}, temporary)


def load_face_encoder(path: Path) -> FaceEncoder:
    """Load the encoder of a file, in evaluation mode.

    Raises:
        DataError: the file is none that `save_face_encoder` wrote.
    """
    encoder = FaceEncoder()
    try:
        encoder.load_state_dict(read_weights(path)["face_encoder"])
    except (RuntimeError, TypeError, LookupError, AttributeError) as error:
        raise DataError(f"{path} is no file of tools/train_faces.py ({error})") from error
    return encoder.eval()
