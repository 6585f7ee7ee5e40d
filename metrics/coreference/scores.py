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

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from metrics.certainty import Name, Tally
from metrics.chains import Chains
from metrics.coreference.counts import DocumentCounts, count_documents
from metrics.coreference.repeated_mentions import without_known_repeats
from utils.errors import InputError
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


class ChainsError(InputError):
    """Chains that cannot be scored; the message names the document."""


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
    pairs = _checked_pairs(gold, system, repeated_mentions=repeated_mentions)
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
    pairs = _checked_pairs(gold, system, repeated_mentions=repeated_mentions)
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

    def score(sums: np.ndarray) -> np.ndarray:
        *fractions, links = np.split(sums, range(4, 4 * len(_FRACTIONS) + 1, 4), axis=-1)
        named = dict(zip(_FRACTIONS, fractions, strict=True))
        ratios = _pooled_ratios(named, links.reshape(*links.shape[:-1], 2, 3), blanc_kinds)
        conll = (ratios["muc"] + ratios["b3"] + ratios["ceafe"])[..., -1:] / 3
        return np.concatenate([*(ratios[name] for name in CHAIN_TITLES), conll], axis=-1)

    columns = [counts.fractions[name] for name in _FRACTIONS]
    links = counts.links.reshape(len(counts.links), -1)
    return Tally(_TALLY_NAMES, np.concatenate([*columns, links], axis=1), score)


@dataclass(frozen=True, slots=True)
class LinkScores:
    """How well some mentions are linked to all others.

    Attributes:
        mentions: the number of chosen mentions.
        gold_links, system_links: links of these mentions in the gold and in the system's chains.
        correct_links: links in both.
    """

    mentions: int
    gold_links: int
    system_links: int
    correct_links: int

    @property
    def score(self) -> Score | None:
        """The score; None where neither side has a link, so that there is nothing to score."""
        if self.gold_links == self.system_links == 0:
            return None
        counts = (self.correct_links, self.gold_links, self.correct_links, self.system_links)
        return Score(*_ratios(np.array(counts)).tolist())

    def to_json(self) -> dict[str, float | None]:
        """Return the numbers of mentions and of gold links, and the score in percent."""
        score = self.score
        rates = score.to_json() if score else dict.fromkeys(("recall", "precision", "f1"))
        return {"mentions": self.mentions, "gold_links": self.gold_links, **rates}


def link_scores(
    gold: Mapping[str, Chains[Hashable]],
    system: Mapping[str, Chains[Hashable]],
    mentions: Mapping[str, Collection[Hashable]],
) -> LinkScores:
    """Score the links of some mentions, such as the pronouns, pooled over documents.

    Every chosen mention counts once for each other mention in its chain, so a link between two
    chosen mentions counts for both. VisPro (Yu et al., EMNLP 2019) counts the links of a pronoun
    in this way; there only noun phrases stand at the other end.

    Args:
        gold, system: as `score_chains` takes them.
        mentions: the chosen mentions of a document; a document without any may be absent.

    Raises:
        ChainsError: as `score_chains`, or a chosen mention or its document is on neither side.
    """
    documents = _paired_documents(gold, system)
    unknown = mentions.keys() - set(documents)
    if unknown:
        raise ChainsError(f"mentions are chosen in {_listed(unknown)}, not among the documents")
    totals = np.zeros(4, dtype=int)
    for document in documents:
        gold_of = _chain_of_mention(gold[document], f"gold document {document!r}")
        system_of = _chain_of_mention(system[document], f"system document {document!r}")
        for mention in set(mentions.get(document, ())):
            if mention not in gold_of and mention not in system_of:
                raise ChainsError(f"document {document!r}: no chain holds mention {mention!r}")
            gold_chain = gold[document][gold_of[mention]] if mention in gold_of else ()
            system_chain = system[document][system_of[mention]] if mention in system_of else ()
            in_gold, in_system = set(gold_chain) - {mention}, set(system_chain) - {mention}
            totals += (1, len(in_gold), len(in_system), len(in_gold & in_system))
    return LinkScores(*totals.tolist())


def format_scores(scores: CoreferenceScores) -> str:
    """Return a table, in percent: a row for each score, pooled and scorch side by side."""
    blocks = [_format_block(f"documents: {scores.documents}", scores.pooled, scores.scorch)]
    if scores.pooled_without_singletons and scores.scorch_without_singletons:
        blocks.append(
            _format_block(
                "without singletons",
                scores.pooled_without_singletons,
                scores.scorch_without_singletons,
            )
        )
    return "\n\n".join(blocks)


def _format_block(title: str, pooled: MetricScores, scorch: MetricScores) -> str:
    width = max(len(title), 10)
    heading = f"{'R':>8}{'P':>8}{'F1':>8}"
    lines = [
        f"{title:{width}}  {'pooled':>24}  {'scorch':>24}",
        f"{'':{width}}  {heading}  {heading}",
    ]
    for name, shown in CHAIN_TITLES.items():
        columns = "  ".join(
            "".join(f"{value:8.2f}" for value in getattr(way, name).to_json().values())
            for way in (pooled, scorch)
        )
        lines.append(f"{shown:{width}}  {columns}")
    lines.append(f"{'CoNLL':{width}}  {100 * pooled.conll:24.2f}  {100 * scorch.conll:24.2f}")
    return "\n".join(lines)


