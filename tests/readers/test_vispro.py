"""VisPro: pronouns and their candidates become mentions, and what is wrong is named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.files import BadRecord, DataError
from data.readers import Reading, get_reader, read_narrations
from metrics.pronoun_scores import score_pronouns
from utils.text.annotated_pronouns import AnnotatedPronoun

DIALOGUE: dict[str, Any] = {
    "doc_key": "dl:val:7",
    "image_file": "7.jpg",
    "sentences": [["A", "man", "'s", "dog", "."], ["Does", "he", "like", "it", "?"], ["No"], []],
    "speakers": [["caption"] * 5, ["question"] * 5, ["answer"], []],
    "pronoun_info": [
        {
            "current_pronoun": [8, 8], "candidate_NPs": [[0, 1], [0, 3]], "correct_NPs": [[0, 3]],
            "reference_type": 0, "not_discussed": True,
        },
        {
            "current_pronoun": [6, 6], "candidate_NPs": [[0, 1], [0, 3]], "correct_NPs": [],
            "reference_type": 2, "not_discussed": False,
        },
    ],
    "clusters": [[[0, 3], [8, 8]]],
    "correct_caption_NPs": [[0, 1], [0, 3]],
    "object_detection": [1],
}  # fmt: skip


def read(folder: Path, *dialogues: dict[str, Any], **options: bool) -> Reading:
    lines = "".join(json.dumps(dialogue) + "\n" for dialogue in dialogues)
    (folder / "val.vispro.1.1.jsonlines").write_text(lines)
    return read_narrations("vispro", folder, "val", **options)


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    dialogue = copy.deepcopy(DIALOGUE)
    change(dialogue)
    return dialogue


def test_pronouns_and_candidates_are_mentions_in_the_chains_of_the_clusters(
    tmp_path: Path,
) -> None:
    reading = read(tmp_path, DIALOGUE)
    (narration,) = reading.narrations
    assert narration.id == "dl:val:7"
    assert narration.text == "A man 's dog . Does he like it ? No"
    assert narration.words == tuple(narration.text.split())
    found = [(narration.text[m.start : m.end], m.phrase) for m in narration.mentions]
    assert found == [(phrase, phrase) for phrase in ("A man 's dog", "A man", "he", "it")]
    dog, man, he, it = (mention.chain for mention in narration.mentions)
    assert dog == it and len({dog, man, he}) == 3
    turns = [(narration.text[s.start : s.end], s.speaker) for s in narration.sentences]
    assert turns == [
        ("A man 's dog .", "caption"), ("Does he like it ?", "question"), ("No", "answer"),
    ]  # fmt: skip
    assert list(reading.report.counts.values()) == [1, 4, 1, 2, 2, 1, 1]
    assert get_reader("vispro").open_regions(tmp_path, "val") is None


def test_pronouns_are_annotated_in_characters_of_the_text(tmp_path: Path) -> None:
    read(tmp_path, DIALOGUE)
    man, dog = (0, 5), (0, 12)
    assert get_reader("vispro").read_pronouns(tmp_path, "val") == {
        "dl:val:7": (
            AnnotatedPronoun((28, 30), (man, dog), (dog,), refers=True, discussed=False),
            AnnotatedPronoun((20, 22), (man, dog), (), refers=False, discussed=True),
        )
    }
    assert get_reader("vd_ref").read_pronouns(tmp_path, "val") == {}


WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "id": (lambda d: d.update(doc_key="../7"), "'../7'"),
    "span": (lambda d: d["clusters"][0].append([10, 11]), "cluster 0 [10, 11]"),
    "backward span": (lambda d: d["clusters"][0].append([2, 1]), "a span of 11 tokens"),
    "truth for a number": (lambda d: d["clusters"][0].append([True, 1]), "[True, 1]"),
    "cluster": (lambda d: d["clusters"].append(3), "cluster 1 3"),
    "span twice": (lambda d: d["clusters"].append([[8, 8]]), "every span once"),
    "clusters": (lambda d: d.pop("clusters"), "no clusters"),
    "empty cluster": (lambda d: d["clusters"].append([]), "cluster 1 without a span"),
    "pronoun": (lambda d: d["pronoun_info"].append(3), "pronoun_info 2: 3"),
    "type": (lambda d: d["pronoun_info"][0].update(reference_type="0"), "reference_type '0'"),
    "flag": (lambda d: d["pronoun_info"][0].pop("not_discussed"), "no not_discussed"),
    "correct": (
        lambda d: d["pronoun_info"][0].update(correct_NPs=[[5, 5]]), "some of the candidate_NPs",
    ),
    "other chains": (lambda d: d["clusters"][0].pop(0), "the pronoun 'it' and its correct_NPs"),
    "speakers": (lambda d: d["speakers"].pop(), "one for each token"),
    "two speakers": (lambda d: d["speakers"][0].__setitem__(1, "answer"), "one speaker"),
    "blank token": (lambda d: d["sentences"][0].__setitem__(1, " "), "none of them blank"),
    "no words": (lambda d: d.update(sentences=[], speakers=[]), "without words"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_a_bad_dialogue_is_named_or_skipped(tmp_path: Path, kind: str) -> None:
    change, found = WRONG[kind]
    other = {**DIALOGUE, "doc_key": "dl:val:8"}
    with pytest.raises(BadRecord) as raised:
        read(tmp_path, other, changed(change))
    assert str(tmp_path / "val.vispro.1.1.jsonlines") in str(raised.value)
    assert "line 2" in str(raised.value)
    assert found in str(raised.value)
    reading = read(tmp_path, other, changed(change), skip_bad_records=True)
    assert [narration.id for narration in reading.narrations] == ["dl:val:8"]
    assert reading.report.skipped == [str(raised.value)]
    pronouns = get_reader("vispro").read_pronouns(tmp_path, "val", skip_bad_records=True)
    assert set(pronouns) == {"dl:val:8"}


def test_ids_are_there_once_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadRecord, match=r"line 2 .*every doc_key once"):
        read(tmp_path, DIALOGUE, DIALOGUE)
    with pytest.raises(DataError, match=r"test\.vispro\.1\.1\.jsonlines cannot be read"):
        read_narrations("vispro", tmp_path, "test")


def test_the_real_dialogues_have_the_known_counts(real_data: Path) -> None:
    reading = read_narrations("vispro", real_data / "vispro", "val")
    assert list(reading.report.counts.values()) == [500, 12_502, 944, 8_401, 2_999, 835, 356]
    pronouns = get_reader("vispro").read_pronouns(real_data / "vispro", "val")
    assert sum(len(p.correct) for of_dialogue in pronouns.values() for p in of_dialogue) == 4_392
    texts, chains = {}, {}
    for narration in reading.narrations:
        assert narration.is_labelled
        assert " ".join(narration.text[s.start : s.end] for s in narration.sentences) == (
            narration.text
        )
        assert {s.speaker for s in narration.sentences} <= {"caption", "question", "answer"}
        by_name: dict[str | None, list[tuple[int, int]]] = {}
        for mention in narration.mentions:
            by_name.setdefault(mention.chain, []).append((mention.start, mention.end))
        texts[narration.id], chains[narration.id] = narration.text, list(by_name.values())
    scores = score_pronouns(pronouns, texts, chains)
    assert scores.overall.mentions == 2_164
    assert scores.overall.system_links == scores.overall.correct_links == 4_392
