"""The rows of the ablation: what each one trains with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from utils.config import nearest
from utils.errors import InputError

# The generated world's mouse lags by 1 to 4 words, and then moves on slowly.
_WORLD_TRACE_LAG = 4


@dataclass(frozen=True)
class Row:
    """One way to train.

    Attributes:
        name: on the command line and in the names of files.
        title: in the table.
        values: fields of the configuration, beside those that all rows of the data set share.
        every_seed: whether it is trained with every seed, or with the first one alone.
        region_labels: whether the labels of the regions are read.
        word_vectors: whether vectors of the words are trained on the same texts and read.
    """

    name: str
    title: str
    values: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    every_seed: bool = True
    region_labels: bool = True
    word_vectors: bool = False


# What the teacher has to be sure of, as published, and as the rows with pseudo-labels ask for.
_PUBLISHED_THRESHOLDS = {"pseudo_positive_above": 0.9, "pseudo_region_above": 0.9}
_POSITIVE_ABOVE, _REGION_ABOVE = 0.98, 0.99
# The supervised row: coreference, grounding and boxes of the labelled narrations.
_NOTHING_ELSE: Mapping[str, Any] = {
    "use_unlabelled": False,
    "mlm_probability": 0.0,
    "image_text_weight": 0.0,
    "use_pseudo_labels": False,
    "pseudo_coreference_weight": 0.0,
    "pseudo_grounding_weight": 0.0,
    "pseudo_propagation_steps": 1,
    "use_ema": False,
    **_PUBLISHED_THRESHOLDS,
}
# What each further row adds to the one before it.
_ADDED: Sequence[tuple[str, str, Mapping[str, Any]]] = (
    ("supervised", "supervised: coreference, grounding, boxes", {}),
    (
        "unlabelled",
        "+ unlabelled part, masked words, image-text contrast",
        {"use_unlabelled": True, "mlm_probability": 0.15, "image_text_weight": 0.2},
    ),
    (
        "pseudo-coreference",
        f"+ pseudo-coreference, links above {_POSITIVE_ABOVE}",
        {
            "use_pseudo_labels": True,
            "pseudo_coreference_weight": 1.0,
            "pseudo_positive_above": _POSITIVE_ABOVE,
        },
    ),
    (
        "pseudo-grounding",
        f"+ pseudo-grounding, regions above {_REGION_ABOVE}",
        {"pseudo_grounding_weight": 1.0, "pseudo_region_above": _REGION_ABOVE},
    ),
    ("ema", "+ EMA", {"use_ema": True}),
    ("propagation", "+ propagation over 3 links", {"pseudo_propagation_steps": 3}),
)


def _cumulative() -> tuple[Row, ...]:
    values = dict(_NOTHING_ELSE)
    rows = []
    for name, title, added in _ADDED:
        values |= added
        rows.append(Row(name, title, dict(values)))
    return tuple(rows)


def _beside(method: Row) -> tuple[Row, ...]:
    """Rows that differ from the method in one thing each, trained with one seed."""
    text_alone = {"use_regions": False, "grounding": False, "box_regression": False}
    traces = {"use_traces": True, "trace_lag": _WORLD_TRACE_LAG}

    def row(name: str, title: str, changed: Mapping[str, Any], **options: bool) -> Row:
        return Row(name, title, {**method.values, **changed}, every_seed=False, **options)

    return (
        row("text-alone", "EMA row, text alone", text_alone),
        row("no-region-labels", "EMA row, without region labels", {}, region_labels=False),
        row("labels-20", "EMA row, 20% of the labels", {"label_fraction": 0.2}),
        row("labels-100", "EMA row, all labels", {"label_fraction": 1.0}),
        row("sense2vec", "EMA row, word vectors", {}, word_vectors=True),
        row("traces", "EMA row, mouse traces", traces),
    )


CUMULATIVE = _cumulative()
# The same averaging for what is held against each other: labels alone, the unlabelled part without
# its pseudo-labels, and the whole method, which is the EMA row.
_AVERAGED = tuple(
    Row(f"{row.name}-ema", f"{title}, with EMA", {**row.values, "use_ema": True})
    for row, title in zip(CUMULATIVE[:2], ("supervised", "without pseudo-labels"), strict=True)
)
_EMA = next(row for row in CUMULATIVE if row.name == "ema")
# Where to look when pseudo-labels do not help: how sure the teacher is, and when they begin.
_OTHER_PSEUDO_LABELS = tuple(
    Row(name, f"EMA row, {title}", {**_EMA.values, **changed})
    for name, title, changed in (
        (
            "published-thresholds",
            "links and regions above 0.9, as published",
            _PUBLISHED_THRESHOLDS,
        ),
        ("later", "pseudo-labels from the fourth epoch on", {"pseudo_from_epoch": 3}),
    )
)
# VD-Ref has no regions: nothing is grounded, and no text is held against an image.
_VD_REF_REST = {"use_unlabelled": True, "use_ema": True, "pseudo_propagation_steps": 1}
_VD_REF = (
    Row("labelled", "the labelled part alone", {**_VD_REF_REST, "use_unlabelled": False}),
    Row("rest", "+ the rest, unlabelled: masked words", _VD_REF_REST),
    *(
        Row(
            f"pseudo-above-{above:g}",
            f"second row, with pseudo-coreference, links above {above:g}",
            {**_VD_REF_REST, "use_pseudo_labels": True, "pseudo_positive_above": above},
        )
        for above in (_PUBLISHED_THRESHOLDS["pseudo_positive_above"], _POSITIVE_ABOVE)
    ),
)
ROWS: Mapping[str, tuple[Row, ...]] = {
    "cin": (*CUMULATIVE, *_AVERAGED, *_OTHER_PSEUDO_LABELS, *_beside(_EMA)),
    "vd_ref": _VD_REF,
}


def choose_rows(dataset: str, names: Sequence[str] | None) -> list[Row]:
    """Choose the rows of a data set by their names, in the table's order; all without a name.

    Raises:
        InputError: the data set has no row of a name.
    """
    known = [row.name for row in ROWS[dataset]]
    for name in names or ():
        if name not in known:
            raise InputError(
                f"--rows: {dataset} has no row {name!r}{nearest(name, known)}; it has "
                f"{', '.join(known)}"
            )
    return [row for row in ROWS[dataset] if names is None or row.name in names]
