"""The tables of subsets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metrics.certainty import FEW_DOCUMENTS
from utils.printable import escape_unprintable


def format_table(
    heading: str, columns: Sequence[str], rows: Mapping[str, Sequence[int | float | None]]
) -> str:
    """Return a table with a row for each subset, "-" where there is nothing to score.

    Args:
        heading: what stands above it.
        columns: their titles; the first one is the number of documents.
        rows: whole numbers, and scores from 0 to 1, which are shown in percent.
    """
    names = {name: escape_unprintable(name) for name in rows}
    width = max(map(len, names.values()), default=0)
    widths = [max(8, len(column) + 2) for column in columns]
    titles = "".join(f"{column:>{w}}" for column, w in zip(columns, widths, strict=True))
    lines = [heading, f"{'':{width}}{titles}"]
    for name, values in rows.items():
        cells = "".join(f"{_shown(v):>{w}}" for v, w in zip(values, widths, strict=True))
        lines.append(f"{names[name]:{width}}{cells}")
    if any((values[0] or 0) < FEW_DOCUMENTS for values in rows.values()):
        lines.append(f"intervals of fewer than {FEW_DOCUMENTS} documents are too narrow")
    return "\n".join(lines)


def _shown(value: int | float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{100 * value:.2f}"
