"""Chain files and CoNLL files: what is written is read back, and bad files say what is wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.chain_files import (
    ChainFileError,
    chain_file_name,
    ids_scorch_confuses,
    mention_names,
    read_chain_file,
    read_chain_folder,
    write_chains,
    write_gold,
)
from metrics.document_pairs import read_conll
from utils.text.conll import ConllError, without_repeats

PHRASES = ["a man", "his hat", "he", "the hat"]
NAMED = [["a man0", "he2"], ["his hat1", "the hat3"]]


def write_json(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_a_mention_is_named_by_phrase_and_index() -> None:
    assert mention_names(PHRASES) == ["a man0", "his hat1", "he2", "the hat3"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["a", "a1", "a11", "a ", "1", ""]) | st.text("a1 "), max_size=25))
def test_mention_names_differ_and_start_with_the_phrase(phrases: list[str]) -> None:
    names = mention_names(phrases)
    assert len(set(names)) == len(phrases)
    for index, (name, phrase) in enumerate(zip(names, phrases, strict=True)):
        assert name.startswith(phrase) and name.endswith(str(index))


def test_two_phrases_that_would_share_a_name_are_told_apart() -> None:
    phrases = ["x"] * 13
    phrases[2], phrases[12] = "gate 1", "gate "
    assert mention_names(phrases)[2] == "gate 12"
    assert mention_names(phrases)[12] == "gate  12"


def test_the_file_is_what_scorch_reads(tmp_path: Path) -> None:
    path = write_chains(tmp_path / "new" / "test", "123", NAMED)
    assert path == tmp_path / "new" / "test" / "123.json"
    assert json.loads(path.read_text()) == {
        "name": "123",
        "type": "clusters",
        "clusters": {"0": ["a man0", "he2"], "1": ["his hat1", "the hat3"]},
    }


@settings(max_examples=30, deadline=None)
@given(phrases=st.lists(st.text(max_size=4), max_size=6))
def test_what_is_written_is_read_back(tmp_path_factory, phrases: list[str]) -> None:
    folder = tmp_path_factory.mktemp("chains")
    chains = [list(range(0, len(phrases), 2)), list(range(1, len(phrases), 2))]
    chains = [chain for chain in chains if chain]
    names = mention_names(phrases)
    named = [[names[m] for m in chain] for chain in chains]
    write_chains(folder, "一", named)
    assert read_chain_folder(folder) == {"一": named}


@pytest.mark.parametrize("chains", [[["a0", "b1"], ["a0"]], [["a0", "a0"]]])
def test_a_mention_is_in_one_chain(tmp_path: Path, chains: list[list[str]]) -> None:
    with pytest.raises(ChainFileError, match="document '123': mention 'a0' stands twice"):
        write_chains(tmp_path, "123", chains)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "document",
    ["", ".", "..", "a/b", "/etc/passwd", "../x", "a\\b", "a\0b", "a\nb", "\x1b[2J", "a\u202eb",
     "\ud800", "x" * 251, "男" * 84],
)  # fmt: skip
@pytest.mark.parametrize("write", [write_chains, write_gold])
def test_ids_that_are_no_file_names_are_refused(tmp_path: Path, write, document: str) -> None:
    folder = tmp_path / "inside"
    with pytest.raises(ChainFileError, match="document id"):
        write(folder, document, NAMED)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("document", ["1000092795", "a b", "...", ".x", "x" * 250, "男" * 83])
def test_ids_that_are_file_names_are_written(tmp_path: Path, document: str) -> None:
    assert chain_file_name(document) == f"{document}.json"
    write_chains(tmp_path, document, NAMED)
    assert list(read_chain_folder(tmp_path)) == [document]


@pytest.mark.parametrize("existing", [None, '{"old": 1}'])
def test_a_failed_write_leaves_nothing_half_written(tmp_path: Path, monkeypatch, existing) -> None:
    path = tmp_path / "123.json"
    if existing:
        path.write_text(existing)

    def fail(source, target) -> None:
        raise OSError("disk gone")

    monkeypatch.setattr("utils.files.os.replace", fail)
    with pytest.raises(OSError, match="disk gone"):
        write_chains(tmp_path, "123", NAMED)
    assert [entry.name for entry in tmp_path.iterdir()] == ([path.name] if existing else [])
    assert not existing or path.read_text() == existing


def test_a_file_is_moved_into_place_whole(tmp_path: Path, monkeypatch) -> None:
    moved = []

    def watch(source, target) -> None:
        content = json.loads(Path(source).read_text())
        moved.append((Path(source).parent, Path(target), content["name"]))

    monkeypatch.setattr("utils.files.os.replace", watch)
    write_chains(tmp_path, "123", NAMED)
    assert moved == [(tmp_path, tmp_path / "123.json", "123")]


@pytest.mark.skipif(os.name != "posix", reason="permissions of this kind are POSIX's")
def test_others_may_read_a_file_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    path = write_chains(tmp_path, "123", NAMED)
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_gold_is_written_once_and_then_compared(tmp_path: Path) -> None:
    assert write_gold(tmp_path, "123", NAMED).status == "written"
    again = write_gold(tmp_path, "123", [chain[::-1] for chain in NAMED[::-1]])
    assert again.status == "same"
    assert (again.only_in_file, again.only_in_ours, again.moved) == ((), (), ())
    assert "same" in again.describe()


def test_existing_gold_that_differs_is_reported_and_kept(tmp_path: Path) -> None:
    clusters = {"a": ["a man0", "the hat3"], "b": ["he2", "a dog9"], "c": ["his hat1"]}
    path = write_json(tmp_path / "123.json", {"type": "clusters", "clusters": clusters})
    before = path.read_bytes()
    found = write_gold(tmp_path, "123", [*NAMED, ["it4"]])
    assert found.status == "differs"
    assert found.only_in_file == ("a dog9",)
    assert found.only_in_ours == ("it4",)
    assert found.moved == ("a man0", "he2", "his hat1", "the hat3")
    told = found.describe()
    for part in ("123.json", "1 only in the file", "'a dog9'", "1 only in ours", "4 in another"):
        assert part in told
    assert path.read_bytes() == before


def test_a_mention_that_one_side_lacks_moves_no_other(tmp_path: Path) -> None:
    clusters = {"0": ["a man0", "he2", "him7"], "1": ["his hat1", "the hat3"]}
    write_json(tmp_path / "123.json", {"type": "clusters", "clusters": clusters})
    found = write_gold(tmp_path, "123", NAMED)
    assert (found.status, found.only_in_file, found.moved) == ("differs", ("him7",), ())


def test_existing_gold_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "123.json").write_text("{")
    with pytest.raises(ChainFileError, match="123.json"):
        write_gold(tmp_path, "123", NAMED)
    assert (tmp_path / "123.json").read_text() == "{"


def test_a_graph_is_read_as_its_connected_components(tmp_path: Path) -> None:
    content = {"type": "graph", "mentions": ["a", "b", "c", "d"], "links": [["d", "a"], ["c", "c"]]}
    assert read_chain_file(write_json(tmp_path / "x.json", content)) == [["a", "d"], ["b"], ["c"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("\xff", "is not JSON"),
        ("[]", "found an array, expected an object"),
        ("null", "found null, expected an object"),
        ("{}", "type is nothing, expected"),
        ('{"type": "tree"}', "type is 'tree', expected"),
        ('{"type": "clusters"}', "clusters is null, expected an object"),
        ('{"type": "clusters", "clusters": [["a"]]}', "clusters is an array, expected an object"),
        ('{"type": "clusters", "clusters": {"0": "ab"}}', "cluster '0' is a text, expected an"),
        ('{"type": "clusters", "clusters": {"0": [1]}}', "cluster '0' holds 1, expected the name"),
        ('{"type": "clusters", "clusters": {"0": []}}', "cluster '0' is empty"),
        ('{"type": "clusters", "clusters": {"0": ["a", "a"]}}', "mention 'a' is twice in it"),
        ('{"type": "clusters", "clusters": {"0": ["a"], "1": ["a"]}}', "mention 'a' is in '0' too"),
        ('{"type": "clusters", "clusters": {"0": ["a"], "0": ["b"]}}', "key '0' stands twice"),
        ('{"type": "graph", "links": []}', "mentions is null, expected an array"),
        ('{"type": "graph", "mentions": ["a", "a"], "links": []}', "mentions holds 'a' twice"),
        ('{"type": "graph", "mentions": ["a"]}', "links is null, expected an array"),
        ('{"type": "graph", "mentions": ["a"], "links": [["a"]]}', "link 0 has 1 ends, expected 2"),
        ('{"type": "graph", "mentions": ["a"], "links": [["a", "b"]]}', "'b' is not among"),
    ],
)
def test_a_bad_chain_file_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ChainFileError, match=message) as error:
        read_chain_file(path)
    assert str(path) in str(error.value)


def test_a_folder_is_read_by_exact_file_name(tmp_path: Path) -> None:
    for document in ("12", "123", "a.b"):
        write_chains(tmp_path, document, NAMED)
    (tmp_path / "notes.txt").write_text("not a chain file")
    assert read_chain_folder(tmp_path) == {"12": NAMED, "123": NAMED, "a.b": NAMED}


def test_a_folder_without_chain_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChainFileError, match="no chain files"):
        read_chain_folder(tmp_path)
    with pytest.raises(ChainFileError, match="not a folder"):
        read_chain_folder(tmp_path / "nowhere")


def test_ids_that_begin_others_or_are_patterns_confuse_scorch() -> None:
    assert ids_scorch_confuses(["1234", "123", "12", "2", "a[1]", "x"]) == ["12", "123", "a[1]"]
    assert ids_scorch_confuses(["1", "1-a", "10", "2"]) == ["1"]
    assert ids_scorch_confuses([]) == []


CONLL = """#begin document (first); part 000
first 0 0 The (1
first 0 1 man 1)|(0)

