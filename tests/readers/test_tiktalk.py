"""TikTalkCoref: the released files are split, read, and checked line by line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from data.check import check_data
from data.files import BadRecord, DataError
from data.readers import get_reader, read_narrations
from data.readers.report import ReadReport
from data.readers.tiktalk.heads import (
    HeadBox,
    read_heads,
    read_titles,
)
from tools import data_split

ANNOTATIONS = data_split.ANNOTATIONS[0]
OTHER_FILES = ("split.jsonl", "video_titles.jsonl")
SPLITS = get_reader("tiktalk").splits


def dialogue(doc_key: str = "7", **changes: Any) -> dict[str, Any]:
    """A line of the released annotations."""
    turns = [["他", "妈", "好", "，", "我", "A"], ["你", "说", "他"]]
    lengths = list(map(len, turns))
    return {
        "doc_key": doc_key,
        "genre": "wb",
        "sentences": turns,
        "clusters": [[[0, 0], [8, 8]], [[0, 1]], [[4, 4], [6, 6]]],
        "clusters_str": [["他", "他"], ["他妈"], ["我", "你"]],
        "speaker_ids": [["A"] * lengths[0], ["B"] * lengths[1]],
        "sentence_map": [[0] * lengths[0], [1] * lengths[1]],
        "subtoken_map": [list(range(6)), list(range(6, 9))],
        "entity_label": ["C1", "none", "none"],
        "visual_annotations": [head()],
        **changes,
    }


def head(**changes: Any) -> dict[str, Any]:
    """One of its head boxes."""
    return {
        "cur_frame": 0,
        "cur_frame_path": "/data/frames/7/7_0_1.jpg",
        "bbox": [20, 30, 60, 90],
        "box_labels": "C1",
        "if_celebrity": "某人",
        "region_image_path": "/data/faces/7_0_1_C1.jpg",
        **changes,
    }


def write_lines(path: Path, *records: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.write_text("".join(lines), encoding="utf-8")


def write_release(folder: Path, *dialogues: dict[str, Any], split: str = "val") -> None:
    """The three files of the repository."""
    ids = [record["doc_key"] for record in dialogues]
    write_lines(folder / ANNOTATIONS, *dialogues)
    parts = ({"video_id": i, "video_type": "celeb", "split": split} for i in ids)
    write_lines(folder / "split.jsonl", *parts)
    write_lines(folder / "video_titles.jsonl", *({"video_id": i, "title": "#某人"} for i in ids))


def write_parts(folder: Path, *dialogues: dict[str, Any]) -> None:
    """The two files of the split `val`, as the tool writes them, of valid dialogues or not."""
    boxes = "visual_annotations"
    texts = [{k: v for k, v in record.items() if k != boxes} for record in dialogues]
    write_lines(folder / "val.textual.jsonl", *texts)
    videos = (
        {"doc_key": d["doc_key"], "video_title": "#某人", "video_path": "a.mp4", boxes: d[boxes]}
        for d in dialogues
    )
    write_lines(folder / "val.visual.jsonl", *videos)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def heads_of(folder: Path) -> dict[str, tuple[HeadBox, ...]]:
    return read_heads(folder, "val", ReadReport("tiktalk", "val"))


def test_a_dialogue_is_a_narration_of_characters_with_its_turns(tmp_path: Path) -> None:
    write_parts(tmp_path, dialogue())
    (narration,) = read_narrations("tiktalk", tmp_path, "val").narrations
    assert narration.id == "7"
    assert narration.text == "他妈好，我A 你说他"
    assert narration.words == tuple("他妈好，我A你说他")
    found = [(m.phrase, narration.text[m.start : m.end], m.chain) for m in narration.mentions]
    assert found == [
        (phrase, phrase, chain)
        for phrase, chain in (("他妈", "1"), ("他", "C1"), ("我", "2"), ("你", "2"), ("他", "C1"))
    ]
    turns = [(narration.text[s.start : s.end], s.speaker) for s in narration.sentences]
    assert turns == [("他妈好，我A", "A"), ("你说他", "B")]
    assert get_reader("tiktalk").held_out_split == "val"


def test_a_head_box_bears_the_name_of_its_chain(tmp_path: Path) -> None:
    write_parts(tmp_path, dialogue(), dialogue("8", visual_annotations=[head(if_celebrity="")]))
    heads = heads_of(tmp_path)
    frame, crop = PurePosixPath("7/7_0_1.jpg"), PurePosixPath("7_0_1_C1.jpg")
    assert heads["7"] == (HeadBox("C1", 0, (20, 30, 60, 90), "某人", frame, crop),)
    assert heads["8"][0].celebrity is None
    assert list(read_titles(tmp_path, "val", ReadReport("tiktalk", "val"))) == ["#某人"] * 2
    (first, _) = read_narrations("tiktalk", tmp_path, "val").narrations
    assert {head.label for head in heads["7"]} <= {mention.chain for mention in first.mentions}


def test_drifted_names_of_keys_and_splits_say_the_same(tmp_path: Path) -> None:
    drifted = dialogue()
    drifted["entity_labels"] = drifted.pop("entity_label")
    (box,) = drifted["visual_annotations"]
    box["celebrity"] = box.pop("if_celebrity")
    for name, record, split in (("old", dialogue(), "val"), ("new", drifted, "dev")):
        write_release(tmp_path / name, record, split=split)
        data_split.main(["--data-root", str(tmp_path / name)])
    parts = [tmp_path / name / "all" for name in ("old", "new")]
    old, new = (read_narrations("tiktalk", part, "val").narrations for part in parts)
    assert old == new
    assert heads_of(parts[0]) == heads_of(parts[1])


def test_each_dialogue_is_written_to_its_kind_and_split(tmp_path: Path) -> None:
    write_release(tmp_path, *map(dialogue, ("7", "8", "9")))
    places = {"7": ("celeb", "train"), "8": ("no_celeb", "val"), "9": ("celeb", "train")}
    parts = ({"video_id": i, "video_type": k, "split": s} for i, (k, s) in places.items())
    write_lines(tmp_path / "split.jsonl", *parts)
    (tmp_path / ANNOTATIONS).rename(tmp_path / data_split.ANNOTATIONS[1])
    data_split.main(["--data-root", str(tmp_path)])
    found = {
        str(path.relative_to(tmp_path)): [record["doc_key"] for record in lines_of(path)]
        for path in tmp_path.rglob("*.textual.jsonl")
    }
    assert found.pop("all.textual.jsonl") == ["7", "8", "9"]
    assert {name: ids for name, ids in found.items() if ids} == {
        "all/train.textual.jsonl": ["7", "9"],
        "all/val.textual.jsonl": ["8"],
        "celeb/train.textual.jsonl": ["7", "9"],
        "no_celeb/val.textual.jsonl": ["8"],
    }
    assert len(found) == 9
    (line,) = lines_of(tmp_path / "no_celeb" / "val.visual.jsonl")
    assert line == {
        "doc_key": "8",
        "video_title": "#某人",
        "video_path": "raw_videos/8.mp4",
        "visual_annotations": dialogue()["visual_annotations"],
    }
    with pytest.raises(DataError, match="found 0 of"):
        data_split.main(["--data-root", str(tmp_path / "all")])


def test_a_text_that_is_not_its_span_is_said_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = dialogue(clusters_str=[["他", "他"], ["妈好"], ["我", "你"]])
    write_release(tmp_path, record)
    data_split.main(["--data-root", str(tmp_path)])
    said = "line 1 (doc_key 7): '他妈' at 0 to 1, where clusters_str has '妈好'"
    assert said in capsys.readouterr().out
    reading = read_narrations("tiktalk", tmp_path / "all", "val")
    assert said in reading.report.notes
    assert "他妈" in {mention.phrase for mention in reading.narrations[0].mentions}


@pytest.mark.parametrize(
    ("split_of_8", "options"),
    [
        ("val", ("--use-ssl", "--no-regions")),
        ("train", ("--use-ssl", "--held-out=0", "--no-regions")),
    ],
)
def test_the_check_of_a_folder_says_how_to_train_on_it(
    tmp_path: Path, split_of_8: str, options: tuple[str, ...]
) -> None:
    write_release(tmp_path, dialogue("7"), dialogue("8"))
    parts = (
        {"video_id": i, "video_type": "celeb", "split": split}
        for i, split in (("7", "train"), ("8", split_of_8))
    )
    write_lines(tmp_path / "split.jsonl", *parts)
    data_split.main(["--data-root", str(tmp_path)])
    check = check_data("tiktalk", tmp_path / "all")
    assert check.options == options
    assert "head boxes and titles: there" in check.lines


WRONG_TEXTS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown key": ({"entity_name": []}, "the key 'entity_name'"),
    "labels under both names": ({"entity_labels": []}, "entity_labels and entity_label"),
    "a span outside of the text": ({"clusters": [[[0, 0], [8, 9]], [[0, 1]], [[4, 4], [6, 6]]]},
                                   r"the span \[8, 9\], expected one of 9 characters"),
    "a span of two chains": ({"clusters": [[[0, 0], [8, 8]], [[0, 0]], [[4, 4], [6, 6]]]},
                             r"the span \[0, 0\] a second time"),
    "texts of other chains": ({"clusters_str": [["他"], ["他妈"], ["我", "你"]]}, "clusters_str"),
    "one label too few": ({"entity_label": ["C1", "none"]}, "2 labels for 3 chains"),
    "another label": ({"entity_label": ["C1", "x", "none"]}, "the label 'x'"),
    "a label of two chains": ({"entity_label": ["C1", "C1", "none"]}, "C1 of several chains"),
    "two speakers in a turn": ({"speaker_ids": [["A"] * 5 + ["B"], ["B"] * 3]}, "one speaker"),
    "speakers of another text": ({"speaker_ids": [["A"] * 6, ["B"] * 2]}, "speaker_ids"),
    "an empty turn": ({"sentences": [[], ["你"]], "speaker_ids": [[], ["B"]]}, "the turn"),
    "no id": ({"doc_key": "../7"}, "doc_key '../7'"),
}  # fmt: skip
WRONG_BOXES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "no width": ([head(bbox=[60, 30, 60, 90])], r"bbox \[60, 30, 60, 90\]"),
    "half a pixel": ([head(bbox=[20, 30, 60.5, 90])], "whole pixels"),
    "a label without a chain": ([head(box_labels="C2")], "a box of 'C2'"),
    "a label of two boxes": ([head(), head()], "several boxes of 'C1'"),
    "an unknown key": ([head(score=1)], "the key 'score'"),
    "names under both keys": ([head(celebrity="")], "celebrity and if_celebrity"),
    "a path that leads out": ([head(region_image_path="/data/..")], "region_image_path"),
    "a frame before the first": ([head(cur_frame=-1)], "cur_frame -1"),
}


@pytest.mark.parametrize("wrong", WRONG_TEXTS)
def test_what_is_wrong_with_a_dialogue_is_named_with_its_line(tmp_path: Path, wrong: str) -> None:
    changes, message = WRONG_TEXTS[wrong]
    write_parts(tmp_path, dialogue("6"), dialogue(**changes))
    with pytest.raises(BadRecord, match=f"val.textual.jsonl: line 2.*{message}"):
        read_narrations("tiktalk", tmp_path, "val")
    reading = read_narrations("tiktalk", tmp_path, "val", skip_bad_records=True)
    assert [narration.id for narration in reading.narrations] == ["6"]
    write_release(tmp_path, dialogue("6"), dialogue(**changes))
    with pytest.raises(DataError, match=message):
        data_split.main(["--data-root", str(tmp_path)])
    assert not (tmp_path / "all.textual.jsonl").exists()


@pytest.mark.parametrize("wrong", WRONG_BOXES)
def test_what_is_wrong_with_a_head_box_is_named_with_its_line(tmp_path: Path, wrong: str) -> None:
    boxes, message = WRONG_BOXES[wrong]
    write_parts(tmp_path, dialogue("6"), dialogue(visual_annotations=boxes))
    with pytest.raises(BadRecord, match=f"val.visual.jsonl: line 2.*{message}"):
        heads_of(tmp_path)
    report = ReadReport("tiktalk", "val", skip_bad_records=True)
    assert list(read_heads(tmp_path, "val", report)) == ["6"]


def test_texts_and_boxes_are_of_the_same_dialogues(tmp_path: Path) -> None:
    write_parts(tmp_path, dialogue("6"), dialogue("7"))
    texts, boxes = (tmp_path / f"val.{kind}.jsonl" for kind in ("textual", "visual"))
    whole = {path: path.read_text(encoding="utf-8") for path in (texts, boxes)}
    for path, message in ((boxes, "doc_key 7: found no line of it"), (texts, "doc_key 7, expec")):
        path.write_text(whole[path].splitlines(keepends=True)[0], encoding="utf-8")
        with pytest.raises(BadRecord, match=message):
            heads_of(tmp_path)
        path.write_text(whole[path], encoding="utf-8")


def _repeat(records: list[dict[str, Any]]) -> None:
    records.append(records[0])


def _forget(records: list[dict[str, Any]]) -> None:
    records.pop()


def _add_stranger(records: list[dict[str, Any]]) -> None:
    records.append({**records[0], "video_id": "99"})


def _add_a_key(records: list[dict[str, Any]]) -> None:
    records[0]["titel"] = ""


@pytest.mark.parametrize("change", [_repeat, _forget, _add_stranger, _add_a_key])
@pytest.mark.parametrize("name", OTHER_FILES)
def test_splits_and_titles_are_of_the_annotated_dialogues(
    tmp_path: Path, name: str, change: Callable[[list[dict[str, Any]]], None]
) -> None:
    write_release(tmp_path, dialogue("7"), dialogue("8"))
    records = lines_of(tmp_path / name)
    change(records)
    write_lines(tmp_path / name, *records)
    with pytest.raises(DataError, match=name):
        data_split.main(["--data-root", str(tmp_path)])


@pytest.mark.parametrize("name", [ANNOTATIONS, *OTHER_FILES])
def test_a_line_that_is_no_json_is_named(tmp_path: Path, name: str) -> None:
    write_release(tmp_path, dialogue("7"), dialogue("8"))
    with (tmp_path / name).open("a") as file:
        file.write("{'doc_key'\n")
    with pytest.raises(BadRecord, match=f"{name}: line 3: found no JSON"):
        data_split.main(["--data-root", str(tmp_path)])


def test_the_released_files_are_split_as_they_say(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    released = real_data / "tiktalkcoref"
    for name in (ANNOTATIONS, *OTHER_FILES):
        shutil.copyfile(released / name, tmp_path / name)
    data_split.main(["--data-root", str(tmp_path)])
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in said[1:4]] == [
        ["dialogues", "1,012"], ["mentions", "2,179"], ["clusters", "1,435"],
    ]  # fmt: skip
    assert said[4].split()[2] == "881"
    sizes = {
        kind: [len(lines_of(tmp_path / kind / f"{split}.textual.jsonl")) for split in SPLITS]
        for kind in data_split.KINDS
    }
    assert sizes == {"celeb": [259, 46, 33], "no_celeb": [551, 55, 68]}
    (differing,) = (line for line in said if "clusters_str has '" in line)
    assert "6956506310321949982" in differing
    counted = {"mentions": 0, "chains": 0}
    boxes = 0
    for split in SPLITS:
        reading = read_narrations("tiktalk", tmp_path / "all", split)
        counted = {what: count + reading.report.counts[what] for what, count in counted.items()}
        heads = read_heads(tmp_path / "all", split, ReadReport("tiktalk", split))
        boxes += sum(map(len, heads.values()))
    assert (*counted.values(), boxes) == (2179, 1435, 881)
