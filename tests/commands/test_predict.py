"""The command for texts and images of one's own."""

from __future__ import annotations

import codecs
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import spacy
import torch
from PIL import Image
from spacy.pipeline import SpanRuler

import predict
from data.narration import Regions
from features.detectors import new_detector, save_detector
from features.region_extraction import RegionExtractor
from features.region_settings import RegionSettings, load_extractor
from inference.resolver import Resolver
from tests.conftest import REPOSITORY
from tests.support import tiny
from utils.errors import InputError

TEXT = "a man in a red shirt and a dog; he has the dog on his ball."


def extract(images: Sequence[Image.Image]) -> list[Regions]:
    return [tiny.regions(image.width, seed=1) for image in images]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints, one that finds mentions and one that does not, and an image."""
    folder = tmp_path_factory.mktemp("predict")
    detecting = tiny.resolver(mention_detection=True, max_mention_pieces=8)
    tiny.write_checkpoint(folder / "models.pt", detecting)
    tiny.write_checkpoint(folder / "plain.pt", tiny.resolver())
    Image.new("RGB", (6, 4)).save(folder / "picture.png")
    return folder


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Runs the command, on images too; gives the answers."""
    extractor = SimpleNamespace(regions_of=extract)
    monkeypatch.setattr(predict, "load_extractor", lambda *_: extractor)

    def answers(*options: object, checkpoint: str = "models.pt") -> list[dict]:
        arguments = ["--save_name", folder / checkpoint, "--device", "cpu", *options]
        predict.main([str(argument) for argument in arguments])
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return answers


def write_lines(path: Path, *lines: object) -> Path:
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("\n".join(texts) + "\n")
    return path


def test_the_command_says_what_the_resolver_says(run, folder: Path) -> None:
    resolver = Resolver.from_checkpoint(folder / "models.pt", "cpu", region_extractor=extract)
    assert run("--text", TEXT) == [resolver(None, TEXT)[0].to_dict()]
    image = folder / "picture.png"
    (answer,) = run("--text", TEXT, "--image", image)
    assert answer == {"image": str(image), **resolver(image, TEXT)[0].to_dict()}
    assert answer["mentions"] and answer["image_size"] == [6, 4]
    assert run("--text", "")[0]["mentions"] == []
    all_pairs = resolver(None, TEXT)[0].to_dict(similarity=True)
    assert run("--text", TEXT, "--similarity") == [all_pairs] and "similarity" in all_pairs


