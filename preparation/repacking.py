"""`prepare.py repack`: write the regions of a split with another precision or number of files."""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data.readers import get_reader
from data.regions.file_names import shard_name
from data.regions.writer import images_of, write_region_store
from preparation.data_folder import DataFolder
from preparation.options import add_reader_options
from utils.errors import InputError
from utils.files import folder_when_whole
from utils.options import whole_number_from

_PRECISIONS: dict[str, type[np.floating]] = {"float16": np.float16, "float32": np.float32}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `repack`."""
    add_reader_options(parser)
    parser.add_argument("--split", required=True, help="train, val or test")
    parser.add_argument(
        "--out", type=Path, required=True, help="a folder for the files, new or empty"
    )
    parser.add_argument(
        "--precision",
        choices=sorted(_PRECISIONS),
        default="float32",
        help="number type of the features: float16 takes half the space of the published float32",
    )
    parser.add_argument(
        "--shards", type=whole_number_from(1), default=1, help="number of files to write (1)"
    )


def repack_regions(data: DataFolder, split: str, out: Path, *, precision: str, shards: int) -> None:
    """Write the regions of a split anew, every shard with as many images as the next.

    Args:
        out: a folder, new or empty.
        precision: of the features, float16 or float32.
        shards: how many files to write.

    Raises:
        InputError: the split has no regions, or fewer images than shards.
    """
    store = get_reader(data.dataset).open_regions(
        data.root,
        split,
        max_regions=sys.maxsize,
        skip_bad_records=data.skip_bad_records,
    )
    if store is None:
        raise InputError(f"{data.dataset} {split} has no regions in {data.root}")
    if shards > len(store):
        raise InputError(f"--shards {shards}: there are {len(store)} pictures")
    for problem in store.skipped:
        print(f"written without its regions: {problem}")
    images = tqdm(images_of(store), desc="writing regions", total=len(store))
    with store, folder_when_whole(out) as folder:
        for number in range(shards):
            begin, end = (len(store) * n // shards for n in (number, number + 1))
            name = shard_name(split, number, shards) if shards > 1 else split
            shard_images = itertools.islice(images, end - begin)
            write_region_store(folder, name, shard_images, _PRECISIONS[precision])
    print(f"wrote the regions of {len(store)} pictures to {out}")
