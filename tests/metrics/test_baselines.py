"""Rules over the words of the mentions, and what they reach on real dialogues."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metrics.baselines import (
    RULES,
    one_chain,
    same_head,
    same_head_and_pronouns,
    singletons,
)
from metrics.chains import chains_from_labels
from metrics.coreference.scores import score_chains
from utils.text.languages import ENGLISH


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("phrases", [[], ["it"], ["", "  ", "'s"], ["a man", "He", "the Man's"]])
def test_every_mention_is_in_exactly_one_chain(rule, phrases: list[str]) -> None:
    mentions = sorted(mention for chain in rule(phrases) for mention in chain)
    assert mentions == list(range(len(phrases)))


@pytest.mark.parametrize(
    ("phrase", "head"),
    [
        ("a man in a red shirt", "man"),
        ("The tall man's", "man"),
        ("the man 's", "man"),
        ("the boys'", "boys"),
        ("the man’s shirt", "shirt"),
        ("a group of people", "group"),
        ("the dog that barks", "dog"),
        ("someone who is near,", "someone"),
        ("the train.", "train"),
        ("It", "it"),
        ("that", "that"),
        ("of", "of"),
        ("一个男人", "一个男人"),
        ("", ""),
        ("?!", "?!"),
    ],
)
def test_head_words(phrase: str, head: str) -> None:
    assert ENGLISH.head_word(phrase) == head


def test_the_rules_on_a_small_text() -> None:
    phrases = ["She", "a man in a hat", "his", "a hat", "the man", "it", "the hat"]
    assert singletons(phrases) == [[0], [1], [2], [3], [4], [5], [6]]
    assert one_chain(phrases) == [[0, 1, 2, 3, 4, 5, 6]]
    assert same_head(phrases) == [[0], [1, 4], [2], [3, 6], [5]]
    assert same_head(["it", "a cat", "it"]) == [[0, 2], [1]]
    assert same_head_and_pronouns(phrases) == [[0], [1, 2, 4, 5], [3, 6]]


def read_dialogues(path: Path) -> list[tuple[list[str], list[list[int]]]]:
    """Phrases and gold chains of VD-Ref dialogues in text order; of repeated spans the first."""
    dialogues = []
    for line in path.read_text(encoding="utf-8").splitlines():
        spans: dict[tuple[int, int, int], dict] = {}
        for mention in json.loads(line)["text_ref"]:
            spans.setdefault((mention["sentence_id"], mention["start"], mention["end"]), mention)
        ordered = [spans[span] for span in sorted(spans, key=lambda span: span[:2])]
        chains = chains_from_labels([mention["cluster_id"] for mention in ordered])
        dialogues.append(([mention["span"] for mention in ordered], chains))
    return dialogues


def test_what_the_rules_reach_on_real_dialogues(real_data: Path) -> None:
    dialogues = read_dialogues(real_data / "vdref" / "val.jsonlines")
    gold = {str(index): chains for index, (_, chains) in enumerate(dialogues)}
    conll = {}
    for name, rule in RULES.items():
        system = {
            str(index): rule(phrases, ENGLISH) for index, (phrases, _) in enumerate(dialogues)
        }
        conll[name] = 100 * score_chains(gold, system).pooled.conll
    assert len(dialogues) == 163
    assert conll["singletons"] < conll["same head word"] < conll["one chain"]
    assert 78 < conll["same head word, pronouns to the previous entity"] < 80
