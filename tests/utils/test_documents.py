"""Documents between formats: what all of them hold stays, what is lost is counted."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.conllu_documents import documents as conllu_documents
from utils.errors import InputError
from utils.text.conll import ConllDocument, ConllSentence
from utils.text.conllu import ConlluDocument
from utils.text.document_files import read_document_file, write_document_file
from utils.text.documents import from_conllu, to_conllu
from utils.text.gap import read_gap
from utils.text.jsonlines import SYSTEMS, read_jsonlines

DOCUMENT = ConllDocument(
    "nw/a",
    2,
    (ConllSentence(("A", "man", "waves", "."), "Ann"), ConllSentence(("He", "nods", "."))),
    (((0, 1), (4, 4)), ((0, 2),)),
)
UNTREED = {"documents without trees, which a training of wl-coref needs": 1}


@st.composite
def documents(draw: st.DrawFn) -> ConllDocument:
    """Documents with nested and crossing mentions, each span once."""
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    sentences = tuple(
        ConllSentence(tuple(draw(st.sampled_from("ab#")) for _ in range(length)), None)
        for length in lengths
    )
    place = st.integers(0, sum(lengths) - 1)
    pairs = draw(st.lists(st.tuples(place, place).map(sorted), unique_by=tuple, max_size=6))
    chains: dict[int, list[tuple[int, int]]] = {}
    for first, last in pairs:
        chains.setdefault(draw(st.integers(0, 2)), []).append((first, last))
    return ConllDocument("a", 0, sentences, tuple(tuple(chain) for chain in chains.values()))


def content(document: ConllDocument) -> tuple[Any, ...]:
    """What every format holds; chains in any order."""
    chains = sorted(sorted(chain) for chain in document.chains)
    return document.name, document.part or 0, document.sentences, chains


def lost(counts: Counter[str]) -> dict[str, int]:
    return {what: count for what, count in counts.items() if count}


@pytest.mark.parametrize("system", SYSTEMS)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents())
def test_json_lines_hold_words_and_chains(
    tmp_path: Path, system: str, document: ConllDocument
) -> None:
    path = tmp_path / "a.jsonl"
    counts = write_document_file(path, [document], system)
    again = read_document_file(path)
    assert not lost(again.lost)
    (read,) = again.documents
    if system == "fastcoref":
        assert counts["ends of sentences"] == len(document.sentences) - 1
        assert read.words == document.words
        assert content(read)[3] == content(document)[3]
    else:
        assert lost(counts) == (UNTREED if system == "wl-coref" else {})
        assert content(read) == content(document)


@pytest.mark.parametrize("ending", [".jsonl", ".conll", ".conllu", ".conllu.xz"])
def test_names_parts_and_speakers_are_kept(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    write_document_file(path, [DOCUMENT], "e2e-coref")
    (read,) = read_document_file(path).documents
    kept = content(read)[2:] == content(DOCUMENT)[2:]
    name = ("nw/a_2", None) if "conllu" in ending else ("nw/a", 2)
    assert kept and (read.name, read.part) == name


NAMES = ("a_0", "a_1", "a_1_0", "a", "_0", "0_0", "a_01", "1", "a b_2", "a_1234567890")


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("ending", [".jsonl", ".conll", ".conllu"])
def test_names_of_conllu_come_back(tmp_path: Path, ending: str, system: str) -> None:
    named = [replace(DOCUMENT, name=name, part=None) for name in NAMES]
    write_document_file(tmp_path / "a.conllu", named, system)
    source = tmp_path / "a.conllu"
    for target in (tmp_path / f"b{ending}", tmp_path / "c.conllu"):
        write_document_file(target, read_document_file(source).documents, system)
        source = target
    assert [document.name for document in read_document_file(source).documents] == list(NAMES)


@pytest.mark.parametrize(
    ("ending", "system", "names", "message"),
    [
        (".conllu", "e2e-coref", [("a", None), ("a", 0)], "2 documents .* the name 'a' in"),
        (".conllu", "e2e-coref", [("a", 1), ("a_1", 0)], "the name 'a_1'"),
        (".conllu", "e2e-coref", [(" a", None), ("a", 0)], "the name 'a'"),
        (".conll", "e2e-coref", [("a", None), ("a", 0)], r"the name '\(a\); part 000'"),
        (".jsonl", "e2e-coref", [("a", 1), ("b", 0), ("a", 1)], "the name 'a_1'"),
        (".jsonl", "fastcoref", [("a_0", None), ("a_0", 0)], "the name 'a_0_0'"),
        (".jsonl", "wl-coref", [("a", None), ("a", 0)], "the name 'a, part 0'"),
    ],
)
def test_documents_of_one_name_are_refused(
    tmp_path: Path, ending: str, system: str, names: list[tuple[str, int | None]], message: str
) -> None:
    path = tmp_path / f"a{ending}"
    named = [replace(DOCUMENT, name=name, part=part) for name, part in names]
    with pytest.raises(InputError, match=rf"a\{ending}: found .*{message}"):
        write_document_file(path, named, system)
    assert not list(tmp_path.iterdir())


def test_a_space_at_the_end_of_a_name_is_counted(tmp_path: Path) -> None:
    named = replace(DOCUMENT, name=" a ", part=None)
    counts = write_document_file(tmp_path / "a.conllu", [named], "e2e-coref")
    assert lost(counts) == {"names with spaces at their ends, which are cut off": 1}
    assert read_document_file(tmp_path / "a.conllu").documents[0].name == "a"
    for ending in (".jsonl", ".conll"):
        assert not lost(write_document_file(tmp_path / f"a{ending}", [named], "e2e-coref"))
        assert read_document_file(tmp_path / f"a{ending}").documents[0].name == " a "


TREES = """# newdoc id = nw/a
# speaker = Ann
1\tShe\tshe\tPRON\tPRP\t_\t2\tnsubj\t_\t_
2\twaves\twave\tVERB\tVBZ\t_\t0\troot\t_\t_

