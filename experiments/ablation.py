"""Train and score the rows of an ablation of the semi-supervised method.

    python experiments/ablation.py
    python experiments/ablation.py --dataset vd_ref --data-root FOLDER

Every finished run leaves a JSON file under saved/ablation/ and is not repeated; the table and the
plot of all of them go into docs/.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.loading.splits import hold_out, keep_labels
from data.readers import get_reader, read_narrations
from experiments.ablation_data import data_folder, prepare, vectors_folder
from experiments.ablation_page import format_section, write_page
from experiments.ablation_results import Result, chosen_rate, read_results
from experiments.ablation_rows import ROWS, Row, choose_rows
from experiments.ablation_settings import SPLITS, Settings, option_parser, settings_of
from experiments.runner import REPOSITORY, run_logged, script
from utils.checkpointing.checkpoint import load_checkpoint
from utils.config import Config, config_to_dict, make_config, read_config_file
from utils.distributed.command import run_command
from utils.errors import InputError
from utils.files import write_text

SCORED_SPLIT = {"cin": "test", "vd_ref": "val"}
CONFIG_FILES = {"cin": "sample.json", "vd_ref": "vd_ref.json"}
# What all rows of a data set share, beside its configuration file: few layers and small batches, so
# that a run takes minutes, and a learning rate that does not fall before pseudo-labels count.
SHARED: dict[str, dict[str, Any]] = {
    "cin": {
        "unlabelled_batch": 0,
        "lr_step_epochs": 4,
        "grounding": True,
        "box_regression": True,
    },
    "vd_ref": {"text_layers": 2, "batch": 4},
}


@dataclass(frozen=True)
class Run:
    """One training of a row."""

    row: Row
    seed: int
    rate: float

    @property
    def name(self) -> str:
        """The name of its files."""
        return f"{self.row.name}-seed{self.seed}-lr{self.rate:g}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, score and write what the command line says."""
    options = option_parser().parse_args(arguments)
    settings = settings_of(options)
    if not options.only_table:
        run_rows(choose_rows(settings.dataset, options.rows), settings)
    sections = {name: read_results(settings.out / name, ROWS[name]) for name in ROWS}
    found = {name: results for name, results in sections.items() if results}
    if not found:
        raise InputError(f"{settings.out}: no finished run, so there is no table to write")
    for name, results in found.items():
        print("\n" + format_section(name, results, ROWS[name]))
    for path in write_page(options.docs, found, ROWS):
        print(f"wrote {path}")


def run_rows(rows: Sequence[Row], settings: Settings) -> None:
    """Train and score rows, but for what is finished already."""
    seeds = [settings.seeds if row.every_seed else 1 for row in rows]
    total = sum(len(settings.rates) + count - 1 for count in seeds)
    with tqdm(total=total, desc="runs") as bar:
        for row, count in zip(rows, seeds, strict=True):
            bar.set_postfix_str(f"{row.name}: data")
            prepare(row, settings)
            tried = [Run(row, 0, rate) for rate in settings.rates]
            results = [_finish(run, settings, bar) for run in tried]
            best = chosen_rate(results)
            for seed in range(1, count):
                _finish(Run(row, seed, best), settings, bar)


def _finish(run: Run, settings: Settings, bar: tqdm[Any]) -> Result:
    bar.set_postfix_str(run.name)
    result = finished(run, settings)
    if result is None:
        result = train_and_score(run, settings)
        bar.write(f"{run.name}: CoNLL {result.scores['conll']:.1f} in {result.seconds:.0f} s")
    bar.update()
    return result


def config_of(run: Run, settings: Settings) -> Config:
    """Make the whole configuration of a run.

    All runs of a data set have the same number of updates: steps are counted, not passes over data
    that differ from row to row.
    """
    values, _ = read_config_file(REPOSITORY / "configs" / CONFIG_FILES[settings.dataset])
    data = data_folder(run.row, settings)
    of_all = {
        **SHARED[settings.dataset],
        "dataset": settings.dataset,
        "data_root": str(data),
        "use_labelled": True,
        "label_fraction": settings.label_fraction,
        "held_out": settings.held_out,
        "epochs": settings.epochs,
        "steps_per_epoch": settings.steps,
    }
    vectors = {"sense2vec": str(vectors_folder(data))} if run.row.word_vectors else {}
    of_run = {"seed": run.seed, "lr": run.rate}
    return make_config(values, {**of_all, **run.row.values, **vectors, **of_run})


