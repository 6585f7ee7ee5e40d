"""VD-Ref: tokens become characters, repeated spans are kept once, and what is wrong is named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.files import BadRecord, DataError
from data.narration import are_boxes_known
from data.readers import Reading, get_reader, read_narrations

DIALOGUE: dict[str, Any] = {
    "id": 7,
    "dialog": [
        {"author": "Caption:", "text": ["A", "man", "'s", "dog", "."]},
        {"author": "Question:", "text": []},
        {"author": "Answer:", "text": ["He", "likes", "it", "."]},
    ],
    # In neither text order nor order of chains.
    "text_ref": [
        {"sentence_id": 2, "cluster_id": 0, "span": "He", "start": 0, "end": 0, "pronoun": True},
        {"sentence_id": 0, "cluster_id": 1, "span": "A man 's dog", "start": 0, "end": 3},
        {"sentence_id": 0, "cluster_id": 0, "span": "a  man 's", "start": 0, "end": 2},
        {"sentence_id": 2, "cluster_id": 1, "span": "it", "start": 2, "end": 2, "pronoun": True},
    ],
    "clusters": [[0, 2], [1, 3]],
}


def read(folder: Path, *dialogues: dict[str, Any], **options: bool) -> Reading:
    lines = "".join(json.dumps(dialogue) + "\n" for dialogue in dialogues)
    (folder / "train.jsonlines").write_text(lines)
    return read_narrations("vd_ref", folder, "train", **options)


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    dialogue = copy.deepcopy(DIALOGUE)
    change(dialogue)
    return dialogue


def test_turns_are_joined_and_spans_point_into_the_text(tmp_path: Path) -> None:
    (narration,) = read(tmp_path, DIALOGUE).narrations
    assert narration.id == "7"
    assert narration.image_id is None
    assert narration.text == "A man 's dog . He likes it ."
    assert narration.words == tuple(narration.text.split())
    found = [(narration.text[m.start : m.end], m.chain) for m in narration.mentions]
    assert found == [("A man 's dog", "1"), ("A man 's", "0"), ("He", "0"), ("it", "1")]
    assert [m.phrase for m in narration.mentions] == ["A man 's dog", "a  man 's", "He", "it"]


def test_sentences_are_the_turns_with_words(tmp_path: Path) -> None:
    (narration,) = read(tmp_path, DIALOGUE).narrations
    found = [(narration.text[s.start : s.end], s.speaker) for s in narration.sentences]
    assert found == [("A man 's dog .", "Caption"), ("He likes it .", "Answer")]


def test_no_boxes_and_no_regions(tmp_path: Path) -> None:
    reading = read(tmp_path, DIALOGUE)
    assert not are_boxes_known(reading.narrations)
    assert get_reader("vd_ref").open_regions(tmp_path, "train") is None
    assert any("boxes are not read" in line for line in reading.report.lines())


def test_the_first_mention_of_a_repeated_span_is_kept(tmp_path: Path) -> None:
    def repeat(dialogue: dict[str, Any]) -> None:
        he = dialogue["text_ref"][0]
        dialogue["text_ref"] += [{**he, "cluster_id": 2}, dict(dialogue["text_ref"][3]), dict(he)]
        dialogue["clusters"] = [[0, 2, 6], [1, 3, 5], [4]]

    reading = read(tmp_path, changed(repeat))
    assert reading.narrations == read(tmp_path, DIALOGUE).narrations
    assert reading.report.counts["spans repeated in one chain"] == 1
    assert reading.report.counts["spans repeated in several chains"] == 1
    assert reading.report.counts["mentions dropped as repeats"] == 3


WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "span": (lambda d: d["text_ref"][2].update(span="a woman"), "a woman"),
    "token": (lambda d: d["text_ref"][3].update(end=4), "tokens 2 to 4"),
    "negative token": (lambda d: d["text_ref"][3].update(start=-2), "tokens -2 to 2"),
    "turn": (lambda d: d["text_ref"][3].update(sentence_id=3), "sentence_id 3"),
    "turn without tokens": (lambda d: d["text_ref"][3].update(sentence_id=1), "a span of 0"),
    "truth for a number": (lambda d: d["text_ref"][3].update(start=True), "start True"),
    "missing key": (lambda d: d["text_ref"][3].pop("cluster_id"), "no cluster_id"),
    "clusters": (lambda d: d.update(clusters=[[0, 1], [2, 3]]), "by cluster_id"),
    "clusters of clusters": (lambda d: d.update(clusters=[[[0]]]), "indices into text_ref"),
    "turns": (lambda d: d.update(dialog={}), "dialog {}"),
    "blank token": (lambda d: d["dialog"][0].update(text=["a", " "]), "the turn"),
    "author": (lambda d: d["dialog"][0].update(author=3), "the author 3"),
    "half a character": (lambda d: d["dialog"][0].update(text=["\ud800"]), "the turn"),
    "no words": (lambda d: d.update(dialog=[]), "without words"),
    "id": (lambda d: d.update(id="../7"), "'../7'"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_bad_dialogue_is_named_or_skipped(tmp_path: Path, kind: str) -> None:
    change, found = WRONG[kind]
    wrong = changed(change)
    with pytest.raises(BadRecord) as raised:
        read(tmp_path, {**DIALOGUE, "id": 8}, wrong)
    assert str(tmp_path / "train.jsonlines") in str(raised.value)
    assert "line 2" in str(raised.value)
    assert found in str(raised.value)
    reading = read(tmp_path, {**DIALOGUE, "id": 8}, wrong, skip_bad_records=True)
    assert [narration.id for narration in reading.narrations] == ["8"]
    assert reading.report.skipped == [str(raised.value)]
    assert "  bad records skipped: 1" in reading.report.lines()


def test_an_id_of_two_dialogues_is_a_bad_record(tmp_path: Path) -> None:
    with pytest.raises(BadRecord, match=r"line 2 \(id 7\).*every id once"):
        read(tmp_path, DIALOGUE, {**DIALOGUE, "id": "7"})


def test_a_line_that_is_no_json_is_a_bad_record(tmp_path: Path) -> None:
    path = tmp_path / "val.jsonlines"
    path.write_bytes(json.dumps(DIALOGUE).encode() + b'\n\n{"id": 8, "dialog"\n\xff\n[]\n')
    with pytest.raises(BadRecord, match="line 3: found no JSON"):
        read_narrations("vd_ref", tmp_path, "val")
    reading = read_narrations("vd_ref", tmp_path, "val", skip_bad_records=True)
    assert len(reading.narrations) == 1
    assert len(reading.report.skipped) == 3


def test_a_missing_file_and_an_empty_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"test\.jsonlines cannot be read"):
        read_narrations("vd_ref", tmp_path, "test")
    with pytest.raises(DataError, match="no narration of vd_ref train"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("split", "dialogues", "references", "in_one_chain", "in_several_chains"),
    [("train", 650, 5377, 35, 16), ("val", 163, 1419, 14, 8)],
)
def test_the_real_dialogues_have_the_known_counts(
    real_data: Path,
    split: str,
    dialogues: int,
    references: int,
    in_one_chain: int,
    in_several_chains: int,
) -> None:
    reading = read_narrations("vd_ref", real_data / "vdref", split)
    counts = reading.report.counts
    assert counts["narrations"] == len(reading.narrations) == dialogues
    assert counts["mentions"] + counts["mentions dropped as repeats"] == references
    assert counts["spans repeated in one chain"] == in_one_chain
    assert counts["spans repeated in several chains"] == in_several_chains
    for narration in reading.narrations:
        spans = [(mention.start, mention.end) for mention in narration.mentions]
        assert len(set(spans)) == len(spans)
        assert narration.is_labelled
        turns = [narration.text[s.start : s.end] for s in narration.sentences]
        assert " ".join(turns) == narration.text
        assert {s.speaker for s in narration.sentences} <= {"Caption", "Question", "Answer"}
