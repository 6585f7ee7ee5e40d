"""TikTalkCoref's text benchmark: train, choose on `val`, score the celebrity test part.

    python tools/data_split.py
    python experiments/tiktalk.py

Every model learns from `all/train` and has its epoch and its thresholds from `all/val`; the test
part is scored once, with gold mentions and with those that the model finds. Both coreference heads
are trained, and the one that is better on `val` is trained on shares of the labels too. A finished
run leaves a JSON file under saved/tiktalk/, with its chains of the test part, and is not repeated:
other options ask for another `--out`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import main as training
from data.readers import read_narrations
from evaluation.coreference_report import rule_chains, score_coreference
from evaluation.gold_and_system import gold_and_system
from experiments.runner import REPOSITORY, logged_to
from experiments.tiktalk_page import (
    MENTIONS,
    Found,
    certainty_tables,
    percent,
    score_table,
    share_table,
)
from inference.split_predictions import TestOptions, predict_split, resolver_for_test
from metrics.chains import Chains
from tools import pretrain_encoder
from utils.config import COREFERENCE_HEADS
from utils.device import choose_device
from utils.distributed.command import run_command
from utils.errors import InputError
from utils.files import write_text
from utils.options import command_parser, whole_number_from

CONFIG = REPOSITORY / "configs" / "tiktalk.json"


@dataclass(frozen=True)
class Settings:
    """What the command line says of every run."""

    data_root: Path
    out: Path
    text_encoder: str
    device: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Scored:
    """What is known of a split that a checkpoint was scored on.

    Attributes:
        f1: in percent: of each metric, of the mentions where they were found, of each rule.
        chains: of each narration, by side: "gold", "system" and the name of each rule.
    """

    f1: Mapping[str, float]
    chains: Mapping[str, Mapping[str, Chains[int]]]


@dataclass(frozen=True)
class Run:
    """One training."""

    head: str
    share: float
    seed: int

    @property
    def name(self) -> str:
        """The name of its files."""
        return f"{self.head}-labels{self.share:g}-seed{self.seed}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and score what is not finished, and print the tables."""
    options = option_parser().parse_args(arguments)
    out = options.out.resolve()
    encoder = options.text_encoder or characters(options.data_root, out)
    epochs = () if options.epochs is None else ("--epochs", str(options.epochs))
    settings = Settings(options.data_root, out, encoder, options.device, epochs)
    seeds = range(options.seeds)
    whole = {
        head: [finish(Run(head, 1.0, seed), settings) for seed in seeds]
        for head in COREFERENCE_HEADS
    }
    best = max(whole, key=lambda head: mean_on_val(whole[head]))
    curve = {
        share: [finish(Run(best, share, seed), settings) for seed in seeds]
        for share in sorted(set(options.shares) - {1.0})
    }
    narrations = read_narrations("tiktalk", options.data_root / "celeb", "test").narrations
    page = "\n".join(
        (
            *score_table(narrations, whole),
            "",
            *certainty_tables(whole),
            "",
            *share_table({**curve, 1.0: whole[best]}, best),
            "",
        )
    )
    print(page)
    write_text(out / "table.md", page)
    print(f"wrote {out / 'table.md'}")


