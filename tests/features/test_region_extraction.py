"""From images to region files, by untrained networks of torchvision."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import WeightsEnum

from data.files import BadRecord, DataError
from data.media.images import find_images, listed_images
from data.regions.file_names import find_region_files
from data.regions.store import MAX_REGIONS, RegionStore
from features.detectors import (
    FEATURE_SIZE,
    OF_DETECTOR,
    RANDOM,
    Detector,
    load_detector,
    load_trunk,
    new_detector,
    save_detector,
)
from features.region_extraction import (
    MIN_REGIONS,
    RegionExtractor,
    choose_regions,
)
from prepare import main as prepare
from tests.training.test_ranks import (
    command,
    on_this_host,
    run,
)
from utils.boxes import pairwise_iou
from utils.errors import InputError

CPU = torch.device("cpu")
DETECTOR = "fasterrcnn_mobilenet_v3_large_320_fpn"
LABELS, ATTRIBUTES = ("", "man", "dog"), ("red", "blue")


def untrained_detector() -> Detector:
    torch.manual_seed(2)
    return new_detector(LABELS, ATTRIBUTES, (64, 100))


@functools.cache
def untrained() -> RegionExtractor:
    return RegionExtractor(load_detector(DETECTOR, RANDOM, 64, 0), load_trunk(RANDOM, 0), CPU)


def shapes(seed: int, size: tuple[int, int] = (80, 60)) -> np.ndarray:
    """An image [height, width, 3] uint8 of some coloured rectangles."""
    random = np.random.default_rng(seed)
    width, height = size
    pixels = np.full((height, width, 3), random.integers(0, 256, 3), dtype=np.uint8)
    for _ in range(6):
        (x1, x2), (y1, y2) = (np.sort(random.integers(0, side, 2)) for side in size)
        pixels[y1:y2, x1:x2] = random.integers(0, 256, 3)
    return pixels


def image_folder(folder: Path, count: int = 6) -> Path:
    """Pictures of two sizes."""
    folder.mkdir()
    for seed in range(count):
        image = Image.fromarray(shapes(seed, (80, 60) if seed % 2 else (50, 70)))
        image.save(folder / f"{100 + seed}.png")
    return folder


def options_for(images: Path, out: Path, *others: str) -> list[str]:
    networks = ["--detector", DETECTOR, "--detector-weights", RANDOM, "--trunk-weights", RANDOM]
    where = ["--pictures", str(images), "--split", "train", "--out", str(out)]
    return ["regions", *where, *networks, "--size", "64", "--device", "cpu", *others]


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of images, and what one process made of it in three shards."""
    folder = tmp_path_factory.mktemp("regions")
    images = image_folder(folder / "pictures")
    prepare(options_for(images, folder / "out", "--shards", "3"))
    return images, folder / "out"


