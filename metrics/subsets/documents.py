"""Pooled coreference scores of some of the documents, such as those of one genre.

The counts of documents are made once; those of a subset are added up alone. A score that has
nothing to count in a subset, such as MUC where no chain has two mentions, is not known there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metrics.certainty import CONFIDENCE, Certainty
from metrics.coreference.certainty import estimate_known
from metrics.coreference.counts import DocumentCounts
from metrics.coreference.scores import SHOWN_SCORES, BlancKinds
from metrics.subsets.tables import format_table


@dataclass(frozen=True, slots=True)
class DocumentSubset:
    """The scores of some documents.

    Attributes:
        documents: their number.
        gold_mentions, system_mentions: how many mentions they have on each side.
        certainty: of the pooled scores that are known, by the fields of `CoreferenceScores`.
    """

    documents: int
    gold_mentions: int
    system_mentions: int
    certainty: Mapping[str, Certainty]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers, and the scores in percent."""
        return {
            "documents": self.documents,
            "gold_mentions": self.gold_mentions,
            "system_mentions": self.system_mentions,
            **{way: found.to_json() for way, found in self.certainty.items()},
        }


def score_document_subsets(
    counts: Mapping[str, DocumentCounts],
    subsets: Sequence[str],
    order: Sequence[str],
    blanc_kinds: BlancKinds = "gold",
) -> dict[str, DocumentSubset]:
    """Score each subset of the documents.

    Args:
        counts: of all documents, by the fields of `CoreferenceScores`; "pooled" is among them.
        subsets: [documents], the one that each document is in.
        order: all subsets in the order to give them in; one without a document is left out.
        blanc_kinds: as `pooled_scores` takes them.
    """
    rows: dict[str, list[int]] = {}
    for row, subset in enumerate(subsets):
        rows.setdefault(subset, []).append(row)
    found = {}
    for subset in filter(rows.__contains__, order):
        of_subset = {way: of_all.of(rows[subset]) for way, of_all in counts.items()}
        gold, system = of_subset["pooled"].mentions.sum(axis=0).astype(int).tolist()
        certainty = {way: estimate_known(each, blanc_kinds) for way, each in of_subset.items()}
        found[subset] = DocumentSubset(len(rows[subset]), gold, system, certainty)
    return found


def format_document_subsets(title: str, subsets: Mapping[str, DocumentSubset]) -> str:
    """Return a table of the pooled F1 of each subset, in percent, and the interval of CoNLL."""
    columns = ("documents", "gold", "system", *SHOWN_SCORES, "low", "high")
    rows = {}
    for name, subset in subsets.items():
        scores = subset.certainty["pooled"].scores
        known = [scores.get(shown) for shown in SHOWN_SCORES.values()]
        conll = known[-1]
        rows[name] = [
            subset.documents,
            subset.gold_mentions,
            subset.system_mentions,
            *(None if each is None else each.value for each in known),
            *((None, None) if conll is None else (conll.low, conll.high)),
        ]
    heading = f"{title}: mentions, pooled F1, and the {CONFIDENCE:.0%} interval of CoNLL"
    return format_table(heading, columns, rows)