0.1\t_\t_\tPRON\t_\t_\t_\t_\t_\t_
1-2\tdel\t_\t_\t_\t_\t_\t_\t_\t_
1\tde\t_\tADP\t_\t_\t3\tcase\t_\t_
2\tel\t_\tDET\t_\t_\t3\tdet\t_\t_
3\tmar\t_\tNOUN\t_\t_\t0\troot\t_\t_

"""


def written_for(folder: Path, system: str, content: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The line that a system gets of a CoNLL-U file of one document, and what is lost."""
    (folder / "a.conllu").write_text(content)
    converted = read_document_file(folder / "a.conllu")
    counts = write_document_file(folder / "a.jsonl", converted.documents, system)
    return json.loads((folder / "a.jsonl").read_text()), lost(counts)


def test_wl_coref_gets_trees_and_parts_of_speech(tmp_path: Path) -> None:
    fields, left_out = written_for(tmp_path, "wl-coref", TREES)
    assert not left_out
    assert fields["cased_words"] == ["She", "waves", "de", "el", "mar"]
    assert fields["head"] == [1, None, 4, 4, None]
    assert fields["deprel"] == ["nsubj", "root", "case", "det", "root"]
    assert fields["pos"] == ["PRP", "VBZ", "ADP", "DET", "NOUN"]
    (read,) = read_document_file(tmp_path / "a.jsonl").documents
    assert read.words == tuple(fields["cased_words"])
    for system in set(SYSTEMS) - {"wl-coref"}:
        fields, left_out = written_for(tmp_path, system, TREES)
        assert "head" not in fields and left_out["sentences with trees"] == 2
        assert left_out["sentences with parts of speech"] == 2


def test_wl_coref_is_told_of_documents_without_trees(tmp_path: Path) -> None:
    fields, left_out = written_for(tmp_path, "wl-coref", TREES.replace("3\tdet", "_\t_"))
    others = {"sentences with trees in documents where others have none": 1}
    assert left_out == UNTREED | others and "pos" in fields
    assert fields.keys().isdisjoint({"head", "deprel"})
    fields, left_out = written_for(
        tmp_path, "wl-coref", TREES.replace("PRP", "_").replace("PRON", "_")
    )
    assert not left_out and fields["pos"][0] == "_"
    assert lost(write_document_file(tmp_path / "b.jsonl", [DOCUMENT], "wl-coref")) == UNTREED


