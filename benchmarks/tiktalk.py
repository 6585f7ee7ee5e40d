"""TikTalkCoref's text benchmark: train, choose on `val`, score the celebrity test part.

    python tools/data_split.py
    python benchmarks/tiktalk.py

Every model learns from `all/train` and has its epoch and its thresholds from `all/val`; the test
part is scored once, with gold mentions and with those that the model finds. Both coreference heads
are trained, and the one that is better on `val` is trained on shares of the labels too. Every
finished run leaves a JSON file under saved/tiktalk/ and is not repeated.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import main as training
import test_coref
from data.narration import Narration
from data.readers import read_narrations
from engine import gold_chains
from evaluation.baselines import RULES
from evaluation.chains import chains_from_labels
from evaluation.coreference_scores import Chains, score_chains
from tools import pretrain_encoder
from utils.checkpoint import load_checkpoint
from utils.config import COREFERENCE_HEADS
from utils.errors import run_command
from utils.files import write_text
from utils.languages import CHINESE
from utils.options import whole_number_from

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "tiktalk.json"
MENTIONS = ("gold", "predicted")
METRICS = ("muc", "b3", "ceafe", "conll", "lea")
Scores = Mapping[str, float]  # in percent, of `METRICS`


@dataclass(frozen=True)
class Settings:
    """What the command line says of every run."""

    data_root: Path
    out: Path
    text_encoder: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """One training."""

    head: str
    share: float
    seed: int

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.head}-labels{self.share:g}-seed{self.seed}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and score what is not finished, and print the tables."""
    options = option_parser().parse_args(arguments)
    out = options.out.resolve()
    encoder = options.text_encoder or characters(options.data_root, out)
    epochs = () if options.epochs is None else ("--epochs", str(options.epochs))
    settings = Settings(options.data_root, out, encoder, (*epochs, "--device", options.device))
    seeds = range(options.seeds)
    whole = {
        head: [finish(Run(head, 1.0, seed), settings) for seed in seeds]
        for head in COREFERENCE_HEADS
    }
    best = max(whole, key=lambda head: statistics.mean(r["val"]["conll"] for r in whole[head]))
    curve = {
        share: [finish(Run(best, share, seed), settings) for seed in seeds]
        for share in sorted(set(options.shares) - {1.0})
    }
    page = "\n".join(table(settings, whole, {**curve, 1.0: whole[best]}, best)) + "\n"
    print(page)
    write_text(out / "table.md", page)
    print(f"wrote {out / 'table.md'}")


