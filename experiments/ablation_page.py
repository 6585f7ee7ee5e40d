"""The page and the plot of the ablation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from statistics import mean, stdev

from experiments.ablation_results import MEASURES, Result, summarize
from experiments.ablation_rows import Row
from experiments.runner import mean_and_std
from utils.files import write_text

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


def format_section(dataset: str, results: Sequence[Result], rows: Sequence[Row]) -> str:
    """Format the table of a data set, with what its numbers are of."""
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
        cells += [mean_and_std(summary.values(measure)) for measure in MEASURES]
        cells += [f"{summary.rate:g}", len(summary.results)]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def draw(found: Mapping[str, Sequence[Result]], rows: Mapping[str, Sequence[Row]]) -> str:
    """Draw CoNLL F1 as SVG: every seed as a dot, the mean and the deviation of each row."""
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
                f'<text x="{x(100) + 8}" y="{y + 4}">{mean_and_std(values)}</text>',
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
    """Write the page and its plot; return their paths."""
    sections = [format_section(name, results, rows[name]) for name, results in found.items()]
    write_text(folder / _PAGE, "\n\n".join([_INTRODUCTION.rstrip(), *sections]) + "\n")
    write_text(folder / _PLOT, draw(found, rows) + "\n")
    return [folder / _PAGE, folder / _PLOT]
