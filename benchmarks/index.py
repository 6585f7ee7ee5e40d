"""Time how a prepared split opens that has a million narrations, and what memory it takes.

    python benchmarks/index.py

Narrations, their word-pieces and the index of their images' regions are generated and written to
a folder for the time of the measurement, 7.6 GB for a million; the features are promised to several
HDF5 files and take no space. A process of its own opens them, so that nothing is known to it, and
reads narrations with their regions at random places. Linux tells its memory; of what is mapped from
files nothing counts, as the system takes that back when it needs the room.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import NoReturn

import h5py
import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.figures import add_json_option, write_figures
from benchmarks.generated_data import FEATURE_SIZE, REGIONS, RELEASED_MENTIONS, GeneratedData
from benchmarks.loading import memory_gb
from data.encoding.example import ExampleEncoder, Masking
from data.encoding.text import EncodedText, encode_text
from data.encoding.tokenizer import Tokenizer, load_tokenizer
from data.loading.dataset import (
    NarrationDataset,
    SplitData,
)
from data.loading.samplers import EndlessBatches
from data.loading.split_cache import cached_split
from data.narration import Narration
from data.regions.detections import NO_ATTRIBUTE
from data.regions.file_names import shard_name
from data.regions.index import RegionIndex
from data.regions.store import RegionStore
from data.regions.writer import ROWS_PER_CHUNK
from utils.distributed.command import run_command
from utils.options import command_parser, whole_number_from
from utils.pretrained import PACKAGED_ENCODER

_DISTINCT = 50  # narrations; the others have the same words and regions
_READ = 1000  # at random places
_OWN = "Pss_Anon"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line says."""
    number = whole_number_from(1)
    parser = command_parser("Time the opening of a split.", prog="index.py")
    parser.add_argument("--narrations", type=number, default=1_000_000, help="how many")
    parser.add_argument("--shards", type=number, default=8, help="files of features")
    parser.add_argument("--folder", type=Path, help="where to write (the system's, for such)")
    add_json_option(parser)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        figures = measure(Path(folder), options.narrations, options.shards)
    print(
        f"{options.narrations} narrations in {figures['disk_gb']:.2f} GB open in "
        f"{figures['open_seconds']:.2f} s and {figures['open_gb']:.3f} GB\n"
        f"the first step's places are drawn in {figures['shuffle_seconds']:.2f} s; an item takes "
        f"{figures['item_ms']:.2f} ms, and {_READ} of them {figures['read_gb']:.3f} GB"
    )
    write_figures(options.json, figures)


def measure(folder: Path, narrations: int, shards: int) -> dict[str, float]:
    """Measure a split that is written into an empty folder."""
    data = GeneratedData(_DISTINCT)

    def read(say: object) -> SplitData:
        store = make_store(folder, data, narrations, shards)
        return SplitData(Repeated(data.narrations, narrations), store)

    texts = {n.text: encode_text(n, data.tokenizer, RELEASED_MENTIONS) for n in data.narrations}

    def encode(narration: Narration) -> EncodedText:
        return texts[narration.text]

    cached_split(folder, "generated", {}, read, encode)
    disk = sum(path.stat().st_size for path in folder.glob("generated-*/**/*"))
    # A new interpreter, not a copy of this one with all that it has in memory.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return {"disk_gb": disk / 1e9, **process.submit(figures_of, folder).result()}


class Repeated(Sequence[Narration]):
    """Some narrations again and again, each time of another image."""

    def __init__(self, narrations: Sequence[Narration], count: int) -> None:
        self._narrations = narrations
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> Narration:  # type: ignore[override]
        narration = self._narrations[place % len(self._narrations)]
        if place >= self._count:
            raise IndexError(place)
        return dataclasses.replace(narration, id=str(place), image_id=str(place))


def make_store(folder: Path, data: GeneratedData, images: int, shards: int) -> RegionStore:
    """Make a store whose features are promised and not written."""
    of_shard = -(-images // shards)
    paths = []
    for number in range(shards):
        paths.append(folder / f"{shard_name('train', number, shards)}_features_compress.hdf5")
        with h5py.File(paths[-1], "w") as file:
            file.create_dataset(
                "features",
                (of_shard * REGIONS, FEATURE_SIZE),
                np.float32,
                chunks=(ROWS_PER_CHUNK, FEATURE_SIZE),
            )
    places = np.arange(images)
    ids = places.astype(np.bytes_)
    regions = list(data.regions.values())
    words = sorted({label for of_image in regions for label in of_image.labels})
    boxes = np.stack([of_image.boxes_xyxy for of_image in regions])
    labels = np.asarray([[words.index(label) for label in r.labels] for r in regions], np.int32)
    index = RegionIndex(
        image_ids=ids,
        order=np.argsort(ids, kind="stable"),
        files=(places // of_shard).astype(np.int32),
        first_rows=places % of_shard * REGIONS,
        offsets=np.arange(images + 1) * REGIONS,
        extents=np.ones((images, 2), dtype=np.float32),
        boxes_xyxy=np.resize(boxes, (images * REGIONS, 4)),
        labels=np.resize(labels, images * REGIONS),
        attributes=np.full(images * REGIONS, NO_ATTRIBUTE, dtype=np.int32),
        words=tuple(words),
    )
    return RegionStore(paths, index, FEATURE_SIZE)


def figures_of(folder: Path) -> dict[str, float]:
    """Open what is there, and measure what that takes."""
    tokenizer = load_tokenizer(PACKAGED_ENCODER)
    before = memory_gb(_OWN)
    start = time.perf_counter()
    source = cached_split(folder, "generated", {}, _unread, _unread)
    opened = time.perf_counter()
    with_index = memory_gb(_OWN)
    batches = EndlessBatches(len(source.narrations), batch=_READ, seed=0)
    begin = time.perf_counter()
    places = next(iter(batches))
    drawn = time.perf_counter()
    before_reading = memory_gb(_OWN)
    times = list(times_of_items(source, tokenizer, places))
    return {
        "open_seconds": opened - start,
        "open_gb": with_index - before,
        "shuffle_seconds": drawn - begin,
        "item_ms": 1000 * median(times),
        "read_gb": memory_gb(_OWN) - before_reading,
    }


def times_of_items(
    source: SplitData, tokenizer: Tokenizer, keys: Sequence[tuple[int, int]]
) -> Iterator[float]:
    """Measure the seconds that each item takes."""
    encoder = ExampleEncoder(tokenizer, RELEASED_MENTIONS, masking=Masking(0.15, seed=0))
    dataset = NarrationDataset(source.narrations, source.store, encoder, source.texts)
    for key in tqdm(keys, desc="reading", leave=False):
        start = time.perf_counter()
        dataset[key]
        yield time.perf_counter() - start


def _unread(*_: object) -> NoReturn:
    raise AssertionError("what is there is not made again")


if __name__ == "__main__":
    run_command(main)
