"""What the command line of the ablation says of every run."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from experiments.ablation_rows import ROWS
from experiments.runner import REPOSITORY
from utils.errors import InputError
from utils.options import command_parser, whole_number_from

SPLITS = ("train", "val", "test")
LABEL_FRACTION = {"cin": 0.05, "vd_ref": 0.1}


@dataclass(frozen=True)
class Settings:
    """What the command line says of every run.

    Attributes:
        data_root: the data set's folder; None for the generated world.
        sizes: narrations of each split of the generated world.
        label_fraction: share of the labels of rows that say nothing else.
        rates: learning rates to choose from.
    """

    dataset: str
    out: Path
    data_root: Path | None
    sizes: dict[str, int]
    world_seed: int
    label_fraction: float
    held_out: float
    epochs: int
    steps: int
    rates: tuple[float, ...]
    seeds: int
    device: str

    @property
    def results(self) -> Path:
        """Where the runs of the data set leave what they found."""
        return self.out / self.dataset


def option_parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    parser = command_parser("An ablation of the semi-supervised method.", prog="ablation.py")
    parser.add_argument("--dataset", choices=sorted(ROWS), default="cin", help="of the rows (cin)")
    parser.add_argument("--data-root", type=Path, help="of vd_ref; cin is a generated world")
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="by default all of the data set")
    parser.add_argument("--only-table", action="store_true", help="train nothing, write docs/")
    parser.add_argument("--out", type=Path, default=Path("saved/ablation"), help="what runs leave")
    parser.add_argument("--docs", type=Path, default=REPOSITORY / "docs", help="table and plot")
    number = whole_number_from(1)
    for split, size in zip(SPLITS, (300, 200, 100), strict=True):
        parser.add_argument(f"--{split}", type=number, default=size, help=f"narrations of {split}")
    parser.add_argument(
        "--world-seed", type=whole_number_from(0), default=0, help="of the generated world (0)"
    )
    parser.add_argument("--label-fraction", type=float, help="by default 0.05, of vd_ref 0.1")
    # Of ten narrations a tenth is none or one.
    parser.add_argument(
        "--held-out",
        type=float,
        default=0.4,
        help="share of the labels that choose rate, threshold",
    )
    parser.add_argument("--epochs", type=number, default=5, help="of every run (5)")
    parser.add_argument("--steps", type=number, default=30, help="updates in an epoch, of all rows")
    parser.add_argument("--seeds", type=number, default=3, help="runs of each row (3)")
    parser.add_argument(
        "--lrs",
        type=float,
        nargs="+",
        default=[1e-4, 3e-4],
        help="the first seed of each row tries all; its other seeds take the one that is best on "
        "the held-out labels",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    return parser


def settings_of(options: argparse.Namespace) -> Settings:
    """Check the options of the command line and return what they say of every run.

    Raises:
        InputError: `--data-root` is missing, or given for the generated world.
    """
    if not options.only_table and (options.dataset == "cin") != (options.data_root is None):
        raise InputError(
            f"--data-root: found {options.data_root}, expected a folder for vd_ref and none for "
            "cin, whose data are generated"
        )
    fraction = options.label_fraction
    return Settings(
        dataset=options.dataset,
        # A run that is not named by a whole path would be kept under saved/.
        out=options.out.resolve(),
        data_root=None if options.data_root is None else options.data_root.resolve(),
        sizes={split: getattr(options, split) for split in SPLITS},
        world_seed=options.world_seed,
        label_fraction=LABEL_FRACTION[options.dataset] if fraction is None else fraction,
        held_out=options.held_out,
        epochs=options.epochs,
        steps=options.steps,
        rates=tuple(dict.fromkeys(options.lrs)),
        seeds=options.seeds,
        device=options.device,
    )
