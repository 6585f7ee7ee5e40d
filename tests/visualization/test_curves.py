"""What a run logged is read as it was logged, and drawn so that runs can be told apart."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from main import report_epoch
from tools import curves as command
from utils.checkpointing.run_folder import RunFolder
from utils.errors import InputError
from utils.thresholds import Thresholds
from visualization.curves import (
    _COLOURS,
    _STROKES,
    _line_style,
    curves_png,
    read_curves,
)

CONLL = "held_out/conll"


def log_scores(run: Path, first: int, scores: list[float]) -> Path:
    """Log a score for each epoch, from the first on; returns the file of these."""
    known = set((run / "log").glob("*"))
    with RunFolder(run).open_log(first) as log:
        for epoch, score in enumerate(scores, start=first):
            log.add_scalar(CONLL, score, epoch)
    (made,) = set((run / "log").glob("*")) - known
    return made


def colours_of(png: bytes) -> set[tuple[int, ...]]:
    with Image.open(io.BytesIO(png)) as image:
        return set(map(tuple, np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)))


def colour(number: int) -> tuple[int, ...]:
    return tuple(bytes.fromhex(_COLOURS[number][1:]))


def test_what_main_reports_is_what_is_read(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from evaluation.validation import Evaluation

    scores = Evaluation(Thresholds(0.75), {"conll": 61.5, "muc": 50.25})
    with RunFolder(tmp_path).open_log(0) as log:
        for epoch in range(3):
            report_epoch(log, epoch, {"coreference": 4.0 - epoch}, scores, {"coverage": 12.5})
    assert read_curves(tmp_path) == {
        "loss/coreference": {0: 4.0, 1: 3.0, 2: 2.0},
        "held_out/conll": dict.fromkeys(range(3), 61.5),
        "held_out/muc": dict.fromkeys(range(3), 50.25),
        "pseudo_labels/coverage": dict.fromkeys(range(3), 12.5),
        "held_out/threshold": dict.fromkeys(range(3), 0.75),
    }


def test_a_resumed_run_has_each_epoch_once(tmp_path: Path) -> None:
    """What was trained again counts; what was logged of it before is gone, even where the run has
    not come as far again."""
    log_scores(tmp_path, 0, [10, 20, 30, 40])
    log_scores(tmp_path, 2, [35])
    assert read_curves(tmp_path) == {CONLL: {0: 10, 1: 20, 2: 35}}


def test_a_killed_run_keeps_its_whole_records(tmp_path: Path) -> None:
    path = log_scores(tmp_path, 0, [10, 20, 30])
    whole = path.read_bytes()
    for kept in (len(whole) - 1, len(whole) - 20):
        path.write_bytes(whole[:kept])
        assert read_curves(tmp_path) == {CONLL: {0: 10, 1: 20}}


@pytest.mark.parametrize("place", [3, -10])
def test_a_broken_file_is_named(tmp_path: Path, place: int) -> None:
    path = log_scores(tmp_path, 0, [10, 20, 30])
    content = bytearray(path.read_bytes())
    content[place] ^= 0x20
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{path.name} is broken: found another checksum"):
        read_curves(tmp_path)


def test_a_folder_without_a_log_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing: no such folder"):
        read_curves(tmp_path / "nothing")
    with pytest.raises(InputError, match="found no file events.out.tfevents"):
        read_curves(tmp_path)
    log_scores(tmp_path, 0, [])
    with pytest.raises(InputError, match="nothing is logged yet"):
        read_curves(tmp_path)


def test_every_run_has_a_colour_of_its_own() -> None:
    runs = {name: {CONLL: {0: 10.0 + n, 1: 20.0 - n}} for n, name in enumerate(["a", "_$b_$"])}
    drawn = colours_of(curves_png(runs))
    assert {colour(0), colour(1)} <= drawn
    assert colour(2) not in drawn
    looks = {str(_line_style(number)) for number in range(len(_COLOURS) * len(_STROKES))}
    assert len(looks) == len(_COLOURS) * len(_STROKES)


@pytest.mark.parametrize(
    "curves",
    [
        {"loss/box": {0: 1.0}},
        {"loss/box": {3: math.nan, 4: math.inf, 5: 1.0}},
        {f"pseudo_labels/{n}": {0: 1.0, 1: 2.0} for n in range(7)},
    ],
)
@pytest.mark.filterwarnings("error")
def test_the_image_is_as_wide_as_a_page(curves: Mapping[str, Mapping[int, float]]) -> None:
    with Image.open(io.BytesIO(curves_png({"a" * 200: curves, "b": curves}))) as image:
        assert image.format == "PNG"
        assert image.width == 1000


def test_the_command_draws_the_runs_it_is_given(tmp_path: Path) -> None:
    for name in ("one", "other"):
        log_scores(tmp_path / name, 0, [10, 20])
    out = tmp_path / "pictures" / "curves.png"
    command.main([str(tmp_path / "one"), str(tmp_path / "other"), "--out", str(out)])
    assert {colour(0), colour(1)} <= colours_of(out.read_bytes())
