"""Train a small network that tells faces apart, on labelled boxes whose attribute says whose.

It describes heads by what makes them one person's, where no image encoder can be downloaded.

python tools/train_faces.py --boxes FOLDER/faces/faces.json --pictures FOLDER/faces/pictures \
    --out saved/faces.pt
python prepare.py heads --image-encoder saved/faces.pt ...
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.media.images import ImageFile, read_image
from features.heads.face_encoder import FaceEncoder, save_face_encoder
from features.heads.tracking import LEAST_COSINE
from features.labelled_boxes import read_labelled_boxes
from utils.device import choose_device
from utils.distributed.command import run_command
from utils.errors import InputError
from utils.options import command_parser, file_to_write, whole_number_from

_TEMPERATURE = 0.1
_SHIFT = 0.08  # of a side: how far a detector's box can be from the drawn one
_LIGHT = 0.2


class Face(NamedTuple):
    """A face: whose it is, its image, and its box (x1, y1, x2, y2) in pixels of it."""

    whose: str
    image: Image.Image
    box: tuple[float, float, float, float]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as the command line says, and print how far apart people are that it never saw."""
    options = _parser().parse_args(arguments)
    if not 0 < options.held_out < 1:
        raise InputError(f"--held-out {options.held_out}: expected a share between 0 and 1")
    device = choose_device(options.device)
    faces = read_faces(options.boxes, options.pictures)
    random = np.random.default_rng(options.seed)
    torch.manual_seed(options.seed)
    people = list(dict.fromkeys(face.whose for face in faces))
    random.shuffle(people)
    count = max(2, round(options.held_out * len(people)))
    unseen = set(people[:count])
    known = [[face for face in faces if face.whose == whose] for whose in people[count:]]
    if len(known) < 2:
        raise InputError(f"{options.boxes} has faces of {len(people)} people, too few")
    encoder = FaceEncoder().to(device)
    train(encoder, known, options.steps, options.people, options.lr, random, device)
    save_face_encoder(options.out, encoder)
    shares = measure(encoder, [face for face in faces if face.whose in unseen], device)
    same, others = ("no pairs" if share is None else f"{100 * share:.1f}" for share in shares)
    print(f"wrote {options.out}: trained on the faces of {len(known)} people")
    print(
        f"of {count} others, pairs of pictures with a cosine over {LEAST_COSINE}, in percent: "
        f"{same} of one person, {others} of two"
    )


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "A small encoder for prepare.py heads --image-encoder.", prog="train_faces.py"
    )
    parser.add_argument(
        "--boxes", type=Path, required=True, metavar="FILE", help="COCO's JSON, with attributes"
    )
    parser.add_argument(
        "--pictures", type=Path, required=True, metavar="FOLDER", help="of the boxes"
    )
    parser.add_argument(
        "--out",
        type=file_to_write,
        required=True,
        metavar="FILE",
        help="to write",
    )
    parser.add_argument("--held-out", type=float, default=0.1, help="share of the people (0.1)")
    number = whole_number_from(1)
    parser.add_argument("--steps", type=number, default=600, help="of a batch each (600)")
    parser.add_argument(
        "--people", type=whole_number_from(2), default=64, help="of a step, two faces each (64)"
    )
    parser.add_argument("--lr", type=float, default=2e-3, help="the highest learning rate (0.002)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--seed", type=whole_number_from(0), default=0, help="of weights, order")
    return parser


def read_faces(boxes: Path, images: Path) -> list[Face]:
    """Read the labelled faces of a file.

    Raises:
        DataError: the file is not of this form, or no box has an attribute.
        BadRecord: an image cannot be read.
    """
    faces = []
    for labelled in read_labelled_boxes(boxes):
        image = read_image(ImageFile(labelled.image_id, images / labelled.file_name))
        boxes_xyxy = labelled.boxes_xyxy.tolist()
        for (x1, y1, x2, y2), whose in zip(boxes_xyxy, labelled.attributes, strict=True):
            if whose:
                faces.append(Face(whose, image, (x1, y1, x2, y2)))
    if not faces:
        raise InputError(f"{boxes}: found no attribute of a box, expected whose face it is")
    return faces


