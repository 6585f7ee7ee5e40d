"""Scores of CorefUD documents, beside what the CorefUD scorer prints."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from metrics.corefud.documents import (
    CorefudDocument,
    check_same_words,
    document_without_trees,
    read_corefud,
    scored_documents,
)
from metrics.corefud.matching import MATCHINGS, Matching, Mention
from metrics.corefud.scores import format_corefud, score_corefud
from tests.support.conllu_documents import documents, row, sentence_lines
from utils.text.conllu import ConlluDocument, ConlluError, ConlluRow
from utils.text.conllu_files import write_documents
from utils.text.documents import from_conllu, to_conllu

HEADING = "# newdoc id = d\n# global.Entity = eid-etype-head-other\n"
# Their names of scores that have other names here.
NAMES = {"bcub": "b3", "zero": "zeros"}


def mention(word: int, *, zero: bool = False) -> Mention:
    position = (0, word, int(zero))
    return Mention(
        (position,), position, zero, frozenset({((0, word, 0), "nsubj")} if zero else ())
    )


def zero(word: int, label: str) -> Mention:
    """A zero behind a word, that depends on word 3."""
    place = (0, word, 1)
    return Mention((place,), place, True, frozenset({((0, 3, 0), label)}))


def document(*chains: list[Mention]) -> CorefudDocument:
    return CorefudDocument("d", (("x",) * 9,), tuple(map(tuple, chains)))


def score(gold: CorefudDocument, system: CorefudDocument, matching: Matching = "head") -> dict:
    return score_corefud([gold], [system], matching).to_json()["pooled"]


def test_the_pairs_of_the_corefud_scorer(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "scorer_tests" / "corefud"
    with tarfile.open(folder / "pairs.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    pairs = json.loads((folder / "expected.json").read_text())
    assert len(pairs) == 12
    for pair in pairs:
        gold = read_corefud(tmp_path / pair["key"])
        system = read_corefud(tmp_path / pair["response"])
        check_same_words(gold, system)
        for matching in MATCHINGS:
            ours = score_corefud(gold, system, matching, also_without_singletons=True).to_json()
            for part, key in (("", ""), (" without singletons", "_without_singletons")):
                for name, expected in pair[matching + part].items():
                    found = ours[f"pooled{key}"][NAMES.get(name, name)]
                    values = list(found.values()) if isinstance(found, dict) else found
                    assert values == pytest.approx(expected, abs=0.00501), (pair["response"], name)


@pytest.mark.parametrize("matching", MATCHINGS)
def test_gum_against_itself_is_100(real_data: Path, matching: Matching) -> None:
    gold = read_corefud(real_data / "gum" / "en_gum-ud-dev.conllu.xz")
    scores = score_corefud(gold, gold, matching, also_without_singletons=True).to_json()
    for part in ("pooled", "pooled_without_singletons"):
        assert scores[part].pop("zeros")["f1"] == 0  # English has none
        assert scores[part].pop("conll") == pytest.approx(100)
        for name, values in scores[part].items():
            assert list(values.values()) == pytest.approx([100] * 3), name


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents())
def test_any_document_against_itself_is_100(tmp_path: Path, drawn: ConlluDocument) -> None:
    write_documents(tmp_path / "a.conllu", [drawn])
    gold = read_corefud(tmp_path / "a.conllu")
    check_same_words(gold, gold)
    identities = [{m.words for m in chain} for chain in gold[0].chains]
    is_repeated = sum(map(len, identities)) > len(set().union(*identities))
    for matching in MATCHINGS:
        scores = score_corefud(gold, gold, matching).to_json()["pooled"]
        names = {"mor"} if is_repeated else {"b3", "ceafm", "ceafe", "lea", "mor"}
        for name in names if drawn.mentions else ():
            assert list(scores[name].values()) == pytest.approx([100] * 3), name


@settings(deadline=None)
@given(documents())
def test_a_document_of_words_is_scored_like_its_file(drawn: ConlluDocument) -> None:
    lost: Counter[str] = Counter()
    words = from_conllu(drawn, "d", Counter())
    (of_file,) = scored_documents(Path("a.conllu"), [to_conllu(words, lost)])
    plain = document_without_trees(words)
    assert plain.words == of_file.words and not any(m.head for c in plain.chains for m in c)
    if not lost.total():
        for mine, other in zip(plain.chains, of_file.chains, strict=True):
            assert [mention.words for mention in mine] == [mention.words for mention in other]


def test_an_empty_side_scores_0() -> None:
    full, empty = document([mention(1), mention(2)]), document()
    for gold, system in ((full, empty), (empty, full), (empty, empty)):
        scores = score(gold, system)
        assert scores.pop("conll") == 0
        assert all(not any(values.values()) for values in scores.values())


def test_blanc_is_the_mean_of_the_kinds_of_links_of_either_side() -> None:
    gold = document([mention(1), mention(2)])
    system = document([mention(1), mention(2)], [mention(3)])
    assert score(gold, system)["blanc"]["f1"] == pytest.approx(50)
    assert score(gold, gold)["blanc"]["f1"] == pytest.approx(100)


def test_singletons_are_taken_out_before_mentions_are_matched() -> None:
    whole = replace(mention(1), words=((0, 1, 0), (0, 2, 0)))
    gold = document([whole, mention(3)])
    system = document([whole], [mention(1), mention(3)])
    scores = score_corefud([gold], [system], "partial", also_without_singletons=True).to_json()
    assert scores["pooled"]["muc"]["f1"] == 0
    assert scores["pooled_without_singletons"]["muc"]["f1"] == pytest.approx(100)


def test_the_mention_overlap_ratio_counts_words() -> None:
    gold = document([replace(mention(1), words=tuple((0, n, 0) for n in (1, 2, 3, 4)))])
    system = document([replace(mention(1), words=tuple((0, n, 0) for n in (3, 4, 5)))])
    for matching in MATCHINGS:
        mor = score(gold, system, matching)["mor"]
        assert list(mor.values()) == pytest.approx([50, 200 / 3, 400 / 7])


def test_zeros_count_where_they_are_linked_to_a_mention_before_them() -> None:
    first, other = mention(1), mention(2)
    zeros = [mention(number, zero=True) for number in (4, 5, 6)]
    gold = document([first, zeros[0], zeros[1]], [other, zeros[2]])
    system = document([first, zeros[0], zeros[2]], [other, zeros[1]])
    values = score(gold, system)["zeros"]
    assert list(values.values()) == pytest.approx([100 / 3, 100 / 3, 100 / 3])
    # A zero that begins its chain is no anaphor: it is missed in the system, not invented.
    alone = document([first, zeros[0]], [zeros[2]])
    assert list(score(gold, alone)["zeros"].values()) == pytest.approx([100 / 3, 100, 50])
    # One that gold has not is invented.
    assert list(score(alone, gold)["zeros"].values()) == pytest.approx([100, 100 / 3, 50])


def test_zeros_that_are_matched_across_their_places_count_as_matched() -> None:
    # Each file has a zero behind the words 4 and 6; what depends on what has changed places.
    gold = document([mention(1), zero(4, "nsubj")], [mention(2), zero(6, "obj")])
    system = document([mention(1), zero(6, "nsubj")], [mention(2), zero(4, "obj")])
    for matching in MATCHINGS:
        scores = score(gold, system, matching)
        for name in ("muc", "b3", "ceafm", "ceafe", "blanc", "lea", "zeros"):
            assert list(scores[name].values()) == pytest.approx([100] * 3), name
    linear = score_corefud([gold], [system], "exact", "linear").to_json()["pooled"]
    assert linear["zeros"]["f1"] == linear["muc"]["f1"] == 0


def test_the_table_names_the_match_and_every_score() -> None:
    gold = document([mention(1), mention(2)])
    table = format_corefud(score_corefud([gold], [gold], "head", also_without_singletons=True))
    assert table.startswith("documents: 1, head match\n")
    for name in ("MUC", "B3", "CEAFm", "CEAFe", "BLANC", "LEA", "MOR", "zeros", "CoNLL"):
        assert table.count(f"{name} ") == 2


def empty_node(deps: str) -> ConlluRow:
    columns = row("1.1", "_", "Entity=(e1)").columns
    return ConlluRow((*columns[:8], deps, columns[9]))


def read(folder: Path, *rows: ConlluRow) -> CorefudDocument:
    path = folder / "a.conllu"
    path.write_text(HEADING + sentence_lines(*rows))
    (read_document,) = read_corefud(path)
    return read_document


@pytest.mark.parametrize(
    ("entity", "heads", "expected"),
    [
        ("(e1-person-1-", (2, 0, 2), 1),  # the file's
        ("(e1", (2, 0, 2), 2),  # the tree's
        ("(e1", (2, 4, 4), None),  # two of them depend on what is outside, none is above
        ("(e1", (0, 4, 1), 1),  # the second by way of a word outside
        ("(e1", ("_", "_", "_"), None),  # no tree
    ],
)
def test_the_head_of_a_mention(tmp_path: Path, entity: str, heads: tuple, expected: object) -> None:
    misc = (f"Entity={entity}", "_", "Entity=e1)")
    rows = [
        row(str(n), "x", m, str(head))
        for n, (m, head) in enumerate(zip(misc, heads, strict=True), start=1)
    ]
    rows.append(row("4", "y", "_", "1" if heads[0] == 0 else "0"))
    scored = read(tmp_path, *rows)
    head = scored.chains[0][0].head
    assert head == (None if expected is None else (0, expected, 0))
    assert scored.headless == (expected is None)


def test_an_empty_node_is_a_zero_with_its_dependencies(tmp_path: Path) -> None:
    scored = read(tmp_path, row("1", "x", head="0"), empty_node("1:nsubj|0:root"))
    (found,) = scored.chains[0]
    assert found.is_zero and found.words == (found.head,) == ((0, 1, 1),)
    assert found.dependencies == {((0, 1, 0), "nsubj"), ((0, 0, 0), "root")}
    assert scored.words == (("x",),)


def test_what_is_wrong_in_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConlluError, match=r"a\.conllu.*sentence 1, 1 to 1.*'4'.*from 1 to 1"):
        read(tmp_path, row("1", "x", "Entity=(e1-person-4-)"))
    for wrong in ("nsubj", "1", ".1:x", "1.:x", "٣:x", f"{'1' * 5000}:x", f"1.{'1' * 5000}:x"):
        with pytest.raises(ConlluError, match=r"a\.conllu, document 'd'.*column DEPS"):
            read(tmp_path, row("1", "x"), empty_node(wrong))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": "other"}, "document 1 is not the same"),
        ({"words": (("x",) * 8,)}, "sentence 1: gold has 9 words, system 8"),
        ({"words": (("x",) * 8 + ("y",),)}, "word 9 is 'x' in gold, 'y' in system"),
        ({"words": ()}, "gold has 1 sentences, system 0"),
    ],
)
def test_files_of_other_words_are_refused(changed: dict, message: str) -> None:
    with pytest.raises(ConlluError, match=message):
        check_same_words([document()], [replace(document(), **changed)])
    with pytest.raises(ConlluError, match="gold has 1 documents, system 2"):
        check_same_words([document()], [document()] * 2)
