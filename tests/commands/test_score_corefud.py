"""tools/score.py on CorefUD files."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from tests.support.conllu_documents import row, sentence_lines
from tools.score import main
from utils.distributed.command import run_command


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
        assert set(scores) == {"documents", "match", "match_zeros", "pooled"}
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
    assert capsys.readouterr().out.count("CoNLL") == 2


def test_mentions_without_a_head_are_told(tmp_path: Path, capsys) -> None:
    path = tmp_path / "a.conllu"
    rows = (row("1", "x", "Entity=(e1"), row("2", "y", "Entity=e1)"))
    path.write_text("# newdoc id = d\n# global.Entity = eid\n" + sentence_lines(*rows))
    main([str(path), str(path)])
    assert "1 mentions of gold have no head" in capsys.readouterr().err
    main([str(path), str(path), "--match", "exact"])
    assert not capsys.readouterr().err


def test_what_cannot_be_scored_ends_in_one_line(pair: list[str], tmp_path: Path, capsys) -> None:
    other = write(tmp_path / "other.conllu", ".", ".")
    chains = tmp_path / "a.json"
    chains.write_text('{"type": "clusters", "clusters": {}}')
    for files, message in (
        ([pair[0], other], "sentence 1: gold has 3 words, system 2"),
        ([pair[0], str(chains)], "one is a CorefUD file (.conllu) and the other is not"),
        ([str(tmp_path / "nowhere.conllu"), other], "nowhere.conllu cannot be read"),
    ):
        with pytest.raises(SystemExit) as end:
            run_command(partial(main, files))
        assert end.value.code == 1
        captured = capsys.readouterr()
        assert not captured.out
        assert captured.err.count("\n") == 1 and message in captured.err
    with pytest.raises(SystemExit) as end:
        main([str(chains), str(chains), "--match", "head"])
    assert end.value.code == 2
