"""Labelled boxes, and a small detector that is trained on them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from data.files import BadRecord, DataError
from data.regions.file_names import find_region_files
from data.regions.store import RegionStore
from features.detectors import load_detector, new_detector
from features.labelled_boxes import read_labelled_boxes
from features.region_extraction import RegionExtractor
from prepare import main as prepare
from tools.train_detector import LabelledImages, losses_of, main, measure
from utils.errors import InputError

CPU = torch.device("cpu")
SIZE = (96, 64)
COLOURS = {"red": (220, 20, 30), "blue": (20, 40, 220)}
LABELS = ["", "pole", "box"]


def labelled(folder: Path, count: int = 6) -> Path:
    """Pictures of a tall and a wide rectangle each, of two colours, and where they are."""
    random = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(count):
        pixels = np.full((SIZE[1], SIZE[0], 3), 150, dtype=np.uint8)
        for category, (width, height) in enumerate([(12, 36), (30, 14)], start=1):
            x = int(random.integers(0, 15)) + 50 * (category - 1)
            y = int(random.integers(0, SIZE[1] - height))
            colour = str(random.choice(list(COLOURS)))
            pixels[y : y + height, x : x + width] = COLOURS[colour]
            box = {"bbox": [x, y, width, height], "attribute": colour}
            annotations.append({"image_id": number, "category_id": category, **box})
        Image.fromarray(pixels).save(folder / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png"})
    categories = [{"id": n, "name": name} for n, name in enumerate(LABELS) if name]
    content = {"images": images, "categories": categories, "annotations": annotations}
    (folder / "boxes.json").write_text(json.dumps(content))
    return folder / "boxes.json"


def test_boxes_are_read_as_they_are_written(tmp_path: Path) -> None:
    path = labelled(tmp_path, 1)
    content = json.loads(path.read_text())
    (image,) = read_labelled_boxes(path)
    assert (image.image_id, image.file_name) == ("0", "0.png")
    assert image.labels == ("pole", "box")
    for box, given in zip(image.boxes_xyxy.tolist(), content["annotations"], strict=True):
        x, y, width, height = given["bbox"]
        assert box == [x, y, x + width, y + height]
    del content["annotations"][0]["attribute"]
    content["annotations"][1]["bbox"][3] = 0
    path.write_text(json.dumps(content))
    (image,) = read_labelled_boxes(path)
    assert image.attributes == ("",) and len(image.boxes_xyxy) == 1


WRONG: dict[str, tuple[tuple[Any, ...], Any]] = {
    "lists images, categories, annotations": (("images",), {}),
    "the name of a file": (("images", 0, "file_name"), "../0.png"),
    "name None, expected a text": (("categories", 0, "name"), None),
    "image_id, an id that the file lists": (("annotations", 0, "image_id"), 7),
    "category_id, an id that": (("annotations", 0, "category_id"), 9),
    "y, width, height. in pixels": (("annotations", 0, "bbox"), [0, 0, -1, 2]),
    "bbox .nan": (("annotations", 0, "bbox"), [float("nan"), 0, 1, 2]),
    "attribute 3, expected a text": (("annotations", 0, "attribute"), 3),
    "has no boxes": (("annotations",), []),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_boxes_are_named(tmp_path: Path, message: str) -> None:
    path = labelled(tmp_path, 1)
    content = json.loads(path.read_text())
    (*keys, last), value = WRONG[message]
    place = content
    for key in keys:
        place = place[key]
    place[last] = value
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=f"boxes.json.*{message}"):
        read_labelled_boxes(path)


def test_a_mirrored_image_keeps_its_boxes(tmp_path: Path) -> None:
    images = read_labelled_boxes(labelled(tmp_path, 1))
    dataset = LabelledImages(tmp_path, images, new_detector(LABELS, [*COLOURS], SIZE[::-1]))
    torch.manual_seed(0)
    seen = set()
    for _ in range(20):
        pixels, target = dataset[0]
        for box, number in zip(target["boxes"].int().tolist(), target["attributes"], strict=True):
            x1, y1, x2, y2 = box
            seen.add((x1, int(number)))
            colour = torch.tensor(COLOURS[[*COLOURS][number]]) / 255
            assert torch.equal(pixels[:, y1:y2, x1:x2], colour[:, None, None].expand(
                3, y2 - y1, x2 - x1
            ))  # fmt: skip
    assert len(seen) == 4


def test_attributes_are_learned_where_there_are_some(tmp_path: Path) -> None:
    images = read_labelled_boxes(labelled(tmp_path, 2))
    detector = new_detector(LABELS, [*COLOURS], SIZE[::-1])
    detector.network.train()
    dataset = LabelledImages(tmp_path, images, detector)
    given, targets = zip(*(dataset[place] for place in range(len(images))), strict=True)
    named = losses_of(detector, given, targets)
    assert set(named) == {
        "loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_attribute",
    }  # fmt: skip
    nameless = copy.deepcopy(targets)
    for target in nameless:
        target["attributes"].fill_(-100)
    assert set(losses_of(detector, given, nameless)) == set(named) - {"loss_attribute"}


def test_it_finds_what_it_was_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = labelled(tmp_path, 24)
    out = tmp_path / "detector.pt"
    options = ["--boxes", str(boxes), "--pictures", str(tmp_path), "--out", str(out)]
    options += ["--size", "64", "--device", "cpu", "--batch", "4"]
    main([*options, "--steps", "50"])
    assert "2 labels, 2 attributes" in (said := capsys.readouterr().out)
    assert "2 pictures that were held out" in said
    images = read_labelled_boxes(boxes)
    detector = load_detector("its own", str(out), None, 0)
    assert detector.labels == ("", "box", "pole")
    scores = measure(RegionExtractor(detector, None, CPU), tmp_path, images)
    # Untrained, it finds next to nothing.
    assert scores["found"] > 60 and scores["right attributes of those found"] > 80
    where = ["--pictures", str(tmp_path), "--split", "val", "--out", str(tmp_path / "regions")]
    networks = ["--detector-weights", str(out), "--trunk-weights", "detector", "--device", "cpu"]
    prepare(["regions", *where, *networks])
    with RegionStore.read_files(find_region_files(tmp_path / "regions", "val")) as store:
        regions = store.read("0", SIZE)
        assert set(regions.labels) <= {"box", "pole"} and set(regions.attributes) <= set(COLOURS)


def test_what_cannot_be_trained_on_is_refused(tmp_path: Path) -> None:
    boxes = labelled(tmp_path, 2)
    out = tmp_path / "detector.pt"
    options = ["--boxes", str(boxes), "--pictures", str(tmp_path), "--out", str(out)]
    with pytest.raises(InputError, match="--held-out 1.0"):
        main([*options, "--held-out", "1"])
    with pytest.raises(InputError, match="boxes of 2 pictures, too few"):
        main([*options, "--held-out", "0.9"])
    for image in tmp_path.glob("*.png"):
        image.write_bytes(b"no picture")
    with pytest.raises(BadRecord, match="what cannot be read"):
        main([*options, "--steps", "1", "--batch", "1", "--device", "cpu"])
    assert not out.exists()