first 1 0 his (2(1)
first 1 1 hat 2)
#end document
#begin document (first); part 001
x\t0\t0\tNothing\t-\t
#end document

#begin document (second);
x (7(7
x -
x 7)7)
#end document
"""


def test_conll_documents_are_read_with_their_parts(tmp_path: Path) -> None:
    path = tmp_path / "x.conll"
    path.write_text(CONLL)
    assert read_conll(path) == {
        "(first); part 0": [[(0, 1), (2, 2)], [(1, 1)], [(2, 3)]],
        "(first); part 1": [],
        "(second)": [[(0, 2), (0, 2)]],
    }


@pytest.mark.parametrize(
    ("first", "second", "chains"),
    [
        ("(1(3", "3)1)", [[(0, 1)]]),
        ("(3(1", "1)3)", [[(0, 1)]]),
        ("(1(3(3", "3)3)(3)1)", [[(0, 1)], [(1, 1)]]),
        ("(2(1)", "2)(1)", [[(0, 0), (1, 1)], [(0, 1)]]),
        ("(2(1)", "(1)(2)2)", [[(0, 0), (1, 1)], [(0, 1)]]),
    ],
)
def test_a_repeated_span_stays_with_the_chain_that_opened_first(
    tmp_path: Path, first: str, second: str, chains: list[list[tuple[int, int]]]
) -> None:
    path = tmp_path / "x.conll"
    path.write_text(f"#begin document (x);\na {first}\nb {second}\n#end document\n")
    assert without_repeats(read_conll(path)["(x)"]) == chains


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no document"),
        ("a -\n", "line 1: found 'a -', expected a document to begin"),
        ("#begin document (x);\na -\n", "line 1: document 'x' does not end"),
        ("#begin document (x);\n#begin document (y);\n", "line 2: a document begins before 'x'"),
        (
            "#begin document (x);\n#end document\n" * 2,
            r"line 3: document '\(x\)' begins a second time",
        ),
        ("#begin document (x);\na (1\n#end document\n", r"line 2: '\(1' opens .* not closed"),
        ("#begin document (x);\na -\nb 1)\n#end document\n", r"line 3: '1\)' closes .* not open"),
        ("#begin document (x);\na (1\nb 2)\n#end document\n", r"line 3: '2\)' closes .* not open"),
        ("#begin document (x);\na man\n#end document\n", "line 2: the last column is 'man'"),
        ("#begin document (x);\na (1)(\n#end document\n", "line 2: the last column is"),
        ("#begin document (x);\n\xff -\n#end document\n", "not UTF-8"),
    ],
)
def test_a_bad_conll_file_says_where(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.conll"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ConllError, match=message) as error:
        read_conll(path)
    assert str(path) in str(error.value)


def test_every_conll_file_of_the_scorers_is_read(real_data: Path) -> None:
    scorers = real_data / "scorer_tests"
    paths = [
        path
        for folder in (scorers / "conll" / "test", scorers / "coval" / "tests")
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".README"
    ]
    assert len(paths) > 150
    assert all(len(read_conll(path)) == 1 for path in paths)
