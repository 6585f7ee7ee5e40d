"""Alignment scores: how well heads are found for the mentions of a text, and for its chains.

Retrieval, as Li et al. (ACL 2025) score it: the candidates of a mention are ranked by how well they
fit, and R@k says how often its own is among the first k. Beside it stands chance, what R@k is
expected to be where the order is drawn at random.

The joint score asks for both at once: a chain is right where a gold chain has exactly its mentions
and its head, or neither of the two has a head.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.printable import escape_unprintable
from utils.text.spans import Span

RANKS = (1, 2, 3)
# The head of a gold chain that is no candidate: no system can find it.
NO_CANDIDATE = -1


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """A mention whose head is looked for.

    Attributes:
        scores: [candidates], how well each fits.
        right: which is its own; None where it is not among them, which counts as not found.
        kind: a subset to score apart, if any.
    """

    scores: np.ndarray
    right: int | None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Recall:
    """R@k of some searches for each k of `RANKS`; all parts from 0 to 1.

    Attributes:
        searches: how many there are, at least one.
        candidates: how many each has, in the mean.
        found: the part whose own candidate is among the first k.
        chance: what `found` is expected to be in a random order.
    """

    searches: int
    candidates: float
    found: tuple[float, ...]
    chance: tuple[float, ...]

    def to_json(self) -> dict[str, float]:
        """In percent, with the means over k."""
        parts = {"": self.found, "chance ": self.chance}
        return {
            "mentions": self.searches,
            "candidates": self.candidates,
            **{
                f"{name}{measure}": 100 * value
                for name, values in parts.items()
                for measure, value in zip(_MEASURES, with_mean(values), strict=True)
            },
        }


_MEASURES = (*(f"R@{k}" for k in RANKS), "mean")


@dataclass(frozen=True, slots=True)
class RetrievalScores:
    """Recall of all searches, of those with several candidates, and of each kind of them.

    What has no search is None, and of kinds not there.
    """

    overall: Recall | None
    contested: Recall | None
    kinds: Mapping[str, Recall]

    def to_json(self) -> dict[str, Any]:
        """In percent."""
        return {
            "all": self.overall and self.overall.to_json(),
            "several candidates": self.contested and self.contested.to_json(),
            "kinds": {kind: recall.to_json() for kind, recall in self.kinds.items()},
        }


def score_retrieval(searches: Iterable[Search]) -> RetrievalScores:
    """Score rankings of candidates.

    Where candidates fit equally well their order is drawn at random, and what counts is how often
    the right one then comes among the first k.

    Raises:
        ValueError: a score is not a number, or `right` is none of the candidates.
    """
    searches = list(searches)
    kinds = sorted({search.kind for search in searches if search.kind is not None})
    of_kinds = {kind: _recall([s for s in searches if s.kind == kind]) for kind in kinds}
    return RetrievalScores(
        overall=_recall(searches),
        contested=_recall([search for search in searches if len(search.scores) > 1]),
        kinds={kind: recall for kind, recall in of_kinds.items() if recall is not None},
    )


def with_mean(values: Sequence[float]) -> list[float]:
    """The values, and their mean."""
    return [*values, sum(values) / len(values)]


def _recall(searches: Sequence[Search]) -> Recall | None:
    if not searches:
        return None
    candidates = np.array([len(search.scores) for search in searches])
    return Recall(
        searches=len(searches),
        candidates=float(candidates.mean()),
        found=tuple(float(np.mean([_found(search, k) for search in searches])) for k in RANKS),
        chance=tuple(float(np.mean([_chance(search, k) for search in searches])) for k in RANKS),
    )


def _found(search: Search, k: int) -> float:
    """The probability that the right candidate is among the first k, equal ones in any order."""
    if not np.isfinite(search.scores).all():
        raise ValueError(f"the scores {search.scores} are not all finite")
    if search.right is None:
        return 0.0
    if not 0 <= search.right < len(search.scores):
        raise ValueError(f"the candidate {search.right} of {len(search.scores)}")
    better = int((search.scores > search.scores[search.right]).sum())
    equal = int((search.scores == search.scores[search.right]).sum())
    return min(max(k - better, 0) / equal, 1.0)


def _chance(search: Search, k: int) -> float:
    return 0.0 if search.right is None else min(k / len(search.scores), 1.0)


@dataclass(frozen=True, slots=True)
class HeadedChain:
    """A chain of a document: where its mentions are, and the number of its head; None for none."""

    mentions: frozenset[Span]
    head: int | None


@dataclass(frozen=True, slots=True)
class Prf:
    """Counts of right, gold and system chains, and the parts that follow, from 0 to 1."""

    right: int
    gold: int
    system: int

    @property
    def precision(self) -> float:
        """Of the system's chains; 0 where there are none."""
        return self.right / self.system if self.system else 0.0

    @property
    def recall(self) -> float:
        """Of the gold chains; 0 where there are none."""
        return self.right / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Their harmonic mean; 0 where nothing is right."""
        return 2 * self.right / (self.gold + self.system) if self.right else 0.0

    def to_json(self) -> dict[str, float]:
        """The counts, and the parts in percent."""
        parts = {name: 100 * getattr(self, name) for name in ("precision", "recall", "f1")}
        return {"right": self.right, "gold": self.gold, "system": self.system, **parts}


@dataclass(frozen=True, slots=True)
class JointScores:
    """Chains whose mentions and head are right: of all, and of those with a head.

    Attributes:
        mentions_alone: of all chains, where the heads are not asked for.
    """

    overall: Prf
    headed: Prf
    mentions_alone: Prf

    def to_json(self) -> dict[str, Any]:
        """In percent."""
        return {
            "all": self.overall.to_json(),
            "with a head": self.headed.to_json(),
            "mentions alone": self.mentions_alone.to_json(),
        }


Documents = Mapping[str, Sequence[HeadedChain]]


def score_joint(gold: Documents, system: Documents) -> JointScores:
    """Score the chains of documents together with their heads.

    Args:
        gold, system: chains of each document; a document that one of them lacks has none there.
    """

    def headed(documents: Documents) -> Documents:
        return {
            name: [c for c in of_one if c.head is not None] for name, of_one in documents.items()
        }

    def headless(documents: Documents) -> Documents:
        return {
            name: [HeadedChain(chain.mentions, None) for chain in of_one]
            for name, of_one in documents.items()
        }

    return JointScores(
        overall=_prf(gold, system),
        headed=_prf(headed(gold), headed(system)),
        mentions_alone=_prf(headless(gold), headless(system)),
    )


def _prf(gold: Documents, system: Documents) -> Prf:
    return Prf(
        right=sum(len({*chains} & {*gold.get(name, ())}) for name, chains in system.items()),
        gold=sum(map(len, gold.values())),
        system=sum(map(len, system.values())),
    )


def format_retrieval(scores: RetrievalScores) -> str:
    """A table to read, in percent: each recall, and below it what chance gives."""
    rows = [("all", scores.overall)]
    if scores.contested != scores.overall:
        rows.append(("several candidates", scores.contested))
    rows += [(escape_unprintable(kind), recall) for kind, recall in scores.kinds.items()]
    width = max(len(name) for name, _ in rows) + 2
    head = "".join(f"{name:>10}" for name in ("mentions", "heads", *_MEASURES))
    lines = [f"{'':{width}}{head}"]
    for name, recall in rows:
        if recall is None:
            lines.append(f"{name:{width}}{0:>10}")
            continue
        counts = f"{recall.searches:>10}{recall.candidates:>10.1f}"
        lines.append(f"{name:{width}}{counts}{_percent(with_mean(recall.found))}")
        lines.append(f"{'  chance':{width}}{'':20}{_percent(with_mean(recall.chance))}")
    return "\n".join(lines)


def format_joint(scores: JointScores) -> str:
    """A table to read, in percent."""
    rows = {
        "all chains": scores.overall,
        "chains with a head": scores.headed,
        "mentions alone": scores.mentions_alone,
    }
    head = "".join(f"{name:>11}" for name in ("right", "gold", "system", "precision", "recall"))
    lines = [f"{'':20}{head}{'F1':>11}"]
    for name, prf in rows.items():
        counts = "".join(f"{count:>11}" for count in (prf.right, prf.gold, prf.system))
        parts = "".join(f"{100 * part:>11.2f}" for part in (prf.precision, prf.recall, prf.f1))
        lines.append(f"{name:20}{counts}{parts}")
    return "\n".join(lines)


def _percent(values: Iterable[float]) -> str:
    return "".join(f"{100 * value:>10.2f}" for value in values)