def test_what_of_trees_and_tags_is_not_whole_is_counted(tmp_path: Path) -> None:
    untagged = "\n".join(
        re.sub(r"^(\d\t.*?\t.*?)\t(ADP|DET|NOUN)", r"\1\t_", line) for line in TREES.splitlines()
    )
    fields, left_out = written_for(tmp_path, "wl-coref", untagged + "\n\n")
    assert "pos" not in fields and "head" in fields
    assert left_out == {"sentences with parts of speech in documents where others have none": 1}
    what = "sentences with a tree that is not whole"
    for content, count in ((TREES, 0), (TREES.replace("3\tdet", "_\t_"), 1)):
        (tmp_path / "a.conllu").write_text(content)
        converted = read_document_file(tmp_path / "a.conllu")
        assert converted.lost[what] == count
        counts = write_document_file(tmp_path / "b.conllu", converted.documents, "e2e-coref")
        assert counts["sentences with trees"] == 2 - count
    (tmp_path / "a.conllu").write_text("1\ta\t_\tNOUN\t_\t_\t_\t_\t_\t_\n\n")
    assert not read_document_file(tmp_path / "a.conllu").lost[what], "there is none at all"


def test_white_space_that_a_format_cannot_hold_is_counted(tmp_path: Path) -> None:
    tagged = ConllDocument("a", 0, (ConllSentence(("b",), " Ann ", ("N N",)),), ())
    counts = write_document_file(tmp_path / "a.conll", [tagged], "e2e-coref")
    assert lost(counts) == {
        "parts of speech with white space, which becomes _": 1,
        "speakers of sentences with white space, which becomes _": 1,
    }
    counts = write_document_file(tmp_path / "a.conllu", [tagged], "e2e-coref")
    assert lost(counts) == {"speakers with spaces at their ends, which are cut off": 1}
    (read,) = read_document_file(tmp_path / "a.conllu").documents
    assert read.sentences == (ConllSentence(("b",), "Ann", ("N N",)),)


@pytest.mark.parametrize("ending", [".conll", ".conllu"])
def test_parts_of_speech_are_kept(tmp_path: Path, ending: str) -> None:
    (tmp_path / "a.conllu").write_text(TREES)
    documents = read_document_file(tmp_path / "a.conllu").documents
    write_document_file(tmp_path / f"b{ending}", documents, "e2e-coref")
    (read,) = read_document_file(tmp_path / f"b{ending}").documents
    tags = [sentence.parts_of_speech for sentence in read.sentences]
    assert tags == [("PRP", "VBZ"), ("ADP", "DET", "NOUN")]
    assert not any(sentence.heads for sentence in read.sentences)


@settings(deadline=None)
@given(documents())
def test_conllu_holds_what_crosses_no_sentence_and_no_own_mention(document: ConllDocument) -> None:
    counts: Counter[str] = Counter()
    again = from_conllu(to_conllu(document, counts), "a", Counter())
    spans = [span for chain in document.chains for span in chain]
    kept = [span for chain in again.chains for span in chain]
    assert set(kept) <= set(spans)
    assert len(spans) - len(kept) == sum(counts.values())
    for chain in again.chains:
        assert any(set(chain) <= set(whole) for whole in document.chains)


@settings(deadline=None)
@given(conllu_documents())
def test_what_has_no_span_of_words_is_counted(document: ConlluDocument) -> None:
    counts: Counter[str] = Counter()
    read = from_conllu(document, "a", counts)
    kept = sum(map(len, read.chains))
    assert (
        kept == len(document.mentions) - counts["zero mentions"] - counts["discontinuous mentions"]
    )
    assert counts["zero mentions"] == sum(map(document.is_zero, document.mentions))
    assert counts["split antecedents"] == len(document.split_antecedents)
    assert counts["bridges"] == len(document.bridges)


