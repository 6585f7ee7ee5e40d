"""CoNLL-2012 data sets: words become characters, splits are fixed, and what is wrong is named."""

from __future__ import annotations

import re
import shutil
import tarfile
from pathlib import Path

import pytest

from data.files import BadRecord, DataError
from data.readers import Reading, get_reader, read_narrations
from utils.text.conll import split_documents

# Words and last columns; the columns between are those of OntoNotes.
DOCUMENT = [
    [("A", "(0|(1"), ("man", "1)"), ("'s", "-"), ("dog", "0)"), (".", "-")],
    [("He", "(1)"), ("likes", "-"), ("it", "(0)|(2"), ("all", "2)"), (".", "-")],
]


def written(
    name: str = "bn/abc", part: int = 0, speaker: str = "Ann", joined: str = "  ", text: str = ""
) -> str:
    """A document as OntoNotes writes it."""
    lines = []
    for sentence in DOCUMENT:
        for index, (word, chains) in enumerate(sentence):
            columns = [name, str(part), str(index), word, "NN", "*", "-", "-", "-", speaker, "*"]
            lines.append(joined.join([*columns, chains]))
        lines.append("")
    body = text or "\n".join(lines) + "\n"
    return f"#begin document ({name}); part {part:03}\n{body}#end document\n"


def read(folder: Path, *documents: str, **options: bool) -> Reading:
    (folder / "train.conll").write_text("".join(documents))
    return read_narrations("conll", folder, "train", **options)


@pytest.mark.parametrize("joined", ["  ", "\t"])
def test_words_are_joined_and_spans_point_into_the_text(tmp_path: Path, joined: str) -> None:
    (narration,) = read(tmp_path, written(joined=joined)).narrations
    assert (narration.id, narration.genre) == ("bn_abc", "bn")
    assert narration.text == "A man 's dog . He likes it all ."
    assert narration.words == tuple(narration.text.split())
    found = [(narration.text[m.start : m.end], m.chain) for m in narration.mentions]
    assert found == [
        ("A man 's dog", "0"), ("A man", "1"), ("He", "1"), ("it all", "2"), ("it", "0"),
    ]  # fmt: skip
    assert [m.phrase for m in narration.mentions] == [phrase for phrase, _ in found]
    turns = [(narration.text[s.start : s.end], s.speaker) for s in narration.sentences]
    assert turns == [("A man 's dog .", "Ann"), ("He likes it all .", "Ann")]
    assert get_reader("conll").open_regions(tmp_path, "train") is None


def test_singletons_are_mentions_and_are_counted(tmp_path: Path) -> None:
    report = read(tmp_path, written()).report
    assert report.counts == {
        "narrations": 1, "words": 10, "mentions": 5, "chains": 3, "singletons": 1,
        "mentions dropped as repeats": 0,
    }  # fmt: skip


def test_parts_are_narrations_and_no_speaker_is_none(tmp_path: Path) -> None:
    narrations = read(tmp_path, written(speaker="-"), written(part=1)).narrations
    assert [narration.id for narration in narrations] == ["bn_abc", "bn_abc_1"]
    assert [{s.speaker for s in n.sentences} for n in narrations] == [{None}, {"Ann"}]


def test_a_repeated_span_stays_in_the_chain_that_opened_first(tmp_path: Path) -> None:
    text = "x 0 0 It * (0)\nx 0 1 is * -\nx 0 2 it * (0)|(1)\n"
    reading = read(tmp_path, written(text=text))
    assert [m.chain for m in reading.narrations[0].mentions] == ["0", "0"]
    assert reading.report.counts["mentions dropped as repeats"] == 1


@pytest.mark.parametrize("joined", ["  ", "\t"])
def test_columns_end_at_tabs_and_spaces_alone(tmp_path: Path, joined: str) -> None:
    words = {"10\u00a0000": "(0)", "\u3000": "-", "a\u2028b\x85c": "-", "it": "(0)"}
    lines = [
        joined.join(["x", "0", "0", word, *["-"] * 5, "Ann\u00a0B.", "-", chains])
        for word, chains in words.items()
    ]
    (narration,) = read(tmp_path, written(text="\n".join(lines) + "\n")).narrations
    assert narration.words == tuple(words)
    assert narration.text == " ".join(words)
    assert [m.phrase for m in narration.mentions] == ["10\u00a0000", "it"]
    assert [s.speaker for s in narration.sentences] == ["Ann\u00a0B."]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marks_of_the_byte_order_and_line_ends_are_no_text(tmp_path: Path, end: str) -> None:
    marked = "\ufeff" + written() + "\ufeff" + written(part=1)  # as where two files were joined
    (tmp_path / "train.conll").write_bytes(marked.replace("\n", end).encode())
    narrations = read_narrations("conll", tmp_path, "train").narrations
    (plain,) = read(tmp_path, written()).narrations
    assert [n.text for n in narrations] == [plain.text] * 2
    assert narrations[0].sentences == plain.sentences


@pytest.mark.parametrize(
    ("line", "name", "part"),
    [
        ("(bn/abc); part 001", "bn/abc", 1),
        ("(bn/abc); part 001;", "bn/abc", 1),
        ("(bn/abc)", "bn/abc", None),
        ("  (bn/abc) ;", "bn/abc", None),
        ("file_7", "file_7", None),
        ("file 7; part 2", "file 7", 2),
        ("((a); part 1)", "(a); part 1", None),
    ],
)
def test_documents_begin_as_others_write_it(
    tmp_path: Path, line: str, name: str, part: int | None
) -> None:
    path = tmp_path / "x.conll"
    path.write_text(f"# a comment\n#begin document {line}\nx 0 0 it (0)\n#end document\n")
    (document,) = split_documents(path)
    assert (document.name, document.part, document.number) == (name, part, 2)
    assert document.parse().chains == (((0, 0),),)


