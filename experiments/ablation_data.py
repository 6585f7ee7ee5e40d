"""The data of a row of the ablation: a generated world, found mentions and word vectors."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

from data.regions.file_names import region_files
from experiments.ablation_rows import Row
from experiments.ablation_settings import SPLITS, Settings
from experiments.runner import run_logged, script
from utils.files import folder_when_whole, write_text

# Without labels all regions are called the same.
NO_LABEL = "thing"
# A mention pipeline stops when its F1 has not grown while it saw so many narrations, which are many
# epochs of few labels, but not before so many epochs.
_PATIENT_NARRATIONS, _LEAST_PATIENCE = 240, 3
_MOST_EPOCHS = 100


def data_folder(row: Row, settings: Settings) -> Path:
    """Return the folder of a row's data.

    Of the generated world each share of labels has a copy of its own: the mentions of the captions
    are found by a pipeline that has seen that share alone.
    """
    if settings.data_root is not None:
        return settings.data_root
    fraction = row.values.get("label_fraction", settings.label_fraction)
    name = f"{_world_name(settings)}-labels{fraction:g}-held{settings.held_out:g}"
    return settings.out / "data" / (name if row.region_labels else f"{name}-no-region-labels")


def vectors_folder(data: Path) -> Path:
    """Return the folder of the word vectors that were trained on the texts of the data."""
    return data / "sense2vec"


def prepare(row: Row, settings: Settings) -> None:
    """Make what a row reads, as far as it is not there: data, mentions, word vectors."""
    data = data_folder(row, settings)
    log = settings.out / "data" / f"{data.name}.log"
    if settings.data_root is None and not data.exists():
        _make_data(row, settings, data, log)
    vectors = vectors_folder(data)
    if row.word_vectors and not vectors.exists():
        source = ["--dataset", settings.dataset, "--data-root", str(data), "--out", str(vectors)]
        run_logged([*script("tools", "train_sense2vec.py"), *source], log)


def _make_data(row: Row, settings: Settings, data: Path, log: Path) -> None:
    world = settings.out / "data" / _world_name(settings)
    if not world.exists():
        sizes = [text for split, size in settings.sizes.items() for text in (f"--{split}", size)]
        seed = ["--seed", settings.world_seed]
        command = [*script("tools", "make_sample.py"), "--out", world, *seed, *sizes]
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
        prepare_command = script("prepare.py")
        run_logged(
            [*prepare_command, "mention-pipeline", *source, *share, *stop, "--out", pipeline], log
        )
        run_logged([*prepare_command, "mentions", *source, "--spacy-model", pipeline], log)
        # For the log: unlabelled captions are worth what the pipeline finds in them.
        run_logged([*prepare_command, "score-mentions", *source, "--spacy-model", pipeline], log)


def _world_name(settings: Settings) -> str:
    sizes = "-".join(str(settings.sizes[split]) for split in SPLITS)
    return f"world{settings.world_seed}-{sizes}"


def patience(labels: float) -> int:
    """Return how many epochs of so many narrations a mention pipeline waits for a better F1."""
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
