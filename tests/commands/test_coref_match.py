"""test_coref.py --match: what the files score that it writes, scored by tools/score.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import test_coref
from metrics.corefud.matching import MATCHINGS
from tests.readers import test_corefud
from tests.support import tiny
from tests.support.conllu_documents import row, sentence_lines
from tools import convert, score
from utils.errors import InputError
from utils.text.conllu import ConlluRow

FILES = ("x-test.conllu", "y-test.conllu.xz")
CONLL = """#begin document (a); part 000
a 0 0 She - - - - - - - (0)
a 0 1 has - - - - - - - -
a 0 2 a - - - - - - - (1
a 0 3 dog - - - - - - - 1)
a 0 4 . - - - - - - - -
a 0 5 It - - - - - - - (1)
a 0 6 bites - - - - - - - -
a 0 7 her - - - - - - - (0)

#end document
"""


def written(name: str) -> str:
    """A document with trees, and with a zero and a discontinuous mention."""
    nouns = [row(str(n), word, misc, head) for n, word, misc, head in (
        (1, "She", "Entity=(e1--1-)", "2"), (2, "has", "_", "0"), (3, "a", "Entity=(e2--2-", "4"),
        (4, "dog", "Entity=e2)", "2"), (5, "of", "Entity=(e4[1/2]", "6"),
        (6, "hers", "Entity=e4[1/2])(e1--1-)", "4"), (7, "that", "_", "8"),
        (8, "barks", "Entity=(e4[2/2])", "4"),
    )]  # fmt: skip
    empty = row("1.1", "_", "Entity=(e2--1-)").columns
    zero = ConlluRow((*empty[:8], "2:nsubj", empty[9]))
    pronouns = (row("1", "It", "Entity=(e2--1-)", "2"), zero, row("2", "bites", "_", "0"),
                row("3", "her", "Entity=(e1--1-)", "2"))  # fmt: skip
    heading = f"# newdoc id = nw/{name}\n# global.Entity = eid-etype-head-other\n"
    return heading + sentence_lines(*nouns) + sentence_lines(*pronouns)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "models.pt"
    tiny.write_checkpoint(path, tiny.resolver(mention_detection=True))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A split in two files."""
    for number, name in enumerate(FILES):
        documents = [written(f"{number}{part}") for part in "abc"]
        test_corefud.write(tmp_path / "data", name, *documents)
    return tmp_path / "data"


def run(checkpoint: Path, data: Path, *options: str, dataset: str = "corefud") -> dict:
    """Run the command, and return the scores that it writes."""
    named = {
        "--save_name": checkpoint, "--dataset": dataset, "--data-root": data, "--device": "cpu",
        "--output": data.parent / "coref", "--conll": data.parent / "written",
        "--json": data.parent / "scores.json",
    }  # fmt: skip
    test_coref.main([*(str(word) for pair in named.items() for word in pair), *options])
    return json.loads((data.parent / "scores.json").read_text())


def score_files(gold: Path, system: Path, matching: str) -> dict:
    """What tools/score.py writes of two files."""
    path = gold.parent / "scored.json"
    words = [str(gold), str(system), "--json", str(path), "--match", matching]
    score.main([*words, "--without-singletons"])
    return json.loads(path.read_text())


def join_files(folder: Path, target: Path) -> Path:
    """Put the files of a split into one."""
    for name in FILES:
        convert.main([str(folder / name), str(target.parent / "part.conllu")])
        with target.open("a") as whole:
            whole.write((target.parent / "part.conllu").read_text())
    return target


@pytest.mark.parametrize("mentions", ["gold", "predicted"])
@pytest.mark.parametrize("matching", MATCHINGS)
def test_it_scores_what_the_written_files_score(
    checkpoint: Path, data: Path, tmp_path: Path, matching: str, mentions: str
) -> None:
    found = run(checkpoint, data, "--match", matching, "--mentions", mentions)["corefud"]
    left_out = found.pop("left_out")
    assert (left_out["zero mentions"], left_out["discontinuous mentions"]) == (6, 6)
    gold = join_files(data, tmp_path / "gold.conllu")
    predicted = join_files(tmp_path / "written", tmp_path / "predicted.conllu")
    assert score_files(gold, predicted, matching) == found
    assert 0 < found["pooled"]["conll"] < 100
    # The longer way to the same file.
    response, longer = tmp_path / "written" / "response.conll", tmp_path / "longer.conllu"
    convert.main([str(response), str(longer), "--into", str(gold)])
    assert score_files(gold, longer, matching) == found


def test_chains_of_one_mention_are_left_out_of_it_too(checkpoint: Path, data: Path) -> None:
    kept = run(checkpoint, data, "--match", "head")
    dropped = run(checkpoint, data, "--match", "head", "--singletons", "drop")["corefud"]
    assert dropped["pooled"] == kept["corefud"]["pooled_without_singletons"]
    assert "pooled_without_singletons" not in dropped | dropped["certainty"]
    assert "corefud" not in run(checkpoint, data)


def test_it_is_printed_with_what_is_left_out(
    checkpoint: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(checkpoint, data, "--match", "partial")["corefud"]
    printed = capsys.readouterr().out
    assert "documents: 6, partial match" in printed
    assert "left out or changed: 6 zero mentions, 6 discontinuous mentions\n" in printed
    table = printed.split("partial match")[1]
    assert f"{found['pooled']['mor']['f1']:.2f}" in table.split("CoNLL")[0]


def test_texts_without_gold_are_predicted(
    checkpoint: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in data.iterdir():
        path.unlink()
    lines = [
        line.partition("Entity=")[0] + "_" if "Entity=" in line else line
        for line in written("a").split("\n")
        if not line.startswith("# global")
    ]
    test_corefud.write(data, FILES[0], "\n".join(lines))
    words = ["--save_name", str(checkpoint), "--dataset", "corefud", "--data-root", str(data)]
    words += ["--mentions", "predicted", "--output", str(data.parent / "coref")]
    words += ["--conll", str(data.parent / "written")]
    test_coref.main(words)
    assert "Entity=(e1" in (data.parent / "written" / FILES[0]).read_text()
    with pytest.raises(InputError, match="--match: test has no gold chains"):
        test_coref.main([*words, "--match", "head"])
    with pytest.raises(InputError, match="found the data there"):
        test_coref.main([*words, "--conll", str(data)])


def test_without_trees_the_same_words_match(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "test.conll").write_text(CONLL)
    for matching in ("partial", "head"):
        with pytest.raises(InputError, match=f"--match {matching}: the data set conll has no tree"):
            run(checkpoint, tmp_path / "data", "--match", matching, dataset="conll")
    options = ("--match", "exact", "--mentions", "predicted")
    found = run(checkpoint, tmp_path / "data", *options, dataset="conll")["corefud"]
    files = [tmp_path / "written" / f"{name}.conllu" for name in ("key", "response")]
    for path in files:
        convert.main([str(path.with_suffix(".conll")), str(path)])
    expected = score_files(files[0], files[1], "exact")
    assert 0 < expected["pooled"]["mor"]["f1"] < 100
    assert {key: found[key] for key in expected} == expected