@pytest.mark.parametrize("line", ["#begin document", "#begin doc (a)", "#begin"])
def test_a_line_that_begins_no_document_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(DataError, match=rf"line 2: found {re.escape(repr(line))}, expected"):
        read(tmp_path, f"# a comment\n{line}\nx 0 0 it (0)\n#end document\n")


def test_a_split_antecedent_is_in_no_chain_and_is_counted(tmp_path: Path) -> None:
    text = "x 0 0 Ann * (0)\nx 0 1 met * (0+1\nx 0 2 Bo * (1)|0+1)\nx 0 3 They * (0+1+12)\n"
    reading = read(tmp_path, written(text=text))
    assert [(m.phrase, m.chain) for m in reading.narrations[0].mentions] == [
        ("Ann", "0"), ("Bo", "1"),
    ]  # fmt: skip
    assert "mentions with a split antecedent, in no chain, left out: 2" in reading.report.notes
    assert reading.report.counts["mentions dropped as repeats"] == 0
    with pytest.raises(BadRecord, match=r"the last column is '\(0\+\)'"):
        read(tmp_path, written(text="x 0 0 Ann * (0+)\n"))


def test_documents_whose_ids_would_be_one_are_numbered(tmp_path: Path) -> None:
    documents = [
        written("a", 1),
        written("a_1"),
        written("a/1"),
        written("b_c/d"),
        written("b/c_d"),
    ]
    reading = read(tmp_path, *documents)
    ids = [narration.id for narration in reading.narrations]
    assert ids == ["a_1", "a_1-2", "a_1-3", "b_c_d", "b_c_d-2"]
    assert "documents whose id another one had, numbered: 3" in reading.report.notes


def test_the_files_of_a_folder_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b/2.v4_gold_conll", "b/1.conll", "b/1.v4_auto_conll", "a/README"):
        path = tmp_path / "val" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(written(name))
    narrations = read_narrations("conll", tmp_path, "val").narrations
    assert [narration.id for narration in narrations] == ["b_1.conll", "b_2.v4_gold_conll"]


def test_winobias_is_read_whole(real_data: Path, tmp_path: Path) -> None:
    shutil.copytree(real_data / "winobias", tmp_path / "val")
    counts = read_narrations("conll", tmp_path, "val").report.counts
    # Each text is there with a pronoun of one gender and of the other, under one name.
    assert counts["narrations"] == 4 * 396
    assert (counts["mentions"], counts["chains"]) == (3_198, 1_584)


WRONG = {
    "bracket": (written("x", text="x 0 0 a * (0\n"), "opens a mention that is not closed"),
    "end": (written("x").replace("#end document", ""), "begins before 'x' has ended"),
    "name": (written("../x"), "'../x'"),
    "id": (written("bn/abc"), "this document before it too"),
    "columns": (written("x", text="man (0)\n"), "a line without a word"),
    "words": (written("x", text="\n"), "no words"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_bad_document_is_named_or_skipped(tmp_path: Path, kind: str) -> None:
    wrong, found = WRONG[kind]
    documents = (written(), wrong, written("last"))
    with pytest.raises(BadRecord) as raised:
        read(tmp_path, *documents)
    assert str(tmp_path / "train.conll") in str(raised.value)
    assert "line 1" in str(raised.value) or "line 2" in str(raised.value)
    assert found in str(raised.value)
    reading = read(tmp_path, *documents, skip_bad_records=True)
    assert [narration.id for narration in reading.narrations] == ["bn_abc", "last"]
    assert reading.report.skipped == [str(raised.value)]


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    for dataset, found in (("conll", r"neither .*test\.conll nor"), ("litbank", r"no files \*")):
        with pytest.raises(DataError, match=found):
            read_narrations(dataset, tmp_path, "test")
    with pytest.raises(DataError, match=r"train\.conll, line 1: found 'a man'"):
        read(tmp_path, "a man\n", skip_bad_records=True)
    (tmp_path / "1_x.conll").mkdir()
    with pytest.raises(DataError, match=r"1_x\.conll cannot be read"):
        read_narrations("litbank", tmp_path, "train")


@pytest.mark.parametrize("folder", [".", "conll", "coref/conll"])
def test_litbank_is_split_by_the_number_of_the_book(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for name in ("1023_bleak_house_brat", "158_emma_brat", "105_persuasion_brat", "9_new_brat"):
        (tmp_path / folder / f"{name}.conll").write_text(written(name))
    found = {
        split: [n.id for n in read_narrations("litbank", tmp_path, split).narrations]
        for split in ("train", "val", "test")
    }
    assert found == {
        "train": ["105_persuasion_brat", "9_new_brat"],
        "val": ["158_emma_brat"],
        "test": ["1023_bleak_house_brat"],
    }


def test_the_real_litbank_has_the_known_counts(real_data: Path, tmp_path: Path) -> None:
    with tarfile.open(real_data / "litbank" / "litbank_coref.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    readings = [read_narrations("litbank", tmp_path, split) for split in ("train", "val", "test")]
    assert [len(reading.narrations) for reading in readings] == [80, 10, 10]
    counts = [reading.report.counts for reading in readings]
    totals = {what: sum(of_split[what] for of_split in counts) for what in counts[0]}
    assert totals == {
        "narrations": 100, "words": 210_532, "mentions": 29_103, "chains": 7_927,
        "singletons": 5_763, "mentions dropped as repeats": 0,
    }  # fmt: skip
    for reading in readings:
        for narration in reading.narrations:
            assert narration.is_labelled
            assert all(narration.text[m.start : m.end] == m.phrase for m in narration.mentions)
