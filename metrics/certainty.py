"""How certain a score is: bootstrap intervals over documents, and the test of a difference.

A score of a data set is a function of what is counted in its documents, added up. Other documents
of the same kind would have given another score. How far from it is estimated by drawing as many
documents with replacement, again and again (the bootstrap: Efron 1979). The counts are made once;
a sample is a sum of them.

The interval is the expanded percentile interval (Hesterberg 2015, "What Teachers Should Know About
the Bootstrap", section 3.1): percentiles of the samples, set so far out that for a mean they make
up for the use of n documents in place of n - 1 and of the normal distribution in place of t.
`benchmarks/coverage.py` measures how often it holds the true score, beside other intervals.

Two systems on the same documents differ for sure where a difference as large is rare if each
document's two outputs change places at random (approximate randomization: Noreen 1989, "Computer
Intensive Methods for Testing Hypotheses"; Yeh, COLING 2000).

All draws begin at the same seed: the same counts always give the same figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import norm, t

from metrics.coreference.ratios import is_counted, ratios_of

# Where a score stands in nested JSON objects, such as ("muc", "f1").
Name = tuple[str, ...]

SAMPLES = 10_000
CONFIDENCE = 0.95
# With fewer documents the intervals hold the true score less often than they say.
FEW_DOCUMENTS = 30
# How many numbers a block of samples has at most.
_BLOCK = 2_000_000
# Differences that rounding alone makes are equal.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """What is counted in each document, and the scores that follow from sums of it.

    Attributes:
        names: [scores].
        counts: [documents, counts].
        score: from sums [..., counts] to scores [..., scores]; 0 where nothing is counted.
        is_counted: from sums [..., counts] to whether gold or system have anything to count there
            for each score [..., scores].
    """

    names: tuple[Name, ...]
    counts: np.ndarray
    score: Callable[[np.ndarray], np.ndarray]
    is_counted: Callable[[np.ndarray], np.ndarray]


def ratio_tally(names: Sequence[Name], numerators: np.ndarray, denominators: np.ndarray) -> Tally:
    """Return the tally of scores that are ratios of sums, such as accuracies.

    Args:
        names: [scores].
        numerators, denominators: [documents, scores]. A score whose denominators are 0 in all
            documents is left out.
    """
    known = np.flatnonzero(denominators.any(axis=0)).tolist()
    kept = len(known)

    def score(sums: np.ndarray) -> np.ndarray:
        over, under = sums[..., :kept], sums[..., kept:]
        return over / np.where(under == 0, 1, under)

    return Tally(
        names=tuple(names[place] for place in known),
        counts=np.concatenate((numerators[:, known], denominators[:, known]), axis=1),
        score=score,
        is_counted=lambda sums: sums[..., kept:] != 0,
    )


def join_tallies(tallies: Sequence[Tally]) -> Tally:
    """Return one tally of the scores of several, which are of the same documents."""
    ends = np.cumsum([tally.counts.shape[1] for tally in tallies])[:-1]

    def score(sums: np.ndarray) -> np.ndarray:
        parts = zip(tallies, np.split(sums, ends, axis=-1), strict=True)
        return np.concatenate([tally.score(part) for tally, part in parts], axis=-1)

    def is_counted(sums: np.ndarray) -> np.ndarray:
        parts = zip(tallies, np.split(sums, ends, axis=-1), strict=True)
        return np.concatenate([tally.is_counted(part) for tally, part in parts], axis=-1)

    return Tally(
        names=tuple(name for tally in tallies for name in tally.names),
        counts=np.concatenate([tally.counts for tally in tallies], axis=1),
        score=score,
        is_counted=is_counted,
    )


def tally_known_fractions(names: Sequence[Name], fractions: np.ndarray) -> Tally:
    """Return the tally of the recall, precision and F1 of some scores.

    F1 is the harmonic mean of recall and precision, 0 where only one of them is known.

    Args:
        names: [scores]; the tally's names are these with "recall", "precision" and "f1".
        fractions: [documents, scores, 4], numerator and denominator of recall, then of precision.
            A ratio whose denominators are 0 in all documents is left out, and F1 where both are.
    """
    documents, scores, _ = fractions.shape
    totals = fractions.sum(axis=0)
    recall, precision = totals[:, 1] > 0, totals[:, 3] > 0
    known = np.flatnonzero(np.stack((recall, precision, recall | precision), axis=-1)).tolist()
    all_names = [(*name, part) for name in names for part in ("recall", "precision", "f1")]

    def of_known(sums: np.ndarray, of_fractions: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        found = of_fractions(sums.reshape(*sums.shape[:-1], scores, 4))
        return found.reshape(*sums.shape[:-1], 3 * scores)[..., known]

    return Tally(
        names=tuple(all_names[place] for place in known),
        counts=fractions.reshape(documents, 4 * scores),
        score=lambda sums: of_known(sums, ratios_of),
        is_counted=lambda sums: of_known(sums, is_counted),
    )


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score of the documents there are, and where that of all such documents may be.

    Attributes:
        value: the score; of several runs their mean.
        low, high: the ends of its interval.
        documents: how many have something to count for it.
        spread: the standard deviation over the runs; None of one run.
    """

    value: float
    low: float
    high: float
    documents: int
    spread: float | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more one system scores than another on the same documents.

    Attributes:
        value: the score less that of the other system; of several runs the difference of means.
        low, high: the ends of its interval.
        p: how often a difference as large, in either direction, comes up where the outputs of the
            two systems for a document change places at random.
        documents: how many have something to count for it, in one system or the other.
    """

    value: float
    low: float
    high: float
    documents: int
    p: float


@dataclass(frozen=True, slots=True)
class Certainty:
    """How certain the scores of a system are.

    Attributes:
        documents: how many have something to count.
        scores: what is known of each score.
    """

    documents: int
    scores: Mapping[Name, Estimate]

    def to_json(self) -> dict[str, Any]:
        """Return the scores in percent, as they are nested, and what the intervals are made of."""
        return {**_circumstances(self.documents, self.scores), "scores": _nested(self.scores)}


@dataclass(frozen=True, slots=True)
class Comparison:
    """How certainly one system scores more or less than another.

    Attributes:
        documents: how many have something to count, in one system or the other.
        scores: what is known of the difference of each score.
    """

    documents: int
    scores: Mapping[Name, Difference]

    def to_json(self) -> dict[str, Any]:
        """Return the differences in percent, as they are nested, and what they are made of."""
        return {**_circumstances(self.documents, self.scores), "scores": _nested(self.scores)}


def estimate(runs: Sequence[Tally], samples: int = SAMPLES) -> Certainty:
    """Estimate the scores of a system.

    Args:
        runs: of one system on the same documents, such as trainings with other seeds; at least one.
        samples: how many to draw.

    Raises:
        ValueError: the runs are not of the same documents and scores, or there is no document.
    """
    of_runs = _stack(runs)  # [runs, documents, counts]
    scores = runs[0].score(of_runs.sum(axis=1))  # [runs, scores]
    sums = resampled_sums(of_runs, samples)
    drawn = np.where(_has_score(runs[0], sums, of_runs), _mean_scores(runs[0], sums), np.nan)
    documents = _count_documents(of_runs)
    low, high = expanded_percentiles(drawn, documents)
    spread = scores.std(axis=0, ddof=1).tolist() if len(runs) > 1 else [None] * scores.shape[1]
    ends = (scores.mean(axis=0).tolist(), low.tolist(), high.tolist(), _of_each(runs[0], of_runs))
    estimates = (Estimate(*parts) for parts in zip(*ends, spread, strict=True))
    return Certainty(documents, dict(zip(runs[0].names, estimates, strict=True)))


def compare(first: Sequence[Tally], second: Sequence[Tally], samples: int = SAMPLES) -> Comparison:
    """Estimate how much more the second system scores than the first, and test the difference.

    Run i of one system is set beside run i of the other. Samples hold the same documents of all
    runs, and all runs of a document change places together.

    Args:
        first, second: the runs of each, as `estimate` takes them, as many of one as of the other.
        samples: how many to draw for the interval, and for the test. Where all ways to change
            places are no more than these, the test goes through all of them.

    Raises:
        ValueError: the runs are not of the same documents and scores, or not as many.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} runs and {len(second)}, expected as many")
    tally, both = first[0], _stack([*first, *second])
    halves = both.reshape(2, len(first), *both.shape[1:])  # [2, runs, documents, counts]
    observed = _difference(tally, halves.sum(axis=2)[:, None])[0]  # [scores]
    sums = resampled_sums(both, samples)
    drawn = sums.reshape(samples, 2, len(first), -1).swapaxes(0, 1)
    differences = np.where(_has_score(tally, sums, both), _difference(tally, drawn), np.nan)
    documents = _count_documents(both)
    low, high = expanded_percentiles(differences, documents)
    p = _swap_test(tally, halves, observed, samples)
    ends = (observed.tolist(), low.tolist(), high.tolist(), _of_each(tally, both), p.tolist())
    found = (Difference(*parts) for parts in zip(*ends, strict=True))
    return Comparison(documents, dict(zip(tally.names, found, strict=True)))


