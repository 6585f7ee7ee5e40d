"""Narrations go to Label Studio and come back; what is labelled there can be trained on."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import main as training
from data.files import BadRecord, DataError
from data.label_studio.annotations import read_annotations, read_annotators
from data.label_studio.tasks import has_images, labelling_config, task_of
from data.narration import Mention, Narration, RelativeBox
from data.percent_boxes import percent_box, relative_box
from data.readers import read_narrations
from data.readers.report import ReadReport
from data.writers.cin import write_labelled
from inference.resolver import Resolver
from tests.conftest import REPOSITORY
from tests.support import tiny
from tools import label_studio as command
from tools import make_sample
from utils.errors import InputError

ADDRESS = "/data/local-files/?d=pictures/"
# What an annotation has of each narration; words and regions come from the files beside it.
LABELLED = ("id", "text", "mentions", "image_size")

MAN, DOG = (0.1, 0.2, 0.4, 0.6), (0.5, 0.5, 0.75, 0.75)
TEXT = "A man 👨 holds a dog 🐕.\nHe pets it."


def mention(phrase: str, chain: str | None, *boxes: RelativeBox) -> Mention:
    start = TEXT.index(phrase)
    return Mention(start, start + len(phrase), phrase, chain, boxes)


NARRATION = Narration(
    "101",
    TEXT,
    (
        mention("A man 👨", "0", MAN),
        mention("a dog 🐕", "1", DOG),
        mention("He", "0", MAN),
        mention("it", "1"),
    ),
    image_size=(200, 100),
)


def exported(narrations: Sequence[Narration]) -> list[dict[str, Any]]:
    """Tasks as Label Studio exports them where all predictions were accepted."""
    tasks = []
    for number, narration in enumerate(narrations, start=1):
        task = json.loads(json.dumps(task_of(narration, ADDRESS, "model")))
        result = [result for made in task.pop("predictions", []) for result in made["result"]]
        annotation = {"id": 10 + number, "completed_by": 1, "result": result}
        annotation |= {"was_cancelled": False, "ground_truth": False}
        tasks.append({"id": number, **task, "annotations": [annotation], "predictions": []})
    return tasks


def read(
    path: Path, tasks: object, annotator: str | None = None
) -> tuple[list[Narration], ReadReport]:
    path.write_text(json.dumps(tasks))
    report = ReadReport("label_studio", "val")
    return read_annotations(path, report, annotator), report


def labels_of(narration: Narration) -> dict[str, Any]:
    return {name: getattr(narration, name) for name in LABELLED}


# Letters, white space of all kinds, signs of HTML and of JSON, and characters beyond 16 bits.
texts = st.text(st.sampled_from('aé \n\r\t\\n<&"👩\u200d🚒𝄞漢'), min_size=1, max_size=30).filter(
    str.strip
)
sides = st.floats(0, 100) | st.integers(0, 100) | st.floats(0, 100).map(lambda x: round(x, 2))
# `filter` does not narrow the type of what it lets through.
relative_boxes: st.SearchStrategy[Any] = (
    st.lists(sides, min_size=4, max_size=4)
    .map(lambda box: relative_box([box[0], box[1], box[2] - box[0], box[3] - box[1]]))
    .filter(lambda box: box is not None)
)


@st.composite
def narrations(draw: st.DrawFn) -> list[Narration]:
    imaged = draw(st.booleans())
    made = []
    for number in range(draw(st.integers(1, 3))):
        text = draw(texts)
        place = st.integers(0, len(text))
        boxes = st.lists(relative_boxes, max_size=2).map(tuple) if imaged else st.just(())
        # Few boxes and chains, so that mentions share them.
        of_image = st.sampled_from([(), *draw(st.lists(boxes, max_size=2))])
        spans = draw(st.lists(st.tuples(place, place).map(sorted), max_size=6))
        mentions = [
            Mention(start, end, text[start:end], draw(st.sampled_from("1ab🐕")), draw(of_image))
            for start, end in sorted(spans, key=lambda span: span[0])
            if text[start:end].strip()
        ]
        size = draw(st.tuples(st.integers(1, 999), st.integers(1, 999))) if imaged else None
        made.append(Narration(f"id {number}", text, tuple(mentions), image_size=size))
    return made


@settings(max_examples=150, deadline=None)
@given(narrations())
def test_what_is_accepted_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, made: list[Narration]
) -> None:
    """Texts, places, chains and boxes, of nested and repeated spans too, through Label Studio and
    through the files of CIN."""
    folder = tmp_path_factory.mktemp("round-trip")
    annotated, _ = read(folder / "export.json", exported(made))
    assert annotated == made
    write_labelled(folder, {"val": annotated})
    again = read_narrations("cin", folder, "val").narrations
    assert list(map(labels_of, again)) == list(map(labels_of, made))


@settings(deadline=None)
@given(relative_boxes)
def test_a_box_in_percent_is_the_same_box(box: RelativeBox) -> None:
    assert relative_box(percent_box(box)) == box


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4).map(sorted))
def test_a_box_in_percent_is_nearly_any_box(corners: list[float]) -> None:
    x1, y1, x2, y2 = corners[0], corners[1], corners[2], corners[3]
    if x2 - x1 > 1e-9 and y2 - y1 > 1e-9:
        assert relative_box(percent_box((x1, y1, x2, y2))) == pytest.approx((x1, y1, x2, y2))


def test_a_rectangle_is_of_all_mentions_of_its_chain_unless_it_is_tied(tmp_path: Path) -> None:
    (task,) = exported([NARRATION])
    result = task["annotations"][0]["result"]
    boxes = [region for region in result if region["type"] == "rectanglelabels"]
    ties = [region for region in result if region["type"] == "relation"]
    # The man has one rectangle for both mentions; the dog has one that is of "a dog" alone.
    assert [box["value"]["rectanglelabels"] for box in boxes] == [["0"], ["1"]]
    assert [(tie["from_id"], tie["to_id"]) for tie in ties] == [(boxes[1]["id"], "mention-1")]
    result.remove(ties[0])
    ((_, a_dog, _, it),) = (narration.mentions for narration in read(tmp_path / "a", [task])[0])
    assert a_dog.boxes_xyxy == it.boxes_xyxy == (DOG,)


def test_mentions_without_a_known_chain_begin_chains_of_their_own() -> None:
    unknown = Narration(
        "1", TEXT, (mention("He", None), mention("pets", "new 1"), mention("it", None))
    )
    task = task_of(unknown, ADDRESS, "model")
    labels = [region["value"]["labels"] for region in task["predictions"][0]["result"]]
    assert labels == [["new 2"], ["new 1"], ["new 3"]]
    names = [label["value"] for label in task["data"]["chains"]]
    assert len(names) == len(set(names)) > len(labels)


def test_older_releases_count_in_halves_of_surrogate_pairs(tmp_path: Path) -> None:
    """The words that a region says tell how its places are counted."""
    (task,) = exported([NARRATION])
    for region in task["annotations"][0]["result"]:
        if region["type"] == "labels":
            for key in ("start", "end"):
                before = TEXT[: region["value"][key]]
                region["value"][key] = len(before.encode("utf-16-le")) // 2
            # The browser writes the end of a line as two signs.
            region["value"]["text"] = region["value"]["text"].replace("\n", "\\n")
    assert read(tmp_path / "export.json", [task])[0] == [NARRATION]


def test_a_skipped_or_waiting_task_is_counted(tmp_path: Path) -> None:
    tasks = exported([NARRATION] * 3)
    for task in tasks[1:]:
        task["data"]["id"] = f"of task {task['id']}"
    tasks[1]["annotations"][0]["was_cancelled"] = True
    tasks[2]["annotations"] = []
    found, report = read(tmp_path / "export.json", tasks)
    assert found == [NARRATION]
    assert report.counts["tasks skipped or not annotated"] == 2


def test_of_several_annotations_one_is_chosen(tmp_path: Path) -> None:
    (task,) = exported([NARRATION])
    mine = task["annotations"][0]
    other = {**mine, "result": [], "completed_by": {"id": 2, "email": "ann@example.org"}}
    task["annotations"] = [mine, other]
    path = tmp_path / "export.json"
    with pytest.raises(BadRecord, match="found 2 annotations by 1, 2/ann@example.org, expected"):
        read(path, [task])
    assert read(path, [task], "1")[0] == [NARRATION]
    assert read(path, [task], "ann@example.org")[0][0].mentions == ()
    assert read(path, [task], "2")[0] == read(path, [task], "ann@example.org")[0]
    assert read(path, [task], "3")[1].counts["narrations"] == 0
    mine["ground_truth"] = True
    assert read(path, [task])[0] == [NARRATION]


def annotated_by_two(tasks: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Exports of tasks that Bo has annotated, too: of both people, and of Bo alone."""
    of_two, of_bo = [], []
    for task in tasks:
        bo = {**task["annotations"][0], "id": 99, "completed_by": 2}
        of_two.append({**task, "annotations": [*task["annotations"], bo]})
        of_bo.append({**task, "annotations": [bo]})
    return {"export_of_two": of_two, "export_of_bo": of_bo}


