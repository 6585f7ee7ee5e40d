"""tools/score.py: files of words and chains score the same in whatever format they are."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from tools import convert
from tools.score import main
from utils.distributed.command import run_command
from utils.text.conll import ConllDocument, ConllSentence, write_documents

FORMATS = {
    "conll": ("conll", []),
    "conllu": ("conllu", []),
    **{
        name: ("jsonl", ["--system", name])
        for name in ("e2e-coref", "wl-coref", "fastcoref", "maverick")
    },
}
_WORDS = (("a", "man", "waves", "."), ("he", "has", "a", "dog", ".", "it", "barks", "."))
_GOLD = {"nw/one": ([(0, 1), (4, 4)], [(6, 7), (9, 9)]), "two": ([(0, 1)], [(4, 4), (9, 9)])}
_SYSTEM = {"nw/one": ([(0, 1), (4, 4), (9, 9)],), "two": ([(0, 1), (4, 4)], [(9, 9)], [(6, 7)])}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """The same gold and system in every format."""
    folder = tmp_path_factory.mktemp("formats")
    for side, chains in (("gold", _GOLD), ("system", _SYSTEM)):
        documents = [
            ConllDocument(
                name,
                None,
                tuple(ConllSentence(words) for words in _WORDS),
                tuple(map(tuple, of_document)),
            )
            for name, of_document in chains.items()
        ]
        write_documents(folder / f"{side}.conll", documents)
    written = {}
    for name, (ending, options) in FORMATS.items():
        written[name] = (folder / f"gold-{name}.{ending}", folder / f"system-{name}.{ending}")
        for side, path in zip(("gold", "system"), written[name], strict=True):
            convert.main([str(folder / f"{side}.conll"), str(path), *options])
    return written


def score(gold: Path, system: Path, tmp_path: Path, *options: str) -> dict:
    written = tmp_path / "scores.json"
    main([str(gold), str(system), "--json", str(written), *options])
    scores: dict = json.loads(written.read_text())
    return scores


@pytest.mark.parametrize("system", FORMATS)
@pytest.mark.parametrize("gold", [name for name in FORMATS if name != "conllu"])
def test_the_format_changes_no_score(
    files: dict[str, tuple[Path, Path]], tmp_path: Path, gold: str, system: str
) -> None:
    options = ("--without-singletons", "--by", "length")
    expected = score(*files["conll"], tmp_path, *options)
    assert score(files[gold][0], files[system][1], tmp_path, *options) == expected
    assert 0 < expected["pooled"]["conll"] < 100


@pytest.mark.parametrize("system", FORMATS)
@pytest.mark.parametrize("gold", FORMATS)
def test_the_format_changes_no_score_of_exact_matches(
    files: dict[str, tuple[Path, Path]], tmp_path: Path, gold: str, system: str
) -> None:
    expected = score(*files["conllu"], tmp_path, "--match", "exact")
    found = score(files[gold][0], files[system][1], tmp_path, "--match", "exact")
    assert found == expected
    # No mention is repeated, so that both scorers count the same.
    officially = score(*files["conll"], tmp_path)
    for name in ("muc", "b3", "ceafe", "lea"):
        assert found["pooled"][name] == pytest.approx(officially["pooled"][name])


def test_predictions_get_the_trees_of_gold(
    files: dict[str, tuple[Path, Path]], tmp_path: Path, capsys
) -> None:
    gold, _ = files["conllu"]
    _, system = files["fastcoref"]
    into = tmp_path / "into.conllu"
    convert.main([str(system), str(into), "--into", str(gold)])
    expected = score(gold, into, tmp_path)
    capsys.readouterr()
    assert score(gold, system, tmp_path) == expected
    assert expected["match"] == "head"
    assert "mentions have no head" in capsys.readouterr().err  # CoNLL-2012 has no trees


def test_what_cannot_be_paired_ends_in_one_line(
    files: dict[str, tuple[Path, Path]], tmp_path: Path, capsys
) -> None:
    gold, system = map(str, files["e2e-coref"])
    lines = Path(system).read_text().splitlines()
    fewer, twice, other = (str(tmp_path / f"{name}.jsonl") for name in ("fewer", "twice", "other"))
    Path(fewer).write_text(f"{lines[0]}\n")
    Path(twice).write_text("\n".join([*lines, lines[0]]) + "\n")
    Path(other).write_text("\n".join(lines).replace("barks", "runs") + "\n")
    for arguments, message in (
        ([gold, fewer], f"{fewer}: found no document 'two', which others have"),
        ([fewer, system], f"{fewer}: found no document 'two', which others have"),
        ([gold, twice], "nw/one"),
        ([gold, other], f"{other}, document 'nw/one', word 11: found the word 'runs', expected"),
        ([gold, system, "--match", "head"], f"--match head: {gold} has no trees"),
    ):
        with pytest.raises(SystemExit) as end:
            run_command(partial(main, arguments))
        assert end.value.code == 1
        captured = capsys.readouterr()
        assert not captured.out
        assert captured.err.count("\n") == 1 and message in captured.err
