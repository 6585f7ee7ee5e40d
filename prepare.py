"""Check and prepare what training reads: captions, mentions, and the pipelines that find them.

python prepare.py check --dataset cin --data-root datasets
python prepare.py mention-pipeline --dataset cin --data-root datasets --out saved/mentions
python prepare.py mentions --dataset cin --data-root datasets --spacy-model saved/mentions
python prepare.py repack --dataset cin --data-root datasets --split train --precision float16
    --shards 8 --out datasets/smaller_features
python prepare.py regions --pictures FOLDER --split train --out datasets/faster_rcnn_image_features
python prepare.py heads --videos FOLDER --data-root datasets/tiktalkcoref/all --split train \
    --detector-weights FILE --image-encoder NAME --out datasets/tiktalkcoref/heads

`mentions`, `regions` and `heads` are also shared by the ranks of a launcher
(torchrun prepare.py ...).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch

from data.mentions.train_mentions import train_mention_pipeline
from features.heads.settings import HeadSettings
from features.region_settings import RegionSettings
from preparation import captions, check, heads, mentions, options, pipelines, regions, repacking
from preparation.data_folder import DataFolder
from utils.distributed.command import run_command
from utils.distributed.launch import read_launch
from utils.distributed.ranks import process_group
from utils.errors import InputError
from utils.options import command_parser


class Command(NamedTuple):
    """A command of this file.

    Attributes:
        add_options: adds its options.
        run: runs it.
        help: what it does.
        is_shared: whether ranks can share its work.
    """

    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]
    help: str
    is_shared: bool = False


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the command line names.

    Raises:
        InputError: several ranks were started for what they cannot share.
    """
    given = _parser().parse_args(arguments)
    command = COMMANDS[given.command]
    ranks = read_launch().world_size
    if ranks > 1 and not command.is_shared:
        raise InputError(
            f"{given.command}: {ranks} ranks were started, and each would do the whole; expected "
            "one process (mentions, regions and heads alone are shared)"
        )
    with process_group(torch.device("cpu")):
        command.run(given)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("Prepare what training reads.")
    commands = parser.add_subparsers(
        required=True, metavar="COMMAND", dest="command", help="COMMAND --help lists its options"
    )
    for name, command in COMMANDS.items():
        command.add_options(commands.add_parser(name, help=command.help))
    return parser


def _check(given: argparse.Namespace) -> None:
    check.check_folder(_data_folder(given))


def _mentions(given: argparse.Namespace) -> None:
    mentions.find_mentions(_data_folder(given), given.spacy_model, given.processes)


def _captions(given: argparse.Namespace) -> None:
    captions.convert_narratives(
        given.narratives, given.out, skip_bad_records=given.skip_bad_records
    )


def _mention_pipeline(given: argparse.Namespace) -> None:
    train = partial(
        train_mention_pipeline,
        encoder=given.encoder,
        epochs=given.epochs,
        patience=given.patience,
        seed=given.seed,
    )
    pipelines.train_on_labelled(
        _data_folder(given),
        given.out,
        train,
        held_out=given.held_out,
        label_fraction=given.label_fraction,
    )


def _parser_pipeline(given: argparse.Namespace) -> None:
    pipelines.train_on_treebank(given.treebank, given.out, epochs=given.epochs, seed=given.seed)


def _repack(given: argparse.Namespace) -> None:
    repacking.repack_regions(
        _data_folder(given), given.split, given.out, precision=given.precision, shards=given.shards
    )


def _regions(given: argparse.Namespace) -> None:
    output = _region_output(given)
    if given.tsv is not None:
        regions.convert_tsv(given.tsv, given.objects_vocab, given.attributes_vocab, output)
        return
    regions.extract_regions(
        given.pictures,
        given.ids,
        output,
        _region_settings(given),
        given.device,
        batch=given.batch,
        workers=given.workers,
    )


def _heads(given: argparse.Namespace) -> None:
    settings = HeadSettings(
        heads=given.heads,
        every=given.every,
        least_cosine=given.least_cosine,
        labels=given.labels,
        image_encoder=given.image_encoder,
        face_encoder=given.face_encoder,
        networks=_region_settings(given),
    )
    heads.make_heads(given.videos, given.data_root, _region_output(given), settings, given.device)


def _score_mentions(given: argparse.Namespace) -> None:
    mentions.score_mentions(_data_folder(given), given.split, given.spacy_model)


def _data_folder(given: argparse.Namespace) -> DataFolder:
    return DataFolder(given.dataset, given.data_root, given.skip_bad_records)


def _region_output(given: argparse.Namespace) -> regions.RegionOutput:
    return regions.RegionOutput(given.out, given.split, given.shards, given.skip_bad_records)


def _region_settings(given: argparse.Namespace) -> RegionSettings:
    return RegionSettings(
        detector=given.detector,
        detector_weights=given.detector_weights,
        trunk_weights=given.trunk_weights,
        size=given.size,
        seed=given.seed,
    )


COMMANDS = {
    "check": Command(
        options.add_reader_options,
        _check,
        "say what of a data set is there, what is missing and what that costs",
    ),
    "mentions": Command(
        mentions.add_options,
        _mentions,
        "find the mentions of the unlabelled split and keep them",
        is_shared=True,
    ),
    "captions": Command(
        captions.add_options,
        _captions,
        "write Localized Narratives as captions and traces in the release's files",
    ),
    "mention-pipeline": Command(
        pipelines.add_options,
        _mention_pipeline,
        "train a spaCy pipeline on the gold mentions of the labelled split",
    ),
    "parser": Command(
        pipelines.add_parser_options,
        _parser_pipeline,
        "train a spaCy pipeline with noun chunks on a Universal Dependencies treebank",
    ),
    "repack": Command(
        repacking.add_options,
        _repack,
        "write the regions of a split anew, in 16 bits a number or in several files",
    ),
    "regions": Command(
        regions.add_options,
        _regions,
        "find and describe the regions of pictures, or take them from TSV files",
        is_shared=True,
    ),
    "heads": Command(
        heads.add_options,
        _heads,
        "find the heads in videos, tell whose they are, and describe them as regions",
        is_shared=True,
    ),
    "score-mentions": Command(
        mentions.add_score_options,
        _score_mentions,
        "compare found mentions with the gold mentions of a split",
    ),
}


if __name__ == "__main__":
    run_command(main)