def by_two() -> dict[str, Any]:
    """A task that two people have annotated; the first one had skipped it before.

    To the second one "it" is a chain of its own.
    """
    (task,) = exported([NARRATION])
    mine = task["annotations"][0]
    other = {**copy.deepcopy(mine), "completed_by": {"id": 2, "email": "ann@example.org"}}
    next(r for r in other["result"] if r.get("id") == "mention-3")["value"]["labels"] = ["new 1"]
    task["annotations"] = [mine, {**mine, "was_cancelled": True}, other]
    return task


def test_annotators_are_read_apart(tmp_path: Path) -> None:
    tasks = [by_two(), by_two(), by_two()]
    for number, task in enumerate(tasks, start=101):
        task["data"]["id"] = str(number)
    del tasks[1]["annotations"][2]
    tasks[2]["annotations"] = []
    path = tmp_path / "export.json"
    path.write_text(json.dumps(tasks))
    report = ReadReport("label_studio", "export")
    found = read_annotators(path, report)
    assert {name: list(narrations) for name, narrations in found.items()} == {
        "1": ["101", "102"], "ann@example.org": ["101"],
    }  # fmt: skip
    assert found["1"]["101"] == NARRATION == read(tmp_path / "one", [by_two()], "1")[0][0]
    assert found["ann@example.org"]["101"] == read(tmp_path / "one", [by_two()], "2")[0][0]
    assert report.counts == {
        "tasks": 3, "annotations": 3, "annotators": 2, "tasks skipped or not annotated": 1,
    }  # fmt: skip


