"""Labelled narrations written in the files of the CIN release, for the reader of that data set."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.files import DataError
from data.narration import Narration
from data.percent_boxes import percent_box
from utils.files import write_text


def write_labelled(data_root: Path, narrations_of: Mapping[str, Sequence[Narration]]) -> None:
    """Write `cin_annotations/` of a data root.

    Args:
        narrations_of: labelled narrations by split, `val` to train on and `test`.

    Raises:
        DataError: the files are there already; an id is there twice.
    """
    folder = data_root / "cin_annotations"
    annotations = folder / "testval_annotations.json"
    if annotations.exists():
        raise DataError(f"{annotations} is there already; expected a data root without labels")
    ids = [narration.id for of_split in narrations_of.values() for narration in of_split]
    if repeated := sorted({name for name in ids if ids.count(name) > 1}):
        raise DataError(f"found the narration {repeated[0]} in both splits, expected every id once")
    records = [
        _record(narration, split)
        for split, narrations in narrations_of.items()
        for narration in narrations
    ]
    for split in ("val", "test"):
        listed = [narration.id for narration in narrations_of.get(split, ())]
        write_text(folder / f"{split}_image_ids.json", json.dumps(listed) + "\n")
    # The last one: where it is, all are.
    write_text(annotations, json.dumps(records) + "\n")


def _record(narration: Narration, split: str) -> dict[str, Any]:
    mentions = narration.mentions
    record: dict[str, Any] = {
        "image": narration.id,
        "captions": narration.text,
        "split": split,
        "query": [mention.phrase for mention in mentions],
        "query_start_end": [[mention.start, mention.end] for mention in mentions],
        "cluster": [mention.chain for mention in mentions],
        "target_bboxes": [[percent_box(box) for box in m.boxes_xyxy] for m in mentions],
    }
    if narration.image_size is not None:
        record["img_width"], record["img_height"] = narration.image_size
    return record
