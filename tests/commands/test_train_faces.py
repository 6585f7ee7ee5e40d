"""A small encoder that is trained to tell faces apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from data.files import DataError
from features.heads.face_encoder import (
    FEATURE_SIZE,
    SIDE,
    FaceEncoder,
    load_face_encoder,
    save_face_encoder,
)
from tools.train_faces import changed, main, measure, nt_xent, read_faces
from utils.errors import InputError

PEOPLE = 12


def labelled(folder: Path, people: int = PEOPLE, whose: bool = True) -> Path:
    """Two images each of some people, who are rectangles of two colours."""
    random = np.random.default_rng(1)
    looks = random.integers(0, 256, (people, 2, 3))
    images, annotations = [], []
    for number in range(2 * people):
        pixels = random.integers(0, 256, (40, 40, 3)).astype(np.uint8)
        top, bottom = looks[number % people]
        pixels[10:20, 10:30], pixels[20:30, 10:30] = top, bottom
        Image.fromarray(pixels).save(folder / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png"})
        box = {"image_id": number, "category_id": 1, "bbox": [10, 10, 20, 20]}
        annotations.append({**box, **({"attribute": f"p{number % people}"} if whose else {})})
    categories = [{"id": 1, "name": "head"}]
    content = {"images": images, "categories": categories, "annotations": annotations}
    (folder / "faces.json").write_text(json.dumps(content))
    return folder / "faces.json"


def test_the_loss_is_least_where_partners_are_alike_and_others_are_not() -> None:
    people = torch.eye(4)
    alike = nt_xent(torch.cat([people, people]))
    assert alike < 0.01
    assert nt_xent(torch.cat([people, people.roll(1, 0)])) > alike + 5
    # All alike: one of the other seven at random.
    assert nt_xent(torch.ones(8, 4) / 2).item() == pytest.approx(np.log(7))


def test_the_loss_is_of_any_order_of_the_people() -> None:
    torch.manual_seed(0)
    features = functional.normalize(torch.randn(10, 8), dim=1)
    order = torch.randperm(5)
    assert nt_xent(features[torch.cat([order, order + 5])]) == pytest.approx(nt_xent(features))


def test_a_changed_face_is_still_one(tmp_path: Path) -> None:
    face, *_ = read_faces(labelled(tmp_path, 1), tmp_path)
    random = np.random.default_rng(0)
    sizes = {changed(face, random).size for _ in range(20)}
    assert len(sizes) > 1 and all(min(size) >= 4 and max(size) <= 40 for size in sizes)


def test_it_tells_apart_whom_it_was_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = labelled(tmp_path)
    out = tmp_path / "faces.pt"
    options = ["--boxes", str(boxes), "--pictures", str(tmp_path), "--out", str(out)]
    main([*options, "--steps", "40", "--people", "10", "--device", "cpu"])
    assert "the faces of 10 people" in capsys.readouterr().out
    same, others = measure(load_face_encoder(out), read_faces(boxes, tmp_path), torch.device("cpu"))
    assert same is not None and same > 0.9 and others is not None and others < 0.4


def test_the_encoder_is_kept_in_a_file(tmp_path: Path) -> None:
    encoder = FaceEncoder().eval()
    save_face_encoder(tmp_path / "faces.pt", encoder)
    faces = torch.rand(3, 3, SIDE, SIDE)
    with torch.inference_mode():
        features = load_face_encoder(tmp_path / "faces.pt")(faces)
        assert torch.equal(features, encoder(faces))
    assert features.shape == (3, FEATURE_SIZE)
    assert features.norm(dim=1) == pytest.approx(torch.ones(3))
    (tmp_path / "faces.pt").write_bytes(b"no weights")
    with pytest.raises(DataError, match="faces.pt cannot be read as a file of weights"):
        load_face_encoder(tmp_path / "faces.pt")


def test_what_cannot_be_trained_on_is_refused(tmp_path: Path) -> None:
    options = ["--pictures", str(tmp_path), "--out", str(tmp_path / "faces.pt")]
    boxes = ["--boxes", str(labelled(tmp_path, 3))]
    with pytest.raises(InputError, match="faces of 3 people, too few"):
        main([*boxes, *options])
    with pytest.raises(InputError, match="--held-out 0.0"):
        main([*boxes, *options, "--held-out", "0"])
    labelled(tmp_path, 3, whose=False)
    with pytest.raises(InputError, match="found no attribute of a box"):
        main([*boxes, *options])
