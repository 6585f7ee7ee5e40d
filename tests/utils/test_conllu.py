"""CoNLL-U with CorefUD's coreference: nothing is lost on the way in and out."""

from __future__ import annotations

import lzma
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.conllu_documents import documents, row, sentence_lines
from utils.text.conllu import ConlluDocument, ConlluError, ConlluLink, ConlluMention
from utils.text.conllu_files import document_text, read_documents, write_documents
from utils.text.entity_brackets import with_coreference

HEADING = "# newdoc id = d\n# global.Entity = eid-etype-head-other\n"


def read(folder: Path, *entities: str, heading: str = HEADING) -> ConlluDocument:
    """Read a document of one sentence, with a word for each value of Entity=; "." is none."""
    rows = (
        row(str(number), "x", "_" if entity == "." else f"Entity={entity}")
        for number, entity in enumerate(entities, start=1)
    )
    path = folder / "a.conllu"
    path.write_text(heading + sentence_lines(*rows))
    (document,) = read_documents(path)
    return document


def nodes(document: ConlluDocument) -> list[tuple[str, tuple[int, ...]]]:
    return [(mention.entity, mention.nodes) for mention in document.mentions]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(documents(), min_size=1, max_size=2), st.booleans())
def test_writing_and_reading_is_the_identity(
    tmp_path: Path, several: list[ConlluDocument], is_packed: bool
) -> None:
    path = tmp_path / ("a.conllu.xz" if is_packed else "a.conllu")
    write_documents(path, several)
    assert read_documents(path) == several
    again = [with_coreference(d, d.mentions, d.split_antecedents, d.bridges) for d in several]
    assert again == several


@settings(deadline=None)
@given(documents())
def test_without_coreference_no_sign_of_it_is_left(document: ConlluDocument) -> None:
    bare = with_coreference(document, ())
    assert not bare.mentions and not bare.split_antecedents and not bare.bridges
    written = document_text(bare)
    assert not any(f"{name}=" in written for name in ("Entity", "SplitAnte", "Bridge"))
    assert (
        with_coreference(bare, document.mentions, document.split_antecedents, document.bridges)
        == document
    )


def test_every_spelling_of_a_mention(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "(e1-person-2-(e2[1/2]-x-1-)", "(e3-y)(e4-z-1-a:b%2Cc,minspan:1)e1)",
        "(e5(e2[2/2]-x", ".", "e2[2/2])e5)",
    )  # fmt: skip
    assert nodes(document) == [
        ("e1", (0, 1)), ("e2", (0, 2, 3, 4)), ("e3", (1,)), ("e4", (1,)), ("e5", (2, 3, 4)),
    ]  # fmt: skip
    assert [mention.head for mention in document.mentions] == [1, 0, None, 1, None]
    assert [m.is_discontinuous for m in document.mentions] == [False, True, False, False, False]
    assert document.mentions[0].attributes == (("etype", "person"), ("head", "2"), ("other", ""))
    assert document.mentions[3].attribute("minspan") == "1"
    assert document.mentions[3].attribute("etype") == "z"
    assert document.mentions[3].attribute("link") is None


def test_the_id_stands_where_the_comment_says(tmp_path: Path) -> None:
    old = "# global.Entity = entity-GRP-infstat\n"
    document = read(tmp_path, "(person-3-new(event-4", "event-4)", "person-3)", heading=old)
    assert nodes(document) == [("3", (0, 1, 2)), ("4", (0, 1))]
    assert document.name is None


def test_the_comment_holds_for_later_documents(tmp_path: Path) -> None:
    path = tmp_path / "a.conllu"
    first = HEADING + sentence_lines(row("1", "x", "Entity=(e1)"))
    second = "# newdoc id = e\n" + sentence_lines(row("1", "x", "Entity=(e1-person)"))
    path.write_text(first + second)
    assert [document.name for document in read_documents(path)] == ["d", "e"]
    assert read_documents(path)[1].mentions[0].attribute("etype") == "person"


def test_empty_nodes_are_nodes(tmp_path: Path) -> None:
    path = tmp_path / "a.conllu"
    rows = (
        row("0.1", "_", "Entity=(e1)"),
        row("1-2", "ab", "SpaceAfter=No"),
        row("1", "a", "Entity=(e2"),
        row("1.1", "_"),
        row("2", "b", "Entity=e2)|SplitAnte=e1<e2,e3<e2|Bridge=e1<e2:part"),
    )
    path.write_text(HEADING + sentence_lines(*rows))
    (document,) = read_documents(path)
    assert nodes(document) == [("e1", (0,)), ("e2", (1, 2, 3))]
    assert [document.is_zero(mention) for mention in document.mentions] == [True, False]
    assert document.split_antecedents == (ConlluLink(3, "e1", "e2"), ConlluLink(3, "e3", "e2"))
    assert document.bridges == (ConlluLink(3, "e1", "e2", "part"),)


@pytest.mark.parametrize(
    ("entities", "message"),
    [
        (("(e1", "."), "line 3: 'e1' is not closed in its sentence"),
        ((".", "e1)"), r"line 4: 'e1\)' closes what is not open"),
        (("(-x)",), r"line 3: found '\(-x', expected the id of an entity"),
        (("e1",), "line 3: found Entity='e1', expected brackets"),
        (("(e1[1/2]-x)", "."), "line 3: found 1 of 2 parts of 'e1' in its sentence"),
        (("(e1[2/2]-x)", "."), r"line 3: found 'e1\[2/2\]', expected the part before it"),
    ],
)
def test_a_wrong_bracket_is_named_by_its_line(
    tmp_path: Path, entities: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConlluError, match=rf"a\.conllu, {message}"):
        read(tmp_path, *entities)


