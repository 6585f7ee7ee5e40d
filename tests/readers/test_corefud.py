"""CorefUD: words become the text, spans point into it, and what has no span is counted."""

from __future__ import annotations

import lzma
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings

from data.conllu_text import rebuild_text
from data.files import BadRecord, DataError
from data.readers import Reading, get_reader, read_narrations
from data.writers.corefud import with_predictions
from tests.support.conllu_documents import documents, row, sentence_lines
from utils.text.conll import ConllDocument, ConllSentence
from utils.text.conllu import ConlluDocument
from utils.text.conllu_files import read_documents

SENTENCES = (
    ("# speaker = Ann\n", row("1", "She", "Entity=(e1-person-1-)"),
     row("2", "waves", "SpaceAfter=No"), row("3", "!", "SpaceAfter=No")),
    ("", row("0.1", "_", "Entity=(e1-person-1-)"), row("1-2", "Don't"), row("1", "Do"),
     row("2", "n't", "Entity=(e2--1-)"), row("3-4", "del"), row("3", "de", "Entity=(e3--1-)"),
     row("4", "el"), row("5", "a", "Entity=(e4[1/2]--1-)(e5"), row("6", "man", "Entity=e5)"),
     row("7", "her", "Entity=(e4[2/2]--1-)(e1)(e6)")),
)  # fmt: skip


def written(name: str = "nw/a", genre: str = "# meta::genre = news\n") -> str:
    """A document with a zero, a discontinuous and a repeated mention and two contractions."""
    heading = f"# newdoc id = {name}\n# global.Entity = eid-etype-head-other\n{genre}"
    return heading + "".join(
        comments + sentence_lines(*rows) for comments, *rows in SENTENCES
    )  # fmt: skip