def _paired_documents(
    gold: Mapping[str, Chains[Hashable]], system: Mapping[str, Chains[Hashable]]
) -> list[str]:
    """Return the documents of both sides, which must be the same."""
    missing = {"gold": system.keys() - gold.keys(), "system": gold.keys() - system.keys()}
    if any(missing.values()):
        sides = [f"{side} misses {_listed(names)}" for side, names in missing.items() if names]
        raise ChainsError(f"gold and system hold different documents: {'; '.join(sides)}")
    if not gold:
        raise ChainsError("there is no document to score")
    return list(gold)


def _checked_pairs(
    gold: Mapping[str, Chains[Hashable]],
    system: Mapping[str, Chains[Hashable]],
    *,
    repeated_mentions: bool,
) -> list[tuple[Chains[Hashable], Chains[Hashable]]]:
    """Return gold and system chains of each document, as they are to be counted.

    Raises:
        ChainsError: as `score_chains`.
    """
    documents = _paired_documents(gold, system)
    pairs = [(gold[document], system[document]) for document in documents]
    if repeated_mentions:
        return [(first, without_known_repeats(first, second)) for first, second in pairs]
    for document in documents:
        _chain_of_mention(gold[document], f"gold document {document!r}")
        _chain_of_mention(system[document], f"system document {document!r}")
    return pairs


def _listed(names: Collection[str], shown: int = 5) -> str:
    """Return the number of names and the first few of them."""
    more = ", ..." if len(names) > shown else ""
    return f"{len(names)} ({', '.join(map(repr, sorted(names)[:shown]))}{more})"


def _chain_of_mention(chains: Chains[Hashable], place: str) -> dict[Hashable, int]:
    """Map each mention to the index of its chain.

    Raises:
        ChainsError: as `score_chains`; the place is named.
    """
    chain_of: dict[Hashable, int] = {}
    for index, chain in enumerate(chains):
        if not chain:
            raise ChainsError(f"{place}: chain {index} is empty")
        for mention in chain:
            if mention in chain_of:
                twice = "twice in one chain" if chain_of[mention] == index else "in two chains"
                raise ChainsError(f"{place}: mention {mention!r} is {twice}")
            chain_of[mention] = index
    return chain_of


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
    ratios = {name: _ratios(sums) for name, sums in fractions.items()}
    counted = links[..., 1:2] if blanc_kinds == "gold" else links[..., 1:]
    has_kind = (counted > 0).max(axis=-1)
    ratios["blanc"] = _blanc_ratios(links, has_kind, without_links=0.0)
    return ratios


def tally_fractions(name: str, fractions: np.ndarray) -> Tally:
    """Return the tally of one score, of what `fraction_score` takes.

    Args:
        name: of the score; those of the tally are (name, "recall") and so on.
        fractions: [documents, 4].
    """
    return Tally(tuple((name, part) for part in _PARTS), fractions, _ratios)


def fraction_score(fractions: np.ndarray) -> Score:
    """Return the score of numerators and denominators [documents, 4], recall and then precision."""
    return Score(*_ratios(fractions.sum(axis=0)).tolist())


def _pooled(pairs: Sequence[tuple[Chains[Hashable], Chains[Hashable]]]) -> MetricScores:
    return pooled_scores(count_documents(pairs))


def _scorch(pairs: Sequence[tuple[Chains[Hashable], Chains[Hashable]]]) -> MetricScores:
    once = [(without_repeats(gold), without_repeats(system)) for gold, system in pairs]
    counts = count_documents(
        [(_with_system_mentions(gold, system), system) for gold, system in once]
    )
    ratios = {name: _ratios(rows) for name, rows in counts.fractions.items()}
    links = counts.links
    ratios["blanc"] = _blanc_ratios(links, links[..., 1] > 0, without_links=1.0)
    gold_mentions, system_mentions = counts.mentions.T
    weights = np.stack((gold_mentions, system_mentions, gold_mentions + system_mentions), axis=1)
    # Without any mention scorch fails on folders; on a single file it prints the plain score.
    weights = np.where(weights.sum(axis=0) > 0, weights, 1)
    return _as_scores(
        {name: (rows * weights).sum(axis=0) / weights.sum(axis=0) for name, rows in ratios.items()}
    )


def _as_scores(ratios: Mapping[str, np.ndarray]) -> MetricScores:
    return MetricScores(**{name: Score(*values.tolist()) for name, values in ratios.items()})


def _divide(numerators: np.ndarray, denominators: np.ndarray) -> np.ndarray:
    """Divide; the quotient is 0 where the denominator is."""
    return numerators / np.where(denominators == 0, 1, denominators)


def _ratios(fractions: np.ndarray) -> np.ndarray:
    """Turn numerator and denominator of recall, of precision [..., 4] into R, P, F1 [..., 3]."""
    recall = _divide(fractions[..., 0], fractions[..., 1])
    precision = _divide(fractions[..., 2], fractions[..., 3])
    f1 = _divide(2 * recall * precision, recall + precision)
    return np.stack((recall, precision, f1), axis=-1)


def _blanc_ratios(links: np.ndarray, has_kind: np.ndarray, without_links: float) -> np.ndarray:
    """Return BLANC of link counts: the mean over the kinds of links that are there.

    Args:
        links: [..., 2, 3], as in `DocumentCounts`.
        has_kind: [..., 2], which kinds count.
        without_links: the score where none does.

    Returns:
        R, P, F1 [..., 3].
    """
    correct, gold, system = links[..., 0], links[..., 1], links[..., 2]
    kinds = _ratios(np.stack((correct, gold, correct, system), axis=-1))  # [..., 2, 3]
    counted = has_kind[..., None].sum(axis=-2)
    mean = _divide((kinds * has_kind[..., None]).sum(axis=-2), counted)
    return np.where(counted > 0, mean, without_links)
