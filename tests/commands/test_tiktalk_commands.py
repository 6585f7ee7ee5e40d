"""From the released files of TikTalkCoref to scores, on a few generated dialogues."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.encoding.text import align_spans
from data.encoding.tokenizer import Tokenizer, load_tokenizer
from data.loading.training_data import read_training_data
from data.readers import get_reader, read_narrations
from experiments import tiktalk, tiktalk_page
from metrics.coreference.scores import score_chains
from tests.readers.test_tiktalk import (
    dialogue,
    write_lines,
    write_release,
)
from tools import data_split, pretrain_encoder
from utils.config import make_config
from utils.errors import InputError

SIZES = {"train": 4, "val": 2, "test": 2}
SMALL = ("--layers", "4", "--hidden", "8", "--heads", "2", "--steps", "2", "--batch", "2")


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the splitting tool has written; of celebrities all."""
    folder = tmp_path_factory.mktemp("tiktalk")
    places = [split for split, size in SIZES.items() for _ in range(size)]
    # 泉 is a character of the test part alone.
    others = {"test": {"sentences": [list("他泉好，我A"), list("你说他")],
                       "clusters_str": [["他", "他"], ["他泉"], ["我", "你"]]}}  # fmt: skip
    dialogues = [dialogue(str(i), **others.get(split, {})) for i, split in enumerate(places)]
    write_release(folder, *dialogues)
    parts = (
        {"video_id": str(i), "video_type": "celeb", "split": split}
        for i, split in enumerate(places)
    )
    write_lines(folder / "split.jsonl", *parts)
    data_split.main(["--data-root", str(folder)])
    return folder


@pytest.fixture(scope="module")
def encoder(data_root: Path) -> Path:
    """An encoder of characters."""
    out = data_root / "characters"
    source = ("--dataset", "tiktalk", "--data-root", str(data_root / "all"))
    pretrain_encoder.main([*source, "--out", str(out), *SMALL])
    return out


def test_word_pieces_are_characters_of_the_training_part(data_root: Path, encoder: Path) -> None:
    titles = get_reader("tiktalk").further_texts(data_root / "all", "train")
    assert list(titles) == ["#某人"] * SIZES["train"]
    pieces: Tokenizer = load_tokenizer(str(encoder))
    text = "他妈好， A泉"
    ids, offsets, special = pieces.encode(text)
    assert [text[start:end] for start, end in offsets[~special]] == list("他妈好，A泉")
    # The texts of the training part, each once, have only one character twice.
    known = {pieces.backend.id_to_token(i) for i in ids[~special]}
    assert known == {"他", pretrain_encoder.UNKNOWN}


def test_every_mention_has_the_word_pieces_of_its_characters(
    data_root: Path, encoder: Path
) -> None:
    pieces = load_tokenizer(str(encoder))
    for narration in read_narrations("tiktalk", data_root / "all", "train").narrations:
        _, offsets, special = pieces.encode(narration.text)
        spans = [(mention.start, mention.end) for mention in narration.mentions]
        aligned = align_spans(spans, offsets, special)
        found = [(offsets[first, 0], offsets[end - 1, 1]) for first, end in aligned]
        assert found == spans


@pytest.mark.parametrize(("share", "held"), [(0.1, ["4", "5"]), (0.0, [])])
def test_the_val_split_is_what_is_held_out(
    data_root: Path, encoder: Path, share: float, held: list[str]
) -> None:
    config = make_config(
        {"dataset": "tiktalk", "data_root": str(data_root / "all"), "held_out": share},
        {"use_labelled": True, "use_regions": False},
    )
    data = read_training_data(config, load_tokenizer(str(encoder)), skip_bad_records=False)
    assert [n.id for n in data.labelled.narrations] == ["0", "1", "2", "3"]
    assert [n.id for n in data.held_out.narrations] == held


def test_the_benchmark_trains_and_scores_what_is_not_finished(
    data_root: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        *("--data-root", str(data_root), "--out", str(tmp_path), "--text-encoder", str(encoder)),
        *("--seeds", "1", "--epochs", "1", "--shares", "--device", "cpu"),
    ]
    tiktalk.main(options)
    page = capsys.readouterr().out
    assert "| rule: same string |" in page and "| cosine, predicted mentions |" in page
    assert page.count("| antecedent less rule: same head word, predicted mentions |") == 1
    assert page.count("| antecedent less cosine, gold mentions |") == 1
    finished = sorted(path.stem for path in tmp_path.glob("*.json"))
    assert finished == ["antecedent-labels1-seed0", "cosine-labels1-seed0"]
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    tiktalk.main(options)
    assert capsys.readouterr().out == page
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")} == written
    path = tmp_path / "cosine-labels1-seed0.json"
    found = json.loads(path.read_text())
    for of_mentions in found.values():
        sides = of_mentions.pop("test_chains")
        scores = score_chains(sides["gold"], sides["system"]).pooled.to_json()
        assert of_mentions["test"]["conll"] == pytest.approx(scores["conll"])
        assert f"{scores['conll']:.1f} [" in page
    path.write_text(json.dumps(found))
    with pytest.raises(InputError, match="cosine-labels1-seed0.json: found no test_chains"):
        tiktalk.main(options)


def test_a_model_that_follows_a_rule_in_all_runs_does_not_differ_from_it() -> None:
    gold = {"a": [[0, 1], [2]], "b": [[0], [1, 2]], "c": [[0, 1, 2]]}
    apart = {document: [[0], [1], [2]] for document in gold}
    run = {"gold": gold, "system": apart, "rule: singletons": apart, "rule: right": gold}
    found = {"test_chains": run}
    runs = [dict.fromkeys(tiktalk_page.MENTIONS, found)] * 3
    whole = {"cosine": runs, "antecedent": runs}
    lines = list(tiktalk_page.certainty_tables(whole))
    same = "| cosine less rule: singletons, gold mentions | 0.0 [0.0, 0.0] | 1.0000 |"
    assert same in lines
    (right,) = (line for line in lines if "cosine less rule: right, predicted" in line)
    average = 100 * score_chains(gold, apart).pooled.conll
    assert f"| {average - 100:.1f} [" in right and right.endswith("| 0.2500 |")
    (exact,) = (line for line in lines if line.startswith("| rule: right, gold mentions |"))
    assert exact.count("| 100.0 [100.0, 100.0] ") == len(tiktalk_page.METRICS)