def option_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(prog="tiktalk.py", description="TikTalkCoref's benchmark.")
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
    parser.add_argument("--seeds", type=whole_number_from(1), default=3)
    parser.add_argument(
        "--shares", type=float, nargs="*", default=[0.1, 0.3], help="of the labels, beside all"
    )
    parser.add_argument(
        "--epochs", type=whole_number_from(1), help="by default the configuration's"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    return parser


def characters(data_root: Path, out: Path) -> str:
    """The encoder of characters, trained where it is not there."""
    folder = out / "characters"
    if not folder.exists():
        source = ("--dataset", "tiktalk", "--data-root", str(data_root / "all"))
        logged(out / "characters.log", pretrain_encoder.main, [*source, "--out", str(folder)])
    return str(folder)


def finish(run: Run, settings: Settings) -> dict[str, Any]:
    """What a run found; it is done where that is not known yet."""
    path = settings.out / f"{run.name}.json"
    if not path.exists():
        write_text(path, json.dumps(train_and_score(run, settings), indent=2) + "\n")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    print(f"{run.name}: val {found['val']['conll']:.1f}, celebrities {found['gold']['conll']:.1f}")
    return found


def train_and_score(run: Run, settings: Settings) -> dict[str, Any]:
    """Train, and score the best epoch."""
    folder, log = settings.out / run.name, settings.out / f"{run.name}.log"
    logged(log, training.main, [
        *("--use-ssl", "--use-ema", "--model_config", str(CONFIG), "--keep", "1"),
        *("--data-root", str(settings.data_root / "all"), "--text-encoder", settings.text_encoder),
        *("--coref-head", run.head, "--label-fraction", str(run.share), "--seed", str(run.seed)),
        *("--save_name", str(folder), *settings.options),
    ])  # fmt: skip
    best = folder / "models_best.pt"
    found: dict[str, Any] = {"val": dict(load_checkpoint(best).scores)}
    for mentions in MENTIONS:
        scores = folder / f"{mentions}.json"
        logged(log, test_coref.main, [
            *("--save_name", str(best), "--data-root", str(settings.data_root / "celeb")),
            *("--split", "test", "--mentions", mentions, "--json", str(scores)),
            *("--output", str(folder / "coref")),
        ])  # fmt: skip
        content = json.loads(scores.read_text(encoding="utf-8"))
        found[mentions] = percent(content["pooled"])
        found[f"{mentions} rules"] = content["rules"]
    found["mentions"] = content["mentions"]["overall"]["f1"]  # of those that the model finds
    return found


def percent(pooled: Mapping[str, Any]) -> dict[str, float]:
    """F1 of each metric, of what `MetricScores.to_json` gives."""
    return {name: pooled[name] if name == "conll" else pooled[name]["f1"] for name in METRICS}


def logged(log: Path, command: Callable[[Sequence[str]], None], arguments: Sequence[str]) -> None:
    """Run a command of ours, its output at the end of a log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        command(arguments)


def baselines(narrations: Sequence[Narration]) -> Iterator[tuple[str, Scores]]:
    """What is reached on gold mentions without a model, and what dropping singletons leaves."""
    gold = gold_chains(narrations, boxes_known=False)
    phrases = {n.id: [mention.phrase for mention in n.mentions] for n in narrations}

    def scored(system: Mapping[str, Chains]) -> Scores:
        return percent(score_chains(gold, system).pooled.to_json())

    for name, rule in RULES.items():
        yield f"rule: {name}", scored({i: rule(of_one, CHINESE) for i, of_one in phrases.items()})
    same = {i: chains_from_labels(of_one) for i, of_one in phrases.items()}
    yield "rule: same string", scored(same)
    longer = {i: [chain for chain in of_one if len(chain) > 1] for i, of_one in gold.items()}
    yield "the gold chains without singletons", scored(longer)


def table(
    settings: Settings,
    whole: Mapping[str, Sequence[Mapping[str, Any]]],
    curve: Mapping[float, Sequence[Mapping[str, Any]]],
    best: str,
) -> Iterator[str]:
    """The tables as lines of Markdown.

    Args:
        whole: what the seeds of each head found, with all labels.
        curve: what those of the best head found, by the share of the labels.
    """
    narrations = read_narrations("tiktalk", settings.data_root / "celeb", "test").narrations
    yield "| celebrity test part | MUC | B3 | CEAFe | average | LEA | average on val |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for name, scores in baselines(narrations):
        yield f"| {name} | {' | '.join(f'{scores[m]:.1f}' for m in METRICS)} | |"
    for mentions in MENTIONS:
        for head, results in whole.items():
            cells = [spread(result[mentions][m] for result in results) for m in METRICS]
            if mentions == "gold":
                cells.append(spread(result["val"]["conll"] for result in results))
            else:
                cells.append(f"mentions {spread(r['mentions'] for r in results)}")
            yield f"| {head}, {mentions} mentions | {' | '.join(cells)} |"
    yield ""
    yield f"| {best}, share of the labels | on val | gold mentions | predicted mentions |"
    yield "|---|---:|---:|---:|"
    for share, results in sorted(curve.items()):
        cells = [spread(result[part]["conll"] for result in results) for part in ("val", *MENTIONS)]
        yield f"| {share:g} | {' | '.join(cells)} |"


def spread(values: Iterable[float]) -> str:
    """Mean and standard deviation over the seeds."""
    known = list(values)
    mean = f"{statistics.mean(known):.1f}"
    return mean if len(known) == 1 else f"{mean} ± {statistics.stdev(known):.1f}"


if __name__ == "__main__":
    run_command(main)
