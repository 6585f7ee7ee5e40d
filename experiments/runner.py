"""What the experiments share: commands that write to logs, and the form of means over seeds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from statistics import mean, stdev

from utils.errors import InputError

REPOSITORY = Path(__file__).resolve().parent.parent
_LAST_LINES = 20


def script(*path: str) -> list[str]:
    """Return the words that start a script of this repository, by its path from the root."""
    return [sys.executable, str(REPOSITORY.joinpath(*path))]


def run_logged(command: Sequence[str], log: Path) -> None:
    """Run a command in a process of its own, its output at the end of a log.

    Raises:
        InputError: it failed; with the log's last lines.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        status = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode
    if status:
        # A progress bar writes its line again and again.
        lines = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()
        last = "\n".join([line for line in lines if line.strip()][-_LAST_LINES:])
        raise InputError(f"exit status {status} of {' '.join(command)}; {log} ends:\n{last}")


@contextmanager
def logged_to(log: Path) -> Iterator[None]:
    """Write what is printed meanwhile to the end of a log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        yield


def mean_and_std(values: Iterable[float]) -> str:
    """Format mean and standard deviation (n - 1): the mean alone of one value, a dash of none."""
    known = list(values)
    if not known:
        return "-"
    return f"{mean(known):.1f}" + (f" ± {stdev(known):.1f}" if len(known) > 1 else "")
