"""Measure how often bootstrap intervals hold the true score, beside the intervals not chosen.

    python benchmarks/coverage.py

A population of documents is generated, each with gold and system chains; its pooled F1 is the
truth. A world is a test set of a few documents drawn from it, with its intervals. Coverage is the
share of worlds whose interval holds the truth: 95% is what the intervals say.

- expanded: what the commands print (`metrics/certainty.py`).
- percentile: the plain percentiles of the samples (Efron 1979).
- bca: corrected for bias and for a spread that changes with the score (Efron 1987).
- studentised: percentiles of the samples' distances from the score in standard errors of their own
  (Efron and Tibshirani 1993, chapter 12); the errors are those of the score made linear.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import norm
from tqdm import trange

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.figures import add_json_option, write_figures
from metrics.certainty import CONFIDENCE, Tally, document_weights, expanded_percentiles
from metrics.chains import Chains
from metrics.coreference.scores import SHOWN_SCORES, tally_chains
from utils.distributed.command import run_command
from utils.options import command_parser, whole_number_from

SIZES = (10, 33, 100, 300)
_TAILS = np.array([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
_BLOCK = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """A test set and its samples.

    Attributes:
        tally: of its documents.
        weights: [samples, documents], how often each sample holds each document.
        sums: [samples, counts], the counts of the samples.
        score: [scores], of the test set.
        drawn: [samples, scores], of the samples.
    """

    tally: Tally
    weights: np.ndarray
    sums: np.ndarray
    score: np.ndarray
    drawn: np.ndarray


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line says."""
    number = whole_number_from(1)
    parser = command_parser("Measure the coverage of intervals.", prog="coverage.py")
    parser.add_argument("--worlds", type=number, default=1000, help="test sets of each size")
    parser.add_argument("--samples", type=number, default=1000, help="of each test set")
    parser.add_argument(
        "--population", type=number, default=1_000_000, help="documents that give the true score"
    )
    parser.add_argument("--mentions", type=whole_number_from(2), default=8, help="of a document")
    parser.add_argument("--sizes", type=number, nargs="+", default=SIZES, help="of the test sets")
    add_json_option(parser)
    options = parser.parse_args(arguments)
    population = make_population(options.population, options.mentions)
    figures = {
        size: coverage(population, size, options.worlds, options.samples) for size in options.sizes
    }
    print(f"{options.mentions} mentions a document; percent of {options.worlds} worlds")
    print(f"{'documents':>9} {'interval':12}" + "".join(f"{name:>8}" for name in SHOWN_SCORES))
    for size, of_size in figures.items():
        for method, shares in of_size.items():
            row = "".join(f"{share:8.1f}" for share in shares.values())
            print(f"{size:9} {method:12}{row}")
    write_figures(options.json, figures)


def make_population(documents: int, mentions: int) -> Tally:
    """Generate documents with gold and system chains, and count them.

    Documents differ in length and in how hard they are: the hardness is the share of mentions that
    the system puts into a chain at random, and sets how many it misses and makes up.

    Args:
        documents: how many.
        mentions: the mean number in a document, at least 2.

    Returns:
        The F1 of the scores, from all that is counted.
    """
    generator = np.random.default_rng(0)
    tallies = []
    for first in trange(0, documents, _BLOCK, desc="documents", leave=False, disable=None):
        pairs = [_make_chains(mentions, generator) for _ in range(min(_BLOCK, documents - first))]
        gold = {str(place): pair[0] for place, pair in enumerate(pairs)}
        system = {str(place): pair[1] for place, pair in enumerate(pairs)}
        tallies.append(tally_chains(gold, system))
    whole = tallies[0]
    shown = [whole.names.index(name) for name in SHOWN_SCORES.values()]
    return Tally(
        names=tuple(SHOWN_SCORES.values()),
        counts=np.concatenate([tally.counts for tally in tallies]),
        score=lambda sums: whole.score(sums)[..., shown],
        is_counted=lambda sums: whole.is_counted(sums)[..., shown],
    )


