"""Small data in the places that the pages name."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np

from data.readers import read_narrations
from tests.data import test_label_studio, test_region_tsv
from tests.readers import (
    test_conll as test_reader_conll,
)
from tests.readers import (
    test_corefud as test_reader_corefud,
)
from tests.readers import (
    test_localized_narratives,
)
from tests.readers import (
    test_vd_ref as test_reader_vd_ref,
)
from tests.readers import (
    test_vispro as test_reader_vispro,
)
from tests.support import tiny
from tools import data_split, make_dialogues, make_sample


def write(folder: Path) -> None:
    """Write the data sets below `datasets/`, and what a user brings.

    Args:
        folder: the working folder of the commands.
    """
    datasets = folder / "datasets"
    make_sample.main(
        ["--out", str(datasets), "--seed", "3", "--train", "6", "--val", "12", "--test", "3"]
    )
    test_localized_narratives.write_narratives(
        datasets / test_localized_narratives.FILE_NAME, test_localized_narratives.RECORDS
    )
    _write_tsv(datasets)
    write_lines(datasets / "vd_ref", "{}.jsonlines", test_reader_vd_ref.DIALOGUE, "id")
    write_lines(
        datasets / "downloaded", "{}.vispro.1.1.jsonlines", test_reader_vispro.DIALOGUE, "doc_key"
    )
    (datasets / "vispro").mkdir()
    (datasets / "texts.jsonl").write_text('{"text": "A man holds a dog. He pets it."}\n')
    image = next((datasets / "flickr30k-images").iterdir())
    (datasets / "pictures.jsonl").write_text(
        json.dumps({"text": "Here is a boy.", "image": f"{image.parent.name}/{image.name}"})
    )
    labelled = read_narrations("cin", datasets, "val").narrations
    exported = test_label_studio.exported(labelled)
    (datasets / "export.json").write_text(json.dumps(exported[:9]))
    (datasets / "export_test.json").write_text(json.dumps(exported[9:]))
    for name, of_two in test_label_studio.annotated_by_two(exported[:9]).items():
        (datasets / f"{name}.json").write_text(json.dumps(of_two))
    dialogues = datasets / "tiktalkcoref"
    make_dialogues.main(
        ["--out", str(dialogues), "--seed", "3", "--dialogues", "40", "--faces", "2"]
    )
    _share_out(dialogues / "split.jsonl")
    data_split.main(["--data-root", str(dialogues)])
    demo = folder / "saved" / "demo" / "model"
    demo.mkdir(parents=True)
    tiny.write_checkpoint(demo / "models.pt", tiny.resolver(mention_detection=True))
    conll = datasets / "litbank" / "conll"
    conll.mkdir(parents=True)
    # Ten to train on, and one of the test part.
    for number in (*range(1, 11), 238):
        (conll / f"{number}_a.conll").write_text(test_reader_conll.written(f"{number}_a"))
    for part, documents in (("train", 10), ("dev", 1), ("test", 1)):
        names = (f"{part}{number}" for number in range(documents))
        written = map(test_reader_corefud.written, names)
        test_reader_corefud.write(datasets / "gum", f"en_gum-ud-{part}.conllu", *written)


def _share_out(path: Path) -> None:
    """Give every split of so few dialogues some with celebrities and some without."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for kind in ("celeb", "no_celeb"):
        of_kind = [line for line in lines if line["video_type"] == kind]
        for line, split in zip(of_kind, itertools.cycle(("train", "val", "test"))):
            line["split"] = split
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _write_tsv(datasets: Path) -> None:
    """Regions of the unlabelled images as bottom-up attention has them, and its vocabularies."""
    features = np.random.default_rng(0).random((2, 2048), dtype=np.float32)
    narrations = read_narrations("cin", datasets, "train").narrations
    records = [
        test_region_tsv.with_labels(
            image_id=str(narration.image_id), features=test_region_tsv.encoded(features)
        )
        for narration in narrations
    ]
    test_region_tsv.written(datasets, records).rename(datasets / "train.tsv")
    (datasets / "objects_vocab.txt").write_text("\n".join(test_region_tsv.OBJECTS))
    (datasets / "attributes_vocab.txt").write_text("red")


def write_lines(folder: Path, name: str, record: dict, key: str) -> None:
    """A record under ten names, in a file for each split."""
    folder.mkdir(exist_ok=True)
    for split in ("train", "val", "test"):
        records = [{**record, key: f"{split}{number}"} for number in range(10)]
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / name.format(split)).write_text(lines)