def test_brackets_need_the_comment_before_them(tmp_path: Path) -> None:
    with pytest.raises(ConlluError, match="line 2: found Entity= .* expected a comment"):
        read(tmp_path, "(e1)", heading="# newdoc\n")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((row("2", "x"),), "line 1: found '2'"),
        ((row("1", ""),), "line 1: found an empty column"),
        ((row("1", "x"), row("1.2", "_")), "line 2: found '1.2'"),
        ((row("1-2", "x"), row("1", "x")), "line 1: found a multiword token up to word 2"),
        ((row("1", "x"), row("2", "x", "_", "3")), "line 2: found the head '3'"),
        ((row("1-1", "x", "Entity=(e1)"), row("1", "x")), "found Entity= at the multiword token"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, rows: tuple, message: str) -> None:
    path = tmp_path / "a.conllu"
    path.write_text(sentence_lines(*rows))
    with pytest.raises(ConlluError, match=message):
        read_documents(path)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.conllu.xz"
    with pytest.raises(ConlluError, match="cannot be read"):
        read_documents(path)
    path.write_bytes(b"no archive")
    with pytest.raises(ConlluError, match="not packed by xz"):
        read_documents(path)
    path.write_bytes(lzma.compress(b"\xff"))
    with pytest.raises(ConlluError, match="not UTF-8"):
        read_documents(path)
    path.write_bytes(lzma.compress(b"\n"))
    with pytest.raises(ConlluError, match="no sentence"):
        read_documents(path)
    path.write_bytes(lzma.compress(b"1 x\n"))
    with pytest.raises(ConlluError, match="line 1: found 1 columns"):
        read_documents(path)


def test_a_byte_order_mark_and_carriage_returns_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.conllu"
    text = HEADING + sentence_lines(row("1", "x", "Entity=(e1)"))
    marked = b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()
    path.write_bytes(marked * 2)  # as where two files were joined
    assert [document_text(document) for document in read_documents(path)] == [text, text]


@pytest.mark.parametrize(
    ("mentions", "message"),
    [
        ([("e1", (0, 1, 2)), ("e1", (1, 2, 3))], "mentions of 'e1' cross"),
        ([("e1", (1, 0))], "expected some in their order"),
        ([("e1", ())], "expected some in their order"),
        ([("e-1", (0,))], "the id 'e-1'"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(
    tmp_path: Path, mentions: list[tuple[str, tuple[int, ...]]], message: str
) -> None:
    document = read(tmp_path, ".", ".", ".", ".")
    with pytest.raises(ConlluError, match=message):
        with_coreference(document, [ConlluMention(*mention) for mention in mentions])
    with pytest.raises(ConlluError, match="the fields name, expected some of etype, head, other"):
        with_coreference(document, [ConlluMention("e1", (0,), (("name", "x"),))])
    with pytest.raises(ConlluError, match="expected values without"):
        with_coreference(document, [ConlluMention("e1", (0,), (("etype", "a-b"),))])


def test_other_coreference_needs_a_field_for_its_ids(tmp_path: Path) -> None:
    document = read(tmp_path, ".", heading="# global.Entity = etype\n")
    with pytest.raises(ConlluError, match="found the fields 'etype', expected eid or GRP"):
        with_coreference(document, [])


def test_the_comment_is_added_where_there_is_none(tmp_path: Path) -> None:
    document = read(tmp_path, ".", ".", heading="# newdoc id = d\n# text = x x\n")
    written = with_coreference(document, [ConlluMention("e1", (0, 1))])
    assert written.sentences[0].comments == (
        "# newdoc id = d", "# global.Entity = eid-etype-head-other", "# text = x x",
    )  # fmt: skip
    assert [line.columns[9] for line in written.nodes] == ["Entity=(e1", "Entity=e1)"]


# Of each file of GUM: documents, mentions, entities and singletons, as udapi 0.5.2 counts them.
GUM = {
    "en_gum-ud-dev.conllu.xz": (30, 7_897, 3_940, 2_838),
    "en_gum-ud-test.conllu.xz": (30, 7_927, 4_319, 3_225),
    "en_gum-ud-train.rebuilt.conllu.xz": (178, 50_004, 25_861, 18_810),
}


@pytest.mark.parametrize("name", GUM)
def test_gum_is_read_whole_and_written_back(real_data: Path, name: str) -> None:
    path = real_data / "gum" / name
    of_file = read_documents(path)
    sizes = [len(mentions) for d in of_file for mentions in d.entities.values()]
    assert (len(of_file), sum(sizes), len(sizes), sizes.count(1)) == GUM[name]
    again = (with_coreference(d, d.mentions, d.split_antecedents, d.bridges) for d in of_file)
    # From the lines as they were read, and from the mentions.
    content = lzma.decompress(path.read_bytes()).decode()
    assert "".join(map(document_text, of_file)) == content
    assert "".join(map(document_text, again)) == content


def test_corefud_is_written_back(real_data: Path, tmp_path: Path) -> None:
    with tarfile.open(real_data / "scorer_tests" / "corefud" / "pairs.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    paths = sorted(tmp_path.rglob("*.conllu"))
    assert len(paths) == 16
    for path in paths:
        of_file = read_documents(path)
        again = (with_coreference(d, d.mentions, d.split_antecedents, d.bridges) for d in of_file)
        assert "".join(map(document_text, again)) == path.read_text()
