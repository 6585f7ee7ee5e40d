"""tools/score.py: the scores of folders and files, beside what the installed scorch prints."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from metrics.chain_files import write_chains
from metrics.chains import chains_from_labels
from tests.conftest import REPOSITORY
from tools.score import main
from utils.distributed.command import run_command

SCORCH_NAMES = {"MUC": "muc", "B³": "b3", "CEAF_m": "ceafm", "CEAF_e": "ceafe", "BLANC": "blanc"}


def scorch(gold: Path, system: Path) -> dict:
    """What the installed scorch prints, in percent and under our names."""
    command = [Path(sys.executable).parent / "scorch", gold, system]
    environment = {**os.environ, "PYTHONUTF8": "1"}
    printed = subprocess.check_output(command, encoding="utf-8", env=environment)
    scores = {}
    for name, *values in re.findall(r"^(\S+):\tR=(\S+)\tP=(\S+)\tF₁=(\S+)$", printed, re.MULTILINE):
        percent = (100 * float(value) for value in values)
        scores[SCORCH_NAMES[name]] = dict(zip(("recall", "precision", "f1"), percent, strict=True))
    average = re.search(r"^CoNLL-2012 average score: (\S+)$", printed, re.MULTILINE)
    assert average is not None and len(scores) == 5
    return {**scores, "conll": 100 * float(average[1])}


def score(gold: Path, system: Path, tmp_path: Path, *options: str) -> dict:
    """What our command writes."""
    written = tmp_path / "scores.json"
    main([str(gold), str(system), "--json", str(written), *options])
    return json.loads(written.read_text())


def assert_scorch_agrees(gold: Path, system: Path, tmp_path: Path) -> None:
    ours, theirs = score(gold, system, tmp_path)["scorch"], scorch(gold, system)
    for metric, expected in theirs.items():
        assert ours[metric] == pytest.approx(expected, abs=1e-6), metric


@pytest.mark.parametrize(
    ("gold", "system"),
    [("single/gold.json", "single/sys.json"), ("multiple/gold", "multiple/sys")],
)
def test_the_fixtures_of_scorch(real_data: Path, tmp_path: Path, gold: str, system: str) -> None:
    fixtures = real_data / "scorer_tests" / "scorch" / "tests" / "fixtures" / "json"
    assert_scorch_agrees(fixtures / gold, fixtures / system, tmp_path)


def write_random_folders(folder: Path, seed: int, *, same_mentions: bool) -> tuple[Path, Path]:
    """Gold and system chains of a few documents of many sizes, one of them without mentions."""
    generator = np.random.default_rng(seed)
    for number, mentions in enumerate([0, 1, 1, 2, *generator.integers(3, 25, 6)]):
        names = [f"mention of document {number}, {index}" for index in range(mentions)]
        for side in ("gold", "system"):
            chains = chains_from_labels(generator.integers(0, max(mentions, 1), mentions).tolist())
            named = [[names[mention] for mention in chain] for chain in chains]
            path = write_chains(folder / side, f"n{number:02}", named)
            if not same_mentions:
                drop_mentions(path, generator)
    return folder / "gold", folder / "system"


def drop_mentions(path: Path, generator: np.random.Generator) -> None:
    """Take some mentions out of a chain file."""
    content = json.loads(path.read_text())
    kept = {
        name: [mention for mention in chain if generator.random() < 0.8]
        for name, chain in content["clusters"].items()
    }
    content["clusters"] = {name: chain for name, chain in kept.items() if chain}
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("same_mentions", [True, False])
def test_random_folders_score_as_scorch(tmp_path: Path, seed: int, same_mentions: bool) -> None:
    gold, system = write_random_folders(tmp_path, seed, same_mentions=same_mentions)
    assert_scorch_agrees(gold, system, tmp_path)


def test_a_graph_scores_as_scorch_does(tmp_path: Path) -> None:
    gold, system = tmp_path / "gold.json", tmp_path / "system.json"
    mentions = list("abcdefg")
    for path, links in ((gold, ["ab", "bc", "de"]), (system, ["ac", "cd", "fg", "gg"])):
        content = {"type": "graph", "mentions": mentions, "links": [list(link) for link in links]}
        path.write_text(json.dumps(content))
    assert_scorch_agrees(gold, system, tmp_path)


def test_conll_files_are_scored_as_officially(real_data: Path, tmp_path: Path) -> None:
    files = real_data / "scorer_tests" / "conll" / "test" / "DataFiles"
    scores = score(files / "TC-A.key", files / "TC-A-8.response", tmp_path)["pooled"]
    assert scores["blanc"]["f1"] == pytest.approx(30.357, abs=1e-3)


def test_a_document_is_paired_by_its_exact_name(tmp_path: Path, capsys) -> None:
    for side in ("gold", "system"):
        write_chains(tmp_path / side, "12", [["a", "b"], ["c"]])
        write_chains(tmp_path / side, "123", [["a"], ["b", "c"]])
    scores = score(tmp_path / "gold", tmp_path / "system", tmp_path)
    assert scores["pooled"]["conll"] == pytest.approx(100)
    assert "'12'" in capsys.readouterr().err


def test_singletons_are_left_out_on_request(tmp_path: Path, capsys) -> None:
    gold, system = write_random_folders(tmp_path, 0, same_mentions=True)
    keys = {"documents", "pooled", "scorch", "certainty"}
    assert set(score(gold, system, tmp_path)) == keys
    capsys.readouterr()
    written = score(gold, system, tmp_path, "--without-singletons")
    assert set(written) > {"pooled_without_singletons", "scorch_without_singletons"}
    printed = capsys.readouterr().out
    # Each with a table of intervals.
    assert printed.count("CoNLL") == 4
    assert f"{written['pooled']['conll']:.2f}" in printed


def test_it_runs_from_anywhere(tmp_path: Path) -> None:
    write_chains(tmp_path / "gold", "x", [["a", "b"]])
    command = [sys.executable, str(REPOSITORY / "tools" / "score.py"), "gold", "gold"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("100.00") >= 30


def test_what_cannot_be_scored_ends_in_one_line(tmp_path: Path, capsys) -> None:
    write_chains(tmp_path / "gold", "x", [["a"]])
    write_chains(tmp_path / "other", "y", [["a"]])
    twice = {"type": "clusters", "clusters": {"0": ["a"], "1": ["a"]}}
    (tmp_path / "twice").mkdir()
    (tmp_path / "twice" / "x.json").write_text(json.dumps(twice))
    (tmp_path / "x.conll").write_text("a (1\n")
    for gold, system, message in (
        ("gold", "other", "system misses 1 ('x')"),
        ("gold", "twice", "x.json"),
        ("gold", "nowhere", "nowhere: no such file"),
        ("gold", "x.conll", "one is a folder"),
        ("twice/x.json", "x.conll", "one is a chain file"),
        ("x.conll", "x.conll", "line 1"),
    ):
        with pytest.raises(SystemExit) as end:
            run_command(partial(main, [str(tmp_path / gold), str(tmp_path / system)]))
        assert end.value.code == 1
        captured = capsys.readouterr()
        assert not captured.out
        assert captured.err.count("\n") == 1 and message in captured.err


def test_a_wrong_command_line_is_an_error_of_usage(capsys) -> None:
    with pytest.raises(SystemExit) as error:
        main(["only one"])
    assert error.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_intervals_and_differences_of_several_systems(tmp_path: Path, capsys) -> None:
    gold, system = write_random_folders(tmp_path / "a", 0, same_mentions=True)
    _, other = write_random_folders(tmp_path / "b", 1, same_mentions=True)
    alone = score(gold, system, tmp_path)
    assert alone["certainty"]["pooled"]["few_documents"]
    conll = alone["certainty"]["pooled"]["scores"]["conll"]
    assert conll["low"] < conll["value"] < conll["high"]
    assert conll["value"] == pytest.approx(alone["pooled"]["conll"])
    for path in sorted(other.iterdir()):
        shape = json.loads((gold / path.name).read_text())
        names = [name for chain in shape["clusters"].values() for name in chain]
        write_chains(other, path.stem, [[name] for name in names])
    capsys.readouterr()
    main([str(gold), str(system), str(other), str(gold), "--json", str(tmp_path / "all.json")])
    printed = capsys.readouterr().out
    assert f"{other} less {system}" in printed and "documents are few" in printed
    content = json.loads((tmp_path / "all.json").read_text())
    first, second, perfect = content["systems"]
    assert {**first, "name": ""} == {**alone, "name": ""}
    assert perfect["pooled"]["conll"] == 100
    for one, difference in zip((second, perfect), content["differences"], strict=True):
        assert difference["less"] == str(system) and difference["name"] == one["name"]
        found = difference["pooled"]["scores"]["conll"]
        assert found["value"] == pytest.approx(one["pooled"]["conll"] - first["pooled"]["conll"])
        assert 0 < found["p"] <= 1
    main([str(gold), str(system), str(other), "--runs", "2", "--json", str(tmp_path / "all.json")])
    runs = json.loads((tmp_path / "all.json").read_text())
    mean = runs["certainty"]["pooled"]["scores"]["conll"]
    values = [one["pooled"]["conll"] for one in runs["runs"].values()]
    assert mean["value"] == pytest.approx(np.mean(values))
    assert mean["spread"] == pytest.approx(np.std(values, ddof=1))
    assert "spread" in capsys.readouterr().out


def conll(*columns: str, name: str) -> str:
    """A document with a word for each last column."""
    rows = "".join(f"n\t0\t{i}\tw{i}\t{column}\n" for i, column in enumerate(columns))
    return f"#begin document ({name}); part 000\n{rows}#end document\n"


def test_scores_are_split_by_what_conll_files_hold(tmp_path: Path, capsys) -> None:
    far = ["-"] * 60
    gold = conll("(0)", "(0)", *far, "(0)", name="nw/a") + conll("(0)", "(0)", name="bc/b")
    system = conll("(0)", "(0)", *far, "(1)", name="nw/a") + conll("(0)", "(1)", name="bc/b")
    (tmp_path / "gold.conll").write_text(gold)
    (tmp_path / "system.conll").write_text(system)
    files = tmp_path / "gold.conll", tmp_path / "system.conll"
    options = ("--by", "genre", "length", "distance", "--without-singletons")
    scores = score(*files, tmp_path, *options)
    printed = capsys.readouterr().out
    subsets = scores["subsets"]
    assert set(subsets["genre"]) == {"nw", "bc"}
    assert list(subsets["length"]) == ["up to 50", "51 to 100"]
    # The document of each genre is the one of a length, and has the scores that it has alone.
    for genre, length in (("bc", "up to 50"), ("nw", "51 to 100")):
        assert subsets["genre"][genre] == subsets["length"][length]
    assert subsets["genre"]["nw"]["pooled"]["scores"]["muc"]["recall"]["value"] == 50
    assert "pooled_without_singletons" in subsets["genre"]["nw"]
    near, distant, first = subsets["distance"].values()
    assert list(subsets["distance"]) == ["up to 5", "51 to 100", "first of its chain"]
    assert near["scores"]["muc"]["recall"]["value"] == 50
    assert near["scores"]["muc"]["precision"]["value"] == 100
    assert distant["scores"]["muc"]["recall"]["value"] == 0
    assert "precision" not in distant["scores"]["muc"] and "muc" not in first["scores"]
    assert all(title in printed for title in ("by genre", "by words of", "by words from"))


def test_a_split_that_cannot_be_made_is_refused(tmp_path: Path, capsys) -> None:
    gold, system = write_random_folders(tmp_path, 0, same_mentions=True)
    (tmp_path / "a.conll").write_text(conll("(0)", "(0)", name="a"))
    file = tmp_path / "a.conll"
    for arguments, message in (
        ((gold, system, "--by", "length"), f"--by: {system} holds no words"),
        ((file, file, "--by", "genre"), "--by genre: no document has one"),
        ((file, file, "--by", "kind"), "invalid choice: 'kind'"),
    ):
        with pytest.raises(SystemExit):
            run_command(partial(main, [str(argument) for argument in arguments]))
        assert message in capsys.readouterr().err


def test_systems_that_cannot_be_compared_are_refused(tmp_path: Path, capsys) -> None:
    gold, system = write_random_folders(tmp_path, 0, same_mentions=True)
    wrong = (
        ([system, system], (), f"{system} is given twice, expected each system once"),
        ([system, gold], ("--runs", "3"), "--runs 3: 2 paths are not so many runs"),
    )
    for systems, options, message in wrong:
        with pytest.raises(SystemExit):
            run_command(partial(main, [str(gold), *map(str, systems), *options]))
        assert message in capsys.readouterr().err
    shorter = tmp_path / "shorter"
    write_chains(shorter, "n00", [])
    with pytest.raises(SystemExit):
        run_command(partial(main, [str(gold), str(system), str(shorter)]))
    assert f"{shorter}: gold and system hold different documents" in capsys.readouterr().err
