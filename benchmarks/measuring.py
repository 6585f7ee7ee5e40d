"""Measuring time, memory and what the device multiplies at best, in one run."""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch

from benchmarks.figures import add_json_option, write_figures
from utils.device import choose_device, choose_precision
from utils.options import whole_number_from

_MATRIX = 2048
_LEAST_SECONDS = 0.2  # of products that are timed together


@dataclass(frozen=True)
class Figures:
    """What a benchmark found.

    Attributes:
        seconds: the median of several runs.
        floor_ratio: to what the operations of the work take at the rate of matrix products.
        as_published_ratio: what the same takes when it is fed as the released code feeds it, to
            what it takes here.
        matmul_gflops: the rate of 2048x2048 products, in the precision of the run.
        peak_gb: memory of the process, or of the GPU, at most.
        batch: narrations.
    """

    seconds: float
    floor_ratio: float
    as_published_ratio: float
    matmul_gflops: float
    peak_gb: float
    batch: int

    def report(self, what: str, path: Path | None) -> None:
        """Print the figures, and write them where a path is given."""
        print(
            f"{what}, batch {self.batch}: {self.seconds:.3f} s, {self.seconds / self.batch:.4f} s "
            f"a narration, at most {self.peak_gb:.2f} GB\n"
            f"{self.floor_ratio:.2f} times the floor (matrix products at {self.matmul_gflops:.0f} "
            f"GFLOP/s); fed as the released code feeds it {self.as_published_ratio:.1f} times as "
            "long"
        )
        write_figures(path, asdict(self))


def add_options(parser: argparse.ArgumentParser, batch: int) -> None:
    """Add the options that the benchmarks share."""
    number = whole_number_from(1)
    parser.add_argument("--batch", type=number, default=batch, help="narrations")
    add_device_options(parser)
    parser.add_argument("--repeats", type=number, default=5, help="runs that are timed")
    parser.add_argument(
        "--released-repeats", type=number, default=2, help="runs fed as the released code feeds it"
    )
    add_json_option(parser)


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `set_up` reads."""
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or auto")
    parser.add_argument("--threads", type=whole_number_from(1), default=2, help="of the CPU")
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        help="of matrix products; by default float32 on the CPU, bfloat16 on a GPU",
    )


def set_up(options: argparse.Namespace) -> tuple[torch.device, torch.dtype]:
    """Set the threads, and return the device and the precision of `add_device_options`."""
    torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    default = "float32" if device.type == "cpu" else "bfloat16"
    return device, choose_precision(options.precision or default, device)


def measure(
    run: Callable[[], object],
    run_as_released: Callable[[], object],
    operations: float,
    options: argparse.Namespace,
    device: torch.device,
    precision: torch.dtype,
    *,
    batches: int = 1,
) -> Figures:
    """Measure what a benchmark is about.

    Args:
        run: what is measured, for as many batches as there are.
        run_as_released: one batch of the same, fed as the released code feeds it.
        operations: of `run`, without padding and repeated work.
        options: of `add_options`.
    """
    of_run, rate = _time_beside_products(run, options.repeats, device, precision)
    # Before what is fed as released, which takes more.
    peak = peak_gb_of(device)
    run_as_released()
    released = median(time_of(run_as_released, device) for _ in range(options.released_repeats))
    return Figures(
        seconds=of_run / batches,
        floor_ratio=of_run / (operations / (rate * 1e9)),
        as_published_ratio=released / (of_run / batches),
        matmul_gflops=rate,
        peak_gb=peak,
        batch=options.batch,
    )


def time_of(run: Callable[[], object], device: torch.device) -> float:
    """Measure the seconds of one run, until the device has done it."""
    _wait_for(device)
    start = time.perf_counter()
    run()
    _wait_for(device)
    return time.perf_counter() - start


def _time_beside_products(
    run: Callable[[], object], repeats: int, device: torch.device, precision: torch.dtype
) -> tuple[float, float]:
    """Time runs and matrix products in turn, so that both meet the same machine.

    Each runs once before it is timed.

    Returns:
        The median seconds of a run, and the median rate of the products in GFLOP/s.
    """
    left, right = (torch.randn(_MATRIX, _MATRIX, device=device, dtype=precision) for _ in range(2))

    def multiply(products: int) -> None:
        for _ in range(products):
            left @ right

    run()
    products = 1
    while time_of(partial(multiply, products), device) < _LEAST_SECONDS:
        products *= 2
    times, rates = [], []
    for _ in range(repeats):
        seconds = time_of(partial(multiply, products), device)
        rates.append(products * 2 * _MATRIX**3 / seconds / 1e9)
        times.append(time_of(run, device))
    return median(times), median(rates)


def peak_gb_of(device: torch.device) -> float:
    """Return the most memory until now: of the process, or of what is allocated on the GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