def test_annotators_without_an_address_are_told_apart_by_their_numbers(tmp_path: Path) -> None:
    task = by_two()
    for number, annotation in enumerate(task["annotations"]):
        annotation["completed_by"] = {"id": number, "email": ""}
    path = tmp_path / "export.json"
    path.write_text(json.dumps([task]))
    assert list(read_annotators(path, ReadReport("label_studio", "export"))) == ["0", "2"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"completed_by": 1}, "found several annotations by 1, expected one of each"),
        ({"completed_by": None}, "found an annotation by None, expected the number or address"),
        ({"completed_by": True}, "found an annotation by True, expected the number or address"),
        ({"completed_by": ""}, "found an annotation by '', expected the number or address"),
        ({"result": [7]}, "found result 0 7, expected an object"),
    ],
)
def test_annotations_that_cannot_be_told_apart_are_named(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    task, good = by_two(), by_two()
    task["annotations"][2] |= change
    good["data"]["id"] = "102"
    path = tmp_path / "export.json"
    path.write_text(json.dumps([task, good]))
    with pytest.raises(BadRecord, match=f"101: {message}"):
        read_annotators(path, ReadReport("label_studio", "export"))
    report = ReadReport("label_studio", "export", skip_bad_records=True)
    found = read_annotators(path, report)
    assert [list(narrations) for narrations in found.values()] == [["102"], ["102"]]
    assert len(report.skipped) == 1
    path.write_text(json.dumps([by_two(), by_two()]))
    with pytest.raises(BadRecord, match="101: found the same id in an earlier task"):
        read_annotators(path, ReadReport("label_studio", "export"))


def test_the_agreement_is_the_same_of_one_export_and_of_two(tmp_path: Path, capsys) -> None:
    path, written = tmp_path / "export.json", tmp_path / "agreement.json"
    path.write_text(json.dumps([by_two()]))
    run("agreement", path, "--json", written)
    printed = capsys.readouterr().out
    (found,) = json.loads(written.read_text())["pairs"]
    assert (found["first"], found["second"], found["documents"]) == ("1", "ann@example.org", 1)
    assert found["mentions"] == {"first": 4, "second": 4, "both": 4}
    scores = found["scores"]
    # Of the links "A man" - "He" and "a dog" - "it" the second one has one.
    assert scores["mentions"]["f1"]["value"] == 100
    assert scores["pooled"]["muc"]["recall"]["value"] == 50
    assert scores["pooled"]["muc"]["precision"]["value"] == 100
    assert f"{scores['pooled']['conll']['value']:.2f}" in printed
    assert "1 and ann@example.org: 1 texts annotated by both" in printed

    exports = []
    for number in (0, 2):
        task = by_two()
        task["annotations"] = [task["annotations"][number]]
        exports.append(tmp_path / f"{number}.json")
        exports[-1].write_text(json.dumps([task]))
    run("agreement", *exports, "--json", written)
    (of_two,) = json.loads(written.read_text())["pairs"]
    assert of_two == {**found, "first": str(exports[0]), "second": str(exports[1])}
    run("agreement", path, "--annotators", "ann@example.org", "1", "--json", written)
    (exchanged,) = json.loads(written.read_text())["pairs"]
    assert exchanged["scores"]["pooled"]["muc"]["recall"] == scores["pooled"]["muc"]["precision"]
    run("agreement", path, "--annotators", "1", "2", "--json", written)
    (numbered,) = json.loads(written.read_text())["pairs"]
    assert numbered == {**found, "second": "2"}
    run("agreement", path, exports[1], "--annotators", "1", "2", "--json", written)
    (named,) = json.loads(written.read_text())["pairs"]
    assert named["scores"] == scores


def test_what_cannot_be_compared_is_refused(tmp_path: Path, capsys) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    alone = by_two()
    del alone["annotations"][2]
    one.write_text(json.dumps([alone]))
    changed = copy.deepcopy(alone)
    changed["data"]["text"] += " So."
    other.write_text(json.dumps([changed]))
    for arguments, message in (
        ([one], "found no text that two people have annotated"),
        ([one, one], "expected one, or two that differ"),
        ([one, other, tmp_path], "expected one, or two that differ"),
        ([one, other], f"101: {one} and {other}: the texts differ at character {len(TEXT)}"),
        ([one, "--annotators", "1", "ann"], "has annotations by '1', not 'ann'"),
        ([one, "--annotators", "1", "1"], "--annotators: found '1' twice, expected two people"),
    ):
        with pytest.raises(InputError) as error:
            run("agreement", *arguments)
        assert message in str(error.value)
    changed["data"]["id"] = "102"
    other.write_text(json.dumps([changed]))
    capsys.readouterr()
    with pytest.raises(InputError):
        run("agreement", one, other)
    assert "no text annotated by both" in capsys.readouterr().out


def test_what_a_project_has_beside_is_not_read(tmp_path: Path) -> None:
    (task,) = exported([NARRATION])
    results = task["annotations"][0]["result"]
    results.append({"type": "choices", "id": "mention-0", "value": {"choices": ["clear"]}})
    left = {**next(r for r in results if r["type"] == "rectanglelabels"), "id": "box-left"}
    left["value"] = {**left["value"], "rectanglelabels": ["a deleted chain"]}
    results.append(left)
    found, report = read(tmp_path / "export.json", [task])
    assert found == [NARRATION]
    assert report.counts["boxes of chains without a mention, left out"] == 1


def test_the_size_of_an_image_is_that_of_its_boxes(tmp_path: Path) -> None:
    (task,) = exported([NARRATION])
    del task["data"]["image_size"]
    assert read(tmp_path / "export.json", [task])[0] == [NARRATION]


def region(task: dict[str, Any], name: str) -> dict[str, Any]:
    return next(r for r in task["annotations"][0]["result"] if r.get("id") == name)


def relate(task: dict[str, Any], start: str, end: str) -> None:
    tie = {"type": "relation", "from_id": start, "to_id": end, "direction": "right"}
    task["annotations"][0]["result"].append(tie)


Change = Callable[[dict[str, Any]], object]
WRONG: dict[str, tuple[Change, str]] = {
    "JSON-MIN": (lambda t: t.pop("annotations"), "no annotations, expected .*not JSON-MIN"),
    "old": (lambda t: t.update(completions=t.pop("annotations")), "no annotations"),
    "no id": (lambda t: t["data"].pop("id"), "task 2: found id None in its data"),
    "a path": (lambda t: t["data"].update(id="../1"), r"found id '\.\./1' in its data"),
    "blank": (lambda t: t["data"].update(text=" "), "text ' '"),
    "other words": (
        lambda t: region(t, "mention-2")["value"].update(text="She"),
        "result 2: found 'He' at characters 23 to 25 of 34, expected the words .*'She'",
    ),
    "outside": (
        lambda t: region(t, "mention-2")["value"].update(end=99),
        "at characters 23 to 99 of 34",
    ),
    "backwards": (lambda t: region(t, "mention-2")["value"].update(end=1), "23 to 1 of 34"),
    "blank words": (
        lambda t: region(t, "mention-2")["value"].update(start=5, end=6, text=" "),
        "found characters 5 to 6 of 34, expected some that are words",
    ),
    "no label": (lambda t: region(t, "mention-2")["value"].pop("labels"), "labels None"),
    "two labels": (
        lambda t: region(t, "box-0")["value"].update(rectanglelabels=["0", "1"]),
        "found rectanglelabels .*expected one label, the chain",
    ),
    "one region twice": (lambda t: region(t, "mention-2").update(id="mention-1"), "a second time"),
    "turned picture": (lambda t: region(t, "box-0").update(image_rotation=90), "rotation 90"),
    "turned box": (lambda t: region(t, "box-0")["value"].update(rotation=12.5), "rotation 12.5"),
    "box outside": (lambda t: region(t, "box-0")["value"].update(x=90), r"found the box \[90, "),
    "flat box": (lambda t: region(t, "box-0")["value"].update(height=0), "found the box"),
    "no width": (lambda t: region(t, "box-0")["value"].pop("width"), "found the box"),
    "size": (lambda t: t["data"].update(image_size=[1]), r"image_size \[1\]"),
    "mentions tied": (
        lambda t: relate(t, "mention-0", "mention-2"),
        "found a relation of .*expected a box and a mention; mentions of one chain have the same",
    ),
    "tied to nothing": (lambda t: relate(t, "box-0", "gone"), "a relation of"),
    "tied across chains": (
        lambda t: relate(t, "box-0", "mention-1"),
        "found a box of chain '0' tied to .* of chain '1', expected one chain",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_task_is_named_or_skipped(tmp_path: Path, kind: str) -> None:
    good, wrong = exported([NARRATION, NARRATION])
    good["data"]["id"] = "102"
    change, found = WRONG[kind]
    change(wrong)
    path = tmp_path / "export.json"
    with pytest.raises(BadRecord, match=found) as raised:
        read(path, [good, wrong])
    assert re.match(rf"{path}: (101|task )", str(raised.value))
    report = ReadReport("label_studio", "val", skip_bad_records=True)
    assert [narration.id for narration in read_annotations(path, report)] == ["102"]
    assert report.skipped == [str(raised.value)]


def test_an_export_is_a_list_with_every_id_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds {}, expected a list of tasks"):
        read(tmp_path / "export.json", {})
    with pytest.raises(BadRecord, match="101: found the same id in an earlier task"):
        read(tmp_path / "export.json", exported([NARRATION, NARRATION]))


def test_labels_are_never_overwritten(tmp_path: Path) -> None:
    write_labelled(tmp_path, {"val": [NARRATION]})
    with pytest.raises(DataError, match="is there already"):
        write_labelled(tmp_path, {"val": [NARRATION]})
    with pytest.raises(DataError, match="the narration 101 in both splits"):
        write_labelled(tmp_path / "other", {"val": [NARRATION], "test": [NARRATION]})


def test_a_project_has_images_throughout_or_none() -> None:
    alone = Narration("1", "He sings.")
    assert has_images([NARRATION]) and not has_images([alone])
    with pytest.raises(InputError, match="1 of 2 narrations have a picture, 1 has none"):
        has_images([NARRATION, alone])


def run(*arguments: object) -> None:
    command.main([str(argument) for argument in arguments])


def accept(project: Path) -> Path:
    """An export of Label Studio after somebody has accepted all predictions of a project."""
    tasks = json.loads((project / "tasks.json").read_text())
    for number, task in enumerate(tasks, start=1):
        (prediction,) = task.pop("predictions")
        annotation = {"completed_by": 1, "was_cancelled": False, "result": prediction["result"]}
        task |= {"id": number, "annotations": [annotation]}
    path = project / "export.json"
    path.write_text(json.dumps(tasks))
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 generated narrations with their images and regions."""
    folder = tmp_path_factory.mktemp("generated") / "world"
    sizes = ["--train", "1", "--val", "30", "--test", "2", "--processes", "1"]
    make_sample.main(["--out", str(folder), *sizes])
    return folder


def train(folder: Path, data_root: Path, *options: str) -> Resolver:
    """Train for some steps on labelled narrations; returns the model."""
    values = {
        "text_encoder": tiny.encoder_folder(),
        "region_feedforward_size": 32,
        "epochs": 2,
        "held_out": 0.3,
    }
    (folder / "config.json").write_text(json.dumps(values))
    training.main(
        [
            "--model_config",
            str(folder / "config.json"),
            "--data-root",
            str(data_root),
            "--use-ssl",
            "--no-unlabelled",
            "--device",
            "cpu",
            "--batch",
            "4",
            "--save_name",
            str(folder / "saved"),
            *options,
        ]
    )
    return Resolver.from_checkpoint(folder / "saved" / "models.pt", "cpu")


def test_labels_of_images_are_trained_on(world: Path, tmp_path: Path) -> None:
    for split in ("val", "test"):
        given = ["--dataset", "cin", "--data-root", world, "--split", split]
        run("export", *given, "--address", ADDRESS, "--out", tmp_path / split)
    exports = [accept(tmp_path / split) for split in ("val", "test")]
    labelled = tmp_path / "labelled"
    run("import", "--val", exports[0], "--test", exports[1], "--out", labelled)
    for split, count in {"val": 30, "test": 2}.items():
        found = read_narrations("cin", labelled, split).narrations
        expected = read_narrations("cin", world, split).narrations
        assert len(found) == count
        for narration, original in zip(found, expected, strict=True):
            places = [(m.start, m.end, m.chain, m.boxes_xyxy) for m in original.mentions]
            assert [(m.start, m.end, m.chain, m.boxes_xyxy) for m in narration.mentions] == places
            assert (narration.id, narration.text) == (original.id, original.text)
    # What `prepare.py regions` makes of the images.
    folder = "faster_rcnn_image_features"
    shutil.copytree(world / folder, labelled / folder)
    model = train(tmp_path, labelled, "--grounding", "--bbox-reg")
    assert model.config.grounding


def test_answers_of_a_model_are_corrected_and_trained_on(world: Path, tmp_path: Path) -> None:
    texts = [narration.text for narration in read_narrations("cin", world, "val").narrations]
    resolver = tiny.resolver(mention_detection=True, max_mention_pieces=8)
    answers = [resolution.to_dict() for resolution in resolver(None, texts)]
    assert any(len(chain["mentions"]) > 1 for answer in answers for chain in answer["chains"])
    lines = tmp_path / "answers.jsonl"
    lines.write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    run("export", "--jsonl", lines, "--out", tmp_path / "project")
    run("import", "--val", accept(tmp_path / "project"), "--out", tmp_path / "labelled")
    found = read_narrations("cin", tmp_path / "labelled", "val").narrations
    for narration, answer in zip(found, answers, strict=True):
        given = [(m["start"], m["end"], str(m["chain"])) for m in answer["mentions"]]
        assert [(m.start, m.end, m.chain) for m in narration.mentions] == given
    train(tmp_path, tmp_path / "labelled", "--no-regions")


def test_answers_with_images_have_the_box_of_each_chain(tmp_path: Path) -> None:
    chains = [{"mentions": [0, 2], "box_xyxy": list(MAN)}, {"mentions": [1], "box_xyxy": None}]
    spans = [{"start": m.start, "end": m.end} for m in NARRATION.mentions[:3]]
    answer = {"text": TEXT, "image": "a b/101 ü.jpg", "image_size": [200, 100]}
    lines = tmp_path / "answers.jsonl"
    lines.write_text(json.dumps({**answer, "mentions": spans, "chains": chains}) + "\n")
    run("export", "--jsonl", lines, "--address", ADDRESS, "--out", tmp_path / "project")
    (task,) = json.loads((tmp_path / "project" / "tasks.json").read_text())
    assert task["data"]["image"] == ADDRESS + "101%20%C3%BC.jpg"
    narrations, _ = read(
        tmp_path / "export.json", json.loads(accept(tmp_path / "project").read_text())
    )
    (narration,) = narrations
    assert narration.id == "101 ü"
    assert [m.boxes_xyxy for m in narration.mentions] == [(MAN,), (), (MAN,)]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ({"text": " "}, "text ' '"),
        ({"text": "He", "image": ".."}, "image '..'"),
        ({"text": "He", "mentions": [[0, 2]]}, r"mentions \[\[0, 2\]\]"),
        ({"text": "He", "mentions": [{"start": 0, "end": 3}]}, "mentions: found"),
        ({"text": "He", "mentions": [{"start": 0, "end": 2}], "chains": []}, "chains of the"),
        (
            {"text": "He", "mentions": [{"start": 0, "end": 2}], "chains": [{"mentions": [1]}]},
            "chains of the",
        ),
        (
            {"text": "He", "mentions": [{"start": 0, "end": 2}]}
            | {"chains": [{"mentions": [0], "box_xyxy": [0, 0, 1, 1]}]},
            "boxes and no image_size",
        ),
        (
            {"text": "He", "mentions": [{"start": 0, "end": 2}]}
            | {"chains": [{"mentions": [0], "box_xyxy": [0, 0, 2, 1]}]},
            "box_xyxy",
        ),
        ({"text": "He", "image_size": [0, 1]}, r"image_size \[0, 1\]"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: dict[str, Any], found: str) -> None:
    lines = tmp_path / "answers.jsonl"
    lines.write_text(json.dumps({"text": "She"}) + "\n" + json.dumps(line) + "\n")
    with pytest.raises(BadRecord, match=f"answers.jsonl: line 2: .*{found}"):
        run("export", "--jsonl", lines, "--out", tmp_path / "project")
    assert not (tmp_path / "project").exists()
    run("export", "--jsonl", lines, "--out", tmp_path / "project", "--skip-bad-records")
    (task,) = json.loads((tmp_path / "project" / "tasks.json").read_text())
    assert task["data"]["id"] == "line-1"
    assert "predictions" not in task


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["export", "--dataset", "cin"], "--dataset cin takes a --split"),
        (["export", "--jsonl", "a", "--split", "val"], "only --dataset has splits"),
        (["import"], "expected --val, --test or both"),
    ],
)
def test_options_that_do_not_go_together(tmp_path: Path, arguments: list[str], found: str) -> None:
    with pytest.raises(InputError, match=found):
        run(*arguments, "--out", tmp_path)


@pytest.fixture(scope="session")
def label_studio_python() -> Path:
    """The interpreter of the environment that has Label Studio's own checks.

    Without it a test is skipped; where MCR_REQUIRE_LABEL_STUDIO is set that is a failure.
    """
    named = os.environ.get("MCR_LABEL_STUDIO")
    python = Path(named or REPOSITORY / ".venv" / "label-studio") / "bin" / "python"
    if not python.exists():
        reason = f"no Label Studio: {python} is missing (`make test` makes it)"
        if os.environ.get("MCR_REQUIRE_LABEL_STUDIO"):
            pytest.fail(reason)
        pytest.skip(reason)
    return python


@pytest.mark.parametrize("imaged", [True, False])
def test_label_studio_takes_what_is_exported(
    label_studio_python: Path, tmp_path: Path, imaged: bool
) -> None:
    """By the checks that it makes itself of a configuration, of tasks and of predictions."""
    without = Narration("2", TEXT, tuple(mention(m.phrase, m.chain) for m in NARRATION.mentions))
    narrations = [NARRATION if imaged else without, Narration("3", "He.", image_size=(5, 5))]
    if not imaged:
        narrations[1] = Narration("3", "He.")
    config = labelling_config(imaged=imaged)
    (tmp_path / "config.xml").write_text(config)
    (tmp_path / "tasks.json").write_text(
        json.dumps([task_of(narration, ADDRESS, "model") for narration in narrations])
    )
    broken = copy.deepcopy(task_of(narrations[0], ADDRESS, "model"))
    broken["predictions"][0]["result"][0]["from_name"] = "another"
    (tmp_path / "broken.json").write_text(json.dumps([broken]))
    check = [label_studio_python, REPOSITORY / "tests" / "support" / "label_studio_check.py"]

    def refused(name: str) -> list[str]:
        done = subprocess.run(
            [*map(str, check), "config.xml", name],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    assert refused("tasks.json") == []
    assert refused("broken.json") != []
