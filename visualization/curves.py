"""Training curves: the values that runs logged after each epoch, as one image.

They are read from the files of TensorBoard in `log/` of a run's folder.
"""

from __future__ import annotations

import io
import math
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict, get_args

from google.protobuf.message import DecodeError
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from utils.checkpointing.run_folder import RunFolder
from utils.errors import InputError

# The value after each epoch of everything that was logged, such as `loss/coreference`.
Curves = Mapping[str, Mapping[int, float]]

_EVENT_FILES = "events.out.tfevents.*"

# The parts of the image: the names in the log begin so, the title, what the values are.
_PARTS = (
    ("loss/", "Losses", "mean of the epoch"),
    ("held_out/", "Held-out labels", "percent"),
    ("pseudo_labels/", "Pseudo-labels", "percent"),
)
_OTHER_UNITS = {"held_out/threshold": "similarity"}

# The colours of Okabe and Ito, told apart by the colour-blind; after them the strokes change.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_Stroke = Literal["-", "--", ":", "-."]
_STROKES: tuple[_Stroke, ...] = get_args(_Stroke)

_COLUMNS = 3
_DOTS_PER_INCH = 100
_WIDTH = 10.0  # inches
_ROW_HEIGHT = 2.1
_LINE_HEIGHT = 0.3
_CHARACTERS = 100  # of a line in the legend


def read_curves(run: Path) -> Curves:
    """Read the values that a run logged, by their names in the log.

    A resumed run has gone on in files of its own. A last record that is cut off, as a killed run
    leaves it, is not read.

    Args:
        run: the run's folder, such as saved/RUN.

    Raises:
        InputError: there is no such folder, it has no log, or a file of the log is broken.
    """
    if not run.is_dir():
        raise InputError(f"{run}: no such folder; expected that of a run, such as saved/RUN")
    log = RunFolder(run).log
    # The names begin with the time at which the file was made.
    paths = sorted(log.glob(_EVENT_FILES))
    if not paths:
        raise InputError(f"{log}: found no file {_EVENT_FILES}, expected what main.py logs")
    curves: dict[str, dict[int, float]] = defaultdict(dict)
    for path in paths:
        for event in _events(path):
            if event.session_log.status == SessionLog.START:
                _forget_from(event.step, curves)
            for value in event.summary.value:
                curves[value.tag][event.step] = value.simple_value
    known = {tag: values for tag, values in curves.items() if values}
    if not known:
        raise InputError(f"{log}: nothing is logged yet; main.py logs at the end of each epoch")
    return known


def _forget_from(epoch: int, curves: Mapping[str, dict[int, float]]) -> None:
    """Drop what was logged of epochs that a resumed run trained again."""
    for values in curves.values():
        for logged in [e for e in values if e >= epoch]:
            del values[logged]


def _events(path: Path) -> Iterator[Event]:
    for number, record in enumerate(_records(path)):
        try:
            yield Event.FromString(record)
        except DecodeError as error:
            raise _broken(path, f"record {number} is no event ({error})") from error


def _records(path: Path) -> Iterator[bytes]:
    """Read the records of a file of TensorBoard: length, checksum, content, checksum."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    place = 0
    while place + 12 <= len(content):
        length, checksum = struct.unpack_from("<QI", content, place)
        if masked_crc32c(content[place : place + 8]) != checksum:
            raise _broken(path, f"another checksum of the length at byte {place}")
        end = place + 12 + length
        if end + 4 > len(content):
            return
        record = content[place + 12 : end]
        if masked_crc32c(record) != struct.unpack_from("<I", content, end)[0]:
            raise _broken(path, f"another checksum of the record at byte {place}")
        yield record
        place = end + 4


def _broken(path: Path, found: str) -> InputError:
    return InputError(f"{path} is broken: found {found}; expected a file of TensorBoard")


def curves_png(runs: Mapping[str, Curves]) -> bytes:
    """Draw the curves of runs as a PNG, 1000 pixels wide: a panel a value, a line a run.

    Args:
        runs: the curves of each run, as `read_curves` gives them, by the name to show.
    """
    parts = []
    for beginning, title, unit in _PARTS:
        tags = [tag for curves in runs.values() for tag in curves if tag.startswith(beginning)]
        if tags:
            parts.append((title, unit, list(dict.fromkeys(tags))))
    rows = [math.ceil(len(tags) / _COLUMNS) for _, _, tags in parts]
    in_legend = max(1, min(_COLUMNS, _CHARACTERS // (8 + max(map(len, runs)))))
    heights = [_LINE_HEIGHT * (1 + math.ceil(len(runs) / in_legend))]
    heights += [_LINE_HEIGHT + _ROW_HEIGHT * count for count in rows]
    figure = Figure(figsize=(_WIDTH, sum(heights)), dpi=_DOTS_PER_INCH, layout="constrained")
    legend, *places = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    _name_lines(legend, list(runs), in_legend)
    epochs = [epoch for c in runs.values() for values in c.values() for epoch in values]
    shown = (min(epochs) - 0.5, max(epochs) + 0.5)
    for place, count, (title, unit, tags) in zip(places, rows, parts, strict=True):
        place.suptitle(title, fontweight="bold")
        panels = place.subplots(count, _COLUMNS, squeeze=False).ravel()
        for panel, tag in zip(panels, tags, strict=False):
            _draw(panel, tag, _OTHER_UNITS.get(tag, unit), [c.get(tag, {}) for c in runs.values()])
            panel.set_xlim(shown)
        for panel in panels[len(tags) :]:
            panel.remove()
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _draw(panel: Axes, tag: str, unit: str, of_runs: Sequence[Mapping[int, float]]) -> None:
    for number, values in enumerate(of_runs):
        epochs = sorted(values)
        panel.plot(epochs, [values[epoch] for epoch in epochs], **_line_style(number))
    panel.set_title(tag.partition("/")[2].replace("_", " "), fontsize="medium")
    panel.set_xlabel("epoch")
    panel.set_ylabel(unit)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    panel.grid(alpha=0.3)


def _name_lines(place: SubFigure, names: Sequence[str], columns: int) -> None:
    lines = [Line2D([], [], **_line_style(number)) for number in range(len(names))]
    legend = place.legend(lines, names, loc="center", ncols=columns, frameon=False)
    for text in legend.get_texts():
        # A name is no formula, whatever signs are in it.
        text.set_parse_math(False)


class _LineStyle(TypedDict):
    """Keyword arguments of a line of matplotlib."""

    color: str
    linestyle: _Stroke
    marker: Literal["."]


def _line_style(number: int) -> _LineStyle:
    """Return how the line of a run is drawn; the marker shows a run of one epoch."""
    return {
        "color": _COLOURS[number % len(_COLOURS)],
        "linestyle": _STROKES[number // len(_COLOURS) % len(_STROKES)],
        "marker": ".",
    }