def test_images_together_are_as_each_alone() -> None:
    images = [torch.from_numpy(shapes(seed)).permute(2, 0, 1) for seed in range(3)]
    together = untrained()(["0", "1", "2"], images)
    for name, image, of_batch in zip("012", images, together, strict=True):
        (alone,) = untrained()([name], [image])
        assert of_batch.image_id == alone.image_id == name
        assert of_batch.classes == alone.classes
        assert of_batch.boxes_xyxy == pytest.approx(alone.boxes_xyxy, abs=1e-3)
        assert of_batch.features == pytest.approx(alone.features, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("count", [0, 3, MIN_REGIONS, 40, 400])
@pytest.mark.parametrize("surest", [0.1, 1.0])
def test_what_is_kept_of_an_image(count: int, surest: float) -> None:
    random = torch.Generator().manual_seed(count)
    corners = torch.rand(count, 2, 2, generator=random).mul(300).sort(dim=1).values
    boxes = corners.flatten(1)
    scores = torch.rand(count, generator=random) * surest
    classes = torch.randint(1, 5, (count,), generator=random)
    large = (boxes[:, 2:] - boxes[:, :2]).min(dim=1).values >= 1 if count else torch.zeros(0)
    kept, kept_classes = choose_regions(boxes, scores, classes)
    assert min(MIN_REGIONS, int(large.sum())) <= len(kept) <= MAX_REGIONS
    places = [int((boxes == box).all(dim=1).nonzero()) for box in kept]
    assert kept_classes.tolist() == classes[places].tolist()
    if len(kept) > MIN_REGIONS:
        # All are sure; none overlaps a surer one of its class.
        assert scores[places].min() > 0.2
        overlap = pairwise_iou(kept, kept) > 0.5
        same = kept_classes[:, None] == kept_classes[None]
        assert torch.equal(overlap & same, torch.eye(len(kept), dtype=torch.bool))
        assert scores[places].tolist() == sorted(scores[places].tolist(), reverse=True)


def test_few_regions_are_filled_from_those_that_overlap() -> None:
    boxes = torch.tensor([[0.0, 0, 50, 50]]) + torch.arange(12)[:, None] * 0.1
    scores = torch.linspace(0.9, 0.3, 12)
    kept, _ = choose_regions(boxes, scores, torch.ones(12, dtype=torch.long))
    assert torch.equal(kept, boxes[:MIN_REGIONS])


def test_ordinary_readers_read_what_is_written(at_once: tuple[Path, Path]) -> None:
    images, out = at_once
    paths = {image.image_id: image.path for image in find_images(images)}
    with RegionStore.read_files(find_region_files(out, "train")) as store:
        assert sorted(store.image_ids) == sorted(paths)
        assert store.feature_size == FEATURE_SIZE
        for place, image_id in enumerate(store.image_ids):
            size = Image.open(paths[image_id]).size
            regions = store.read(image_id, size)
            assert MIN_REGIONS <= len(regions) <= MAX_REGIONS
            assert all(regions.labels) and "__background__" not in regions.labels
            boxes = store.index.boxes_xyxy[slice(*store.index.offsets[place : place + 2])]
            assert (boxes >= 0).all() and (boxes <= np.tile(size, 2)).all()
            assert (boxes[:, :2] < boxes[:, 2:]).all()
            assert regions.features.std(axis=0).any()


def test_ranks_write_what_one_process_does(at_once: tuple[Path, Path], tmp_path: Path) -> None:
    images, out = at_once
    options = options_for(images, tmp_path / "out", "--shards", "3")
    done = run([*on_this_host(2), *command("prepare.py", options)])
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("shards: 3, written now: 3") == 1
    assert files_of(tmp_path / "out") == files_of(out)


def test_what_was_stopped_goes_on(at_once: tuple[Path, Path], tmp_path: Path) -> None:
    """At the first shard that is not whole; what is whole is left alone."""
    images = shutil.copytree(at_once[0], tmp_path / "pictures")
    good = (images / "102.png").read_bytes()
    (images / "102.png").write_bytes(good[: len(good) // 2])
    options = options_for(images, tmp_path / "out", "--shards", "3")
    with pytest.raises(BadRecord, match="102.png: 102: found what cannot be read"):
        prepare(options)
    begun = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert len(begun) == 4
    (images / "102.png").write_bytes(good)
    # What a killed process leaves.
    (tmp_path / "out" / ".train-00001-of-00003_features_compress.hdf5.1a2b.tmp").touch()
    prepare([*options, "--workers", "1"])
    assert files_of(tmp_path / "out") == files_of(at_once[1])
    assert {path: path.stat().st_mtime_ns for path in begun} == begun
    with pytest.raises(InputError, match="were made otherwise: seed was 0 and is 1; another --out"):
        prepare([*options, "--seed", "1"])
    (images / "102.png").unlink()
    with pytest.raises(InputError, match="were made otherwise: pictures was"):
        prepare(options)


def test_an_unreadable_image_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = image_folder(tmp_path / "pictures", 2)
    (images / "7.jpg").write_bytes(b"no picture")
    Image.new("RGB", (300, 2)).save(images / "8.png")
    prepare(options_for(images, tmp_path / "out", "--skip-bad-records"))
    said = capsys.readouterr()
    assert "7.jpg: 7: found what cannot be read" in said.err
    assert "8.png: 8: found what cannot be read (it has 300 x 2 pixels, expected" in said.err
    assert "4 pictures of train, shards: 1, written now: 1, pictures left out now: 2" in said.out
    with RegionStore.read_files(find_region_files(tmp_path / "out", "train")) as store:
        assert sorted(store.image_ids) == ["100", "101"]


def test_a_list_says_which_images_are_taken(tmp_path: Path) -> None:
    images = find_images(image_folder(tmp_path / "pictures", 3))
    ids = tmp_path / "ids.json"
    ids.write_text('[102, "100", 7]')
    with pytest.raises(BadRecord, match="ids.json: 7: found no picture"):
        listed_images(images, ids)
    problems: list[BadRecord] = []
    listed = listed_images(images, ids, problems.append)
    assert listed == [images[0], images[2]] and len(problems) == 1
    for content, message in (('{"100": 0}', "a list of image ids"), ("[7]", "no picture that is")):
        ids.write_text(content)
        with pytest.raises(DataError, match=message):
            listed_images(images, ids, problems.append)


def test_wrong_folders_and_weights_are_refused(tmp_path: Path) -> None:
    images = image_folder(tmp_path / "pictures", 1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no pictures"):
        find_images(tmp_path / "empty")
    shutil.copy(images / "100.png", tmp_path / "empty" / "100.jpg")
    shutil.copy(images / "100.png", tmp_path / "empty" / "100.png")
    with pytest.raises(DataError, match="100.jpg.*have one id|100.png and 100.jpg have one id"):
        find_images(tmp_path / "empty")
    (tmp_path / "broken.pt").write_bytes(b"no weights")
    torch.save({"a": torch.zeros(1)}, tmp_path / "others.pt")
    torch.save({"labels": ["", "man"]}, tmp_path / "part.pt")
    for others, message in (
        (["--detector", "yolo"], "--detector yolo: expected one of .*fasterrcnn_resnet50_fpn"),
        (["--detector", "fcos_resnet50_fpn"], "expected a detector of two stages"),
        (["--detector-weights", "COCO"], "'COCO' of fasterrcnn_mobilenet.* or one of COCO_V1"),
        (["--detector-weights", str(tmp_path / "broken.pt")], "cannot be read as a file of wei"),
        (["--detector-weights", str(tmp_path / "others.pt")], "others.pt do not fit a FasterRCNN"),
        (
            ["--detector-weights", str(tmp_path / "part.pt")],
            "part.pt holds .* expected what tools/train_det",
        ),
        (["--trunk-weights", str(tmp_path / "others.pt")], "others.pt do not fit a ResNet"),
        (["--shards", "2"], "--shards 2: there are 1 pictures"),
    ):
        with pytest.raises(InputError, match=message):
            prepare(options_for(images, tmp_path / "out", *others))
    assert not (tmp_path / "out").exists()


def test_published_weights_are_taken_or_told_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Random numbers stand for what is downloaded."""
    expected = untrained()

    def of_untrained(self: WeightsEnum, **_: object) -> dict[str, torch.Tensor]:
        return expected.network.state_dict()

    monkeypatch.setattr(WeightsEnum, "get_state_dict", of_untrained)
    loaded = load_detector(DETECTOR, "COCO_V1", 64, 0)
    assert loaded.labels == expected.detector.labels
    assert loaded.labels[:2] == ("", "person") and "N/A" not in loaded.labels
    image = torch.from_numpy(shapes(1)).permute(2, 0, 1)
    (given,) = expected(["1"], [image])
    (found,) = RegionExtractor(loaded, expected.trunk, CPU)(["1"], [image])
    assert found.classes == given.classes
    assert found.features == pytest.approx(given.features, rel=1e-3, abs=1e-4)

    def out_of_reach(self: WeightsEnum, **_: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(WeightsEnum, "get_state_dict", out_of_reach)
    with pytest.raises(InputError, match="resnet101-.*pth cannot be had .*no network"):
        load_trunk("IMAGENET1K_V2", 0)


def test_a_saved_detector_brings_its_names_and_features(tmp_path: Path) -> None:
    detector = untrained_detector()
    detector.network.eval()
    path = tmp_path / "detector.pt"
    save_detector(path, detector)
    loaded = load_detector("any", str(path), None, seed=5)
    assert (loaded.labels, loaded.attributes) == (LABELS, ATTRIBUTES)
    image = torch.from_numpy(shapes(1)).permute(2, 0, 1)
    (given,) = RegionExtractor(detector, None, CPU)(["1"], [image])
    (found,) = RegionExtractor(loaded, load_trunk(OF_DETECTOR, 0), CPU)(["1"], [image])
    assert np.array_equal(found.features, given.features)
    assert np.array_equal(found.boxes_xyxy, given.boxes_xyxy)
    assert found.features.shape == (len(found.boxes_xyxy), FEATURE_SIZE)
    assert found.attributes is not None
    assert set(found.classes) <= {"man", "dog"} and set(found.attributes) <= set(ATTRIBUTES)
    (by_trunk,) = RegionExtractor(loaded, load_trunk(RANDOM, 0), CPU)(["1"], [image])
    assert by_trunk.attributes == found.attributes
    assert not np.array_equal(by_trunk.features, found.features)


def test_real_photographs_go_through(real_data: Path, tmp_path: Path) -> None:
    """All of them, seen small, so that untrained networks take little time."""
    prepare(options_for(real_data / "coco_cc" / "images", tmp_path, "--batch", "8"))
    with RegionStore.read_files(find_region_files(tmp_path, "train")) as store:
        assert len(store) == 53
        for image_id in store.image_ids:
            path = real_data / "coco_cc" / "images" / f"{image_id}.jpg"
            assert MIN_REGIONS <= len(store.read(image_id, Image.open(path).size)) <= MAX_REGIONS