def resampled_sums(counts: np.ndarray, samples: int, seed: int = 0) -> np.ndarray:
    """Draw documents with replacement, and add up their counts.

    Args:
        counts: [runs, documents, counts].
        samples: how often to draw as many documents as there are.
        seed: of the draws.

    Returns:
        [samples, runs, counts], of the same documents in all runs.
    """
    runs, documents, width = counts.shape
    by_document = counts.swapaxes(0, 1).reshape(documents, runs * width)
    sums = [weights @ by_document for weights in document_weights(documents, samples, seed)]
    return np.concatenate(sums).reshape(samples, runs, width)


def expanded_percentiles(drawn: np.ndarray, documents: int) -> np.ndarray:
    """Return the ends [2, scores] of the expanded percentile intervals of [samples, scores].

    Samples without a score (NaN) do not count. With one document nothing is known of others: the
    ends are then those of the samples.
    """
    if not drawn.shape[1]:
        return np.empty((2, 0))
    tail = (1 - CONFIDENCE) / 2
    if documents > 1:
        expansion = np.sqrt(documents / (documents - 1))
        tail = norm.cdf(expansion * t.ppf(tail, documents - 1))
    ends: np.ndarray = np.nanquantile(drawn, (tail, 1 - tail), axis=0)
    return ends


