"""TikTalkCoref's text benchmark: train, choose on `val`, score the celebrity test part.

    python tools/data_split.py
    python experiments/tiktalk.py

Every model learns from `all/train` and has its epoch and its thresholds from `all/val`; the test
part is scored once, with gold mentions and with those that the model finds. Both coreference heads
are trained, and the one that is better on `val` is trained on shares of the labels too. A finished
run leaves a JSON file under saved/tiktalk/ and is not repeated: other options ask for another
`--out`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import main as training
import test_coref
from data.narration import Narration
from data.readers import read_narrations
from evaluation.gold_and_system import gold_chains
from experiments.runner import REPOSITORY, call_logged, mean_and_std
from metrics.baselines import RULES
from metrics.chains import Chains, chains_from_labels
from metrics.coreference_scores import score_chains
from tools import pretrain_encoder
from utils.config import COREFERENCE_HEADS
from utils.distributed.command import run_command
from utils.files import write_text
from utils.options import command_parser, whole_number_from
from utils.text.languages import CHINESE

CONFIG = REPOSITORY / "configs" / "tiktalk.json"
MENTIONS = ("gold", "predicted")
METRICS = ("muc", "b3", "ceafe", "conll", "lea")
PARTS = tuple(itertools.product(MENTIONS, ("val", "test")))
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
        """The name of its files."""
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
    best = max(whole, key=lambda head: mean_on_val(whole[head]))
    curve = {
        share: [finish(Run(best, share, seed), settings) for seed in seeds]
        for share in sorted(set(options.shares) - {1.0})
    }
    page = "\n".join(table(settings, whole, {**curve, 1.0: whole[best]}, best)) + "\n"
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
        call_logged(pretrain_encoder.main, arguments, out / "characters.log")
    return str(folder)


def finish(run: Run, settings: Settings) -> dict[str, Any]:
    """Return what a run found; do it where that is not known yet."""
    path = settings.out / f"{run.name}.json"
    if not path.exists():
        write_text(path, json.dumps(train_and_score(run, settings), indent=2) + "\n")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for mentions, scores in found.items():
        val, test = scores["val"]["conll"], scores["test"]["conll"]
        print(f"{run.name}, {mentions} mentions: val {val:.1f}, celebrities {test:.1f}")
    return found


def train_and_score(run: Run, settings: Settings) -> dict[str, Any]:
    """Train; of each kind of mentions, score the epoch that is best with them on `val`."""
    folder, log = settings.out / run.name, settings.out / f"{run.name}.log"
    arguments = [
        *("--use-ssl", "--use-ema", "--model_config", str(CONFIG)),
        *("--data-root", str(settings.data_root / "all"), "--text-encoder", settings.text_encoder),
        *("--coref-head", run.head, "--label-fraction", str(run.share), "--seed", str(run.seed)),
        *("--save_name", str(folder), *settings.options),
    ]
    call_logged(training.main, arguments, log)
    found: dict[str, Any] = {}
    for mentions in MENTIONS:
        on_val = {
            path: score(path, settings.data_root / "all", "val", mentions, log)
            for path in sorted(folder.glob("models_[0-9]*.pt"))
        }
        best = max(on_val, key=lambda path: on_val[path]["conll"])
        on_test = score(best, settings.data_root / "celeb", "test", mentions, log)
        found[mentions] = {"epoch": best.stem, "val": on_val[best], "test": on_test}
    shutil.rmtree(folder)
    return found


def score(
    checkpoint: Path, data_root: Path, split: str, mentions: str, log: Path
) -> dict[str, float]:
    """Score F1 in percent: of each metric, of the mentions where they are found, of each rule."""
    path = checkpoint.parent / f"{checkpoint.stem}-{data_root.name}-{split}-{mentions}.json"
    arguments = [
        *("--save_name", str(checkpoint), "--data-root", str(data_root), "--split", split),
        *("--mentions", mentions, "--json", str(path)),
        *("--output", str(checkpoint.parent / data_root.name)),
    ]
    call_logged(test_coref.main, arguments, log)
    content = json.loads(path.read_text(encoding="utf-8"))
    scores = percent(content["pooled"])
    scores.update({f"rule: {name}": value for name, value in content["rules"].items()})
    if mentions != "gold":
        scores["mentions"] = content["mentions"]["overall"]["f1"]
    return scores


def percent(pooled: Mapping[str, Any]) -> dict[str, float]:
    """Return F1 of each metric, of what `MetricScores.to_json` gives."""
    return {name: pooled[name] if name == "conll" else pooled[name]["f1"] for name in METRICS}


def baselines(narrations: Sequence[Narration]) -> Iterator[tuple[str, Scores]]:
    """Score what rules reach on gold mentions, and what dropping singletons leaves."""
    gold = gold_chains(narrations)
    phrases = {n.id: [mention.phrase for mention in n.mentions] for n in narrations}

    def scored(system: Mapping[str, Chains[int]]) -> Scores:
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
    """Format the tables as lines of Markdown.

    Args:
        whole: what the seeds of each head found, with all labels.
        curve: what those of the best head found, by the share of the labels.
    """
    narrations = read_narrations("tiktalk", settings.data_root / "celeb", "test").narrations
    yield "| celebrity test part | MUC | B3 | CEAFe | average | LEA | mentions | average on val |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for name, scores in baselines(narrations):
        yield f"| {name} | {' | '.join(f'{scores[m]:.1f}' for m in METRICS)} | | |"
    for mentions in MENTIONS:
        for head, results in whole.items():
            test = [result[mentions]["test"] for result in results]
            cells = [mean_and_std(scores[metric] for scores in test) for metric in METRICS]
            cells.append("" if mentions == "gold" else mean_and_std(s["mentions"] for s in test))
            cells.append(mean_and_std(result[mentions]["val"]["conll"] for result in results))
            yield f"| {head}, {mentions} mentions | {' | '.join(cells)} |"
            if mentions != "gold":
                for name in (name for name in test[0] if name.startswith("rule: ")):
                    rule = mean_and_std(scores[name] for scores in test)
                    yield f"| {name}, on the mentions of {head} | | | | {rule} | | | |"
    yield ""
    yield f"| {best}, share of the labels | {' | '.join(f'{m} mentions, {p}' for m, p in PARTS)} |"
    yield "|---|" + "---:|" * len(PARTS)
    for share, results in sorted(curve.items()):
        cells = [mean_and_std(result[m][part]["conll"] for result in results) for m, part in PARTS]
        yield f"| {share:g} | {' | '.join(cells)} |"


def mean_on_val(results: Sequence[Mapping[str, Any]]) -> float:
    """Return what a head is chosen by: the average on `val`, over seeds and kinds of mentions."""
    return statistics.mean(result[m]["val"]["conll"] for result in results for m in MENTIONS)


if __name__ == "__main__":
    run_command(main)
