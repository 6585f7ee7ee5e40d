"""What runs of the ablation found, and the page and the plot that show it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from html import escape
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from experiments.ablation_rows import Row
from utils.errors import InputError
from utils.files import write_text

MEASURES = {"conll": "CoNLL F1", "lea": "LEA F1", "grounding": "grounding"}
_PAGE, _PLOT = "ablation.md", "ablation.svg"
_INTRODUCTION = f"""# Ablation

What the parts of the semi-supervised method add ([the method](method.md)), as `python
experiments/ablation.py` measures it: `--rows` trains some rows alone, and `--only-table` writes
this page again from the runs that are there. The generated world is [no real
language](sample_world.md), and runs are small and short: the page shows the parts at work and
compares them with each other, with no published score.

![CoNLL F1 of the rows]({_PLOT})

A row that begins with + adds to the one above it; one that begins with "EMA row" differs from that
row in one thing. Mean and standard deviation (n - 1) over seeds, in percent. CoNLL and LEA are F1
pooled over documents as the official CoNLL scorer pools, with gold mentions and singletons;
grounding is the share of gold mentions with a box whose predicted box has an IoU of at least 0.5
with any of theirs. All rows have the same number of updates. Each chose its learning rate (lr) by
the held-out CoNLL F1 of its first seed, and the threshold of its chains by the held-out CoNLL F1
too; the column says how few narrations that is from. Differences that the spread covers say
nothing.
"""
_CIN_NOTE = """\
Captions of `train` have the mentions that a spaCy pipeline finds, trained on the row's own share
of labels. The narrations of `val` outside that share are unlabelled too: their mentions stand in
their gold places, and no chain or box of theirs is read. "Without region labels": every region is
called the same, features and boxes stay. Features alone, without boxes too, is no row: boxes are
what grounding predicts from."""
_VD_REF_NOTE = """\
Text alone, as no regions come with the data. All rows average the weights (EMA) and learn masked
words. The mentions of the unlabelled dialogues stand in their gold places, and no chain of theirs
is read."""
_NOTES = {"cin": _CIN_NOTE, "vd_ref": _VD_REF_NOTE}


@dataclass(frozen=True)
class Result:
    """What one run found.

    Attributes:
        rate: the learning rate.
        scores: by the names of `MEASURES`, in percent; what was not measured is absent.
        held_out_conll: pooled CoNLL F1 on the held-out narrations, in percent.
        labelled, held_out, unlabelled: how many narrations there were of each kind.
        seconds: of training and scoring.
        shared: what has to be the same in all runs of a table.
        config: the run's whole configuration.
    """

    row: str
    seed: int
    rate: float
    scores: dict[str, float]
    held_out_conll: float
    labelled: int
    held_out: int
    unlabelled: int
    seconds: float
    shared: dict[str, Any]
    config: dict[str, Any]

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        write_text(path, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> Result:
        """Read what `write` wrote.

        Raises:
            InputError: the file is another one, or broken.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({error})") from error
        names = [field.name for field in fields(cls)]
        if not isinstance(content, dict) or sorted(content) != sorted(names):
            raise InputError(f"{path}: found no result of a run, expected {', '.join(names)}")
        return cls(**content)


@dataclass(frozen=True)
class Summary:
    """A row of the table: its runs at the learning rate that it chose."""

    row: Row
    rate: float
    results: tuple[Result, ...]

    def values(self, measure: str) -> list[float]:
        """The scores of all seeds; none where it was not measured."""
        return [result.scores[measure] for result in self.results if measure in result.scores]


def read_results(folder: Path, rows: Sequence[Row]) -> list[Result]:
    """Every finished run in a folder.

    Raises:
        InputError: a file cannot be read, is of no known row, or of runs with other settings.
    """
    paths = sorted(folder.glob("*.json"))
    results = [Result.read(path) for path in paths]
    known = {row.name for row in rows}
    for path, result in zip(paths, results, strict=True):
        if result.row not in known:
            raise InputError(f"{path}: found row {result.row!r}, expected {', '.join(known)}")
        for name, value in results[0].shared.items():
            if result.shared.get(name) != value:
                raise InputError(
                    f"{path}: found {name} {result.shared.get(name)!r}, expected {value!r} as in "
                    f"{paths[0]}: runs with different settings make no table"
                )
    return results


def chosen_rate(results: Sequence[Result]) -> float:
    """The learning rate whose first seed has the best held-out CoNLL; of equals the lowest."""
    first = min(result.seed for result in results)
    tried = sorted((r for r in results if r.seed == first), key=lambda result: result.rate)
    return max(tried, key=lambda result: result.held_out_conll).rate