def test_a_text_is_read_from_a_file_or_standard_input(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.txt").write_text(TEXT + "\n")
    expected = run("--text", TEXT)
    assert run("--text", f"@{tmp_path}/text.txt") == expected
    stdin = SimpleNamespace(buffer=io.BytesIO(codecs.BOM_UTF8 + TEXT.encode() + b"\r\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert run("--text", "-") == expected


def test_lines_are_answered_in_their_order_whatever_the_batch(run, folder: Path) -> None:
    path = write_lines(
        folder / "lines.jsonl",
        {"text": TEXT, "mentions": [[25, 30], [0, 5]], "image": "picture.png"},
        "",
        {"text": "two women, she and she.", "image": None, "mentions": None, "id": 7},
        {"text": ""},
    )
    answers = run("--jsonl", path)
    assert [answer["line"] for answer in answers] == [1, 3, 4]
    assert [mention["text"] for mention in answers[0]["mentions"]] == ["a man", "a dog"]
    assert answers[0]["image"] == "picture.png" and answers[0]["mentions"][0]["box_pixels"]
    assert answers[1]["mentions"][0]["box_pixels"] is None
    for one, other in zip(run("--jsonl", path, "--batch", 1), answers, strict=True):
        assert one["chains"] == other["chains"] and one["mentions"] == other["mentions"]


def test_what_the_model_leaves_out_is_said_once_of_all_lines(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [{"text": "it ", "mentions": [[0, 2], [2, 3]]}] * 2
    path = write_lines(folder / "blank.jsonl", {"text": TEXT}, *lines)
    options = ["--save_name", folder / "models.pt", "--jsonl", path, "--batch", 1]
    predict.main([*map(str, options), "--device", "cpu"])
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 3
    (said,) = printed.err.splitlines()
    assert said.startswith("warning: 2 mentions of 2 narrations (")
    assert f"{path}: line 2, {path}: line 3) have no word-piece" in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("no json", "expected one JSON object a line"),
        ([1], "expected an object"),
        ({"image": "picture.png"}, "found no text"),
        ({"text": 3}, "found text 3"),
        ({"text": "a\ud800"}, "can be written as UTF-8"),
        ({"text": "a dog", "mentions": [[0, 9]]}, r"mentions: found \[0, 9\]"),
        ({"text": "a dog", "image": 3}, "found image 3"),
        ({"text": "a dog", "image": "none.png"}, "found no file .*none.png, expected a picture"),
        ({"text": "a dog", "image": "models.pt"}, "models.pt cannot be read"),
    ],
)
def test_a_bad_line_is_named_or_skipped_and_counted(
    folder: Path, line: object, said: str, run, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_lines(folder / "bad.jsonl", {"text": "a dog"}, line, {"text": "a man"})
    with pytest.raises(InputError, match=f"bad.jsonl: line 2: .*{said}"):
        run("--jsonl", path)
    arguments = ["--save_name", str(folder / "models.pt"), "--jsonl", str(path)]
    predict.main([*arguments, "--device", "cpu", "--skip-bad-records"])
    out, err = capsys.readouterr()
    assert [json.loads(answer)["line"] for answer in out.splitlines()][-2:] == [1, 3]
    assert "bad records skipped: 1\n" in err and "line 2" in err


def test_mentions_are_found_by_spacy(run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = spacy.blank("en")
    ruler = pipeline.add_pipe("span_ruler", config={"spans_key": "sc"})
    assert isinstance(ruler, SpanRuler)
    ruler.add_patterns([{"label": "mention", "pattern": "a dog"}])
    monkeypatch.setattr(predict, "load_pipeline", lambda name: pipeline)
    monkeypatch.setattr("data.mentions.spacy_pipeline.span_group", lambda pipeline: "sc")
    lines = {"text": TEXT}, {"text": TEXT, "mentions": [[0, 5]]}, {"text": TEXT}
    path = write_lines(folder / "spacy.jsonl", *lines)
    answers = run("--jsonl", path, "--mentions", "spacy", checkpoint="plain.pt")
    found = [[mention["text"] for mention in answer["mentions"]] for answer in answers]
    assert found == [["a dog"], ["a man"], ["a dog"]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--jsonl", "x.jsonl", "--image", "x.png"], "are in its lines"),
        (["--text", "x", "--skip-bad-records"], "only --jsonl"),
        (["--text", "x", "--spacy-model", "x"], "--mentions predicted"),
        (["--text", "@none.txt"], "--text: none.txt cannot be read"),
        (["--jsonl", "none.jsonl"], "none.jsonl cannot be read"),
        (["--text", "x", "--image", "none.png"], "--image: none.png is no file"),
        (["--text", "x", "--device", "tpu"], "expected auto"),
    ],
)
def test_options_that_cannot_be_followed_are_named(run, options: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        run(*options)


def test_a_model_that_finds_no_mentions_says_what_can_be_done(run) -> None:
    with pytest.raises(InputError, match="plain.pt was not trained .* --mentions spacy"):
        run("--text", TEXT, checkpoint="plain.pt")


def asked(
    weights: Path | None = None, trunk_weights: str | None = None, size: int | None = None
) -> RegionSettings:
    """What is asked for of a detector."""
    return RegionSettings(None, None if weights is None else str(weights), trunk_weights, size)


def load(settings: RegionSettings, trained_with: dict[str, object] | None) -> RegionExtractor:
    return load_extractor(settings, trained_with, Path("models.pt"), torch.device("cpu"))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A small detector, as tools/train_detector.py writes it."""
    torch.manual_seed(0)
    save_detector(tmp_path / "detector.pt", new_detector(["", "dog", "man"], [], (32, 64)))
    return tmp_path / "detector.pt"


def test_an_image_without_a_detector_is_refused() -> None:
    with pytest.raises(InputError, match="--detector-weights"):
        load(asked(), None)


def test_the_detector_is_that_of_the_training(weights: Path, tmp_path: Path) -> None:
    made_of = {
        **RegionSettings("fasterrcnn_resnet50_fpn_v2", str(weights), "detector", 48).identity(),
        "shards": 1,
    }
    with pytest.raises(InputError, match="--detector-weights: found none, expected .*detector.pt"):
        load(asked(), made_of)
    other = tmp_path / "other.pt"
    save_detector(other, new_detector(["", "cat"], [], (32, 64)))
    with pytest.raises(InputError, match="--detector-weights: found 'other.pt .*detector.pt"):
        load(asked(other), made_of)
    with pytest.raises(InputError, match="--size: found 64, expected 48"):
        load(asked(weights, size=64), made_of)
    # What is left out is as it was: the head of the detector describes the regions, at this size.
    extractor = load(asked(weights), made_of)
    assert extractor.trunk is None
    assert extractor.network.transform.min_size == (48,)


def test_regions_are_found_by_the_detector_of_the_options(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extractor = load(asked(weights, trunk_weights="detector"), None).regions_of
    assert "models.pt does not say what made the regions" in capsys.readouterr().err
    noise = np.random.default_rng(0).integers(255, size=(48, 64, 3), dtype=np.uint8)
    images = [Image.fromarray(noise), Image.fromarray(noise[:, :30])]
    together = extractor(images)
    for found, image in zip(together, images, strict=True):
        (alone,) = extractor([image])
        np.testing.assert_allclose(found.boxes_xyxy, alone.boxes_xyxy, atol=1e-5)
        np.testing.assert_allclose(found.features, alone.features, atol=1e-4)
        assert len(found) and {*found.labels} <= {"dog", "man"}
        assert found.boxes_xyxy.min() >= 0 and 0.5 < found.boxes_xyxy.max() <= 1


def test_a_page_shows_every_answer(run, folder: Path, tmp_path: Path) -> None:
    path = write_lines(
        folder / "page.jsonl", {"text": TEXT, "image": "picture.png"}, {"text": "<b>a dog"}
    )
    page = tmp_path / "chains.html"
    run("--jsonl", path, "--page", page)
    first = page.read_bytes()
    assert first.count(b"<section ") == 2 and first.count(b"<img ") == 1
    assert b"line 1, image picture.png" in first and b"<b>" not in first
    run("--jsonl", path, "--page", page)
    assert page.read_bytes() == first


def test_the_command_prints_answers_and_nothing_else(folder: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "predict.py"), "--device", "cpu"]
    done = subprocess.run(
        [*command, "--save_name", str(folder / "models.pt"), "--text", TEXT],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr == ""
    assert json.loads(done.stdout)["text"] == TEXT
    failed = subprocess.run(
        [*command, "--save_name", "none.pt", "--text", TEXT], capture_output=True, text=True
    )
    assert failed.returncode == 1 and failed.stdout == "" and "Traceback" not in failed.stderr
