"""Coreference scores: MUC, B3, CEAFm, CEAFe, BLANC, LEA and the CoNLL average.

The scores of several documents are aggregated in two ways, which give different numbers:

- `pooled`: the numerators and the denominators of all documents are added up, as in the official
  CoNLL scorer 8.01, coval and CorefUD. A mention that only the system has gets no credit, and the
  gold chains stay as they are.
- `scorch`: what scorch 0.2.0 prints for two folders. Each document is scored alone, its gold
  completed by the mentions that only the system has, as singletons; recall is averaged with the
  gold mentions of each document as weights, precision with the system's, F1 with both. scorch has
  no LEA; it is aggregated here in the same way.

MUC: Vilain et al. 1995. B3: Bagga and Baldwin 1998. CEAF: Luo 2005. BLANC: Recasens and Hovy 2011,
for system mentions Luo et al. 2014. LEA: Moosavi and Strube 2016. Mentions of one side alone:
Pradhan et al., "Scoring Coreference Partitions of Predicted Mentions", ACL 2014. The formulas are
in `metrics/coreference/counts.py`.

A ratio of nothing to nothing is 0 in all of them, as in both scorers.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from metrics.certainty import Name, Tally
from metrics.chains import Chains
from metrics.coreference.counts import DocumentCounts, count_documents
from metrics.coreference.pairs import checked_pairs
from metrics.coreference.ratios import blanc_ratios, is_counted, ratios_of
from utils.text.conll import without_repeats

CHAIN_TITLES = {
    "muc": "MUC",
    "b3": "B3",
    "ceafm": "CEAFm",
    "ceafe": "CEAFe",
    "blanc": "BLANC",
    "lea": "LEA",
}
# The scores that are ratios of two sums; the other one is BLANC.
_FRACTIONS = tuple(name for name in CHAIN_TITLES if name != "blanc")
_PARTS = ("recall", "precision", "f1")
# What `tally_chains` names its scores, and the scores whose intervals are shown.
_TALLY_NAMES: tuple[Name, ...] = (
    *((name, part) for name in CHAIN_TITLES for part in _PARTS),
    ("conll",),
)
SHOWN_SCORES: Mapping[str, Name] = {
    **{title: (name, "f1") for name, title in CHAIN_TITLES.items()},
    "CoNLL": ("conll",),
}


# BLANC is the mean over the kinds of links that gold has, as in the official scorer 8.01, or that
# either side has, as in the CorefUD scorer.
BlancKinds = Literal["gold", "either"]


@dataclass(frozen=True, slots=True)
class Score:
    """Recall, precision and F1, from 0 to 1."""

    recall: float
    precision: float
    f1: float

    def to_json(self) -> dict[str, float]:
        """Return recall, precision and F1 in percent."""
        return {
            "recall": 100 * self.recall,
            "precision": 100 * self.precision,
            "f1": 100 * self.f1,
        }


@dataclass(frozen=True, slots=True)
class MetricScores:
    """Every score of a set of documents, aggregated in one way."""

    muc: Score
    b3: Score
    ceafm: Score
    ceafe: Score
    blanc: Score
    lea: Score

    @property
    def conll(self) -> float:
        """The mean F1 of MUC, B3 and CEAFe, from 0 to 1."""
        return (self.muc.f1 + self.b3.f1 + self.ceafe.f1) / 3

    def to_json(self) -> dict[str, Any]:
        """Return `{"muc": {"recall", "precision", "f1"}, ..., "conll": mean F1}`, in percent."""
        scores = {field.name: getattr(self, field.name).to_json() for field in fields(self)}
        return {**scores, "conll": 100 * self.conll}


@dataclass(frozen=True, slots=True)
class CoreferenceScores:
    """The scores of a system on a set of documents.

    Attributes:
        documents: their number.
        pooled, scorch: aggregated in the two ways that the module describes.
        pooled_without_singletons, scorch_without_singletons: the same after the chains of one
            mention are taken out of gold and system; None where that was not asked for.
    """

    documents: int
    pooled: MetricScores
    scorch: MetricScores
    pooled_without_singletons: MetricScores | None = None
    scorch_without_singletons: MetricScores | None = None

    def to_json(self) -> dict[str, Any]:
        """Return `{"documents": n, "pooled": {...}, "scorch": {...}, ...}`, in percent."""
        scores = {field.name: getattr(self, field.name) for field in fields(self)[1:]}
        return {"documents": self.documents} | {
            name: score.to_json() for name, score in scores.items() if score is not None
        }


def score_chains(
    gold: Mapping[str, Chains[Hashable]],
    system: Mapping[str, Chains[Hashable]],
    *,
    also_without_singletons: bool = False,
    repeated_mentions: bool = False,
) -> CoreferenceScores:
    """Score the chains of a system, aggregated in both ways.

    Args:
        gold: the chains of each document; a mention is any hashable value.
        system: the chains of the same documents; their mentions need not be the same.
        also_without_singletons: whether to score a second time without the chains of one mention.
        repeated_mentions: whether a mention may stand more than once on a side. Pooled scores then
            take it as the official scorer does (`repeated_mentions.py`); scorch has chains
            without repeats alone, so there it is in the first chain that holds it.

    Raises:
        ChainsError: there is no document, a document is on one side only, a chain is empty, or a
            mention is in two chains or twice in one.
    """
    pairs = checked_pairs(gold, system, repeated_mentions=repeated_mentions)
    if not also_without_singletons:
        return CoreferenceScores(len(pairs), _pooled(pairs), _scorch(pairs))
    linked = _linked_pairs(pairs)
    return CoreferenceScores(
        len(pairs), _pooled(pairs), _scorch(pairs), _pooled(linked), _scorch(linked)
    )


def count_chains(
    gold: Mapping[str, Chains[Hashable]],
    system: Mapping[str, Chains[Hashable]],
    *,
    without_singletons: bool = False,
    repeated_mentions: bool = False,
) -> DocumentCounts:
    """Count what the pooled scores of documents are made of, a row for each in the order of gold.

    Args:
        gold, system: as `score_chains` takes them.
        without_singletons: whether to leave the chains of one mention out, gold and system.
        repeated_mentions: as `score_chains` takes it.

    Raises:
        ChainsError: as `score_chains`.
    """
    pairs = checked_pairs(gold, system, repeated_mentions=repeated_mentions)
    return count_documents(_linked_pairs(pairs) if without_singletons else pairs)


def tally_chains(
    gold: Mapping[str, Chains[Hashable]],
    system: Mapping[str, Chains[Hashable]],
    *,
    without_singletons: bool = False,
    repeated_mentions: bool = False,
) -> Tally:
    """Count the documents whose sums make the pooled scores, for `metrics.certainty`.

    Args and raises as `count_chains`.
    """
    return tally_counts(
        count_chains(
            gold,
            system,
            without_singletons=without_singletons,
            repeated_mentions=repeated_mentions,
        )
    )


def tally_counts(counts: DocumentCounts, blanc_kinds: BlancKinds = "gold") -> Tally:
    """Return the tally of what was counted; its scores are those of `pooled_scores`."""

    def parts(sums: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        *fractions, links = np.split(sums, range(4, 4 * len(_FRACTIONS) + 1, 4), axis=-1)
        named = dict(zip(_FRACTIONS, fractions, strict=True))
        return named, links.reshape(*links.shape[:-1], 2, 3)

    def score(sums: np.ndarray) -> np.ndarray:
        ratios = _pooled_ratios(*parts(sums), blanc_kinds)
        conll = (ratios["muc"] + ratios["b3"] + ratios["ceafe"])[..., -1:] / 3
        return np.concatenate([*(ratios[name] for name in CHAIN_TITLES), conll], axis=-1)

    def counted(sums: np.ndarray) -> np.ndarray:
        fractions, links = parts(sums)
        found = {name: is_counted(each) for name, each in fractions.items()}
        found["blanc"] = np.repeat(np.any(links[..., 1:], axis=(-2, -1))[..., None], 3, axis=-1)
        conll = (found["muc"] & found["b3"] & found["ceafe"])[..., -1:]
        return np.concatenate([*(found[name] for name in CHAIN_TITLES), conll], axis=-1)

    columns = [counts.fractions[name] for name in _FRACTIONS]
    links = counts.links.reshape(len(counts.links), -1)
    return Tally(_TALLY_NAMES, np.concatenate([*columns, links], axis=1), score, counted)


def _linked_pairs(
    pairs: Sequence[tuple[Chains[Hashable], Chains[Hashable]]],
) -> list[tuple[Chains[Hashable], Chains[Hashable]]]:
    """Return gold and system chains without those of one mention."""
    return [(_without_singletons(gold), _without_singletons(system)) for gold, system in pairs]


def _without_singletons(chains: Chains[Hashable]) -> Chains[Hashable]:
    return [chain for chain in chains if len(chain) > 1]


def _with_system_mentions(gold: Chains[Hashable], system: Chains[Hashable]) -> Chains[Hashable]:
    """Return the gold chains with a singleton for every mention that only the system has."""
    known = {mention for chain in gold for mention in chain}
    return [*gold, *([mention] for chain in system for mention in chain if mention not in known)]


def pooled_scores(counts: DocumentCounts, blanc_kinds: BlancKinds = "gold") -> MetricScores:
    """Return the scores of counts added up over documents.

    Args:
        counts: of each document.
        blanc_kinds: as in `BlancKinds`.
    """
    fractions = {name: rows.sum(axis=0) for name, rows in counts.fractions.items()}
    return _as_scores(_pooled_ratios(fractions, counts.links.sum(axis=0), blanc_kinds))


def _pooled_ratios(
    fractions: Mapping[str, np.ndarray], links: np.ndarray, blanc_kinds: BlancKinds
) -> dict[str, np.ndarray]:
    """Return R, P, F1 [..., 3] of each score from the sums of `DocumentCounts` over documents."""
    ratios = {name: ratios_of(sums) for name, sums in fractions.items()}
    counted = links[..., 1:2] if blanc_kinds == "gold" else links[..., 1:]
    has_kind = (counted > 0).max(axis=-1)
    ratios["blanc"] = blanc_ratios(links, has_kind, without_links=0.0)
    return ratios


def tally_fractions(name: str, fractions: np.ndarray) -> Tally:
    """Return the tally of one score, of what `fraction_score` takes.

    Args:
        name: of the score; those of the tally are (name, "recall") and so on.
        fractions: [documents, 4].
    """
    return Tally(tuple((name, part) for part in _PARTS), fractions, ratios_of, is_counted)


def fraction_score(fractions: np.ndarray) -> Score:
    """Return the score of numerators and denominators [documents, 4], recall and then precision."""
    return Score(*ratios_of(fractions.sum(axis=0)).tolist())


def _pooled(pairs: Sequence[tuple[Chains[Hashable], Chains[Hashable]]]) -> MetricScores:
    return pooled_scores(count_documents(pairs))


def _scorch(pairs: Sequence[tuple[Chains[Hashable], Chains[Hashable]]]) -> MetricScores:
    once = [(without_repeats(gold), without_repeats(system)) for gold, system in pairs]
    counts = count_documents(
        [(_with_system_mentions(gold, system), system) for gold, system in once]
    )
    ratios = {name: ratios_of(rows) for name, rows in counts.fractions.items()}
    links = counts.links
    ratios["blanc"] = blanc_ratios(links, links[..., 1] > 0, without_links=1.0)
    gold_mentions, system_mentions = counts.mentions.T
    weights = np.stack((gold_mentions, system_mentions, gold_mentions + system_mentions), axis=1)
    # Without any mention scorch fails on folders; on a single file it prints the plain score.
    weights = np.where(weights.sum(axis=0) > 0, weights, 1)
    return _as_scores(
        {name: (rows * weights).sum(axis=0) / weights.sum(axis=0) for name, rows in ratios.items()}
    )


def _as_scores(ratios: Mapping[str, np.ndarray]) -> MetricScores:
    return MetricScores(**{name: Score(*values.tolist()) for name, values in ratios.items()})
