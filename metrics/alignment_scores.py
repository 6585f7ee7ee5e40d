"""Alignment scores: how well heads are found for the mentions of a text, and for its chains.

Retrieval, as Li et al. (ACL 2025) score it: the candidate heads of a mention are ranked by how well
they fit, and R@k is how often its own head is among the first k. Beside it stands chance, the value
of R@k that is expected where the order is drawn at random.

The joint score asks for both at once: a chain is right where a gold chain has exactly its mentions
and its head, or neither of the two has a head.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metrics.certainty import Name, Tally, ratio_tally
from utils.printable import escape_unprintable
from utils.text.span_scores import MatchScores
from utils.text.spans import Span

RANKS = (1, 2, 3)
# The head of a gold chain that is no candidate: no system can find it.
NO_CANDIDATE = -1


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """A mention whose head is looked for among candidates.

    Attributes:
        scores: [candidates], how well each fits, such as cosines.
        right: the index of its own; None where it is not among them, which counts as not found.
        kind: a subset of mentions to score apart, if any.
        document: the id of the mention's.
    """

    scores: np.ndarray
    right: int | None
    kind: str | None = None
    document: str = ""


@dataclass(frozen=True, slots=True)
class Recall:
    """R@k of some searches for each k of `RANKS`; all shares from 0 to 1.

    Attributes:
        searches: their number, at least one.
        candidates: the mean number of candidates of a search.
        found: [RANKS], the share of searches whose own candidate is among the first k.
        chance: [RANKS], the expected value of `found` in a random order.
    """

    searches: int
    candidates: float
    found: tuple[float, ...]
    chance: tuple[float, ...]

    def to_json(self) -> dict[str, float]:
        """Return the recalls in percent, with their means over k, and the counts."""
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
# The recalls whose intervals are shown, with their places in `Recall.to_json`.
SHOWN_RECALLS: Mapping[str, Name] = {measure: (measure,) for measure in _MEASURES}
# The joint scores whose intervals are shown, with their places in `JointScores.to_json`.
SHOWN_JOINT_SCORES: Mapping[str, Name] = {
    "all chains": ("all", "f1"),
    "chains with a head": ("with a head", "f1"),
    "mentions alone": ("mentions alone", "f1"),
}


@dataclass(frozen=True, slots=True)
class RetrievalScores:
    """Recall of all searches, of those with several candidates, and of each kind of mention.

    A subset without searches is None; such a kind is left out.
    """

    overall: Recall | None
    contested: Recall | None
    kinds: Mapping[str, Recall]

    def to_json(self) -> dict[str, Any]:
        """Return the scores in percent."""
        return {
            "all": self.overall and self.overall.to_json(),
            "several candidates": self.contested and self.contested.to_json(),
            "kinds": {kind: recall.to_json() for kind, recall in self.kinds.items()},
        }


def score_retrieval(searches: Iterable[Search]) -> RetrievalScores:
    """Score rankings of candidates.

    Candidates that fit equally well are ranked in random order: the search then counts by the
    probability that its own comes among the first k.

    Raises:
        ValueError: a score is not finite, or `right` is the index of no candidate.
    """
    searches = list(searches)
    kinds = sorted({search.kind for search in searches if search.kind is not None})
    of_kinds = {kind: _recall([s for s in searches if s.kind == kind]) for kind in kinds}
    return RetrievalScores(
        overall=_recall(searches),
        contested=_recall([search for search in searches if len(search.scores) > 1]),
        kinds={kind: recall for kind, recall in of_kinds.items() if recall is not None},
    )


def tally_retrieval(searches: Iterable[Search]) -> Tally:
    """Count the documents whose sums make the recall of all searches, for `metrics.certainty`.

    Raises:
        ValueError: as `score_retrieval`.
    """
    of_documents: dict[str, list[Search]] = {}
    for search in searches:
        of_documents.setdefault(search.document, []).append(search)
    found = [
        [with_mean([_found(search, k) for k in RANKS]) for search in of_one]
        for of_one in of_documents.values()
    ]
    numerators = np.array([np.sum(of_one, axis=0) for of_one in found])
    numerators = numerators.reshape(len(found), len(_MEASURES))
    counts = np.array([len(of_one) for of_one in found], dtype=float)
    denominators = np.repeat(counts[:, None], len(_MEASURES), axis=1)
    return ratio_tally(tuple(SHOWN_RECALLS.values()), numerators, denominators)


def with_mean(values: Sequence[float]) -> list[float]:
    """Return the values and, last, their mean."""
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
    """Return the probability that the right candidate is among the first k, ties at random."""
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
    """A chain of a document with the head of the person that it refers to.

    Attributes:
        mentions: their spans of characters, the end exclusive.
        head: its index among the heads of the document; None where the chain has none.
    """

    mentions: frozenset[Span]
    head: int | None


@dataclass(frozen=True, slots=True)
class JointScores:
    """How many chains are right, mentions and head together.

    Attributes:
        overall: of all chains.
        headed: of the chains with a head.
        mentions_alone: of all chains, whatever their heads.
    """

    overall: MatchScores
    headed: MatchScores
    mentions_alone: MatchScores

    def to_json(self) -> dict[str, Any]:
        """Return the scores in percent."""
        return {
            "all": _match_to_json(self.overall),
            "with a head": _match_to_json(self.headed),
            "mentions alone": _match_to_json(self.mentions_alone),
        }


def _match_to_json(scores: MatchScores) -> dict[str, float]:
    return {
        "right": scores.right,
        "gold": scores.gold,
        "system": scores.found,
        "precision": 100 * scores.precision,
        "recall": 100 * scores.recall,
        "f1": 100 * scores.f1,
    }


# The chains of each document, by its id.
Documents = Mapping[str, Sequence[HeadedChain]]


def score_joint(gold: Documents, system: Documents) -> JointScores:
    """Score the chains of documents together with their heads.

    Args:
        gold: the chains of each document.
        system: likewise; a document that is on one side only has no chains on the other.
    """
    return JointScores(
        overall=_match(gold, system),
        headed=_match(_headed(gold), _headed(system)),
        mentions_alone=_match(_headless(gold), _headless(system)),
    )


def tally_joint(gold: Documents, system: Documents) -> Tally:
    """Count the documents whose sums make the F1 of the joint scores, for `metrics.certainty`.

    Args:
        gold, system: as `score_joint` takes them.
    """
    documents = sorted(gold.keys() | system.keys())
    matches = [
        score_joint({name: gold.get(name, ())}, {name: system.get(name, ())}) for name in documents
    ]
    parts = [(each.overall, each.headed, each.mentions_alone) for each in matches]
    right = [[2 * part.right for part in of_one] for of_one in parts]
    of_both = [[part.gold + part.found for part in of_one] for of_one in parts]
    shape = (len(documents), len(SHOWN_JOINT_SCORES))
    return ratio_tally(
        tuple(SHOWN_JOINT_SCORES.values()),
        np.array(right, dtype=float).reshape(shape),
        np.array(of_both, dtype=float).reshape(shape),
    )


def _headed(documents: Documents) -> Documents:
    """Return the chains that have a head."""
    return {name: [c for c in of_one if c.head is not None] for name, of_one in documents.items()}


def _headless(documents: Documents) -> Documents:
    """Return the chains without their heads."""
    return {
        name: [HeadedChain(chain.mentions, None) for chain in of_one]
        for name, of_one in documents.items()
    }


def _match(gold: Documents, system: Documents) -> MatchScores:
    return MatchScores(
        gold=sum(map(len, gold.values())),
        found=sum(map(len, system.values())),
        right=sum(len({*chains} & {*gold.get(name, ())}) for name, chains in system.items()),
    )


def format_retrieval(scores: RetrievalScores) -> str:
    """Return a table, in percent: every recall, and below it the chance level."""
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
    """Return a table, in percent."""
    rows = {
        "all chains": scores.overall,
        "chains with a head": scores.headed,
        "mentions alone": scores.mentions_alone,
    }
    head = "".join(f"{name:>11}" for name in ("right", "gold", "system", "precision", "recall"))
    lines = [f"{'':20}{head}{'F1':>11}"]
    for name, match in rows.items():
        counts = "".join(f"{count:>11}" for count in (match.right, match.gold, match.found))
        shares = (match.precision, match.recall, match.f1)
        parts = "".join(f"{100 * share:>11.2f}" for share in shares)
        lines.append(f"{name:20}{counts}{parts}")
    return "\n".join(lines)


def _percent(values: Iterable[float]) -> str:
    return "".join(f"{100 * value:>10.2f}" for value in values)