def summarize(results: Sequence[Result], rows: Sequence[Row]) -> list[Summary]:
    """The rows that have runs, in the order of the table."""
    summaries = []
    for row in rows:
        of_row = [result for result in results if result.row == row.name]
        if of_row:
            rate = chosen_rate(of_row)
            of_rate = sorted((r for r in of_row if r.rate == rate), key=lambda r: r.seed)
            summaries.append(Summary(row, rate, tuple(of_rate)))
    return summaries


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation; the mean alone of one value, a dash of none."""
    if not values:
        return "-"
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def format_section(dataset: str, results: Sequence[Result], rows: Sequence[Row]) -> str:
    """The table of a data set, with what its numbers are of."""
    facts = results[0].shared
    seconds = [result.seconds for result in results]
    rates = ", ".join(f"{rate:g}" for rate in sorted({result.rate for result in results}))
    columns = ["row", "labelled", "held out", "unlabelled", *MEASURES.values(), "lr", "seeds"]
    lines = [
        f"## {dataset}: {facts['data']}",
        "",
        f"Scored on {facts['documents']} narrations of `{facts['split']}` with gold mentions; "
        f"{facts['encoder']}; {facts['updates']} updates of batch {facts['batch']} (and as many "
        f"unlabelled narrations where there are any); learning rates {rates}; of the labelled "
        f"narrations a share of {facts['held_out_share']:g} is held out. Without a model the best "
        f"rule has a CoNLL F1 of {facts['rule_conll']:.1f} ({facts['rule']}). "
        f"{min(seconds):.0f} to {max(seconds):.0f} s a run.",
        _NOTES[dataset],
        "",
        f"| {' | '.join(columns)} |",
        "|---|" + "---:|" * (len(columns) - 1),
    ]
    for summary in summarize(results, rows):
        first = summary.results[0]
        cells = [summary.row.title, first.labelled, first.held_out, first.unlabelled]
        cells += [spread(summary.values(measure)) for measure in MEASURES]
        cells += [f"{summary.rate:g}", len(summary.results)]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def draw(found: Mapping[str, Sequence[Result]], rows: Mapping[str, Sequence[Row]]) -> str:
    """An SVG image: CoNLL F1 of every seed as a dot, the mean and the spread of each row."""
    left, scale, height, bottom = 390, 4.5, 22, 30
    lines, y = [], 16

    def x(value: float) -> float:
        return left + scale * value

    for dataset, results in found.items():
        name = f"{dataset}: {results[0].shared['data']}"
        lines.append(f'<text x="6" y="{y + 4}" font-weight="bold">{escape(name)}</text>')
        y += height
        for summary in summarize(results, rows[dataset]):
            values = summary.values("conll")
            middle, around = mean(values), stdev(values) if len(values) > 1 else 0.0
            title = escape(summary.row.title)
            lines += [
                f'<text x="{left - 10}" y="{y + 4}" text-anchor="end">{title}</text>',
                f'<path d="M{x(middle - around):.1f} {y}H{x(middle + around):.1f}" stroke="#07c"/>',
                f'<path d="M{x(middle):.1f} {y - 7}v14" stroke="#07c" stroke-width="2"/>',
                f'<text x="{x(100) + 8}" y="{y + 4}">{spread(values)}</text>',
            ]
            lines += [f'<circle cx="{x(v):.1f}" cy="{y}" r="2.5" fill="#333"/>' for v in values]
            y += height
    grid = []
    for value in range(0, 101, 20):
        grid.append(f'<path d="M{x(value)} 6V{y - 8}" stroke="#ddd"/>')
        grid.append(f'<text x="{x(value)}" y="{y + 6}" text-anchor="middle">{value}</text>')
    size = f'width="{x(100) + 100}" height="{y + bottom}"'
    axis = f'<text x="{x(50)}" y="{y + 23}" text-anchor="middle">pooled CoNLL F1, percent</text>'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" '
            'font-size="13">',
            '<rect width="100%" height="100%" fill="white"/>',
            *grid,
            *lines,
            axis,
            "</svg>",
        ]
    )


def write_page(
    folder: Path, found: Mapping[str, Sequence[Result]], rows: Mapping[str, Sequence[Row]]
) -> list[Path]:
    """Write the page and its plot; returns their paths."""
    sections = [format_section(name, results, rows[name]) for name, results in found.items()]
    write_text(folder / _PAGE, "\n\n".join([_INTRODUCTION.rstrip(), *sections]) + "\n")
    write_text(folder / _PLOT, draw(found, rows) + "\n")
    return [folder / _PAGE, folder / _PLOT]
