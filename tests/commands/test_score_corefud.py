"""tools/score.py on CorefUD files."""

from __future__ import annotations

import json
import random
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.support.conllu_documents import row, sentence_lines
from tools.score import main
from utils.distributed.command import run_command
from utils.text.conllu import ConlluRow


def write(path: Path, *entities: str) -> str:
    """Write a document of one sentence with a word for each value of Entity=; "." is none."""
    rows = [
        row(str(number), "x", "_" if entity == "." else f"Entity={entity}", str(number - 1))
        for number, entity in enumerate(entities, start=1)
    ]
    heading = "# newdoc id = d\n# global.Entity = eid-etype-head-other\n"
    path.write_text(heading + sentence_lines(*rows))
    return str(path)


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    """Gold and system, whose first mention is a part of gold's with another head."""
    gold = write(tmp_path / "gold.conllu", "(e1--1-", "e1)", "(e1--1-)")
    return [gold, write(tmp_path / "system.conllu", "(e1--1-)", ".", "(e1--1-)")]


def test_the_match_decides(pair: list[str], tmp_path: Path, capsys) -> None:
    written = tmp_path / "scores.json"
    found = {}
    for options in ([], ["--match", "exact"], ["--match", "partial"], ["--match", "head"]):
        main([*pair, "--json", str(written), *options])
        scores = json.loads(written.read_text())
        assert set(scores) == {"documents", "match", "match_zeros", "pooled", "certainty"}
        assert f"{scores['pooled']['conll']:.2f}" in capsys.readouterr().out
        found[" ".join(options)] = scores["pooled"]["muc"]["f1"], scores["match"]
    assert found == {
        "": (100, "head"),
        "--match exact": (0, "exact"),
        "--match partial": (100, "partial"),
        "--match head": (100, "head"),
    }


def test_singletons_are_left_out_on_request(pair: list[str], tmp_path: Path, capsys) -> None:
    written = tmp_path / "scores.json"
    main([*pair, "--json", str(written), "--without-singletons", "--match-zeros", "linear"])
    scores = json.loads(written.read_text())
    assert scores["match_zeros"] == "linear"
    assert scores["pooled_without_singletons"].keys() == scores["pooled"].keys()
    # Each with a table of intervals.
    assert capsys.readouterr().out.count("CoNLL") == 4


@pytest.mark.parametrize("match", ["exact", "head"])
def test_the_scores_are_split(pair: list[str], tmp_path: Path, capsys, match: str) -> None:
    written = tmp_path / "scores.json"
    for path in pair:
        text = Path(path).read_text().replace("newdoc id = d\n", "newdoc id = GUM_news_x\n")
        Path(path).write_text(text)
    options = ["--match", match, "--without-singletons"]
    main([*pair, "--json", str(written), *options, "--by", "genre", "length", "distance"])
    scores = json.loads(written.read_text())
    assert "by genre" in capsys.readouterr().out
    # One document: each subset of documents has all of it.
    for by, name in (("genre", "news"), ("length", "up to 50")):
        subset = scores["subsets"][by][name]
        for way in ("pooled", "pooled_without_singletons"):
            muc = subset[way]["scores"]["muc"]
            assert {part: found["value"] for part, found in muc.items()} == scores[way]["muc"]
    near = scores["subsets"]["distance"]["up to 5"]
    assert near["scores"]["muc"]["recall"]["value"] == scores["pooled"]["muc"]["recall"]
    assert (near["gold_anaphors"], near["system_anaphors"]) == (1, 1)


def test_mentions_without_a_head_are_told(tmp_path: Path, capsys) -> None:
    path = tmp_path / "a.conllu"
    rows = (row("1", "x", "Entity=(e1"), row("2", "y", "Entity=e1)"))
    path.write_text("# newdoc id = d\n# global.Entity = eid\n" + sentence_lines(*rows))
    main([str(path), str(path)])
    assert f"{path}: 1 mentions have no head" in capsys.readouterr().err
    main([str(path), str(path), "--match", "exact"])
    assert not capsys.readouterr().err


