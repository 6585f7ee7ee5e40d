"""From videos to region files of heads, and back to where they come from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, ViTConfig, ViTModel

from data.files import BadRecord, DataError
from data.media.videos import Video, find_videos
from data.readers import read_narrations
from data.readers.report import ReadReport
from data.readers.tiktalk.heads import read_heads
from data.regions.file_names import find_region_files
from data.regions.head_files import read_head_regions
from data.regions.shards import Shard
from data.regions.store import RegionStore
from features.detectors import new_detector, save_detector
from features.heads.descriptors import (
    HeadDescriptor,
    encoder_descriptor,
    region_descriptor,
)
from features.heads.detection import HeadDetections, HeadDetector
from features.heads.face_encoder import (
    FEATURE_SIZE,
    FaceEncoder,
    load_face_encoder,
    save_face_encoder,
)
from features.heads.finders import TrackedHeadFinder
from features.heads.writing import DescribedVideo, write_heads
from features.region_extraction import RegionExtractor
from metrics.head_scores import TrueHead, count_heads
from prepare import main as prepare
from synthetic.dialogues.moving import (
    FRAMES,
    HEIGHT,
    WIDTH,
)
from tests.support.inputs import encode
from tests.synthetic.test_dialogues import generate
from tools.data_split import main as split
from tools.score_heads import main as score
from tools.score_heads import read_truth
from utils.errors import InputError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def dialogues(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dialogues with their videos, all of them in train, and an untrained encoder of faces."""
    folder = generate(tmp_path_factory.mktemp("heads") / "set", seed=6, dialogues=3)
    split(["--data-root", str(folder)])
    torch.manual_seed(0)
    save_face_encoder(folder / "faces.pt", FaceEncoder())
    save_detector(folder / "detector.pt", new_detector(["", "head"], [], (64, 120)))
    return folder


def heads(dialogues: Path, out: Path, *others: str, videos: str = "videos") -> None:
    """Run `prepare.py heads` on the dialogues."""
    where = ["--videos", str(dialogues / videos), "--data-root", str(dialogues / "all")]
    networks = ["--image-encoder", str(dialogues / "faces.pt"), "--device", "cpu"]
    prepare(["heads", *where, *networks, "--split", "train", "--out", str(out), *others])


ANNOTATED = ("--heads", "annotated")


@pytest.mark.parametrize("videos", ["videos", "frames"])
def test_annotated_heads_are_regions(dialogues: Path, tmp_path: Path, videos: str) -> None:
    heads(dialogues, tmp_path, *ANNOTATED, videos=videos)
    boxes = read_heads(dialogues / "all", "train", ReadReport("tiktalk", "train"))
    where = read_head_regions(tmp_path, "train")
    encoder = load_face_encoder(dialogues / "faces.pt")
    with RegionStore.read_files(find_region_files(tmp_path, "train")) as store:
        assert set(store.image_ids) == set(where) == set(boxes)
        for video_id, of_video in boxes.items():
            regions, video = store.read(video_id, (WIDTH, HEIGHT)), where[video_id]
            assert video.size == (WIDTH, HEIGHT) and len(regions) == len(video.heads)
            for region, head, box in zip(regions, video.heads, of_video, strict=True):
                pixels = np.multiply(region.box_xyxy, (WIDTH, HEIGHT, WIDTH, HEIGHT))
                assert pixels == pytest.approx(box.box_xyxy, abs=1e-3)
                assert head.frame == box.frame and head.tracks == (((box.frame, box.box_xyxy),),)
                assert region.label == "head"
                assert head.crop is not None
                with Image.open(tmp_path / "crops" / head.crop) as crop:
                    x1, y1, x2, y2 = box.box_xyxy
                    assert crop.size == (x2 - x1, y2 - y1)
                    with torch.inference_mode():
                        (again,) = encoder(encoder.inputs_of([crop.convert("RGB")])).numpy()
                # Nearly, as the crop was compressed.
                assert region.feature @ again > 0.98


def test_the_ordinary_loader_reads_heads_as_regions(dialogues: Path, tmp_path: Path) -> None:
    heads(dialogues, tmp_path, *ANNOTATED)
    sizes = {
        video_id: video.size for video_id, video in read_head_regions(tmp_path, "train").items()
    }
    narrations = [
        replace(narration, image_id=narration.id, image_size=sizes[narration.id])
        for narration in read_narrations("tiktalk", dialogues / "all", "train").narrations
    ]
    with RegionStore.read_files(find_region_files(tmp_path, "train")) as store:
        encode(narrations, store)