# A document as each system writes it: "A man waves . He nods ." with the chain of "A man" and "He".
WORDS = list(DOCUMENT.words)
SPELLINGS: list[dict[str, Any]] = [
    {"doc_key": "a", "sentences": [WORDS[:4], WORDS[4:]], "clusters": [[[0, 1], [4, 4]]]},
    {"sentences": [WORDS], "clusters": [], "predicted_clusters": [[[0, 1], [4, 4]]]},
    {"document_id": "a", "cased_words": WORDS, "sent_id": [0] * 4 + [1] * 3,
     "span_clusters": [[[0, 2], [4, 5]]]},
    {"document_id": "a", "part_id": 0, "cased_words": WORDS, "sent_id": [0] * 7,
     "clusters": [[[0, 2], [4, 5]]]},
    {"doc_key": "a", "tokens": WORDS, "clusters": [[[0, 1], [4, 4]]]},
    {"tokens": WORDS, "clusters_token_offsets": [[[0, 1], [4, 4]]]},
    {"text": "A man waves. He nods.", "clusters": [[[0, 5], [13, 15]]]},
]  # fmt: skip


@pytest.mark.parametrize("fields", SPELLINGS)
def test_every_spelling_of_json_lines(tmp_path: Path, fields: dict[str, Any]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(fields) + "\n\n")
    read = read_jsonlines(path)
    (document,) = read.documents
    assert document.words == DOCUMENT.words
    assert document.chains == (((0, 1), (4, 4)),)
    texts = {"texts whose white space is not one space between words": 1}
    assert lost(read.lost) == (texts if "text" in fields else {})


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f"\ufeff{json.dumps(SPELLINGS[0])}\r\n" * 2)  # as where two files were joined
    assert [document.words for document in read_jsonlines(path).documents] == [DOCUMENT.words] * 2


def test_keys_that_are_not_read_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({**SPELLINGS[0], "ner": [[0, 1, "PERSON"]], "constituents": []}))
    assert lost(read_jsonlines(path).lost) == {"documents with 'ner', which is not read": 1}


def test_a_text_is_cut_where_mentions_end(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "上海人 nods", "clusters": [[[0, 2], [3, 4]]]}))
    read = read_jsonlines(path)
    assert read.documents[0].words == ("上海", "人", "nods")
    assert read.documents[0].chains == (((0, 0),),)
    assert read.lost["mentions without a word"] == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([1], r"found \[1\], expected an object"),
        ({"words": []}, "expected one of cased_words, sentences, tokens, text"),
        (
            {"tokens": ["a"], "clusters": [[[0, 1]]]},
            r"the span \[0, 1\], .* of 1, the end inclusive",
        ),
        ({"text": "a", "clusters": [[[0, 0]]]}, r"the span \[0, 0\], .* of 1, the end exclusive"),
        ({"tokens": ["a", ""]}, "expected texts"),
        ({"tokens": ["a"], "clusters": [[0]]}, "found the span 0"),
        ({"tokens": ["a"], "clusters": {"0": []}}, "expected a list"),
        ({"cased_words": ["a"], "sent_id": [0, 1]}, "found 2 sent_id for 1 words"),
        ({"tokens": ["a"], "speakers": ["b", "c"]}, "found 2 speakers for 1 words"),
        ({"tokens": ["a"], "doc_key": 3}, "found the name 3"),
        ({"tokens": ["a"], "doc_key": "a\nb"}, r"found the name 'a\\nb', expected a printable"),
        ({"tokens": ["a\ud800"]}, "expected texts"),
        ({"text": "a\ud800"}, "expected a text"),
        ({"tokens": ["a"], "clusters": 0}, "found 0, expected a list"),
        ({"tokens": ["a"], "speakers": "Ann"}, "found 'Ann', expected a list"),
        ({"cased_words": ["a"], "sent_id": [None]}, r"sent_id: found \[None\], expected whole"),
        ({"cased_words": ["a"], "sent_id": [0], "part_id": "x"}, "part_id: found 'x'"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, fields: object, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(fields))
    with pytest.raises(InputError, match=rf"a\.jsonl, line 1.*{message}"):
        read_jsonlines(path)


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('\n{"tokens": ["a"], "tokens": ["b"]}')
    with pytest.raises(InputError, match="line 2: found no JSON .*'tokens' stands twice"):
        read_jsonlines(path)