def test_what_cannot_be_scored_ends_in_one_line(pair: list[str], tmp_path: Path, capsys) -> None:
    other = write(tmp_path / "other.conllu", ".", ".")
    chains = tmp_path / "a.json"
    chains.write_text('{"type": "clusters", "clusters": {}}')
    for files, message in (
        ([*pair, other], f"{other}: document 'd', sentence 1: gold has 3 words, system 2"),
        ([*pair, str(chains)], f"{chains}: chain files hold no words"),
        ([str(chains), pair[0]], "one is a chain file (.json) and the other is not"),
        ([str(chains), str(chains), "--match", "exact"], f"{chains}: chain files hold no words"),
        ([str(tmp_path / "nowhere.conllu"), other], "nowhere.conllu cannot be read"),
    ):
        with pytest.raises(SystemExit) as end:
            run_command(partial(main, files))
        assert end.value.code == 1
        captured = capsys.readouterr()
        assert not captured.out
        assert captured.err.count("\n") == 1 and message in captured.err
    with pytest.raises(SystemExit) as end:
        main([str(chains), str(chains), "--match-zeros", "linear"])
    assert end.value.code == 2


def write_random(path: Path, seed: int) -> str:
    """Write documents of the same words, whatever the seed, whose chains are drawn."""
    generator = random.Random(seed)
    documents = []
    for number in range(5):
        drawn = [generator.choice(("_", "Entity=(e1--1-)", "Entity=(e2--1-)")) for _ in range(12)]
        rows = [row(str(n), "x", misc, str(n - 1)) for n, misc in enumerate(drawn, start=1)]
        zero = row("12.1", "_", generator.choice(("_", "Entity=(e1--1-)"))).columns
        rows.append(ConlluRow((*zero[:8], "3:nsubj", zero[9])))
        heading = f"# newdoc id = d{number}\n# global.Entity = eid-etype-head-other\n"
        documents.append(heading + sentence_lines(*rows))
    path.write_text("".join(documents))
    return str(path)


def test_intervals_and_differences_of_several_systems(tmp_path: Path, capsys) -> None:
    gold, *systems = (write_random(tmp_path / f"{name}.conllu", name) for name in range(5))
    written = tmp_path / "scores.json"

    def score(*words: str) -> dict:
        main([gold, *words, "--json", str(written), "--without-singletons"])
        return json.loads(written.read_text())

    alone = [score(system) for system in systems]
    ways = ("pooled", "pooled_without_singletons")
    for found in alone:
        for way in ways:
            scores = found["certainty"][way]["scores"]
            assert scores.keys() == found[way].keys()
            for name, values in found[way].items():
                parts = {"": values} if name == "conll" else values
                for part, value in parts.items():
                    interval = scores[name][part] if part else scores[name]
                    assert interval["value"] == pytest.approx(value)
                    assert interval["low"] <= value <= interval["high"]
            assert scores["mor"]["f1"]["low"] < scores["mor"]["f1"]["high"]
    capsys.readouterr()
    content = score(*systems, gold)
    printed = capsys.readouterr().out
    assert f"{systems[1]} less {systems[0]}" in printed and "documents are few" in printed
    assert [{**one, "name": ""} for one in content["systems"][:4]] == [
        {**one, "name": ""} for one in alone
    ]
    for one, difference in zip(content["systems"][1:], content["differences"], strict=True):
        assert (difference["name"], difference["less"]) == (one["name"], systems[0])
        for way in ways:
            for name in ("muc", "b3", "ceafm", "ceafe", "blanc", "lea", "mor", "zeros"):
                found = difference[way]["scores"][name]["f1"]
                value = one[way][name]["f1"] - alone[0][way][name]["f1"]
                assert found["value"] == pytest.approx(value) and 0 < found["p"] <= 1
    runs = score(*systems, "--runs", "2")
    mean = runs["systems"][1]["certainty"]["pooled"]["scores"]["zeros"]["f1"]
    values = [found["pooled"]["zeros"]["f1"] for found in alone[2:]]
    assert mean["value"] == pytest.approx(np.mean(values))
    assert mean["spread"] == pytest.approx(np.std(values, ddof=1))
    assert list(runs["systems"][1]["runs"]) == systems[2:]