def option_parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    parser = command_parser("TikTalkCoref's benchmark.", prog="tiktalk.py")
    parser.add_argument(
        "--data-root",
        type=Path,
        default=Path("datasets/tiktalkcoref"),
        help="what tools/data_split.py has written",
    )
    parser.add_argument("--out", type=Path, default=Path("saved/tiktalk"), help="what runs leave")
    parser.add_argument(
        "--text-encoder",
        help="a hub name or a folder; by default one of characters, trained on all/train",
    )
    parser.add_argument(
        "--seeds", type=whole_number_from(1), default=3, help="trainings of each row (3)"
    )
    parser.add_argument(
        "--shares", type=float, nargs="*", default=[0.1, 0.3], help="of the labels, beside all"
    )
    parser.add_argument(
        "--epochs", type=whole_number_from(1), help="by default the configuration's"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    return parser


def characters(data_root: Path, out: Path) -> str:
    """Return the encoder of characters; train it where it is not there."""
    folder = out / "characters"
    if not folder.exists():
        source = ("--dataset", "tiktalk", "--data-root", str(data_root / "all"))
        arguments = [*source, "--out", str(folder)]
        with logged_to(out / "characters.log"):
            pretrain_encoder.main(arguments)
    return str(folder)


def finish(run: Run, settings: Settings) -> Found:
    """Return what a run found; do it where that is not known yet.

    Raises:
        InputError: what is known of it comes from an earlier version of this command.
    """
    path = settings.out / f"{run.name}.json"
    if not path.exists():
        write_text(path, json.dumps(train_and_score(run, settings), indent=2) + "\n")
    found: Found = json.loads(path.read_text(encoding="utf-8"))
    for mentions, scores in found.items():
        if "test_chains" not in scores:
            raise InputError(f"{path}: found no test_chains: remove it, or give another --out")
        val, test = scores["val"]["conll"], scores["test"]["conll"]
        print(f"{run.name}, {mentions} mentions: val {val:.1f}, celebrities {test:.1f}")
    return found


def train_and_score(run: Run, settings: Settings) -> Found:
    """Train; of each kind of mentions, score the epoch that is best with them on `val`."""
    folder, log = settings.out / run.name, settings.out / f"{run.name}.log"
    arguments = [
        *("--use-ssl", "--use-ema", "--model_config", str(CONFIG)),
        *("--data-root", str(settings.data_root / "all"), "--text-encoder", settings.text_encoder),
        *("--coref-head", run.head, "--label-fraction", str(run.share), "--seed", str(run.seed)),
        *("--save_name", str(folder), "--device", settings.device, *settings.options),
    ]
    with logged_to(log):
        training.main(arguments)
        found = {mentions: score_best(folder, settings, mentions) for mentions in MENTIONS}
    shutil.rmtree(folder)
    return found


def score_best(folder: Path, settings: Settings, mentions: str) -> dict[str, Any]:
    """Score the epoch of a training that is best on `val` with such mentions."""
    on_val = {
        path: score(path, settings.data_root / "all", "val", mentions, settings.device).f1
        for path in sorted(folder.glob("models_[0-9]*.pt"))
    }
    best = max(on_val, key=lambda path: on_val[path]["conll"])
    test = score(best, settings.data_root / "celeb", "test", mentions, settings.device)
    return {
        "epoch": best.stem,
        "val": on_val[best],
        "test": test.f1,
        "test_chains": test.chains,
    }


def score(checkpoint: Path, data_root: Path, split: str, mentions: str, device: str) -> Scored:
    """Score a checkpoint on a split."""
    options = TestOptions(checkpoint, data_root=str(data_root), split=split, mentions=mentions)
    resolver = resolver_for_test(options, choose_device(device))
    predictions = predict_split(resolver, options)
    assert predictions is not None  # there is one rank
    threshold = resolver.thresholds.link
    sides = gold_and_system(predictions, threshold).labelled
    report = score_coreference(predictions, sides, threshold, with_errors=False).to_json()
    scores = percent(report["pooled"])
    scores.update({f"rule: {name}": value for name, value in report["rules"].items()})
    if mentions != "gold":
        scores["mentions"] = report["mentions"]["overall"]["f1"]
    rules = {f"rule: {name}": chains for name, chains in rule_chains(sides).items()}
    return Scored(scores, {"gold": sides.gold, "system": sides.system, **rules})


def mean_on_val(results: Sequence[Found]) -> float:
    """Return what a head is chosen by: the average on `val`, over seeds and kinds of mentions."""
    return statistics.mean(result[m]["val"]["conll"] for result in results for m in MENTIONS)


if __name__ == "__main__":
    run_command(main)
