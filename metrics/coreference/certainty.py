"""How certain coreference scores are, and the differences between systems.

The intervals are of the scores that are pooled over documents: their sums can be drawn anew.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from metrics.certainty import (
    Certainty,
    Comparison,
    Name,
    Tally,
    compare,
    estimate,
    format_certainty,
    format_comparison,
)
from metrics.chains import Chains
from metrics.coreference.counts import DocumentCounts
from metrics.coreference.scores import (
    CHAIN_TITLES,
    BlancKinds,
    score_chains,
    tally_chains,
    tally_counts,
)
from metrics.coreference.tables import format_scores

# The keys of scores that have intervals, and what they are called in tables.
_TITLES = {
    "pooled": "pooled F1",
    "pooled_without_singletons": "pooled F1 without singletons",
}
# The rows of the tables; MOR and zeros are scores of CorefUD documents alone.
_ROWS: Mapping[str, Name] = {
    **{title: (name, "f1") for name, title in CHAIN_TITLES.items()},
    "MOR": ("mor", "f1"),
    "zeros": ("zeros", "f1"),
    "CoNLL": ("conll",),
}


@dataclass(frozen=True)
class RunScores:
    """The scores of one run of a system, such as a training with another seed.

    Attributes:
        content: the scores in percent, as JSON has them.
        table: of them, to read.
        tallies: of those that have intervals, by their keys in the content.
    """

    content: Mapping[str, Any]
    table: str
    tallies: Mapping[str, Tally]


@dataclass(frozen=True)
class SystemScores:
    """The scores of one system, and how certain they are.

    Attributes:
        runs: by their names, all of the same documents.
        certainty: of the mean over the runs, by the keys of `RunScores.tallies`.
    """

    runs: Mapping[str, RunScores]
    certainty: Mapping[str, Certainty]

    @property
    def name(self) -> str:
        """What tables call it: the name of its first run."""
        first = next(iter(self.runs))
        return first if len(self.runs) == 1 else f"{first} and {len(self.runs) - 1} more"

    def to_json(self) -> dict[str, Any]:
        """Return the scores, of several runs those of each, and their certainty, in percent."""
        content = {name: run.content for name, run in self.runs.items()}
        certainty = {way: found.to_json() for way, found in self.certainty.items()}
        if len(content) == 1:
            return {**next(iter(content.values())), "certainty": certainty}
        return {"runs": content, "certainty": certainty}

    def format(self) -> str:
        """Return tables to read: of one run its scores, of all the intervals."""
        tables = [run.table for run in self.runs.values() if len(self.runs) == 1]
        return "\n\n".join([*tables, format_certainties(self.certainty)])


def score_system(runs: Mapping[str, RunScores]) -> SystemScores:
    """Estimate how certain the scores of a system are.

    Args:
        runs: by their names, all of the same documents; at least one.
    """
    tallies = [run.tallies for run in runs.values()]
    certainty = {way: estimate([of_run[way] for of_run in tallies]) for way in tallies[0]}
    return SystemScores(runs, certainty)


def score_run(
    gold: Mapping[str, Chains[Hashable]],
    system: Mapping[str, Chains[Hashable]],
    *,
    also_without_singletons: bool = False,
    repeated_mentions: bool = False,
) -> RunScores:
    """Score the chains of a run.

    Args:
        gold, system, also_without_singletons, repeated_mentions: as `score_chains` takes them.

    Raises:
        ChainsError: as `score_chains`.
    """
    scores = score_chains(
        gold,
        system,
        also_without_singletons=also_without_singletons,
        repeated_mentions=repeated_mentions,
    )
    tallies = _tallies(
        gold,
        system,
        also_without_singletons=also_without_singletons,
        repeated_mentions=repeated_mentions,
    )
    return RunScores(scores.to_json(), format_scores(scores), tallies)


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
        gold, system, also_without_singletons=also_without_singletons, repeated_mentions=False
    )
    return {way: estimate([tally]) for way, tally in tallies.items()}


def estimate_known(counts: DocumentCounts, blanc_kinds: BlancKinds = "gold") -> Certainty:
    """Return how certain the scores of counts are; a score that counts nothing there is left out.

    So is MUC where no chain of either side has two mentions, and with it CoNLL.

    Args:
        counts: of each document.
        blanc_kinds: as `pooled_scores` takes them.
    """
    certainty = estimate([tally_counts(counts, blanc_kinds)])
    known = {name for name, each in counts.fractions.items() if each[:, [1, 3]].any()}
    if counts.links[..., 1:].any():
        known.add("blanc")
    if known >= {"muc", "b3", "ceafe"}:
        known.add("conll")
    scores = {name: found for name, found in certainty.scores.items() if name[0] in known}
    return Certainty(certainty.documents, scores)


def compare_systems(first: SystemScores, second: SystemScores) -> dict[str, Comparison]:
    """Return how much more the second system scores, by the keys of `SystemScores.certainty`.

    Args:
        first, second: scored on the same documents, with as many runs.
    """
    return {
        way: compare(
            [run.tallies[way] for run in first.runs.values()],
            [run.tallies[way] for run in second.runs.values()],
        )
        for way in first.certainty
    }


def format_certainties(certainty: Mapping[str, Certainty]) -> str:
    """Return a table of the intervals of each way to score, by its key."""
    tables = [format_certainty(_TITLES[way], found, _ROWS) for way, found in certainty.items()]
    return "\n\n".join(tables)


def format_comparisons(comparisons: Mapping[str, Comparison]) -> str:
    """Return a table of the differences of each way to score, by its key."""
    tables = [format_comparison(_TITLES[way], found, _ROWS) for way, found in comparisons.items()]
    return "\n\n".join(tables)


def _tallies(
    gold: Mapping[str, Chains[Hashable]],
    system: Mapping[str, Chains[Hashable]],
    *,
    also_without_singletons: bool,
    repeated_mentions: bool,
) -> dict[str, Tally]:
    ways = {"pooled": False}
    if also_without_singletons:
        ways["pooled_without_singletons"] = True
    return {
        way: tally_chains(
            gold, system, without_singletons=without, repeated_mentions=repeated_mentions
        )
        for way, without in ways.items()
    }
