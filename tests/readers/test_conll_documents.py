"""Narrations as CoNLL-2012 documents: what is written is read again with the same chains."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.narration import Mention, Narration, Sentence
from data.readers import read_narrations
from data.readers.conll_documents import narration_of
from data.writers.conll import (
    cuts_words,
    document_of,
    mention_words,
    word_spans,
)
from evaluation.exports import conll_losses, write_conll_files
from metrics.chains import chains_from_labels
from metrics.coreference.scores import score_chains
from metrics.document_pairs import read_conll
from tools import data_split
from utils.text.conll import (
    ConllDocument,
    SplitAntecedent,
    crossing_pairs,
    split_documents,
    write_documents,
)

TEXT = "A man's dog barks: he, I'd say, is hungry."


def narration(*phrases: str, text: str = TEXT, **fields: Any) -> Narration:
    """A text with a mention for each phrase, each in its own chain."""
    starts = [text.index(phrase) for phrase in phrases]
    mentions = [Mention(s, s + len(p), p, p) for s, p in zip(starts, phrases, strict=True)]
    return Narration("n", text, tuple(sorted(mentions, key=lambda m: m.start)), **fields)


def random_narration(seed: int) -> Narration:
    """Sentences of words, with nested mentions in random chains, some of the same words."""
    random = np.random.default_rng(seed)
    words = tuple(f"w{index}" for index in range(int(random.integers(3, 40))))
    ends = [len(" ".join(words[: index + 1])) for index in range(len(words))]
    starts = [end - len(word) for end, word in zip(ends, words, strict=True)]
    spans: list[tuple[int, int]] = []
    for _ in range(25):
        first, last = sorted(random.integers(0, len(words), 2).tolist())
        if not any(a < first <= b < last or first < a <= last < b for a, b in spans):
            spans.append((first, last))
    spans = sorted(set(spans), key=lambda span: (span[0], -span[1]))
    chains = random.integers(0, 6, len(spans)).tolist()
    cut = len(words) // 2
    return Narration(
        f"n{seed}",
        " ".join(words),
        tuple(
            Mention(starts[first], ends[last], " ".join(words[first : last + 1]), str(chain))
            for (first, last), chain in zip(spans, chains, strict=True)
        ),
        words=words,
        sentences=(Sentence(0, ends[cut - 1], "Ann"), Sentence(starts[cut], ends[-1])),
    )


def gold(narrations: Sequence[Narration]) -> dict[str, list[list[int]]]:
    return {n.id: chains_from_labels([m.chain for m in n.mentions]) for n in narrations}


def grouped(of: Narration) -> set[frozenset[tuple[int, int]]]:
    """The chains as sets of spans of characters."""
    chains: dict[str | None, set[tuple[int, int]]] = {}
    for mention in of.mentions:
        chains.setdefault(mention.chain, set()).add((mention.start, mention.end))
    return set(map(frozenset, chains.values()))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    narrations = [random_narration(seed) for seed in range(30)]
    chains = gold(narrations)
    write_documents(tmp_path / "train.conll", [document_of(n, chains[n.id]) for n in narrations])
    again = read_narrations("conll", tmp_path, "train").narrations
    assert [(n.id, n.text, n.words, n.sentences) for n in again] == [
        (n.id, n.text, n.words, n.sentences) for n in narrations
    ]
    assert list(map(grouped, again)) == list(map(grouped, narrations))


def test_files_score_as_the_chains_in_memory(tmp_path: Path, capsys) -> None:
    narrations = [random_narration(seed) for seed in range(30)]
    assert_files_score_as_the_chains_in_memory(narrations, tmp_path)
    assert "warning" not in capsys.readouterr().out


def assert_files_score_as_the_chains_in_memory(
    narrations: Sequence[Narration], tmp_path: Path
) -> None:
    """Random chains over the gold mentions, scored from files and as they are."""
    key = gold(narrations)
    random = np.random.default_rng(0)
    response = {
        n.id: chains_from_labels(random.integers(0, 5, len(n.mentions)).tolist())
        for n in narrations
    }
    write_conll_files(tmp_path, narrations, {"key": key, "response": response})
    read = [read_conll(tmp_path / f"{side}.conll") for side in ("key", "response")]
    assert score_chains(*read).to_json() == score_chains(key, response).to_json()


def dialogues(seed: int) -> list[Narration]:
    """Texts as TikTalkCoref has them: turns of characters without spaces, joined by one."""
    random = np.random.default_rng(seed)
    narrations = []
    for number in range(20):
        turns = [random.choice(list("他她我们小明说累A1，"), size).tolist() for size in (1, 7, 9)]
        text = " ".join("".join(turn) for turn in turns)
        places = [place for place in range(0, len(text), 2) if text[place] != " "]
        starts = sorted(random.choice(places, 6, replace=False).tolist())
        mentions = tuple(
            Mention(start, end, text[start:end], str(random.integers(4)))
            for start in starts
            if (end := start + int(random.integers(1, 3))) <= len(text) and text[end - 1] != " "
        )
        words = tuple(itertools.chain(*turns))
        narrations.append(Narration(f"d{number}", text, mentions, words=words))
    return narrations


@pytest.mark.parametrize("known", [True, False])
def test_files_of_texts_without_spaces_score_as_the_chains_in_memory(
    tmp_path: Path, capsys, known: bool
) -> None:
    narrations = dialogues(0) if known else [replace(n, words=()) for n in dialogues(0)]
    if not known:  # then "A1" is one word, which a mention may begin or end in
        narrations = [n for n in narrations if not cuts_words(n)]
    assert len(narrations) > 5 and not any(map(cuts_words, narrations))
    assert_files_score_as_the_chains_in_memory(narrations, tmp_path)
    assert "warning" not in capsys.readouterr().out
    if known:
        for document in split_documents(tmp_path / "key.conll"):
            assert all(len(word) == 1 for word in document.parse().words)


def test_the_real_dialogues_score_as_the_chains_in_memory(
    real_data: Path, tmp_path: Path, capsys
) -> None:
    for released in (real_data / "tiktalkcoref").glob("*.jsonl"):
        shutil.copyfile(released, tmp_path / released.name)
    data_split.main(["--data-root", str(tmp_path)])
    narrations = read_narrations("tiktalk", tmp_path / "celeb", "test").narrations
    capsys.readouterr()
    assert not sum(map(cuts_words, narrations))
    assert_files_score_as_the_chains_in_memory(narrations, tmp_path)
    assert "warning" not in capsys.readouterr().out


def test_words_are_those_of_the_data_set_or_what_stands_between_white_space() -> None:
    def words(of: Narration) -> list[str]:
        return [of.text[start:end] for start, end in word_spans(of)]

    text = "I 'd say so ."
    assert words(narration(text=text, words=("I", "'d", "say", "so", "."))) == text.split()
    assert words(narration(text=text, words=("other", "words"))) == "I ' d say so .".split()
    assert words(narration(text="a-b  (é1)")) == ["a", "-", "b", "(", "é1", ")"]
    assert words(narration(text="他说OK。 e\u0301a")) == ["他", "说", "OK", "。", "e\u0301a"]
    assert words(narration(text="小明 睡了", words=("小明", "睡", "了"))) == ["小明", "睡", "了"]
    assert words(narration(text=" x  y\n", words=("x", "y"))) == ["x", "y"]
    assert words(narration(text="a \u3000 b", words=("a", "\u3000", "b"))) == ["a", "\u3000", "b"]
    for others in (("小", "睡", "了"), ("小", "明", "睡"), ("小", "明", "", "睡", "了")):
        assert words(narration(text="小明睡了", words=others)) == list("小明睡了")


@pytest.mark.parametrize(
    ("phrase", "words", "cut"),
    [
        ("man", (1, 1), 0),
        ("man's dog", (1, 4), 0),
        ("an", (1, 1), 1),
        ("og barks: h", (4, 7), 1),
        (" barks:", (5, 6), 0),
        (" ", None, 0),
    ],
)
def test_a_mention_has_all_words_that_it_touches(
    phrase: str, words: tuple[int, int] | None, cut: int
) -> None:
    of = narration(phrase)
    assert mention_words(of) == [words]
    assert cuts_words(of) == cut


def test_words_belong_to_the_sentence_where_they_begin() -> None:
    of = narration(text="One two. So three", sentences=(Sentence(4, 8, "Ann"), Sentence(12, 17)))
    found = [(sentence.words, sentence.speaker) for sentence in document_of(of, []).sentences]
    assert found == [(("One",), None), (("two", "."), "Ann"), (("So",), None), (("three",), None)]


def test_what_a_file_cannot_hold_is_counted() -> None:
    of = narration("dog barks", "barks: he", "ungry", "hungry", " ")
    document = document_of(of, [[0], [1, 2], [3, 4]])
    assert list(conll_losses([of], [document]).values()) == [1, 1, 1, 1]
    assert crossing_pairs(document) == 1


def test_columns_hold_no_space_and_no_comment(tmp_path: Path) -> None:
    of = Narration("#1 x", "a\tb c", (Mention(0, 3, "a b", "0"),), words=("a\tb", "c"))
    write_documents(tmp_path / "train.conll", [document_of(of, [[0]])])
    (again,) = read_narrations("conll", tmp_path, "train").narrations
    assert (again.id, again.text) == ("#1 x", "a_b c")
    assert [(m.start, m.end) for m in again.mentions] == [(0, 3)]


def test_a_split_antecedent_is_written_and_read_again(tmp_path: Path) -> None:
    of = document_of(narration("man", "dog", "he"), [[1, 2], [0]])
    split = (SplitAntecedent((1, 4), (0, 1)), SplitAntecedent((6, 6), (0, 1, 2)))
    written = replace(of, split_antecedents=split)
    write_documents(tmp_path / "x.conll", [written])
    (lines,) = split_documents(tmp_path / "x.conll")
    again = lines.parse()
    # Chains are numbered as they open: that of "man" is before that of "dog".
    assert again.chains == (written.chains[1], written.chains[0])
    assert again.split_antecedents == (
        SplitAntecedent((1, 4), (1, 0)), SplitAntecedent((6, 6), (1, 0, 2)),
    )  # fmt: skip
    write_documents(tmp_path / "y.conll", [again])
    write_documents(
        tmp_path / "z.conll", [d.parse() for d in split_documents(tmp_path / "y.conll")]
    )
    assert (tmp_path / "y.conll").read_bytes() == (tmp_path / "z.conll").read_bytes()


def test_chains_are_written_as_the_official_scorer_writes_them(tmp_path: Path) -> None:
    text = "He saw it"
    of = narration("He saw it", "He", "it", text=text, words=tuple(text.split()))
    write_documents(tmp_path / "x.conll", [document_of(of, [[0], [1, 2]])])
    lines = (tmp_path / "x.conll").read_text().splitlines()
    assert lines[0] == "#begin document (n); part 000" and lines[-1] == "#end document"
    assert [line.split("\t")[-1] for line in lines[1:4]] == ["(0|(1)", "-", "(1)|0)"]
    assert {len(line.split("\t")) for line in lines[1:4]} == {13}


def test_a_document_of_several_parts_keeps_its_number(tmp_path: Path) -> None:
    of = document_of(narration("dog"), [[0]])
    path = tmp_path / "train.conll"
    write_documents(path, [ConllDocument("n", 3, of.sentences, of.chains)])
    assert read_conll(path) == {"(n); part 3": [[(4, 4)]]}
    assert narration_of(of, "n").mentions[0].phrase == "dog"
