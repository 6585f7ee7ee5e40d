"""tools/convert.py: by the endings of names, with what is lost on standard error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from metrics.chain_files import read_chain_file
from tests.readers import test_corefud
from tests.support.conllu_documents import documents
from tools import convert
from utils.errors import InputError
from utils.text.conllu import ConlluDocument
from utils.text.conllu_files import read_documents, write_documents

CONLL = """#begin document (nw/a); part 000
nw/a 0 0 She - - - - - Ann - (0)
nw/a 0 1 waves - - - - - Ann - (1
nw/a 0 2 ! - - - - - Ann - 1)

nw/a 0 0 Do - - - - - - - -
nw/a 0 1 n't - - - - - - - (2)
nw/a 0 2 de - - - - - - - -
nw/a 0 3 el - - - - - - - -
nw/a 0 4 a - - - - - - - (2
nw/a 0 5 man - - - - - - - 2)
nw/a 0 6 her - - - - - - - (0)

#end document
"""


def run(*words: str | Path) -> None:
    convert.main([str(word) for word in words])


def test_conllu_is_copied_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test_corefud.write(tmp_path, "a.conllu")
    run(tmp_path / "a.conllu", tmp_path / "b.conllu.xz")
    run(tmp_path / "b.conllu.xz", tmp_path / "c.conllu")
    assert (tmp_path / "c.conllu").read_text() == test_corefud.written()
    assert not capsys.readouterr().err


def test_what_is_lost_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test_corefud.write(tmp_path, "a.conllu")
    run(tmp_path / "a.conllu", tmp_path / "a.jsonl")
    told = capsys.readouterr()
    assert told.out == f"wrote 1 documents to {tmp_path / 'a.jsonl'}\n"
    for part in (
        "1 zero mentions",
        "1 discontinuous mentions",
        "1 empty nodes",
        "2 multiword tokens",
        "5 mentions with a type, a head or other fields",
        "1 comments, such as genres and ids of sentences",
    ):
        assert part in told.err
    fields = json.loads((tmp_path / "a.jsonl").read_text())
    assert fields["doc_key"] == "nw/a"
    assert fields["clusters"] == [[[0, 0], [9, 9]], [[4, 4]], [[5, 5]], [[7, 8]], [[9, 9]]]


def test_chain_files_are_written_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text(CONLL)
    run(tmp_path / "a.conll", tmp_path / "chains")
    assert read_chain_file(tmp_path / "chains" / "nw_a.json") == [
        ["She@0-0", "her@9-9"], ["waves !@1-2"], ["n't@4-4", "a man@7-8"],
    ]  # fmt: skip
    with pytest.raises(InputError, match="chain files hold no texts"):
        run(tmp_path / "chains", tmp_path / "b.conll")


OTHER_WORDS = (
    CONLL,
    CONLL.replace("n't - - - - - - - (2)", "n - - - - - - - (2\nx 0 1 't - - - - - - - 2)"),
    CONLL.replace("de -", "del -").replace("nw/a 0 3 el - - - - - - - -\n", ""),
)


@pytest.mark.parametrize("words", OTHER_WORDS)
def test_predictions_hold_no_gold(
    tmp_path: Path, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    test_corefud.write(tmp_path, "gold.conllu")
    (tmp_path / "a.conll").write_text(words)
    run(tmp_path / "a.conll", tmp_path / "b.conllu", "--into", tmp_path / "gold.conllu")
    (gold,), (written,) = (read_documents(tmp_path / f"{name}.conllu") for name in ("gold", "b"))
    assert [(m.entity, m.nodes, m.attributes) for m in written.mentions] == [
        ("e1", (0,), ()), ("e2", (1, 2), ()), ("e3", (5,), ()), ("e3", (8, 9), ()),
        ("e1", (10,), ()),
    ]  # fmt: skip
    assert [node.columns[:9] for node in written.nodes] == [n.columns[:9] for n in gold.nodes]
    told = capsys.readouterr().err
    assert f"{tmp_path / 'b.conllu'} does not have: 1 zero mentions, 1 discontinuous" in told


def test_what_predictions_have_and_no_words_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test_corefud.write(tmp_path, "gold.conllu")
    (gold,) = read_documents(tmp_path / "gold.conllu")
    run(tmp_path / "gold.conllu", tmp_path / "b.conllu", "--into", tmp_path / "gold.conllu")
    told = capsys.readouterr().err
    counts = {
        "zero mentions": sum(map(gold.is_zero, gold.mentions)),
        "discontinuous mentions": sum(mention.is_discontinuous for mention in gold.mentions),
        "split antecedents": len(gold.split_antecedents),
        "bridges": len(gold.bridges),
    }
    assert counts["zero mentions"] == counts["discontinuous mentions"] == 1
    for what, count in counts.items():
        assert (f"{count} predicted {what}" in told) == bool(count), what
    (tmp_path / "a.conll").write_text(CONLL.replace("(2)", "(0+1)"))
    run(tmp_path / "a.conll", tmp_path / "b.conllu", "--into", tmp_path / "gold.conllu")
    assert "1 predicted split antecedents" in capsys.readouterr().err


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents())
def test_nothing_but_the_coreference_of_predictions_changes(
    tmp_path: Path, document: ConlluDocument
) -> None:
    gold, plain, target = (tmp_path / name for name in ("a.conllu", "a.conll", "b.conllu"))
    write_documents(gold, [document])
    run(gold, plain)
    run(plain, target, "--into", gold)
    (written,) = read_documents(target)
    assert [node.columns[:9] for node in written.nodes] == [n.columns[:9] for n in document.nodes]
    assert not written.split_antecedents and not written.bridges
    assert not any(written.is_zero(m) or m.attributes for m in written.mentions)
    assert all(mention.nodes not in {m.nodes for m in document.mentions if m.is_discontinuous}
               for mention in written.mentions if mention.is_discontinuous)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("(nw/a)", "(nw/b)"), "found no document 'nw/a', which"),
        (("waves", "nods"), "document 'nw/a': found predictions for .Shenods!"),
        (("#end document\n", "#end document\n" + CONLL), "is there twice"),
        (
            ("#end document\n", "#end document\n" + CONLL.replace("(nw/a)", "(c)")),
            "has no document 'c'",
        ),
    ],
)
def test_predictions_of_other_documents_are_refused(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    test_corefud.write(tmp_path, "gold.conllu")
    (tmp_path / "a.conll").write_text(CONLL.replace(*change))
    with pytest.raises(InputError, match=message):
        run(tmp_path / "a.conll", tmp_path / "b.conllu", "--into", tmp_path / "gold.conllu")
    with pytest.raises(InputError, match="--into needs"):
        run(tmp_path / "a.conll", tmp_path / "b.conll", "--into", tmp_path / "gold.conllu")


@pytest.mark.parametrize("target", ["b.conllu", "b.jsonl", "dev_conll", "chains"])
def test_nothing_is_written_of_what_is_refused(tmp_path: Path, target: str) -> None:
    lines = [{"doc_key": "a", "tokens": ["a"]}, {"doc_key": "\u202e", "tokens": ["a"]}]
    source = tmp_path / "a.jsonl"
    source.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with pytest.raises(InputError, match=r"a\.jsonl, line 2: found the name"):
        run(source, tmp_path / target)
    assert list(tmp_path.iterdir()) == [source]


def test_two_documents_for_one_chain_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text(CONLL + CONLL.replace("nw/a", "nw_a"))
    with pytest.raises(InputError, match=r"a\.conll: found two documents for nw_a\.json"):
        run(tmp_path / "a.conll", tmp_path / "chains")
    assert not (tmp_path / "chains").exists()


def test_a_target_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text(CONLL)
    (tmp_path / "b.conll").mkdir()
    for target in ("b.conll", "a.conll/b.conll"):
        with pytest.raises(InputError, match=rf"{target} cannot be written: "):
            run(tmp_path / "a.conll", tmp_path / target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.conll", "b.conll"]


def test_an_ending_without_a_point_is_one_too(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text(CONLL)
    run(tmp_path / "a.conll", tmp_path / "dev_conll")
    assert (tmp_path / "dev_conll").is_file()


def test_no_document_with_a_word_is_no_conllu(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"tokens": []}')
    with pytest.raises(InputError, match=r"a\.jsonl: no document has a word"):
        run(tmp_path / "a.jsonl", tmp_path / "b.conllu")


def test_gold_documents_of_one_name_are_refused(tmp_path: Path) -> None:
    test_corefud.write(tmp_path, "gold.conllu", test_corefud.written(), test_corefud.written())
    (tmp_path / "a.conll").write_text(CONLL)
    with pytest.raises(InputError, match=r"gold\.conllu: the document 'nw/a' is there twice"):
        run(tmp_path / "a.conll", tmp_path / "b.conllu", "--into", tmp_path / "gold.conllu")


def test_winobias_is_read(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "winobias" / "dev_type1_pro_stereotype.v4_auto_conll"
    run(path, tmp_path / "a.jsonl")
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 396
