"""Generate a sample world: `python tools/make_sample.py --out DIR --seed N`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from synthetic.world import SPLITS, write_world
from utils.distributed.command import run_command
from utils.errors import InputError
from utils.files import folder_when_whole
from utils.options import command_parser, default_processes

_DEFAULT_SIZES = {"train": 2000, "val": 200, "test": 200}


def main(arguments: Sequence[str] | None = None) -> None:
    """Generate what the command line says."""
    parser = command_parser(
        "Generate pictures, narrations and regions in the published file formats."
    )
    parser.add_argument("--out", type=Path, required=True, help="a folder that is new or empty")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same bytes")
    for split, size in _DEFAULT_SIZES.items():
        parser.add_argument(f"--{split}", type=int, default=size, help=f"narrations of {split}")
    parser.add_argument(
        "--processes", type=int, default=default_processes(), help="how many draw side by side"
    )
    options = parser.parse_args(arguments)
    sizes = {split: getattr(options, split) for split in SPLITS}
    if min(sizes.values()) < 1 or options.processes < 1:
        raise InputError(
            f"found sizes {sizes} and {options.processes} processes, expected 1 or more"
        )
    with (
        folder_when_whole(options.out) as unfinished,
        tqdm(total=sum(sizes.values()), desc="drawing and narrating") as bar,
    ):
        for _ in write_world(unfinished, options.seed, sizes, options.processes):
            bar.update()
    print((options.out / "README").read_text(encoding="utf-8"))


if __name__ == "__main__":
    run_command(main)
