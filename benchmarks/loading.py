"""Time reading narrations and their regions from the published files, and watch the memory.

    python benchmarks/loading.py

A region store of generated features is written to a folder for the time of the measurement: 0.8 MB
an image. Memory is what the process and its workers hold for themselves, with their shares of what
they hold together; Linux tells it.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.figures import add_json_option, write_figures
from benchmarks.generated_data import RELEASED_MENTIONS, GeneratedData
from data.encoding.example import ExampleEncoder, Masking
from data.loading.dataset import NarrationDataset
from data.loading.loader import make_loader
from data.loading.samplers import EndlessBatches
from data.regions.file_names import region_files
from data.regions.store import RegionStore
from data.regions.writer import ImageRegions, write_region_store
from utils.distributed.command import run_command
from utils.options import command_parser, whole_number_from

_DISTINCT = 50  # images; the others of the store have the same regions
_SPLIT, _PIXELS = "train", 100
_BATCH = 6


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line says."""
    number = whole_number_from(1)
    parser = command_parser("Time the loading of data.", prog="loading.py")
    parser.add_argument("--pictures", type=number, default=1000, help="in the region store")
    parser.add_argument("--workers", type=number, default=4, help="of the loader")
    parser.add_argument("--epochs", type=number, default=3, help="that the loader reads")
    add_json_option(parser)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), options.pictures, options.workers, options.epochs)
    print(
        f"{figures['item_ms']:.2f} ms an item in this process, in the median of all\n"
        f"{figures['items_per_second']:.0f} items a second with {options.workers} workers, batches "
        f"of {_BATCH}\nmemory grows by {figures['memory_growth']:.3f} of the features file "
        f"({figures['file_gb']:.2f} GB) in the first epoch, by {figures['later_growth']:.3f} after"
    )
    write_figures(options.json, figures)


def measure(folder: Path, images: int, workers: int, epochs: int) -> dict[str, float]:
    """Measure the loading from one store.

    Args:
        folder: an empty one for the store.
    """
    data = GeneratedData(min(_DISTINCT, images))
    generated, distinct = data.narrations, list(data.regions.values())
    regions = (distinct[place % len(distinct)] for place in range(images))
    write_region_store(
        folder,
        _SPLIT,
        (
            ImageRegions(place, r.boxes_xyxy * _PIXELS, r.labels, None, r.features)
            for place, r in enumerate(tqdm(regions, desc="writing", total=images, leave=False))
        ),
    )
    file_gb = region_files(folder, _SPLIT).features.stat().st_size / 1e9
    narrations = [
        dataclasses.replace(generated[place % len(generated)], id=str(place), image_id=str(place))
        for place in range(images)
    ]
    before = memory_gb()
    with RegionStore.read_files([region_files(folder, _SPLIT)]) as store:
        encoder = ExampleEncoder(data.tokenizer, RELEASED_MENTIONS, masking=Masking(0.15, seed=0))
        dataset = NarrationDataset(narrations, store, encoder)
        item_times = list(times_of_items(dataset))
        batches = EndlessBatches(len(dataset), _BATCH, seed=0)
        loader = iter(make_loader(dataset, batches, workers, torch.device("cpu")))
        memory, seconds = [], []
        for _ in range(epochs):
            start = time.perf_counter()
            for _ in tqdm(range(batches.steps_per_epoch), desc="reading", leave=False):
                next(loader)
            seconds.append(time.perf_counter() - start)
            memory.append(memory_gb())
    return {
        "item_ms": 1000 * median(item_times),
        "items_per_second": batches.steps_per_epoch * batches.batch / median(seconds),
        "file_gb": file_gb,
        "memory_growth": (memory[0] - before) / file_gb,
        "later_growth": (memory[-1] - memory[0]) / file_gb,
    }


def times_of_items(dataset: NarrationDataset) -> Iterator[float]:
    """Measure the seconds that each item takes, in a second pass over all."""
    for epoch in range(2):
        for place in range(len(dataset)):
            start = time.perf_counter()
            dataset[epoch, place]
            if epoch:
                yield time.perf_counter() - start


def memory_gb(kind: str = "Pss") -> float:
    """Read how much memory this process and its children hold; what they share is shared out.

    Args:
        kind: "Pss" of everything, "Pss_Anon" without files that are mapped into memory, whose pages
            the system takes back when it needs the room.
    """
    ids = ["self", *(str(child.pid) for child in multiprocessing.active_children())]
    kilobytes = 0
    for process in ids:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith(f"{kind}:"):
                kilobytes += int(line.split()[1])
    return kilobytes * 1024 / 1e9


if __name__ == "__main__":
    run_command(main)