def _make_chains(mentions: int, generator: np.random.Generator) -> tuple[Chains[int], Chains[int]]:
    count = 1 + int(generator.geometric(1 / (mentions - 1)))
    entities = max(count // 2, 1)
    hardness = generator.beta(2, 6)
    gold_of = (entities * generator.random(count) ** 2).astype(int)
    guess = generator.integers(entities + 1, size=count)
    system_of = np.where(generator.random(count) < hardness, guess, gold_of)
    missed, made_up = generator.random((2, count)) < [[hardness / 2], [hardness / 3]]
    gold: dict[int, list[int]] = {}
    system: dict[int, list[int]] = {}
    for mention in range(count):
        if not made_up[mention]:
            gold.setdefault(gold_of[mention], []).append(mention)
        if not missed[mention]:
            system.setdefault(system_of[mention], []).append(mention)
    return list(gold.values()), list(system.values())


def coverage(
    population: Tally, size: int, worlds: int, samples: int
) -> dict[str, dict[str, float]]:
    """Return how many percent of worlds have an interval that holds the truth.

    Args:
        population: the documents to draw test sets from; the truth is its score.
        size: documents of a test set.
        worlds: how many test sets.
        samples: of each test set.

    Returns:
        By interval and by score.
    """
    truth = population.score(population.counts.sum(axis=0))
    generator = np.random.default_rng(size)
    held = {method: np.zeros(len(truth)) for method in INTERVALS}
    for number in trange(worlds, desc=f"{size} documents", leave=False, disable=None):
        chosen = generator.integers(len(population.counts), size=size)
        world = _sampled(population, population.counts[chosen], samples, seed=number)
        for method, interval in INTERVALS.items():
            low, high = interval(world)
            held[method] += (low <= truth) & (truth <= high)
    return {
        method: dict(zip(SHOWN_SCORES, (100 * count / worlds).tolist(), strict=True))
        for method, count in held.items()
    }


def _sampled(population: Tally, counts: np.ndarray, samples: int, seed: int) -> World:
    weights = np.concatenate(list(document_weights(len(counts), samples, seed)))
    sums = weights @ counts
    tally = replace(population, counts=counts)
    return World(tally, weights, sums, tally.score(counts.sum(axis=0)), tally.score(sums))


def _expanded(world: World) -> np.ndarray:
    return expanded_percentiles(world.drawn, len(world.tally.counts))


def _percentile(world: World) -> np.ndarray:
    ends: np.ndarray = np.quantile(world.drawn, _TAILS, axis=0)
    return ends


def _bca(world: World) -> np.ndarray:
    """Return the interval that is corrected for bias and acceleration, [2, scores]."""
    counts, drawn, samples = world.tally.counts, world.drawn, len(world.drawn)
    below = (drawn < world.score).sum(axis=0) + (drawn == world.score).sum(axis=0) / 2
    bias = norm.ppf(np.clip(below / samples, 1 / samples, 1 - 1 / samples))
    without_one = world.tally.score(counts.sum(axis=0) - counts)
    change = without_one.mean(axis=0) - without_one
    spread = np.maximum((change**2).sum(axis=0), np.finfo(float).tiny) ** 1.5
    acceleration = (change**3).sum(axis=0) / (6 * spread)
    shifted = bias + norm.ppf(_TAILS)[:, None]
    tails = norm.cdf(bias + shifted / (1 - acceleration * shifted))
    columns = zip(drawn.T, tails.T, strict=True)
    return np.stack([np.quantile(column, ends) for column, ends in columns], axis=1)


def _studentised(world: World) -> np.ndarray:
    """Return the interval of distances in standard errors, within 0 and 1, [2, scores]."""
    ones = np.ones((1, len(world.tally.counts)))
    error = _standard_errors(world.tally, ones, ones @ world.tally.counts)[0]
    errors = _standard_errors(world.tally, world.weights, world.sums)
    known = errors > 0
    distances = np.where(known, (world.drawn - world.score) / np.where(known, errors, 1), 0)
    high, low = np.quantile(distances, _TAILS, axis=0)
    return np.clip([world.score - low * error, world.score - high * error], 0, 1)


def _standard_errors(tally: Tally, weights: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Return the standard errors of the scores [samples, scores] of samples.

    A score does not change where all counts double, so that the changes that documents make to it
    add up to 0 and need no mean taken off.

    Args:
        weights: [samples, documents].
        sums: [samples, counts].
    """
    slopes = []
    for place in range(sums.shape[1]):
        step = np.maximum(1e-4 * sums[:, place], 1e-6)
        more, less = sums.copy(), sums.copy()
        more[:, place] += step
        less[:, place] -= step
        slopes.append((tally.score(more) - tally.score(less)) / (2 * step)[:, None])
    changes = np.einsum("csk,dc->skd", np.stack(slopes), tally.counts, optimize=True)
    return np.sqrt(np.einsum("sd,skd->sk", weights, changes**2, optimize=True))


INTERVALS: dict[str, Callable[[World], np.ndarray]] = {
    "expanded": _expanded,
    "percentile": _percentile,
    "bca": _bca,
    "studentised": _studentised,
}


if __name__ == "__main__":
    run_command(main)
