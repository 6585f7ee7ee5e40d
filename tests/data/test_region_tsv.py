"""Regions from the TSV files of bottom-up attention."""

from __future__ import annotations

import base64
import codecs
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from data.files import BadRecord, DataError
from data.regions.file_names import find_region_files
from data.regions.store import RegionStore
from data.regions.tsv import read_region_tsv, read_vocabulary
from prepare import main as prepare
from tests.data.test_regions import real_images
from utils.errors import InputError

BOXES = np.array([[0, 1, 20, 30], [5, 5, 6, 6]], dtype="<f4")
FEATURES = np.arange(6, dtype="<f4").reshape(2, 3)
OBJECTS = ("man", "dog")


def encoded(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


def without_labels(**changes: str) -> dict[str, str]:
    """The columns of a record of the kind without labels."""
    size = {"image_id": "7", "image_w": "40", "image_h": "30"}
    return {
        **size,
        "num_boxes": "2",
        "boxes": encoded(BOXES),
        "features": encoded(FEATURES),
        **changes,
    }


def with_labels(**changes: str) -> dict[str, str]:
    """The columns of a record of the other kind."""
    confidence = encoded(np.ones(2, dtype="<f4"))
    return {
        "image_id": "7",
        "image_h": "30",
        "image_w": "40",
        "objects_id": encoded(np.array([1, 0])),
        "objects_conf": confidence,
        "attrs_id": encoded(np.array([0, 0])),
        "attrs_conf": confidence,
        "num_boxes": "2",
        "boxes": encoded(BOXES),
        "features": encoded(FEATURES),
        **changes,
    }


def written(folder: Path, records: Sequence[Mapping[str, str]]) -> Path:
    path = folder / "regions.tsv"
    path.write_text("".join("\t".join(record.values()) + "\n" for record in records))
    return path


def test_the_released_features_come_bit_for_bit(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "bua_features"
    vocabularies = [
        option
        for kind in ("objects", "attributes")
        for option in (f"--{kind}-vocab", str(source / "vocab" / f"{kind}_vocab.txt"))
    ]
    options = ["--split", "train", "--out", str(tmp_path), *vocabularies]
    prepare(["regions", "--tsv", str(source / "train2014_obj36.tsv"), *options])
    expected = real_images(source)
    with RegionStore.read_files(find_region_files(tmp_path, "train")) as store:
        assert store.image_ids == tuple(expected)
        for image_id, (given, size) in expected.items():
            regions = store.read(image_id, size)
            assert regions.features.tobytes() == given.features.tobytes()
            rows = slice(*store.index.offsets[store.index.place_of(image_id) :][:2])
            assert store.index.boxes_xyxy[rows].tobytes() == given.boxes_xyxy.tobytes()
            assert regions.labels == tuple(given.classes)
            assert given.attributes is not None
            assert regions.attributes == tuple(given.attributes)


def test_both_kinds_hold_the_same_regions(tmp_path: Path) -> None:
    path = written(tmp_path, [without_labels(), with_labels(image_id="8")])
    plain, named = read_region_tsv(path, OBJECTS, None)
    assert (plain.image_id, named.image_id) == ("7", "8")
    assert (plain.classes, named.classes) == (["object", "object"], ["dog", "man"])
    assert plain.attributes is None and named.attributes is None
    for record in (plain, named):
        assert np.array_equal(record.boxes_xyxy, BOXES)
        assert np.array_equal(record.features, FEATURES)
    (_, with_attributes) = read_region_tsv(path, OBJECTS, ["red"])
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    assert [each.image_id for each in read_region_tsv(path, OBJECTS, None)] == [
        plain.image_id, named.image_id,
    ]  # fmt: skip
    assert with_attributes.attributes == ["red", "red"]


WRONG = {
    "an id": without_labels(image_id="a/b"),
    "a number from 1": without_labels(num_boxes="0"),
    "6 or 10 with tabs": {"image_id": "7"},
    "2 boxes x1": without_labels(boxes=encoded(BOXES[:, ::-1])),
    "<f4 for 3 boxes": without_labels(num_boxes="3"),
    "in base64": without_labels(features="?"),
    "finite numbers": without_labels(features=encoded(FEATURES * np.float32(np.nan))),
    "2 numbers below 2": with_labels(objects_id=encoded(np.array([1, 2]))),
}


@pytest.mark.parametrize("expected", WRONG)
def test_a_wrong_record_is_named_or_left_out(tmp_path: Path, expected: str) -> None:
    path = written(tmp_path, [without_labels(image_id="1"), WRONG[expected]])
    with pytest.raises(BadRecord, match=f"regions.tsv: line 2: found .*, expected .*{expected}"):
        list(read_region_tsv(path, OBJECTS, None))
    problems: list[BadRecord] = []
    (kept,) = read_region_tsv(path, OBJECTS, None, problems.append)
    assert kept.image_id == "1" and len(problems) == 1


def test_labels_without_words_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [with_labels()])
    options = ["regions", "--tsv", str(path), "--split", "val", "--out", str(tmp_path / "out")]
    with pytest.raises(DataError, match="expected --objects-vocab"):
        prepare(options)
    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("man\n\n")
    with pytest.raises(DataError, match="a line without a word"):
        read_vocabulary(vocabulary)
    vocabulary.write_text("gray,grey\nmulti colored, x\n")
    assert read_vocabulary(vocabulary) == ["gray", "multi colored"]
    options += ["--objects-vocab", str(vocabulary)]
    prepare(options)
    with pytest.raises(InputError, match="holds regions of val already"):
        prepare(options)
