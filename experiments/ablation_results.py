"""What the runs of the ablation found, as they leave it and as the table takes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from experiments.ablation_rows import Row
from utils.errors import InputError
from utils.files import write_text

MEASURES = {"conll": "CoNLL F1", "lea": "LEA F1", "grounding": "grounding"}


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
        """Return the scores of all seeds; none where it was not measured."""
        return [result.scores[measure] for result in self.results if measure in result.scores]


def read_results(folder: Path, rows: Sequence[Row]) -> list[Result]:
    """Read every finished run in a folder.

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
    """Choose the rate whose first seed has the best held-out CoNLL; of equals the lowest."""
    first = min(result.seed for result in results)
    tried = sorted((r for r in results if r.seed == first), key=lambda result: result.rate)
    return max(tried, key=lambda result: result.held_out_conll).rate


def summarize(results: Sequence[Result], rows: Sequence[Row]) -> list[Summary]:
    """Summarize the rows that have runs, in the order of the table."""
    summaries = []
    for row in rows:
        of_row = [result for result in results if result.row == row.name]
        if of_row:
            rate = chosen_rate(of_row)
            of_rate = sorted((r for r in of_row if r.rate == rate), key=lambda r: r.seed)
            summaries.append(Summary(row, rate, tuple(of_rate)))
    return summaries
