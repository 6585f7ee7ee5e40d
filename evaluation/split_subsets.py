"""Scores of subsets of a split: by genre, kind, distance and length."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from data.narration import Narration
from data.writers.conll import word_spans
from evaluation.gold_and_system import GoldAndSystem
from metrics.coreference.scores import count_chains
from metrics.subsets.mentions import Place
from metrics.subsets.scores import Criterion, ScoredDocument, SubsetScores, score_subsets
from utils.text.languages import Language

NO_KIND = "kind: none"


def score_subsets_of_split(sides: GoldAndSystem, by: Sequence[Criterion]) -> SubsetScores:
    """Score the subsets of the narrations and of their mentions.

    Words are those that CoNLL-2012 files of the split have. Mentions are pronouns or nouns by the
    language, and of the kinds that the data set names, where it names any.

    Args:
        sides: of the labelled narrations.
        by: what to split by.

    Raises:
        InputError: as `score_subsets`.
    """
    has_kinds = any(m.kind is not None for n in sides.narrations for m in n.mentions)
    documents = [
        ScoredDocument(
            gold=sides.gold[narration.id],
            system=sides.system[narration.id],
            places=dict(enumerate(_places(narration))),
            words=len(word_spans(narration)),
            genre=narration.genre,
            kinds=dict(enumerate(_kinds(narration, sides.language, has_kinds=has_kinds))),
        )
        for narration in sides.narrations
    ]
    ways = {"pooled": False}
    if sides.singletons:
        ways["pooled_without_singletons"] = True
    gold = {narration.id: sides.gold[narration.id] for narration in sides.narrations}
    counts = {
        way: count_chains(gold, sides.system, without_singletons=without)
        for way, without in ways.items()
    }
    return score_subsets(by, documents, counts)


def _places(narration: Narration) -> list[Place]:
    """Return the first and the last word of each mention."""
    ends = [end for _, end in word_spans(narration)]
    return [
        (bisect_right(ends, mention.start), bisect_right(ends, mention.end - 1))
        for mention in narration.mentions
    ]


def _kinds(narration: Narration, language: Language, *, has_kinds: bool) -> list[tuple[str, ...]]:
    """Return the kinds of each mention: by its words and, where there are such, by the data set."""
    kinds: list[tuple[str, ...]] = []
    for mention in narration.mentions:
        by_words = "pronouns" if language.kind_of(mention.phrase) else "nouns"
        named = NO_KIND if mention.kind is None else f"kind: {mention.kind}"
        kinds.append((by_words, named) if has_kinds else (by_words,))
    return kinds