def train(
    encoder: FaceEncoder,
    people: Sequence[Sequence[Face]],
    steps: int,
    people_a_step: int,
    lr: float,
    random: np.random.Generator,
    device: torch.device,
) -> None:
    """Train an encoder by NT-Xent: of all faces of a step, the other one of the same person.

    It is in evaluation mode afterwards.

    Args:
        people: the faces of each.
        people_a_step: of each of whom two faces are taken, or one twice, changed otherwise.
    """
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    encoder.train()
    count = min(people_a_step, len(people))
    with tqdm(range(steps), desc="training") as bar:
        for _ in bar:
            chosen = [people[n] for n in random.choice(len(people), count, replace=False)]
            pairs = [random.choice(len(faces), 2, replace=len(faces) < 2) for faces in chosen]
            crops = [
                changed(faces[pair[side]], random)
                for side in range(2)
                for faces, pair in zip(chosen, pairs, strict=True)
            ]
            features = encoder(encoder.inputs_of(crops).to(device))
            loss = nt_xent(features)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            bar.set_postfix({"loss": f"{loss.item():.2f}"})
    encoder.eval()


def nt_xent(features: Tensor) -> Tensor:
    """Compute the normalized temperature-scaled cross-entropy of SimCLR (Chen et al., 2020).

    Args:
        features: [2 * people, size], of length 1; row n and row n + people are of one person.
    """
    people = len(features) // 2
    cosine = features @ features.T / _TEMPERATURE
    cosine = cosine.fill_diagonal_(-torch.inf)
    partners = torch.arange(2 * people, device=features.device).roll(people)
    return functional.cross_entropy(cosine, partners)


def changed(face: Face, random: np.random.Generator) -> Image.Image:
    """Cut a face out a little beside its box, maybe mirrored, in another light."""
    x1, y1, x2, y2 = face.box
    shift = random.normal(0, _SHIFT, 4) * [x2 - x1, y2 - y1, x2 - x1, y2 - y1]
    left, top, right, bottom = np.add(face.box, shift)
    width, height = face.image.size
    left, top = min(max(left, 0), width - 4), min(max(top, 0), height - 4)
    right, bottom = min(max(right, left + 4), width), min(max(bottom, top + 4), height)
    crop = _cut_out(face.image, (left, top, right, bottom))
    if random.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    light = 1 + random.uniform(-_LIGHT, _LIGHT)
    return crop.point(lambda value: min(255, value * light))


@torch.inference_mode()
def measure(
    encoder: FaceEncoder, faces: Sequence[Face], device: torch.device
) -> tuple[float | None, ...]:
    """Measure which share of the pairs of faces have a cosine above LEAST_COSINE.

    Returns:
        Of the pairs of one person, and of those of two; None where there are no such pairs.
    """
    crops = [_cut_out(face.image, face.box) for face in faces]
    features = encoder(encoder.inputs_of(crops).to(device)).cpu()
    alike = (features @ features.T > LEAST_COSINE).numpy()
    whose = np.array([face.whose for face in faces])
    same = whose[:, None] == whose[None]
    pairs = np.triu(np.ones_like(same), 1)
    of_kinds = (alike[kind & pairs] for kind in (same, ~same))
    return tuple(float(of_kind.mean()) if of_kind.size else None for of_kind in of_kinds)


def _cut_out(image: Image.Image, box: Sequence[float]) -> Image.Image:
    """Cut a box (x1, y1, x2, y2) out of an image, to whole pixels."""
    left, top, right, bottom = (round(float(edge)) for edge in box)
    return image.crop((left, top, right, bottom))


if __name__ == "__main__":
    run_command(main)
