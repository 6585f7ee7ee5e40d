"""How certain coreference scores are, and the differences between systems.

The intervals are of the scores that are pooled over documents: their sums can be drawn anew.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metrics.certainty import (
    Certainty,
    Comparison,
    Tally,
    compare,
    estimate,
    format_certainty,
    format_comparison,
)
from metrics.chains import Chains
from metrics.coreference_scores import (
    SHOWN_SCORES,
    ChainsError,
    CoreferenceScores,
    format_scores,
    score_chains,
    tally_chains,
)

# Gold and system chains by document, as `score_chains` takes them.
Sides = tuple[Mapping[str, Chains[Hashable]], Mapping[str, Chains[Hashable]]]

# The fields of `CoreferenceScores` that have intervals, and what they are called in tables.
_TITLES = {
    "pooled": "pooled F1",
    "pooled_without_singletons": "pooled F1 without singletons",
}


@dataclass(frozen=True)
class SystemScores:
    """The scores of one system, and how certain they are.

    Attributes:
        runs: of each run, such as trainings with other seeds, its name and its scores.
        tallies: of each run, by the fields of `CoreferenceScores` that have intervals.
        certainty: of the mean over the runs, by the same fields.
    """

    runs: Mapping[str, CoreferenceScores]
    tallies: Sequence[Mapping[str, Tally]]
    certainty: Mapping[str, Certainty]

    @property
    def name(self) -> str:
        """What tables call it: the name of its first run."""
        first = next(iter(self.runs))
        return first if len(self.runs) == 1 else f"{first} and {len(self.runs) - 1} more"

    def to_json(self) -> dict[str, Any]:
        """Return the scores, of several runs those of each, and their certainty, in percent."""
        content = {name: scores.to_json() for name, scores in self.runs.items()}
        certainty = {way: found.to_json() for way, found in self.certainty.items()}
        if len(content) == 1:
            return {**next(iter(content.values())), "certainty": certainty}
        return {"runs": content, "certainty": certainty}

    def format(self) -> str:
        """Return tables to read: of one run its scores, of all the intervals."""
        tables = [format_scores(scores) for scores in self.runs.values() if len(self.runs) == 1]
        return "\n\n".join([*tables, format_certainties(self.certainty)])


def score_system(
    runs: Mapping[str, Sides],
    *,
    also_without_singletons: bool = False,
    repeated_mentions: bool = False,
) -> SystemScores:
    """Score the runs of a system.

    Args:
        runs: the chains of each run by its name, all of the same documents; at least one.
        also_without_singletons, repeated_mentions: as `score_chains` takes them.

    Raises:
        ChainsError: as `score_chains`; the run is named.
    """
    scores = {}
    for name, sides in runs.items():
        try:
            scores[name] = score_chains(
                *sides,
                also_without_singletons=also_without_singletons,
                repeated_mentions=repeated_mentions,
            )
        except ChainsError as error:
            raise ChainsError(f"{name}: {error}") from error
    tallies = [
        _tallies(
            sides,
            also_without_singletons=also_without_singletons,
            repeated_mentions=repeated_mentions,
        )
        for sides in runs.values()
    ]
    certainty = {way: estimate([of_run[way] for of_run in tallies]) for way in tallies[0]}
    return SystemScores(scores, tallies, certainty)


def estimate_chains(
    gold: Mapping[str, Chains[Hashable]],
    system: Mapping[str, Chains[Hashable]],
    *,
    also_without_singletons: bool = False,
) -> dict[str, Certainty]:
    """Return how certain the scores of chains are, by the fields of `CoreferenceScores`.

    Args:
        gold, system, also_without_singletons: as `score_chains` takes them.

    Raises:
        ChainsError: as `score_chains`.
    """
    tallies = _tallies(
        (gold, system), also_without_singletons=also_without_singletons, repeated_mentions=False
    )
    return {way: estimate([tally]) for way, tally in tallies.items()}


def compare_systems(first: SystemScores, second: SystemScores) -> dict[str, Comparison]:
    """Return how much more the second system scores, by the fields of `CoreferenceScores`.

    Args:
        first, second: scored on the same documents, with as many runs.
    """
    return {
        way: compare(
            [of_run[way] for of_run in first.tallies], [of_run[way] for of_run in second.tallies]
        )
        for way in first.certainty
    }


def format_certainties(certainty: Mapping[str, Certainty]) -> str:
    """Return a table of the intervals of each of the fields of `CoreferenceScores`."""
    tables = [
        format_certainty(_TITLES[way], found, SHOWN_SCORES) for way, found in certainty.items()
    ]
    return "\n\n".join(tables)


def format_comparisons(comparisons: Mapping[str, Comparison]) -> str:
    """Return a table of the differences of each of the fields of `CoreferenceScores`."""
    tables = [
        format_comparison(_TITLES[way], found, SHOWN_SCORES) for way, found in comparisons.items()
    ]
    return "\n\n".join(tables)


def _tallies(
    sides: Sides, *, also_without_singletons: bool, repeated_mentions: bool
) -> dict[str, Tally]:
    ways = {"pooled": False}
    if also_without_singletons:
        ways["pooled_without_singletons"] = True
    return {
        way: tally_chains(*sides, without_singletons=without, repeated_mentions=repeated_mentions)
        for way, without in ways.items()
    }
