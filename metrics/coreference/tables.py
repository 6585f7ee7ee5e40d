"""Tables of coreference scores."""

from __future__ import annotations

from metrics.coreference.scores import CHAIN_TITLES, CoreferenceScores, MetricScores


def format_scores(scores: CoreferenceScores) -> str:
    """Return a table, in percent: a row for each score, pooled and scorch side by side."""
    blocks = [_format_block(f"documents: {scores.documents}", scores.pooled, scores.scorch)]
    if scores.pooled_without_singletons and scores.scorch_without_singletons:
        blocks.append(
            _format_block(
                "without singletons",
                scores.pooled_without_singletons,
                scores.scorch_without_singletons,
            )
        )
    return "\n\n".join(blocks)


def _format_block(title: str, pooled: MetricScores, scorch: MetricScores) -> str:
    width = max(len(title), 10)
    heading = f"{'R':>8}{'P':>8}{'F1':>8}"
    lines = [
        f"{title:{width}}  {'pooled':>24}  {'scorch':>24}",
        f"{'':{width}}  {heading}  {heading}",
    ]
    for name, shown in CHAIN_TITLES.items():
        columns = "  ".join(
            "".join(f"{value:8.2f}" for value in getattr(way, name).to_json().values())
            for way in (pooled, scorch)
        )
        lines.append(f"{shown:{width}}  {columns}")
    lines.append(f"{'CoNLL':{width}}  {100 * pooled.conll:24.2f}  {100 * scorch.conll:24.2f}")
    return "\n".join(lines)
