"""The pages of the test commands: what is scored is what they show."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

import test_coref
import test_grounding
from data.mention_spans import with_spans
from data.narration import Narration, Sentence
from inference.resolver import Resolver
from tests.support import cin_files, tiny, trained
from tests.visualization.test_page import Elements
from utils.errors import InputError
from visualization.split_page import speaker_turns

TEXT = "A man holds a dog. He pets it on the left."
MENTIONS = [
    cin_files.MentionNote("A man", 0, [[10, 20, 30, 40]]),
    cin_files.MentionNote("a dog", 1, [[50, 50, 25, 25], [80, 50, 10, 10]]),
    cin_files.MentionNote("He", 0, [[10, 20, 30, 40]]),
    cin_files.MentionNote("it", 1, [[50, 50, 25, 25]], after=20),
    cin_files.MentionNote("the left", 2),
]
COUNTED = {"0-5", "12-17", "19-21", "27-29"}  # those that have a box


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with images of two of three test narrations, and a model that grounds."""
    folder = tmp_path_factory.mktemp("pages")
    ids = {"val": ["101", "102", "103", "104"], "test": ["201", "202", "203"]}
    captions = {"301": ["a man holds a dog"]}
    image = cin_files.DEFAULT_REGIONS["val"]["101"]
    cin_files.write_cin_folder(
        folder / "data",
        annotations=[
            cin_files.annotation(image_id, split, TEXT, MENTIONS)
            for split, of_split in ids.items()
            for image_id in of_split
        ],
        captions=captions,
        regions={
            split: dict.fromkeys(of_split, image)
            for split, of_split in {**ids, "train": captions}.items()
        },
        feature_size=tiny.FEATURE_SIZE,
    )
    for image_id in ("201", "202"):
        cin_files.write_image(folder / "data", image_id, 60, 40)
    values = {
        "text_encoder": tiny.encoder_folder(),
        "region_feature_size": tiny.FEATURE_SIZE,
        "region_feedforward_size": 32,
        "epochs": 1,
    }
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def train(folder: Path, *options: str, name: str) -> Path:
    labelled = ("--use-ssl", "--no-unlabelled", "--detect-mentions")
    return trained.train(folder, *labelled, *options, name=name)


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> Path:
    return train(folder, "--grounding", name="grounds")


def run(
    command: ModuleType, folder: Path, checkpoint: Path, *options: str
) -> tuple[dict, Elements]:
    """Run a test command; returns the scores and the page that it writes."""
    scores, page = folder / "scores.json", folder / "page.html"
    command.main(
        [
            "--device",
            "cpu",
            "--save_name",
            str(checkpoint),
            "--output",
            str(folder / "coref"),
            "--json",
            str(scores),
            "--page",
            str(page),
            *options,
        ]
    )
    return json.loads(scores.read_text()), Elements(page.read_text(encoding="utf-8"))


def errors_of(page: Elements) -> Counter[str]:
    return Counter(a["data-sort"] for tag, a in page.tags if tag == "li")


def spans_of(elements: Sequence[dict[str, str]]) -> set[str]:
    return {element["data-span"] for element in elements}