def write(folder: Path, name: str, *documents: str) -> None:
    """Write documents, or one, as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    content = "".join(documents or (written(),)).encode()
    (folder / name).write_bytes(lzma.compress(content) if name.endswith(".xz") else content)


def read(folder: Path, *documents: str, skip_bad_records: bool = False) -> Reading:
    write(folder, "a-corefud-dev.conllu", *documents)
    return read_narrations("corefud", folder, "val", skip_bad_records=skip_bad_records)


def test_words_are_put_together_and_spans_point_into_the_text(tmp_path: Path) -> None:
    (narration,) = read(tmp_path).narrations
    assert narration.id == "nw_a"
    assert narration.text == "She waves!Don't del a man her"
    assert narration.words == ("She", "waves", "!", "Do", "n't", "del", "a", "man", "her")
    found = [(narration.text[m.start : m.end], m.chain, m.kind) for m in narration.mentions]
    assert found == [
        (phrase, chain, "news")
        for phrase, chain in (
            ("She", "e1"), ("n't", "e2"), ("del", "e3"), ("a man", "e5"), ("her", "e1"),
        )
    ]  # fmt: skip
    assert [mention.phrase for mention in narration.mentions] == [phrase for phrase, *_ in found]
    turns = [(narration.text[s.start : s.end], s.speaker) for s in narration.sentences]
    assert turns == [("She waves!", "Ann"), ("Don't del a man her", None)]
    assert narration.genre == "news"


def test_what_has_no_span_is_counted(tmp_path: Path) -> None:
    report = read(tmp_path).report
    assert report.counts == {
        "narrations": 1, "words": 9, "mentions": 5, "chains": 4, "singletons": 3,
        "mentions left out as zeros": 1, "mentions left out as discontinuous": 1,
        "mentions dropped as repeats": 1, "mentions widened to a whole multiword token": 1,
    }  # fmt: skip
    assert not report.notes


def test_links_are_told_and_a_genre_may_be_missing(tmp_path: Path) -> None:
    linked = written(genre="").replace("Entity=(e1)(e6)", "Entity=(e1)(e6)|Bridge=e1<e6")
    reading = read(tmp_path, linked.replace("(e4[2/2]--1-)(e1)(e6)", "(e4[2/2]--1-)|Bridge=e1<e4"))
    assert reading.report.notes == ["1 split antecedents and bridges are not read"]
    assert {mention.kind for mention in reading.narrations[0].mentions} == {None}
    assert reading.narrations[0].genre == "nw", "that of its name"


def test_the_files_of_a_split_are_read_together(tmp_path: Path) -> None:
    write(tmp_path, "a-corefud-train.conllu.xz", written("a1"), written("a2"))
    write(tmp_path, "b-ud-train.part.conllu", sentence_lines(row("1", "Yes")) + written("b1"))
    write(tmp_path, "._b-ud-train.conllu", "no text")
    reading = read_narrations("corefud", tmp_path, "train")
    assert [n.id for n in reading.narrations] == ["a1", "a2", "b-ud-train-1", "b1"]
    assert reading.narrations[2].text == "Yes"


def test_the_files_are_listed_there_or_not(tmp_path: Path) -> None:
    write(tmp_path, "a-corefud-train.conllu.xz")
    names = [f.paths[0].name for f in get_reader("corefud").expected_files(tmp_path)]
    assert names == ["a-corefud-train.conllu.xz", "*-dev*.conllu", "*-test*.conllu"]
    with pytest.raises(DataError, match=r"no file \*-test\*.conllu or .conllu.xz in"):
        read_narrations("corefud", tmp_path, "test")


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ((written(), written()), "document 2: found the id nw_a before it too, expected it once"),
        ((written("a" * 201),), "document 1: found the name 'aaa.*expected one fit for an id"),
        ((written().replace("(e5", "e5)"),), r"line 16: 'e5\)' closes what is not open"),
    ],
)
def test_a_bad_document_is_named_or_left_out(
    tmp_path: Path, documents: tuple[str, ...], message: str
) -> None:
    with pytest.raises(BadRecord, match=message):
        read(tmp_path, *documents)
    reading = read(tmp_path, written("good"), *documents, skip_bad_records=True)
    assert reading.narrations[0].id == "good"
    assert len(reading.report.skipped) == 1


# Mentions, chains and singletons as udapi 0.5.2 counts them.
@pytest.mark.parametrize(
    ("split", "counts"),
    [
        ("train", (178, 178_797, 50_004, 25_861, 18_810)),
        ("val", (30, 28_119, 7_897, 3_940, 2_838)),
        ("test", (30, 28_397, 7_927, 4_319, 3_225)),
    ],
)
def test_gum_is_read_whole(real_data: Path, split: str, counts: tuple[int, ...]) -> None:
    reading = read_narrations("corefud", real_data / "gum", split)
    names = ("narrations", "words", "mentions", "chains", "singletons")
    assert tuple(reading.report.counts[name] for name in names) == counts
    assert sum(reading.report.counts.values()) == sum(counts), "nothing is left out"
    assert all(m.kind == n.genre for n in reading.narrations for m in n.mentions)
    assert all(n.genre and f"GUM_{n.genre}_" in n.id for n in reading.narrations)


def test_the_text_is_that_of_the_treebank(real_data: Path) -> None:
    for document in read_documents(real_data / "gum" / "en_gum-ud-dev.conllu.xz"):
        rebuilt = rebuild_text(document)
        for (start, end), sentence in zip(rebuilt.sentences, document.sentences, strict=True):
            assert rebuilt.text[start:end] == sentence.comment("text")


def test_the_documents_of_the_narrations_are_read(tmp_path: Path) -> None:
    broken = written("b").replace("(e1-person-1-)", "(e1-person-1-", 1)
    write(tmp_path, "a-dev.conllu", written("nw/a"), broken)
    write(tmp_path, "b-dev.conllu.xz", written("c"), written("nw/a"))
    reader = get_reader("corefud")
    found = reader.read_conllu(tmp_path, "val", skip_bad_records=True)
    names = {path.name: list(documents) for path, documents in found.items()}
    assert names == {"a-dev.conllu": ["nw_a"], "b-dev.conllu.xz": ["c"]}
    narrations = read_narrations("corefud", tmp_path, "val", skip_bad_records=True).narrations
    assert [narration.id for narration in narrations] == ["nw_a", "c"]
    write(tmp_path, "alone.conllu", written("nw/a"))
    assert list(found[tmp_path / "a-dev.conllu"].values()) == read_documents(
        tmp_path / "alone.conllu"
    )
    with pytest.raises(BadRecord, match="is not closed"):
        reader.read_conllu(tmp_path, "val")


# Why a mention of gold is none that can be predicted.
_NOT_PREDICTED = (
    "zero mentions",
    "discontinuous mentions",
    "mentions with the words of another one",
    "mentions of parts of words, or with other empty nodes",
)


@settings(deadline=None)
@given(documents())
def test_each_mention_that_no_prediction_can_be_is_counted_once(document: ConlluDocument) -> None:
    rebuilt = rebuild_text(document)
    words = tuple(rebuilt.text[start:end] for start, end in rebuilt.words)
    of_mentions = [tuple(rebuilt.words_of(mention)) for mention in document.mentions]
    spans = {(w[0], w[-1]) for w in of_mentions if w and w[-1] - w[0] < len(w)}
    best = ConllDocument("d", None, (ConllSentence(words),), tuple((span,) for span in spans))
    counts: Counter[str] = Counter()
    written = {mention.nodes for mention in with_predictions(document, best, counts).mentions}
    seen: set[tuple[int, ...]] = set()
    predicted = 0
    for mention, of_mention in zip(document.mentions, of_mentions, strict=True):
        predicted += mention.nodes in written and of_mention not in seen
        seen.add(of_mention)
    assert len(document.mentions) - predicted == sum(counts[reason] for reason in _NOT_PREDICTED)
