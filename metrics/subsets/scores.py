"""Scores by genre and length of documents, and by kind and distance of mentions."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from metrics.chains import Chains
from metrics.coreference.counts import DocumentCounts
from metrics.coreference.scores import BlancKinds
from metrics.subsets.documents import (
    DocumentSubset,
    format_document_subsets,
    score_document_subsets,
)
from metrics.subsets.mentions import (
    MentionSubset,
    Place,
    SubsetsOf,
    format_mention_subsets,
    score_mention_subsets,
)
from metrics.subsets.ranges import DISTANCES, LENGTHS, range_names, range_of
from utils.errors import InputError

Criterion = Literal["genre", "kind", "distance", "length"]
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)
NO_GENRE = "no genre"
FIRST_MENTIONS = "first of its chain"
_TITLES = {
    "genre": "by genre",
    "kind": "by kind of mention",
    "distance": "by words from the nearest antecedent",
    "length": "by words of the document",
}


@dataclass(frozen=True)
class ScoredDocument:
    """A document with what decides its subsets.

    Attributes:
        gold, system: its chains, each mention once on a side.
        places: of each mention of either side.
        words: their number.
        genre: None where it is not known.
        kinds: of each mention, where they are known: one name for each way to divide them.
    """

    gold: Chains[Hashable]
    system: Chains[Hashable]
    places: Mapping[Hashable, Place]
    words: int
    genre: str | None = None
    kinds: Mapping[Hashable, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class SubsetScores:
    """The scores of subsets.

    Attributes:
        documents: of subsets of the documents, by what they are split by and by their names.
        mentions: of subsets of the mentions, likewise.
    """

    documents: Mapping[str, Mapping[str, DocumentSubset]]
    mentions: Mapping[str, Mapping[str, MentionSubset]]

    def to_json(self) -> dict[str, Any]:
        """Return `{"genre": {name: scores}, ...}`, in percent; docs/formats.md says which."""
        content: dict[str, Any] = {}
        for by, of_documents in self.documents.items():
            content[by] = {name: subset.to_json() for name, subset in of_documents.items()}
        for by, of_mentions in self.mentions.items():
            content[by] = {name: subset.to_json() for name, subset in of_mentions.items()}
        return content

    def format(self) -> str:
        """Return a table for each of what the scores are split by, in percent."""
        tables = [format_document_subsets(_TITLES[by], each) for by, each in self.documents.items()]
        tables += [format_mention_subsets(_TITLES[by], each) for by, each in self.mentions.items()]
        return "\n\n".join(tables)


def score_subsets(
    by: Iterable[Criterion],
    documents: Sequence[ScoredDocument],
    counts: Mapping[str, DocumentCounts],
    blanc_kinds: BlancKinds = "gold",
) -> SubsetScores:
    """Score the subsets of documents and of their mentions.

    Args:
        by: what to split by.
        documents: all of a run.
        counts: a row for each of them, by the fields of `CoreferenceScores`; "pooled" is among
            them.
        blanc_kinds: as `pooled_scores` takes them.

    Raises:
        InputError: no document has a genre, and it is to be split by.
    """
    of_documents: dict[str, dict[str, DocumentSubset]] = {}
    of_mentions: dict[str, dict[str, MentionSubset]] = {}
    for criterion in dict.fromkeys(by):
        if criterion in ("genre", "length"):
            split = _by_genre if criterion == "genre" else _by_length
            found = score_document_subsets(counts, *split(documents), blanc_kinds)
            of_documents[criterion] = found
        else:
            score = _by_kind if criterion == "kind" else _by_distance
            of_mentions[criterion] = score(documents)
    return SubsetScores(of_documents, of_mentions)


def _by_genre(documents: Sequence[ScoredDocument]) -> tuple[list[str], list[str]]:
    """Return the genre of each document, and all genres, the documents without one last."""
    known = sorted({document.genre for document in documents if document.genre is not None})
    if not known:
        raise InputError("--by genre: no document has one, in its file or in its name")
    return [document.genre or NO_GENRE for document in documents], [*known, NO_GENRE]


def _by_length(documents: Sequence[ScoredDocument]) -> tuple[list[str], list[str]]:
    """Return the range that the length of each document is in, and all ranges."""
    return [range_of(document.words, LENGTHS) for document in documents], range_names(LENGTHS)


def _by_kind(documents: Sequence[ScoredDocument]) -> dict[str, MentionSubset]:
    divided = {
        (division, name)
        for document in documents
        for names in document.kinds.values()
        for division, name in enumerate(names)
    }
    order = [name for _, name in sorted(divided)]
    return _score(documents, lambda row, mention, _: documents[row].kinds[mention], order)


def _by_distance(documents: Sequence[ScoredDocument]) -> dict[str, MentionSubset]:
    def subsets_of(row: int, mention: Hashable, antecedent: Hashable | None) -> tuple[str]:
        if antecedent is None:
            return (FIRST_MENTIONS,)
        places = documents[row].places
        return (range_of(places[mention][0] - places[antecedent][0], DISTANCES),)

    return _score(documents, subsets_of, [*range_names(DISTANCES), FIRST_MENTIONS])


def _score(
    documents: Sequence[ScoredDocument], subsets_of: SubsetsOf, order: Sequence[str]
) -> dict[str, MentionSubset]:
    pairs = [(document.gold, document.system) for document in documents]
    places = [document.places for document in documents]
    return score_mention_subsets(pairs, places, subsets_of, order)