def test_the_page_of_coreference_has_both_sides_and_every_error(
    folder: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores, page = run(test_coref, folder, checkpoint, "--errors", "0")
    assert f"wrote the page of 3 narrations to {folder / 'page.html'}" in capsys.readouterr().out
    assert page.texts == [TEXT] * 6
    assert spans_of(page.of_class("mention")) == COUNTED
    found = errors_of(page)
    grounding, _ = run(test_grounding, folder, checkpoint)
    assert found.pop("wrong_boxes", 0) == pytest.approx(12 * (1 - grounding["overall"] / 100))
    assert found == {s: n["wrong"] for s, n in scores["errors"].items() if n["wrong"]}


def test_the_page_of_grounding_has_all_boxes_and_the_wrong_ones_as_errors(
    folder: Path, checkpoint: Path
) -> None:
    scores, page = run(test_grounding, folder, checkpoint)
    boxes = page.of_class("box")
    gold = page.of_class("gold")
    assert spans_of(gold) == spans_of(boxes) == COUNTED
    assert len(gold) == 3 * 5 and len(boxes) - len(gold) == 3 * 4
    assert set(errors_of(page)) <= {"wrong_boxes"}
    judged = Counter(box["title"].split(", ")[-1] for box in boxes)
    assert judged["right"] + judged["wrong"] == 12
    assert 100 * judged["right"] / 12 == pytest.approx(scores["overall"])


def test_images_are_shown_and_frames_where_there_are_none(folder: Path, checkpoint: Path) -> None:
    _, page = run(test_coref, folder, checkpoint)
    # The training curves are one.
    assert [tag for tag, _ in page.tags].count("img") == 3
    sizes = [image["style"] for image in page.of_class("picture")]
    assert sizes[:2] == ["--ratio:60/40"] * 2
    assert sizes[2:] == [f"--ratio:{cin_files.WIDTH}/{cin_files.HEIGHT}"]


def test_a_broken_image_is_named_or_an_empty_frame(
    folder: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "data" / "flickr30k-images" / "202.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    try:
        with pytest.raises(InputError, match="202"):
            run(test_coref, folder, checkpoint)
        _, page = run(test_coref, folder, checkpoint, "--skip-bad-records")
    finally:
        path.write_bytes(whole)
    assert "bad records skipped: 1" in capsys.readouterr().out
    assert len(page.of_class("picture")) == 3
    assert [tag for tag, _ in page.tags].count("img") == 2


def test_a_model_that_does_not_ground_shows_gold_boxes_alone(folder: Path) -> None:
    _, page = run(test_coref, folder, train(folder, name="links"))
    assert page.of_class("gold") and len(page.of_class("gold")) == len(page.of_class("box"))
    assert "wrong_boxes" not in errors_of(page)


def test_found_mentions_stand_beside_gold_ones(
    folder: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(self: Resolver, narrations: Sequence[Narration], **_) -> list[Narration]:
        return [with_spans(narration, [(0, 5), (14, 17)]) for narration in narrations]

    monkeypatch.setattr(Resolver, "find_mentions", find)
    for command in (test_coref, test_grounding):
        _, page = run(command, folder, checkpoint, "--mentions", "predicted")
        assert spans_of(page.of_class("mention")) == COUNTED | {"14-17"}
        predicted = [box for box in page.of_class("box") if "gold" not in box["class"]]
        assert spans_of(predicted) == {"0-5", "14-17"}
        # What was not found is grounded wrong.
        assert errors_of(page)["wrong_boxes"] >= 9


def test_a_split_without_gold_is_shown_as_predicted(folder: Path, checkpoint: Path) -> None:
    page = folder / "unlabelled.html"
    test_coref.main(
        [
            "--device",
            "cpu",
            "--save_name",
            str(checkpoint),
            "--output",
            str(folder / "coref"),
            "--split",
            "train",
            "--mentions",
            "predicted",
            "--page",
            str(page),
        ]
    )
    elements = Elements(page.read_text(encoding="utf-8"))
    assert elements.texts == ["a man holds a dog"]
    assert not elements.of_class("gold") and not elements.of_class("filters")


def test_a_turn_begins_where_the_speaker_changes() -> None:
    sentences = (
        *(Sentence(0, 2, "A"), Sentence(3, 5, "A"), Sentence(6, 8), Sentence(9, 11, "B")),
        Sentence(12, 14, "A"),
    )
    narration = Narration("n", "aa aa cc bb aa", sentences=sentences)
    assert [(turn.start, turn.speaker) for turn in speaker_turns(narration)] == [
        (0, "A"), (9, "B"), (12, "A"),
    ]  # fmt: skip