def format_certainty(title: str, certainty: Certainty, rows: Mapping[str, Name]) -> str:
    """Return a table of intervals, in percent.

    Args:
        title: of the table; what the scores are.
        certainty: of the scores.
        rows: the scores to show, by what to call them; those that are not known are left out.
    """
    known = {row: certainty.scores[name] for row, name in rows.items() if name in certainty.scores}
    several = any(found.spread is not None for found in known.values())
    columns = ("mean", "spread", "low", "high") if several else ("score", "low", "high")
    table = {
        row: [found.value, *([found.spread or 0.0] if several else []), found.low, found.high]
        for row, found in known.items()
    }
    heading = f"{title}: {CONFIDENCE:.0%} intervals over {certainty.documents} documents"
    return "\n".join([heading, *_table(columns, table), *_warning(certainty.documents, known)])


def format_comparison(title: str, comparison: Comparison, rows: Mapping[str, Name]) -> str:
    """Return a table of differences in percent, their intervals and p, as `format_certainty`."""
    known = {
        row: comparison.scores[name] for row, name in rows.items() if name in comparison.scores
    }
    table = {row: [found.value, found.low, found.high] for row, found in known.items()}
    heading = f"{title}: {CONFIDENCE:.0%} intervals over {comparison.documents} documents"
    first, *lines = _table(("difference", "low", "high"), table)
    with_p = [f"{line}{found.p:10.4f}" for line, found in zip(lines, known.values(), strict=True)]
    return "\n".join(
        [heading, f"{first}{'p':>10}", *with_p, *_warning(comparison.documents, known)]
    )


def warning_of_few(
    documents: int, scores: Mapping[str, Estimate] | Mapping[str, Difference]
) -> str | None:
    """Return what to say where the documents are too few for their intervals; None elsewhere.

    Args:
        documents: how many have something to count.
        scores: what is shown, by what it is called.
    """
    if documents < FEW_DOCUMENTS:
        counted = "1 document is" if documents == 1 else f"{documents} documents are"
        return f"{counted} few: the intervals are too narrow"
    few = [f"{name} ({each.documents})" for name, each in scores.items() if _rests_on_few(each)]
    if not few:
        return None
    return f"documents that count are few, and intervals too narrow, for {', '.join(few)}"


def _rests_on_few(score: Estimate | Difference) -> bool:
    """Return whether few documents have something to count; what none has is 0 and no estimate."""
    return 0 < score.documents < FEW_DOCUMENTS


def _warning(
    documents: int, scores: Mapping[str, Estimate] | Mapping[str, Difference]
) -> list[str]:
    warning = warning_of_few(documents, scores)
    return [] if warning is None else [warning]


def _table(columns: Sequence[str], rows: Mapping[str, Sequence[float]]) -> list[str]:
    """Return the lines of a table of values from 0 to 1, in percent, its heading first."""
    width = max(map(len, rows), default=0)
    lines = [f"{'':{width}}" + "".join(f"{column:>12}" for column in columns)]
    for row, values in rows.items():
        lines.append(f"{row:{width}}" + "".join(f"{100 * value:12.2f}" for value in values))
    return lines


def _circumstances(
    documents: int, scores: Mapping[Name, Estimate] | Mapping[Name, Difference]
) -> dict[str, Any]:
    return {
        "confidence": 100 * CONFIDENCE,
        "documents": documents,
        "few_documents": documents < FEW_DOCUMENTS,
        "few_documents_of": [".".join(n) for n, each in scores.items() if _rests_on_few(each)],
    }


