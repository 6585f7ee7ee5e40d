"""The tables of TikTalkCoref's benchmark, as Markdown: scores, their intervals, differences."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from data.narration import Narration
from evaluation.gold_and_system import gold_chains
from experiments.runner import mean_and_std
from metrics.baselines import RULES
from metrics.certainty import Difference, Estimate, Name
from metrics.chains import Chains, chains_from_labels
from metrics.coreference.certainty import (
    SystemScores,
    compare_systems,
    score_run,
    score_system,
)
from metrics.coreference.scores import score_chains
from utils.text.languages import CHINESE

MENTIONS = ("gold", "predicted")
METRICS = ("muc", "b3", "ceafe", "conll", "lea")
_PARTS = tuple(itertools.product(MENTIONS, ("val", "test")))
_HEADINGS = ("MUC", "B3", "CEAFe", "average", "LEA")
_AVERAGE: Name = ("conll",)

Scores = Mapping[str, float]  # in percent, of `METRICS`
# What a run found, by the mentions that were resolved: "val" and "test" are scores in percent,
# "test_chains" the chains of the test part by side ("gold", "system" and the name of each rule).
Found = Mapping[str, Mapping[str, Any]]


def percent(pooled: Mapping[str, Any]) -> dict[str, float]:
    """Return F1 of each metric, of what `MetricScores.to_json` gives."""
    return {name: pooled[name] if name == "conll" else pooled[name]["f1"] for name in METRICS}


def baselines(narrations: Sequence[Narration]) -> Iterator[tuple[str, Scores]]:
    """Score what rules reach on gold mentions, and what dropping singletons leaves."""
    gold = gold_chains(narrations)
    phrases = {n.id: [mention.phrase for mention in n.mentions] for n in narrations}

    def scored(system: Mapping[str, Chains[int]]) -> Scores:
        return percent(score_chains(gold, system).pooled.to_json())

    for name, rule in RULES.items():
        yield f"rule: {name}", scored({i: rule(of_one, CHINESE) for i, of_one in phrases.items()})
    same = {i: chains_from_labels(of_one) for i, of_one in phrases.items()}
    yield "rule: same string", scored(same)
    longer = {i: [chain for chain in of_one if len(chain) > 1] for i, of_one in gold.items()}
    yield "the gold chains without singletons", scored(longer)


def score_table(
    narrations: Sequence[Narration], whole: Mapping[str, Sequence[Found]]
) -> Iterator[str]:
    """Format the scores of the celebrity test part.

    Args:
        narrations: of that part.
        whole: what the seeds of each head found, with all labels.
    """
    columns = " | ".join(_HEADINGS)
    yield f"| celebrity test part | {columns} | mentions | average on val |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for name, scores in baselines(narrations):
        yield f"| {name} | {' | '.join(f'{scores[m]:.1f}' for m in METRICS)} | | |"
    for mentions in MENTIONS:
        for head, results in whole.items():
            test = [result[mentions]["test"] for result in results]
            cells = [mean_and_std(scores[metric] for scores in test) for metric in METRICS]
            cells.append("" if mentions == "gold" else mean_and_std(s["mentions"] for s in test))
            cells.append(mean_and_std(result[mentions]["val"]["conll"] for result in results))
            yield f"| {head}, {mentions} mentions | {' | '.join(cells)} |"
            if mentions != "gold":
                for name in (name for name in test[0] if name.startswith("rule: ")):
                    rule = mean_and_std(scores[name] for scores in test)
                    yield f"| {name}, on the mentions of {head} | | | | {rule} | | | |"


def certainty_tables(whole: Mapping[str, Sequence[Found]]) -> Iterator[str]:
    """Format the intervals of the celebrity test part, and how the models differ from the rules.

    Args:
        whole: what the seeds of each head found, with all labels.
    """
    systems = {
        (mentions, head): systems_of_head([result[mentions]["test_chains"] for result in results])
        for mentions in MENTIONS
        for head, results in whole.items()
    }
    documents = next(iter(systems.values()))["system"].certainty["pooled"].documents
    yield f"| mean over seeds, 95% interval over {documents} dialogues | {' | '.join(_HEADINGS)} |"
    yield "|---|" + "---:|" * len(METRICS)
    # Rules on gold mentions are the same beside each head.
    shown = {
        _title(side, head, mentions): system.certainty["pooled"].scores
        for (mentions, head), sides in systems.items()
        for side, system in sides.items()
    }
    for title, found in shown.items():
        cells = [_with_interval(found[_name_of(metric)]) for metric in METRICS]
        yield f"| {title} | {' | '.join(cells)} |"
    yield ""
    yield "| difference of the average | | p |"
    yield "|---|---:|---:|"
    for (mentions, head), sides in systems.items():
        for side in (side for side in sides if side != "system"):
            difference = _difference(sides[side], sides["system"])
            yield f"| {head} less {side}, {mentions} mentions | {_with_p(difference)} |"
    for mentions in MENTIONS:
        for one, other in itertools.combinations(whole, 2):
            difference = _difference(
                systems[mentions, one]["system"], systems[mentions, other]["system"]
            )
            yield f"| {other} less {one}, {mentions} mentions | {_with_p(difference)} |"


def systems_of_head(runs: Sequence[Mapping[str, Mapping[str, Chains[int]]]]) -> dict[str, Any]:
    """Score what the runs of a head gave, and the rules on the mentions of these.

    Args:
        runs: the chains of each run, by side: "gold", "system", and the name of each rule.

    Returns:
        `SystemScores` by side, "system" first.
    """
    return {
        side: score_system(
            {str(seed): score_run(run["gold"], run[side]) for seed, run in enumerate(runs)}
        )
        for side in runs[0]
        if side != "gold"
    }


def share_table(curve: Mapping[float, Sequence[Found]], head: str) -> Iterator[str]:
    """Format the scores by the share of the labels.

    Args:
        curve: what the seeds of the head found, by the share.
    """
    yield f"| {head}, share of the labels | {' | '.join(f'{m} mentions, {p}' for m, p in _PARTS)} |"
    yield "|---|" + "---:|" * len(_PARTS)
    for share, results in sorted(curve.items()):
        cells = [mean_and_std(result[m][part]["conll"] for result in results) for m, part in _PARTS]
        yield f"| {share:g} | {' | '.join(cells)} |"


def _title(side: str, head: str, mentions: str) -> str:
    if side == "system":
        return f"{head}, {mentions} mentions"
    return f"{side}, gold mentions" if mentions == "gold" else f"{side}, on the mentions of {head}"


def _name_of(metric: str) -> Name:
    return _AVERAGE if metric == "conll" else (metric, "f1")


def _difference(first: SystemScores, second: SystemScores) -> Difference:
    return compare_systems(first, second)["pooled"].scores[_AVERAGE]


def _with_interval(found: Estimate | Difference) -> str:
    return f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _with_p(difference: Difference) -> str:
    return f"{_with_interval(difference)} | {difference.p:.4f}"
