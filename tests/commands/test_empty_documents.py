"""Annotated documents without a mention are examples like others, scored and trained on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import spacy
from spacy.pipeline import SpanRuler

import test_coref
from prepare import main as prepare
from tests.support import tiny, trained
from tests.support.tiny import encoder_folder
from utils.checkpointing.checkpoint import load_checkpoint
from utils.errors import InputError

# Batches of one, so that most have no mention at all.
OPTIONS = ("--no-regions", "--use-ssl", "--no-unlabelled", "--batch", "1")
WORDS = ("The", "dog", "sees", "a", "bird")


def write_split(folder: Path, split: str, *, full: int, empty: int) -> None:
    """Documents of one sentence: "The dog" is a mention in some, and nothing in the others."""
    lines = []
    for number in range(full + empty):
        columns = ["(0", "0)", "-", "-", "-"] if number < full else ["-"] * 5
        lines.append(f"#begin document (d{number}); part 000")
        lines += [
            f"d{number} 0 {place} {word} {column}"
            for place, (word, column) in enumerate(zip(WORDS, columns, strict=True))
        ]
        lines += ["", "#end document"]
    (folder / f"{split}.conll").write_text("\n".join(lines) + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for split, (full, empty) in {"train": (10, 30), "val": (2, 4), "test": (1, 1)}.items():
        write_split(tmp_path / "data", split, full=full, empty=empty)
    config = {"text_encoder": encoder_folder(), "epochs": 1, "dataset": "conll"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


@pytest.mark.parametrize("options", [[], ["--detect-mentions"], ["--coref-head", "antecedent"]])
def test_documents_without_a_mention_are_trained_on_and_said(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    path = trained.train(folder, *OPTIONS, *options, name="x")
    said = capsys.readouterr().out
    assert "of these are annotated and have no mention" in said
    checkpoint = load_checkpoint(path)
    assert all(value.isfinite().all() for value in checkpoint.model_state.values())
    assert checkpoint.scores["b3"] is not None


def test_every_command_scores_documents_without_a_mention(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = spacy.blank("en")
    ruler = pipeline.add_pipe("span_ruler", config={"spans_key": "sc"})
    assert isinstance(ruler, SpanRuler)
    ruler.add_patterns([{"label": "mention", "pattern": "The dog"}])
    for module in ("preparation.mentions", "inference.split_predictions"):
        monkeypatch.setattr(f"{module}.load_pipeline", lambda name: pipeline)
    monkeypatch.setattr("data.mentions.spacy_pipeline.span_group", lambda pipeline: "sc")
    checkpoint = trained.train(folder, *OPTIONS, name="x")
    capsys.readouterr()
    data = ["--dataset", "conll", "--data-root", str(folder / "data")]
    prepare(["score-mentions", *data, "--spacy-model", "x", "--split", "test"])
    assert re.search(r"2 narrations.*precision 50\.0 +recall 100\.0", capsys.readouterr().out)
    files = ["--output", str(folder / "out"), "--json", str(folder / "scores.json")]
    found = ["--mentions", "spacy", "--spacy-model", "x"]
    test_coref.main(["--save_name", str(checkpoint), "--device", "cpu", *data, *files, *found])
    scores = json.loads((folder / "scores.json").read_text())
    assert scores["mentions"]["overall"]["precision"] == pytest.approx(50)
    assert scores["documents"] == 2


def test_a_folder_without_any_mention_is_refused(folder: Path) -> None:
    write_split(folder / "data", "train", full=0, empty=4)
    with pytest.raises(InputError, match="there is nothing to train on"):
        trained.train(folder, *OPTIONS, name="x")
    data = ["--dataset", "conll", "--data-root", str(folder / "data"), "--spacy-model", "x"]
    with pytest.raises(InputError, match="conll train has no gold mentions"):
        prepare(["score-mentions", *data, "--split", "train"])


def test_a_split_of_singletons_has_other_chains_to_score_than_none(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = folder / "models.pt"
    tiny.write_checkpoint(checkpoint, tiny.resolver(use_regions=False, grounding=False))
    options = ["--save_name", str(checkpoint), "--device", "cpu", "--output", str(folder / "out")]
    options += ["--dataset", "conll", "--data-root", str(folder / "data"), "--singletons", "drop"]
    test_coref.main(options)
    lacking = "test has no gold chains of two mentions or more"
    assert f"{lacking}: nothing to score" in capsys.readouterr().out
    with pytest.raises(InputError, match=f"--errors: {lacking} to compare with"):
        test_coref.main([*options, "--errors"])
    write_split(folder / "data", "test", full=0, empty=2)
    test_coref.main(options)
    assert "test has no gold chains: nothing to score" in capsys.readouterr().out
