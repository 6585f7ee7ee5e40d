"""Command-line options that several of the preparing commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

from data.mentions.spacy_pipeline import DEFAULT_PIPELINE
from data.readers import DATASETS
from utils.options import folder_to_write, whole_number_from


def add_reader_options(parser: argparse.ArgumentParser) -> None:
    """Add the data set, its folder and what to do with bad records."""
    parser.add_argument(
        "--dataset", required=True, choices=sorted(DATASETS), help="the reader's name"
    )
    parser.add_argument("--data-root", type=Path, required=True, help="the data set's folder")
    add_skip_option(parser)


def add_skip_option(parser: argparse.ArgumentParser) -> None:
    """Add `--skip-bad-records`."""
    parser.add_argument(
        "--skip-bad-records", action="store_true", help="count bad records and go on without them"
    )


def add_pipeline_option(parser: argparse.ArgumentParser) -> None:
    """Add `--spacy-model`."""
    parser.add_argument(
        "--spacy-model",
        default=DEFAULT_PIPELINE,
        metavar="NAME_OR_PATH",
        help=f"an installed spaCy pipeline or a folder ({DEFAULT_PIPELINE})",
    )


def add_region_file_options(parser: argparse.ArgumentParser) -> None:
    """Add the names of the region files to write."""
    parser.add_argument(
        "--split", required=True, help="the split's name, which the files are named after"
    )
    parser.add_argument(
        "--out", type=folder_to_write, required=True, help="the folder of the region files"
    )


def add_training_options(parser: argparse.ArgumentParser, epochs: int) -> None:
    """Add the folder of a trained pipeline, the epochs and the seed.

    Args:
        epochs: the default of `--epochs`.
    """
    parser.add_argument("--out", type=Path, required=True, help="a folder that is new or empty")
    parser.add_argument(
        "--epochs",
        type=whole_number_from(1),
        default=epochs,
        help=f"number of passes over the training data, at most ({epochs})",
    )
    parser.add_argument(
        "--seed", type=whole_number_from(0), default=0, help="random seed of weights and order (0)"
    )