def commands_of(run: Run, settings: Settings) -> list[list[str]]:
    """List the command lines of a run: training, coreference and, where trained, grounding."""
    config = config_of(run, settings)
    folder = settings.results / run.name
    test_options = [
        *("--save_name", str(folder / "models.pt"), "--split", SCORED_SPLIT[settings.dataset]),
        *("--output", str(folder / "predicted"), "--device", settings.device),
    ]
    train_options = ["--model_config", str(folder / "config.json"), "--save_name", str(folder)]
    commands = [
        [*script("main.py"), *train_options, "--device", settings.device],
        [*script("test_coref.py"), *test_options, "--json", str(folder / "coref.json")],
    ]
    if config.grounding:
        scores = ["--json", str(folder / "grounding.json")]
        commands.append([*script("test_grounding.py"), *test_options, *scores])
    return commands


def finished(run: Run, settings: Settings) -> Result | None:
    """Read what a run left; None where it is still to be done.

    Raises:
        InputError: the file cannot be read, or is of a run with other settings.
    """
    path = settings.results / f"{run.name}.json"
    if not path.exists():
        return None
    result = Result.read(path)
    found, expected = result.config, portable(config_of(run, settings))
    different = [name for name in expected if found.get(name) != expected[name]]
    if different:
        name = different[0]
        raise InputError(
            f"{path} is of a run with other settings: found {name} {found.get(name)!r}, expected "
            f"{expected[name]!r}; --out names another folder"
        )
    return result


def portable(config: Config) -> dict[str, Any]:
    """Return the configuration as a result keeps it: folders by their names alone."""
    values = config_to_dict(config)
    for name in ("data_root", "sense2vec"):
        values[name] = Path(values[name]).name
    return values


def train_and_score(run: Run, settings: Settings) -> Result:
    """Do a run; its scores stay, and its checkpoints of 100 MB each do not.

    Raises:
        InputError: a command failed, or nothing is held out.
    """
    config = config_of(run, settings)
    counts = count_narrations(config)
    folder, log = settings.results / run.name, settings.results / f"{run.name}.log"
    shutil.rmtree(folder, ignore_errors=True)
    log.unlink(missing_ok=True)
    write_text(folder / "config.json", json.dumps(config_to_dict(config), indent=2) + "\n")
    start = time.monotonic()
    for command in commands_of(run, settings):
        run_logged(command, log)
    coreference = json.loads((folder / "coref.json").read_text(encoding="utf-8"))
    scores = {
        "conll": coreference["pooled"]["conll"],
        "lea": coreference["pooled"]["lea"]["f1"],
    }
    if config.grounding:
        grounding = json.loads((folder / "grounding.json").read_text(encoding="utf-8"))
        scores["grounding"] = grounding["overall"]
    result = Result(
        row=run.row.name,
        seed=run.seed,
        rate=run.rate,
        scores=scores,
        held_out_conll=load_checkpoint(folder / "models.pt").scores["conll"],
        seconds=round(time.monotonic() - start, 1),
        shared=shared_facts(config, coreference, settings),
        config=portable(config),
        **counts,
    )
    result.write(settings.results / f"{run.name}.json")
    shutil.rmtree(folder)
    return result


def count_narrations(config: Config) -> dict[str, int]:
    """Count the narrations that are trained on with labels, held out, and trained on without.

    Raises:
        InputError: nothing is held out, so that no learning rate can be chosen.
    """
    root, split = Path(config.data_root), get_reader(config.dataset).labelled_split
    narrations = read_narrations(config.dataset, root, split).narrations
    share = keep_labels([n for n in narrations if n.is_labelled], config.label_fraction)
    labelled, held_out = hold_out(share, config.held_out)
    if not labelled or not held_out:
        raise InputError(
            f"{root}: of {len(narrations)} narrations of {split} {len(labelled)} are to train on "
            f"with labels and {len(held_out)} held out, expected some of both; --label-fraction, "
            "--held-out and --val change that"
        )
    unlabelled = 0
    if config.use_unlabelled:
        unlabelled = len(narrations) - len(share)
        captions = get_reader(config.dataset).unlabelled_split
        if captions is not None:
            unlabelled += len(read_narrations(config.dataset, root, captions).narrations)
    return {"labelled": len(labelled), "held_out": len(held_out), "unlabelled": unlabelled}


def shared_facts(config: Config, coreference: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Return what has to be the same in all runs of a table.

    Args:
        coreference: what `test_coref.py` wrote of any of them.
    """
    rule, conll = max(coreference["rules"].items(), key=lambda item: item[1])
    sizes = ", ".join(f"{split} {settings.sizes[split]}" for split in SPLITS)
    is_world = settings.data_root is None
    return {
        "data": f"generated world, seed {settings.world_seed}: {sizes}" if is_world else "VD-Ref",
        "split": SCORED_SPLIT[settings.dataset],
        "documents": coreference["documents"],
        "rule": rule,
        "rule_conll": conll,
        "updates": config.epochs * config.steps_per_epoch,
        "batch": config.batch,
        "held_out_share": config.held_out,
        "encoder": f"{config.text_encoder}, {config.text_layers} layers",
    }


if __name__ == "__main__":
    run_command(main)
