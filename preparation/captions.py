"""`prepare.py captions`: write Localized Narratives in the files of the release."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from data.files import DataError
from data.readers.localized_narratives import read_narratives
from data.readers.report import ReadReport
from data.writers.captions import write_captions
from preparation.options import add_skip_option
from utils.files import folder_when_whole


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `captions`."""
    parser.add_argument(
        "--narratives",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help="JSON Lines files as they are published, of one collection of pictures",
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="a folder for the files, new or empty"
    )
    add_skip_option(parser)


def convert_narratives(files: Sequence[Path], out: Path, *, skip_bad_records: bool) -> None:
    """Write Localized Narratives in the files of the release.

    Args:
        files: JSON Lines files as they are published.
        out: a folder, new or empty.

    Raises:
        DataError: a file cannot be read, or no narrative is left.
        BadRecord: a narrative is wrong, and such are not skipped.
    """
    report = ReadReport("localized_narratives", "train", skip_bad_records)
    narratives = tqdm(read_narratives(files, report), desc="writing captions")
    with folder_when_whole(out) as folder:
        try:
            written = write_captions(folder, narratives)
        except DataError as error:
            if not report.skipped:
                raise
            # Why nothing is left.
            raise DataError("\n".join([str(error), *report.lines()])) from error
    report.count("pictures", written.images)
    report.count("captions", written.captions)
    report.count("different words", written.words)
    print("\n".join(report.lines()))
    print(f"wrote captions and traces to {out}; its files go into a data root")