def _nested(scores: Mapping[Name, Estimate | Difference]) -> dict[str, Any]:
    """Return what is known of scores as nested objects, in percent but for p."""
    content: dict[str, Any] = {}
    for (*path, last), found in scores.items():
        place = content
        for part in path:
            place = place.setdefault(part, {})
        place[last] = {
            name: value if name == "p" else 100 * value
            for name, value in asdict(found).items()
            if value is not None and name != "documents"
        }
    return content


def _count_documents(counts: np.ndarray) -> int:
    """Return how many documents of [runs, documents, counts] have something to count."""
    return int(counts.any(axis=(0, 2)).sum())


def _of_each(tally: Tally, counts: np.ndarray) -> list[int]:
    """Return in how many documents of [runs, documents, counts] each score counts something."""
    counted: list[int] = np.any(tally.is_counted(counts), axis=0).sum(axis=0).tolist()
    return counted


def _stack(runs: Sequence[Tally]) -> np.ndarray:
    """Return the counts of runs [runs, documents, counts], which must be of the same things."""
    shapes = {(run.counts.shape, run.names) for run in runs}
    if len(shapes) != 1 or not len(runs[0].counts):
        found = sorted({run.counts.shape for run in runs})
        raise ValueError(f"runs of counts {found}, expected the same documents and scores of all")
    return np.stack([run.counts for run in runs]).astype(float)


def document_weights(documents: int, samples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each sample holds each document, in blocks of samples [block, documents]."""
    generator = np.random.default_rng(seed)
    block = max(_BLOCK // documents, 1)
    for first in range(0, samples, block):
        size = min(block, samples - first)
        drawn = generator.integers(documents, size=(size, documents))
        drawn += documents * np.arange(size)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=size * documents)
        yield weights.reshape(size, documents).astype(float)


def _mean_scores(tally: Tally, sums: np.ndarray) -> np.ndarray:
    """Return the mean over runs [samples, scores] of the scores of sums [samples, runs, counts]."""
    scores: np.ndarray = tally.score(sums).mean(axis=1)
    return scores


def _has_score(tally: Tally, sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return [samples, scores] whether a sample has a score: something to count in one of the runs.

    What has nothing to count in all the documents is scored 0, and so it is in the samples.

    Args:
        sums: [samples, runs, counts].
        counts: [runs, documents, counts].
    """
    somewhere = np.any(tally.is_counted(counts.sum(axis=1)), axis=0)
    has_score: np.ndarray = np.any(tally.is_counted(sums), axis=1) | ~somewhere
    return has_score


def _difference(tally: Tally, sums: np.ndarray) -> np.ndarray:
    """Return the differences [samples, scores] of sums [2, samples, runs, counts]."""
    differences: np.ndarray = _mean_scores(tally, sums[1]) - _mean_scores(tally, sums[0])
    return differences


def _swap_test(tally: Tally, counts: np.ndarray, observed: np.ndarray, samples: int) -> np.ndarray:
    """Return p of each score by swapping the two systems' counts of documents.

    Args:
        counts: [2, runs, documents, counts].
        observed: [scores], the differences without swaps.
        samples: how many ways to swap are tried at most.
    """
    change = counts[1] - counts[0]  # [runs, documents, counts]
    change = change[:, change.any(axis=(0, 2))]
    runs, documents, width = change.shape
    by_document = change.swapaxes(0, 1).reshape(documents, runs * width)
    totals = counts.sum(axis=2)[:, None]  # [2, 1, runs, counts]
    least = np.abs(observed) - _ROUNDING
    as_large, tried = np.zeros(len(observed)), 0
    for swapped in _swaps(documents, samples):
        moved = (swapped @ by_document).reshape(-1, runs, width)
        differences = _difference(tally, np.stack((totals[0] + moved, totals[1] - moved)))
        as_large += (np.abs(differences) >= least).sum(axis=0)
        tried += len(swapped)
    if tried == 2**documents:
        return as_large / tried
    # The outputs as they are count as one of the ways.
    return (as_large + 1) / (tried + 1)


def _swaps(documents: int, samples: int) -> Iterator[np.ndarray]:
    """Yield which documents are swapped, in blocks [block, documents]: all ways if they are few."""
    if documents <= np.log2(samples):
        ways = np.arange(2**documents)[:, None]
        yield (ways >> np.arange(documents) & 1).astype(float)
        return
    generator = np.random.default_rng(0)
    block = max(_BLOCK // documents, 1)
    for first in range(0, samples, block):
        size = min(block, samples - first)
        yield generator.integers(2, size=(size, documents)).astype(float)
