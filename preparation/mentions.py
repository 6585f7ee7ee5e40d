"""`prepare.py mentions` and `score-mentions`: mentions that a spaCy pipeline finds."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from data.mentions.found import cache_path, write_found_mentions
from data.mentions.spacy_pipeline import load_pipeline, score_pipeline
from data.mentions.train_mentions import as_caption, unaligned_mentions
from data.narration import Narration
from data.readers import get_reader
from preparation.data_folder import DataFolder
from preparation.options import add_pipeline_option, add_reader_options
from utils.errors import InputError
from utils.options import default_processes, whole_number_from

if TYPE_CHECKING:
    from spacy.language import Language


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `mentions`."""
    add_reader_options(parser)
    add_pipeline_option(parser)
    parser.add_argument(
        "--processes",
        type=whole_number_from(1),
        default=default_processes(),
        help="number of processes that work side by side, on each rank",
    )


def add_score_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `score-mentions`."""
    add_reader_options(parser)
    parser.add_argument("--split", help="by default the data set's test split")
    add_pipeline_option(parser)


def find_mentions(folder: DataFolder, spacy_model: str, processes: int) -> None:
    """Find the mentions of the unlabelled split and write them where training reads them.

    The ranks share the narrations.

    Args:
        spacy_model: the name or the folder of the pipeline that finds them.
        processes: the most that work side by side on each rank.

    Raises:
        InputError: the data set has no unlabelled split, or the pipeline cannot be loaded.
    """
    split = get_reader(folder.dataset).unlabelled_split
    if split is None:
        raise InputError(
            f"--dataset: {folder.dataset} has no unlabelled split; where the labels of its "
            "narrations are not read, their mentions are known all the same"
        )
    narrations = folder.read(split)
    path = cache_path(folder.root, split)
    written = write_found_mentions(path, narrations, load_pipeline(spacy_model), processes)
    if written:
        print(f"wrote {written} mentions of {len(narrations)} narrations to {path}")
    else:
        print(f"{path} is up to date: nothing to do")


def score_mentions(folder: DataFolder, split: str | None, spacy_model: str) -> None:
    """Print how well a pipeline finds the gold mentions of a split.

    Args:
        split: None for the data set's test split.
        spacy_model: the name or the folder of the pipeline.

    Raises:
        InputError: the split has no gold mentions, or the pipeline cannot be loaded.
    """
    split = split or get_reader(folder.dataset).test_split
    narrations = folder.read_labelled(split)
    pipeline = load_pipeline(spacy_model)
    print_scores(split, pipeline, narrations)
    unaligned = sum(unaligned_mentions(pipeline, narration) for narration in narrations)
    print(f"{unaligned} gold mentions cannot be found: tokens do not begin and end with them")


def print_scores(name: str, pipeline: Language, narrations: Sequence[Narration]) -> None:
    """Print how well a pipeline finds gold mentions, as they are written and as in captions."""
    captions = [as_caption(narration) for narration in narrations]
    print(f"{name}, {len(narrations)} narrations: {score_pipeline(pipeline, narrations)}")
    print(f"{name}, written as captions: {score_pipeline(pipeline, captions)}")
