"""`prepare.py regions`: the regions of pictures, found by a detector or taken from TSV files."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from data.files import BadRecord
from data.media.images import find_images, listed_images
from data.regions.file_names import names_of_region_files
from data.regions.shards import open_shards
from data.regions.tsv import read_region_tsv, read_vocabulary
from data.regions.writer import write_region_store
from features.detector_options import add_detector_options
from features.region_settings import RegionSettings
from preparation.options import add_region_file_options
from utils.device import choose_device
from utils.distributed.ranks import gather_objects, is_main, world_size
from utils.errors import InputError
from utils.options import whole_number_from


@dataclass(frozen=True, slots=True)
class RegionOutput:
    """The region files to write.

    Attributes:
        folder: where they go.
        split: what they are named after.
        shards: how many; None for as many as hold the usual number of images each.
        skip_bad_records: whether what cannot be read is left out.
    """

    folder: Path
    split: str
    shards: int | None
    skip_bad_records: bool


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `regions`."""
    add_region_file_options(parser)
    parser.add_argument(
        "--skip-bad-records", action="store_true", help="say what is wrong and go on without it"
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--pictures",
        type=Path,
        metavar="FOLDER",
        help="a folder of pictures, each named by its id",
    )
    source.add_argument(
        "--tsv", type=Path, nargs="+", metavar="FILE", help="TSV files of bottom-up attention"
    )
    group = parser.add_argument_group("options of --pictures")
    group.add_argument(
        "--ids", type=Path, metavar="FILE", help="a JSON list of the pictures to take (all of them)"
    )
    add_detector_options(group, detector_weights="COCO_V1")
    group.add_argument(
        "--seed",
        type=whole_number_from(0),
        default=0,
        help="random seed of weights drawn at random (0)",
    )
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
        help="number of files to write, which ranks share (as many as hold 1,000 pictures each)",
    )
    group = parser.add_argument_group("options of --tsv")
    group.add_argument(
        "--objects-vocab", type=Path, metavar="FILE", help="words of the labels, one a line"
    )
    group.add_argument(
        "--attributes-vocab", type=Path, metavar="FILE", help="words of the attributes, one a line"
    )


def convert_tsv(
    files: Sequence[Path],
    objects_vocabulary: Path | None,
    attributes_vocabulary: Path | None,
    output: RegionOutput,
) -> None:
    """Write the regions of the TSV files of bottom-up attention.

    Args:
        objects_vocabulary: the words of the labels, one a line; None where the files have none.
        attributes_vocabulary: those of the attributes; None to leave attributes out.

    Raises:
        InputError: several ranks were started, or the folder holds regions of the split.
        DataError: a file cannot be read.
        BadRecord: a record is wrong, and such are not skipped.
    """
    if world_size() > 1:
        raise InputError(f"regions --tsv: {world_size()} ranks were started, expected one process")
    if names_of_region_files(output.folder, output.split):
        raise InputError(f"{output.folder} holds regions of {output.split} already")
    objects, attributes = (
        None if path is None else read_vocabulary(path)
        for path in (objects_vocabulary, attributes_vocabulary)
    )
    skip = _say_skipped if output.skip_bad_records else None
    records = itertools.chain.from_iterable(
        read_region_tsv(path, objects, attributes, skip=skip) for path in files
    )
    with tqdm(records, desc="writing regions") as images:
        write_region_store(output.folder, output.split, images)
    print(f"wrote the regions of {images.n} pictures to {output.folder}")


def extract_regions(
    pictures: Path,
    ids: Path | None,
    output: RegionOutput,
    settings: RegionSettings,
    device: str,
    *,
    batch: int,
    workers: int,
) -> None:
    """Find and describe the regions of images; the ranks share the files.

    Args:
        pictures: the folder of the images.
        ids: a JSON list of the images to take; None for all.
        device: auto, cpu, cuda or cuda:N.
        batch: the most images that go through the detector together.
        workers: processes that read ahead.

    Raises:
        InputError: the networks cannot be had, or the folder holds regions that
            were made otherwise.
        BadRecord: an image cannot be read, and such are not skipped.
    """
    # Here, as torchvision's networks take seconds to import.
    from features.region_extraction import write_shard

    left_out: list[BadRecord] = []

    def leave_out(problem: BadRecord) -> None:
        left_out.append(problem)
        _say_skipped(problem)

    skip: Callable[[BadRecord], None] | None = leave_out if output.skip_bad_records else None
    images = find_images(pictures)
    if ids is not None:
        images = listed_images(images, ids, skip)
    extractor = settings.load(choose_device(device))
    every, mine = open_shards(
        output.folder, output.split, images, output.shards, settings.identity()
    )
    count = sum(len(shard.images) for shard in mine)
    with tqdm(desc="finding regions", total=count, disable=not is_main()) as bar:
        for shard in mine:
            write_shard(
                output.folder,
                shard,
                extractor,
                batch=batch,
                workers=workers,
                done=bar.update,
                skip=skip,
            )
    counts = gather_objects((len(mine), len(left_out))) or []
    print(
        f"{output.folder}: {len(images)} pictures of {output.split}, shards: {len(every)}, "
        f"written now: {sum(written for written, _ in counts)}, pictures left out now: "
        f"{sum(refused for _, refused in counts)}"
    )


def _say_skipped(problem: BadRecord) -> None:
    tqdm.write(f"left out: {problem}", file=sys.stderr)