def known_heads(dialogues: Path) -> tuple[dict[str, list[TrueHead]], list[Video]]:
    truth = read_truth(dialogues / "truth.jsonl")
    return truth, list(find_videos(dialogues / "videos").values())


def all_knowing(
    truth: Sequence[TrueHead], step: int, scores: np.ndarray
) -> tuple[Callable[[Sequence[np.ndarray]], list[HeadDetections]], HeadDescriptor]:
    """A detector of every head that is half seen, and a descriptor that knows whose each is."""
    numbers = iter(range(0, FRAMES, step))
    people = sorted({head.person for head in truth})
    looks = np.random.default_rng(0).normal(size=(len(people), 32))
    whose = {}

    def detect(frames: Sequence[np.ndarray]) -> list[HeadDetections]:
        found = []
        for _, frame in zip(frames, numbers, strict=False):
            there = [head for head in truth if head.frame == frame and head.visible >= 0.5]
            boxes = np.array([head.box_xyxy for head in there], np.float32).reshape(-1, 4)
            whose.update({(box.tobytes()): h.person for box, h in zip(boxes, there, strict=True)})
            found.append(HeadDetections(boxes, scores[frame, : len(there)]))
        return found

    def describe(frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [
            np.array(
                [looks[people.index(whose[box.tobytes()])] for box in of_frame], np.float32
            ).reshape(-1, 32)
            for of_frame in boxes
        ]

    return detect, describe


def test_each_person_is_one_region_by_their_surest_head(dialogues: Path, tmp_path: Path) -> None:
    truth, videos = known_heads(dialogues)
    scores = np.random.default_rng(0).random((FRAMES, 4)).astype(np.float32)

    def pale(frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Says of a head where it is, and nothing of who it is."""
        return [of_frame.astype(np.float32) for of_frame in boxes]

    def find_heads(video: Video) -> DescribedVideo:
        detect, describe = all_knowing(truth[video.image_id], 2, scores)
        return TrackedHeadFinder(detect, pale, describe, 2, 0.6)(video)

    def refuse(problem: BadRecord) -> None:
        raise problem

    done: list[int] = []
    shard = Shard("train", videos)
    write_heads(tmp_path, shard, find_heads, done=lambda: done.append(1), refuse=refuse)
    assert len(done) == len(videos)
    stored = RegionStore.read_files(find_region_files(tmp_path, "train"))
    for video_id, video in read_head_regions(tmp_path, "train").items():
        assert video.looked_at == tuple(range(0, FRAMES, 2))
        tracks = [head.tracks for head in video.heads]
        counts = count_heads(tracks, video.looked_at, truth[video_id])
        assert counts.found == counts.heads == counts.boxes and not counts.boxes_of_none
        assert counts.regions == counts.people == counts.people_found == len(video.heads)
        assert counts.joined == counts.pairs_of_one
        assert not counts.wrongly_joined and not counts.mixed_tracks
        regions = stored.read(video_id, (WIDTH, HEIGHT))
        for head, region in zip(video.heads, regions, strict=True):
            place = dict(place for track in head.tracks for place in track)[head.frame]
            assert region.feature == pytest.approx(place)
            frames = [frame for track in head.tracks for frame, _ in track]
            assert head.frame in frames and len(set(frames)) == len(frames)
    stored.close()
    score(["--heads", str(tmp_path), "--split", "train", "--truth", str(dialogues / "truth.jsonl"),
           "--json", str(tmp_path / "scores.json")])  # fmt: skip
    assert json.loads((tmp_path / "scores.json").read_text())["videos"] == 3


def test_a_stopped_run_goes_on(
    dialogues: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heads(dialogues, tmp_path / "out", *ANNOTATED, "--shards", "3")
    whole = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("train-*")}
    assert len(whole) == 9 and "3 of them written now" in capsys.readouterr().out
    (tmp_path / "out" / "train-00001-of-00003_imgid2idx.pkl").unlink()
    heads(dialogues, tmp_path / "out", *ANNOTATED, "--shards", "3")
    assert "1 of them written now" in capsys.readouterr().out
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").glob("train-*")} == whole
    with pytest.raises(InputError, match="that were made otherwise.*another --out"):
        heads(dialogues, tmp_path / "out", *ANNOTATED, "--shards", "2")


def test_videos_without_heads_are_images_without_regions(
    dialogues: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_: HeadDetector, frames: Sequence[np.ndarray]) -> list[HeadDetections]:
        return [
            HeadDetections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32)) for _ in frames
        ]

    monkeypatch.setattr(HeadDetector, "__call__", nobody)
    weights = ["--detector-weights", str(dialogues / "detector.pt"), "--trunk-weights", "detector"]
    where = ["--videos", str(dialogues / "videos"), "--split", "any", "--out", str(tmp_path)]
    prepare(["heads", *where, *weights, "--every", "16", "--device", "cpu"])
    with RegionStore.read_files(find_region_files(tmp_path, "any")) as store:
        assert len(store) == 3 and store.feature_size == 2048
        assert not any(len(store.read(video_id, None)) for video_id in store.image_ids)
    assert {video.looked_at for video in read_head_regions(tmp_path, "any").values()} == {(0, 16)}


def test_an_untrained_detector_runs_through(dialogues: Path, tmp_path: Path) -> None:
    weights = ["--detector-weights", str(dialogues / "detector.pt"), "--trunk-weights", "detector"]
    faces = ["--face-encoder", str(dialogues / "faces.pt")]
    where = ["--videos", str(dialogues / "frames"), "--split", "any", "--out", str(tmp_path)]
    prepare(["heads", *where, *weights, *faces, "--every", "16", "--device", "cpu"])
    with RegionStore.read_files(find_region_files(tmp_path, "any")) as store:
        assert len(store) == 3 and store.feature_size == 2048


def copied(dialogues: Path, folder: Path) -> Path:
    shutil.copytree(dialogues, folder / "set")
    return folder / "set"


def test_a_broken_video_does_not_stop_the_others(
    dialogues: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = copied(dialogues, tmp_path)
    broken, missing, _ = sorted((world / "videos").iterdir())
    broken.write_text("no video")
    missing.unlink()
    with pytest.raises(BadRecord, match=f"{missing.stem}: found no video of this dialogue"):
        heads(world, tmp_path / "out", *ANNOTATED)
    heads(world, tmp_path / "out", *ANNOTATED, "--skip-bad-records")
    said = capsys.readouterr().out
    assert "bad records skipped: 2" in said and broken.name in said and missing.stem in said
    assert len(read_head_regions(tmp_path / "out", "train")) == 1


def change_box(world: Path, **values: object) -> str:
    """Change the first annotated box; returns the id of its dialogue."""
    path = world / "all" / "train.visual.jsonl"
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    record = next(record for record in records if record["visual_annotations"])
    record["visual_annotations"][0].update(values)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return record["doc_key"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"bbox": [100, 20, 145, 60]}, "the box .100, 20, 145, 60. of C1, expected one within 144"),
        ({"cur_frame": 99}, "found no frame 99"),
        ({"box_labels": "C9"}, "C9.*expected a label of its chains"),
    ],
)
def test_annotations_that_do_not_fit_the_video(
    dialogues: Path, tmp_path: Path, values: dict[str, object], said: str
) -> None:
    world = copied(dialogues, tmp_path)
    doc_key = change_box(world, **values)
    with pytest.raises(BadRecord, match=f"{doc_key}.*{said}"):
        heads(world, tmp_path / "out", *ANNOTATED)
    heads(world, tmp_path / "out", *ANNOTATED, "--skip-bad-records")
    assert doc_key not in read_head_regions(tmp_path / "out", "train")


def test_what_is_asked_for_must_be_there(dialogues: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--detector-weights: none are given"):
        heads(dialogues, tmp_path / "out")
    weights = ("--detector-weights", str(dialogues / "detector.pt"))
    with pytest.raises(InputError, match="--labels dog: the detector knows none.* but head"):
        heads(dialogues, tmp_path / "out", *weights, "--labels", "dog")
    with pytest.raises(DataError, match="no file of tools/train_faces.py"):
        heads(dialogues, tmp_path / "out", *ANNOTATED, "--image-encoder",
              str(dialogues / "detector.pt"))  # fmt: skip
    with pytest.raises(InputError, match="--heads annotated: expected --data-root"):
        prepare(["heads", "--videos", str(dialogues / "videos"), "--split", "train", "--out",
                 str(tmp_path / "out"), *ANNOTATED])  # fmt: skip
    assert not (tmp_path / "out").exists()


def tiny_clip(folder: Path) -> Path:
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    vision = {**sizes, "num_hidden_layers": 1, "image_size": 16, "patch_size": 8}
    text = {**sizes, "num_hidden_layers": 1, "vocab_size": 8}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    return folder


def tiny_vit(folder: Path) -> Path:
    config = ViTConfig(
        hidden_size=12, intermediate_size=16, num_attention_heads=2, num_hidden_layers=1,
        image_size=16, patch_size=8,
    )  # fmt: skip
    torch.manual_seed(0)
    ViTModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("make", [tiny_clip, tiny_vit])
def test_encoders_of_transformers_describe_heads(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    folder = make(tmp_path / "encoder")
    sides = {"height": 16, "width": 16}
    CLIPImageProcessor(size=sides, crop_size=sides).save_pretrained(folder)
    check_descriptor(encoder_descriptor(str(folder), CPU), 12)


def test_faces_and_regions_describe_heads(dialogues: Path) -> None:
    check_descriptor(encoder_descriptor(str(dialogues / "faces.pt"), CPU), FEATURE_SIZE)
    torch.manual_seed(0)
    detector = new_detector(["", "head"], [], (64, 120))
    detector.network.eval()
    extractor = RegionExtractor(detector, None, CPU)
    check_descriptor(region_descriptor(extractor), 2048)


def check_descriptor(describe: HeadDescriptor, size: int) -> None:
    """Heads together are described as alone, and frames may have none."""
    random = np.random.default_rng(0)
    frames = [random.integers(0, 256, (64, 48, 3), np.uint8) for _ in range(3)]
    boxes = [
        np.array([[1, 2, 20, 30], [8, 8, 40, 60]], np.float32),
        np.zeros((0, 4), np.float32),
        np.array([[0.5, 0, 48, 64]], np.float32),
    ]
    together = describe(frames, boxes)
    assert [each.shape for each in together] == [(2, size), (0, size), (1, size)]
    for frame, of_frame, features in zip(frames, boxes, together, strict=True):
        for box, feature in zip(of_frame, features, strict=True):
            ((alone,),) = describe([frame], [box[None]])
            assert feature == pytest.approx(alone, rel=1e-3, abs=1e-4)
    assert not np.allclose(*together[0])
    assert describe(frames[:1], [boxes[1]])[0].shape == (0, size)


def test_an_encoder_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="the image encoder .*folder.* cannot be loaded"):
        encoder_descriptor(str(tmp_path / "folder"), CPU)


def test_only_sure_heads_are_found() -> None:
    """Of what the network finds: heads, half sure or more, and not tiny."""
    detector = new_detector(["", "dog", "head"], [], (64, 120))
    answer = {
        "boxes": torch.tensor([[0.0, 0, 20, 20], [0, 0, 20, 20], [0, 0, 20, 20], [5, 5, 7, 30]]),
        "labels": torch.tensor([2, 1, 2, 2]),
        "scores": torch.tensor([0.9, 0.9, 0.4, 0.9]),
    }
    detect = HeadDetector(detector, ["head", "face"], CPU)
    detect.network = lambda images: [answer for _ in images]
    (found,) = detect([np.zeros((64, 48, 3), np.uint8)])
    assert found.boxes_xyxy.tolist() == [[0, 0, 20, 20]] and found.scores == pytest.approx([0.9])


WRONG = {
    "size": [0, 4], "looked_at": ["x"], "frames": [1, 2], "crops": ["../x.jpg"], "tracks": [[[]]],
}  # fmt: skip


@pytest.mark.parametrize("field", WRONG)
def test_wrong_fields_of_heads_are_named(dialogues: Path, tmp_path: Path, field: str) -> None:
    heads(dialogues, tmp_path, *ANNOTATED)
    path = tmp_path / "train_detection_dict.json"
    content = json.loads(path.read_text())
    video_id = next(video_id for video_id, fields in content.items() if fields["frames"])
    content[video_id][field] = WRONG[field]
    path.write_text(json.dumps(content))
    with pytest.raises(BadRecord, match=f"{path.name}: {video_id}: found .*{field}"):
        read_head_regions(tmp_path, "train")
    with pytest.raises(DataError, match="has no region files of test"):
        read_head_regions(tmp_path, "test")
