"""Files that were once read wrong, each with the value that is right."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import spacy
from spacy.pipeline import SpanRuler

import predict
import test_coref
from data.readers import read_narrations
from prepare import main as prepare
from tests.metrics.coreference.test_repeated_mentions import scores
from tests.support import tiny
from tools import score
from utils.errors import InputError
from utils.text.conll import split_documents


@pytest.fixture
def faults(real_data: Path) -> Path:
    """The folder of the files."""
    if not (real_data / "faults").is_dir():
        pytest.skip(f"no faults in {real_data}")
    return real_data / "faults"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that reads texts alone and finds mentions."""
    path = tmp_path_factory.mktemp("faults") / "models.pt"
    tiny.write_checkpoint(path, tiny.resolver(mention_detection=True, max_mention_pieces=8))
    return path


@pytest.fixture
def found_phrases(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A spaCy pipeline that finds these phrases, whatever it is called."""
    phrases = ["The dog", "The cat", "a bird", "She"]
    pipeline = spacy.blank("en")
    ruler = pipeline.add_pipe("span_ruler", config={"spans_key": "sc"})
    assert isinstance(ruler, SpanRuler)
    ruler.add_patterns([{"label": "mention", "pattern": phrase} for phrase in phrases])
    for module in ("preparation.mentions", "inference.split_predictions", "predict"):
        monkeypatch.setattr(f"{module}.load_pipeline", lambda name: pipeline)
    monkeypatch.setattr("data.mentions.spacy_pipeline.span_group", lambda pipeline: "sc")
    return phrases


def run_test_coref(
    checkpoint: Path, dataset: str, data_root: Path, out: Path, *options: str
) -> None:
    data = ["--dataset", dataset, "--data-root", str(data_root), "--output", str(out / "coref")]
    test_coref.main(["--save_name", str(checkpoint), "--device", "cpu", *data, *options])


def predicted(capsys: pytest.CaptureFixture[str], checkpoint: Path, *options: str) -> list[dict]:
    predict.main(["--save_name", str(checkpoint), "--device", "cpu", *options])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_01_a_text_without_spaces_is_written_a_word_a_character(
    faults: Path, tmp_path: Path, checkpoint: Path
) -> None:
    folder = tmp_path / "conll"
    run_test_coref(
        checkpoint, "tiktalk", faults / "01_tiktalk_conll", tmp_path, "--conll", str(folder)
    )
    for name in ("key", "response"):
        (lines,) = split_documents(folder / f"{name}.conll")
        document = lines.parse()
        assert [s.words for s in document.sentences] == [tuple("小明说他累"), tuple("他睡了")]
        assert [s.speaker for s in document.sentences] == ["A", "B"]
        spans = sorted(span for chain in document.chains for span in chain)
        assert spans == [(0, 1), (3, 3), (5, 5)]
        assert name == "response" or len(document.chains) == 1


def test_02_all_mentions_are_seen_however_many(
    faults: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = faults / "02_cap_128.jsonl"
    options = ["--device", "cpu", "--jsonl", str(lines), "--similarity"]
    predict.main(["--save_name", str(checkpoint), *options])
    said = capsys.readouterr()
    assert said.err == ""
    first = json.loads(said.out.splitlines()[0])
    assert len(first["mentions"]) == 130
    assert all(score != -1 for row in first["similarity"] for score in row)


def test_03_repeated_mentions_score_as_officially(
    faults: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The figures are those that the official scorer 8.01 prints for the file.
    dups = str(faults / "03_repeated_dups.conll")
    found, said = scores(capsys, dups, dups)
    assert found["MUC"] == [0, 0, 0]
    assert found["B3"] == [33.33, 100, 50]
    assert (found["CEAFm"][2], found["CEAFe"][2], found["BLANC"][2]) == (80, 83.33, 33.33)
    assert said.count("repeated mentions") == 2
    key, response = (str(faults / f"03_repeated_twelve.{side}") for side in ("key", "response"))
    expected = f"{re.escape(response)}: 12 repeated mentions .*expected at most 10"
    with pytest.raises(InputError, match=expected):
        score.main([key, response])


def test_04_documents_without_mentions_are_scored(
    faults: Path,
    tmp_path: Path,
    checkpoint: Path,
    found_phrases: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = faults / "04_documents_without_mentions"
    data = ["--dataset", "conll", "--data-root", str(folder), "--split", "test"]
    prepare(["score-mentions", *data, "--spacy-model", "x"])
    assert re.search(
        r"2 narrations.*precision 33\.3.* recall 100\.0.*1 gold, 3 found", capsys.readouterr().out
    )
    found = ["--mentions", "spacy", "--spacy-model", "x", "--json", str(tmp_path / "scores.json")]
    run_test_coref(checkpoint, "conll", folder, tmp_path, *found)
    overall = json.loads((tmp_path / "scores.json").read_text())["mentions"]["overall"]
    assert overall["precision"] == pytest.approx(100 / 3)


def test_05_columns_end_at_tabs_and_spaces_alone(faults: Path) -> None:
    (narration,) = read_narrations("conll", faults / "05_unicode_space", "train").narrations
    assert narration.text == "10\u00a0000 \u3000 it"
    assert [mention.phrase for mention in narration.mentions] == ["10\u00a0000", "it"]
    assert {mention.chain for mention in narration.mentions} == {"0"}
    assert [sentence.speaker for sentence in narration.sentences] == ["Ann"]


@pytest.mark.parametrize("name", ["end_semicolon", "no_parentheses"])
def test_06_documents_begin_as_others_write_it(
    faults: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(faults / "06_begin_document" / f"{name}.conll")
    found, said = scores(capsys, path, path)
    assert found["MUC"] == found["B3"] == found["CEAFe"] == [100, 100, 100] and not said


def test_07_a_byte_order_mark_is_no_text(
    faults: Path,
    checkpoint: Path,
    found_phrases: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = faults / "07_bom"
    train = str(folder / "train.conll")
    found, said = scores(capsys, train, train)
    assert found["B3"] == [100, 100, 100] and not said
    for source in (["--text", f"@{folder / 'text.txt'}"], ["--jsonl", str(folder / "lines.jsonl")]):
        (answer,) = predicted(capsys, checkpoint, *source, "--mentions", "spacy")
        assert answer["text"].rstrip() == "She waves."
        spans = [(m["start"], m["end"], m["text"]) for m in answer["mentions"]]
        assert spans == [(0, 3, "She")]


def test_08_a_split_antecedent_is_no_mention(
    faults: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, response = (str(faults / f"08_split_antecedent.{side}") for side in ("key", "response"))
    found, said = scores(capsys, key, response)
    assert found["B3"] == found["CEAFm"] == found["CEAFe"] == [100, 100, 100]
    assert said == f"note: {key}: mentions with a split antecedent, in no chain: 1\n"


def test_12_documents_whose_ids_would_be_one_are_two(faults: Path) -> None:
    narrations = read_narrations("conll", faults / "12_same_id", "train").narrations
    assert [narration.id for narration in narrations] == ["a_1", "a_1-2"]
    assert [narration.text for narration in narrations] == ["Ann she"] * 2