def test_what_a_line_cannot_hold_is_replaced_and_counted(tmp_path: Path) -> None:
    document = ConllDocument("a", 0, (ConllSentence(("a\nb",), "Ann\nLee"),), ())
    for ending, white_space in ((".conll", "white space, which becomes"), (".conllu", "line ends")):
        counts = write_document_file(tmp_path / f"a{ending}", [document], "e2e-coref")
        assert [white_space in what for what in lost(counts)] == [True, True]
        (read,) = read_document_file(tmp_path / f"a{ending}").documents
        assert (read.words, read.sentences[0].speaker) == (("a_b",), "Ann_Lee")


def test_a_document_without_a_word_is_left_out_of_conllu(tmp_path: Path) -> None:
    empty = ConllDocument("b", 0, (), ())
    counts = write_document_file(tmp_path / "a.conllu", [empty, DOCUMENT], "e2e-coref")
    assert lost(counts) == {"documents without a word": 1}
    assert len(read_document_file(tmp_path / "a.conllu").documents) == 1


def test_a_file_of_no_format_is_refused(tmp_path: Path) -> None:
    for name, message in (("a.txt", "ends in one of"), ("a.jsonl", "cannot be read")):
        with pytest.raises(InputError, match=message):
            read_document_file(tmp_path / name)
    (tmp_path / "a.jsonl").write_text("\n")
    with pytest.raises(InputError, match="no document"):
        read_document_file(tmp_path / "a.jsonl")
    with pytest.raises(InputError, match="to write that ends in one of"):
        write_document_file(tmp_path / "a.tsv", [], "e2e-coref")


COLUMNS = "ID Text Pronoun Pronoun-offset A A-offset A-coref B B-offset B-coref URL".split()
PASSAGE = [
    "p-1",
    'Ann saw "Bo". She left.',
    "She",
    "14",
    "Ann",
    "0",
    "TRUE",
    "Bo",
    "9",
    "FALSE",
    "x",
]


def gap(folder: Path, *rows: list[str]) -> Path:
    path = folder / "gap.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in rows))
    return path


def test_gap_has_the_pronoun_with_the_name_that_it_means(tmp_path: Path) -> None:
    (document,) = read_gap(gap(tmp_path, COLUMNS, PASSAGE)).documents
    assert document.name == "p-1"
    assert document.words == ("Ann", "saw", '"', "Bo", '"', ".", "She", "left", ".")
    assert document.chains == (((0, 0), (6, 6)), ((3, 3),))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((PASSAGE,), "line 1: found .*, expected the columns ID"),
        ((COLUMNS, PASSAGE[:-1]), "line 2: found 10 columns, expected 11"),
        ((COLUMNS, [*PASSAGE[:3], "13", *PASSAGE[4:]]), "line 2: found Pronoun 'She' at '13'"),
        ((COLUMNS, [*PASSAGE[:3], "1" * 5000, *PASSAGE[4:]]), "line 2: found Pronoun 'She' at '11"),
        ((COLUMNS, [*PASSAGE[:6], "yes", *PASSAGE[7:]]), "line 2: found A-coref 'yes'"),
        ((COLUMNS, ["", *PASSAGE[1:]]), "line 2: found the name ''"),
        ((COLUMNS,), "no passage"),
    ],
)
def test_a_wrong_line_of_gap_is_named(
    tmp_path: Path, rows: tuple[list[str], ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_gap(gap(tmp_path, *rows))


@pytest.mark.parametrize(("name", "passages"), [("development", 2_000), ("validation", 454)])
def test_gap_is_read_whole(real_data: Path, name: str, passages: int) -> None:
    read = read_gap(real_data / "gap" / f"gap-{name}.tsv")
    assert len(read.documents) == passages
    assert all(sum(map(len, document.chains)) == 3 for document in read.documents)
