"""Small data in the places that the pages name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from data.readers import read_narrations
from tests import (
    test_localized_narratives,
    test_reader_conll,
    test_reader_tiktalk,
    test_reader_vd_ref,
    test_reader_vispro,
    test_region_tsv,
    tiny,
)
from tools import data_split, make_sample


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
    _write_tiktalk(datasets / "tiktalkcoref")
    (datasets / "texts.jsonl").write_text('{"text": "A man holds a dog. He pets it."}\n')
    demo = folder / "saved" / "demo" / "model"
    demo.mkdir(parents=True)
    tiny.write_checkpoint(demo / "models.pt", tiny.resolver(mention_detection=True))
    conll = datasets / "litbank" / "conll"
    conll.mkdir(parents=True)
    # Ten to train on, and one of the test part.
    for number in (*range(1, 11), 238):
        (conll / f"{number}_a.conll").write_text(test_reader_conll.written(f"{number}_a"))


def _write_tiktalk(folder: Path) -> None:
    """The released files with six dialogues, and what the splitting tool makes of them."""
    splits = ("train", "train", "train", "train", "val", "test")
    ids = [str(number) for number in range(len(splits))]
    test_reader_tiktalk.write_release(folder, *map(test_reader_tiktalk.dialogue, ids))
    parts = (
        {"video_id": doc_key, "video_type": "celeb", "split": split}
        for doc_key, split in zip(ids, splits, strict=True)
    )
    test_reader_tiktalk.write_lines(folder / "split.jsonl", *parts)
    data_split.main(["--data-root", str(folder)])


def _write_tsv(datasets: Path) -> None:
    """Regions of the unlabelled pictures as bottom-up attention has them, and its vocabularies."""
    features = np.random.default_rng(0).random((2, 2048), dtype=np.float32)
    narrations = read_narrations("cin", datasets, "train").narrations
    records = [
        test_region_tsv.with_labels(
            image_id=narration.image_id, features=test_region_tsv.encoded(features)
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
