"""Train and score the rows of an ablation of the semi-supervised method.

    python experiments/ablation.py
    python experiments/ablation.py --dataset vd_ref --data-root FOLDER

Every finished run leaves a JSON file under saved/ablation/ and is not repeated; the table and the
plot of all of them go into docs/.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.loading.splits import hold_out, keep_labels
from data.readers import dataset_reader, read_narrations
from data.regions.index import region_files
from experiments.ablation_page import (
    Result,
    chosen_rate,
    format_section,
    read_results,
    write_page,
)
from experiments.ablation_rows import (
    ROWS,
    Row,
    choose_rows,
)
from utils.checkpointing.checkpoint import load_checkpoint
from utils.config import Config, config_to_dict, make_config, read_config_file
from utils.distributed.command import run_command
from utils.errors import InputError
from utils.files import folder_when_whole, write_text
from utils.options import command_parser, whole_number_from

REPOSITORY = Path(__file__).resolve().parent.parent
SPLITS = ("train", "val", "test")
SCORED_SPLIT = {"cin": "test", "vd_ref": "val"}
LABEL_FRACTION = {"cin": 0.05, "vd_ref": 0.1}
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
# Without labels all regions are called the same.
NO_LABEL = "thing"
# A mention pipeline stops when its F1 has not grown while it saw so many narrations, which are many
# epochs of few labels, but not before so many epochs.
_PATIENT_NARRATIONS, _LEAST_PATIENCE = 240, 3
_MOST_EPOCHS = 100
_LAST_LINES = 20


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


@dataclass(frozen=True)
class Run:
    """One training of a row."""

    row: Row
    seed: int
    rate: float

    @property
    def name(self) -> str:
        """Of its files."""
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


def option_parser() -> argparse.ArgumentParser:
    """The options of the command."""
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
    """What the command line says of every run, checked.

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
    """The whole configuration of a run.

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
    """The command lines of a run: training, coreference and, where it is trained, grounding."""
    config = config_of(run, settings)
    folder = settings.results / run.name
    test_options = [
        *("--save_name", str(folder / "models.pt"), "--split", SCORED_SPLIT[settings.dataset]),
        *("--output", str(folder / "predicted"), "--device", settings.device),
    ]
    train_options = ["--model_config", str(folder / "config.json"), "--save_name", str(folder)]
    commands = [
        [*_python("main.py"), *train_options, "--device", settings.device],
        [*_python("test_coref.py"), *test_options, "--json", str(folder / "coref.json")],
    ]
    if config.grounding:
        scores = ["--json", str(folder / "grounding.json")]
        commands.append([*_python("test_grounding.py"), *test_options, *scores])
    return commands


def _python(*script: str) -> list[str]:
    return [sys.executable, str(REPOSITORY.joinpath(*script))]


def finished(run: Run, settings: Settings) -> Result | None:
    """What a run left; None where it is still to be done.

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
    """The configuration as a result keeps it: folders by their names, wherever they lie."""
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
    """How many narrations are trained on with labels, held out, and trained on without labels.

    Raises:
        InputError: nothing is held out, so that no learning rate can be chosen.
    """
    root, split = Path(config.data_root), dataset_reader(config.dataset).labelled_split
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
        captions = dataset_reader(config.dataset).unlabelled_split
        if captions is not None:
            unlabelled += len(read_narrations(config.dataset, root, captions).narrations)
    return {"labelled": len(labelled), "held_out": len(held_out), "unlabelled": unlabelled}


def shared_facts(config: Config, coreference: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """What has to be the same in all runs of a table.

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


def run_logged(command: Sequence[str], log: Path) -> None:
    """Run a command, its output at the end of a log.

    Raises:
        InputError: it failed; with the log's last lines.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        status = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode
    if status:
        # A progress bar writes its line again and again.
        lines = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()
        last = "\n".join([line for line in lines if line.strip()][-_LAST_LINES:])
        raise InputError(f"exit status {status} of {' '.join(command)}; {log} ends:\n{last}")


def data_folder(row: Row, settings: Settings) -> Path:
    """The data of a row.

    Of the generated world each share of labels has a copy of its own: the mentions of the captions
    are found by a pipeline that has seen that share alone.
    """
    if settings.data_root is not None:
        return settings.data_root
    fraction = row.values.get("label_fraction", settings.label_fraction)
    name = f"{_world_name(settings)}-labels{fraction:g}-held{settings.held_out:g}"
    return settings.out / "data" / (name if row.region_labels else f"{name}-no-region-labels")


def vectors_folder(data: Path) -> Path:
    """The word vectors that were trained on the texts of the data."""
    return data / "sense2vec"


def _world_name(settings: Settings) -> str:
    sizes = "-".join(str(settings.sizes[split]) for split in SPLITS)
    return f"world{settings.world_seed}-{sizes}"


def prepare(row: Row, settings: Settings) -> None:
    """Make what a row reads, as far as it is not there: data, mentions, word vectors."""
    data = data_folder(row, settings)
    log = settings.out / "data" / f"{data.name}.log"
    if settings.data_root is None and not data.exists():
        _make_data(row, settings, data, log)
    vectors = vectors_folder(data)
    if row.word_vectors and not vectors.exists():
        source = ["--dataset", settings.dataset, "--data-root", str(data), "--out", str(vectors)]
        run_logged([*_python("tools", "train_sense2vec.py"), *source], log)


def _make_data(row: Row, settings: Settings, data: Path, log: Path) -> None:
    world = settings.out / "data" / _world_name(settings)
    if not world.exists():
        sizes = [text for split, size in settings.sizes.items() for text in (f"--{split}", size)]
        seed = ["--seed", settings.world_seed]
        command = [*_python("tools", "make_sample.py"), "--out", world, *seed, *sizes]
        run_logged(list(map(str, command)), log)
    fraction = row.values.get("label_fraction", settings.label_fraction)
    with folder_when_whole(data) as unfinished:
        shutil.copytree(world, unfinished)
        if not row.region_labels:
            remove_region_labels(unfinished / "faster_rcnn_image_features")
        source = ["--dataset", settings.dataset, "--data-root", str(unfinished)]
        pipeline = str(unfinished / "mention_pipeline")
        share = ["--label-fraction", str(fraction), "--held-out", str(settings.held_out)]
        labels = fraction * settings.sizes["val"] * (1 - settings.held_out)
        stop = ["--patience", str(patience(labels)), "--epochs", str(_MOST_EPOCHS)]
        prepare_command = _python("prepare.py")
        run_logged(
            [*prepare_command, "mention-pipeline", *source, *share, *stop, "--out", pipeline], log
        )
        run_logged([*prepare_command, "mentions", *source, "--spacy-model", pipeline], log)
        # For the log: unlabelled captions are worth what the pipeline finds in them.
        run_logged([*prepare_command, "score-mentions", *source, "--spacy-model", pipeline], log)


def patience(labels: float) -> int:
    """How many epochs of so many narrations a mention pipeline waits for a better F1."""
    return max(_LEAST_PATIENCE, math.ceil(_PATIENT_NARRATIONS / labels))


def remove_region_labels(folder: Path) -> None:
    """Give all regions of a store the same label; features and boxes stay as they are."""
    for split in SPLITS:
        path = region_files(folder, split).detections
        detections = json.loads(path.read_text(encoding="utf-8"))
        for image in detections.values():
            image["classes"] = [NO_LABEL] * len(image["classes"])
            image.pop("attrs", None)
        write_text(path, json.dumps(detections) + "\n")


if __name__ == "__main__":
    run_command(main)
