"""What is said of a data folder: what is there, what is missing, and how a training can start."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

import main as training
import prepare
from data.check import check_data
from data.mentions.found import cache_path, fingerprint
from data.readers import DATASETS, get_reader, read_narrations
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
from tests.readers.test_vispro import DIALOGUE
from tests.support import cin_files, tiny
from utils.errors import InputError

Change = Callable[[Path], None]


def write_found(folder: Path) -> None:
    """Write a found mention for every unlabelled narration."""
    narrations = read_narrations("cin", folder, "train").narrations
    mentions = {narration.id: [[0, 1]] for narration in narrations}
    path = cache_path(folder, "train")
    path.parent.mkdir(exist_ok=True)
    found = {"texts": fingerprint(narrations), "pipeline": {}, "mentions": mentions}
    path.write_text(json.dumps(found))


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A folder with everything that a CIN folder can hold."""
    folder = cin_files.write_cin_folder(tmp_path / "data", feature_size=tiny.FEATURE_SIZE)
    cin_files.write_image(folder, "301", cin_files.WIDTH, cin_files.HEIGHT)
    cin_files.write_trace(folder, "301", np.zeros((5, 5)))
    write_found(folder)
    return folder


def remove(*names: str) -> Change:
    def change(folder: Path) -> None:
        for path in (path for name in names for path in folder.glob(name)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def narratives_for_captions(folder: Path) -> None:
    remove("flk30k*")(folder)
    name = test_localized_narratives.FILE_NAME
    test_localized_narratives.write_narratives(folder / name, test_localized_narratives.RECORDS)
    write_found(folder)


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_data_set_says_what_it_expects(dataset: str, tmp_path: Path, capsys) -> None:
    """In an empty folder all is missing, with where it is to be had and what it costs."""
    expected = get_reader(dataset).expected_files(tmp_path)
    assert expected
    with pytest.raises(InputError, match="no training on"):
        prepare.main(["check", "--dataset", dataset, "--data-root", str(tmp_path)])
    said = capsys.readouterr().out
    for files in expected:
        assert f"{files.what}: missing\n" in said
        assert f"to be had: {files.source}\n" in said and f"without: {files.without}\n" in said
        assert files.paths
        for path in files.paths:
            assert f"  {path.relative_to(tmp_path)}: missing\n" in said
    assert not any(tmp_path.iterdir())


def _write_lines(path: Path, key: str, dialogue: dict) -> None:
    path.write_text(json.dumps({**dialogue, key: "7"}) + "\n")


def _write_conll(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(test_reader_conll.written("bn/0", 0))


@pytest.mark.parametrize(
    ("dataset", "write"),
    [
        (
            "vd_ref",
            lambda f: _write_lines(f / "train.jsonlines", "id", test_reader_vd_ref.DIALOGUE),
        ),
        ("vispro", lambda f: _write_lines(f / "train.vispro.1.1.jsonlines", "doc_key", DIALOGUE)),
        ("litbank", lambda f: _write_conll(f / "conll" / "1_b_brat.conll")),
        ("conll", lambda f: _write_conll(f / "train" / "bn" / "a.v4_gold_conll")),
        ("corefud", lambda f: test_reader_corefud.write(f, "a-train.conllu")),
    ],
)
def test_a_training_on_texts_needs_their_training_split(
    dataset: str, write: Change, tmp_path: Path
) -> None:
    assert check_data(dataset, tmp_path).options is None
    write(tmp_path)
    assert check_data(dataset, tmp_path).options == ("--use-ssl", "--no-regions")
    expected = get_reader(dataset).expected_files(tmp_path)
    missing = [f for f in expected if not f.paths[0].exists()]
    assert len(missing) == len(expected) - 1


REGIONS = "faster_rcnn_image_features"


@pytest.mark.parametrize(
    ("change", "missing", "options"),
    [
        (lambda folder: None, [], ["--use-ssl"]),
        (
            remove("flickr30k-images", "flk30k_LN_trace_box"),
            ["mouse traces", "pictures"],
            ["--use-ssl"],
        ),
        (narratives_for_captions, [], ["--use-ssl"]),
        (remove(f"{REGIONS}/test*"), ["regions of test"], ["--use-ssl"]),
        (
            remove(f"{REGIONS}/train*"),
            ["regions of train"],
            ["--use-ssl", "--no-unlabelled"],
        ),
        (
            remove(f"{REGIONS}/train_det*"),
            ["regions of train"],
            ["--use-ssl", "--no-unlabelled"],
        ),
        (remove("mentions"), ["mentions found in train"], ["--use-ssl", "--no-unlabelled"]),
        (remove("flk30k_LN_label.h5"), ["captions of train"], ["--use-ssl", "--no-unlabelled"]),
        (remove(f"{REGIONS}/val*"), ["regions of val"], ["--use-ssl", "--no-regions"]),
        (remove(f"{REGIONS}/val_img*"), ["regions of val"], ["--use-ssl", "--no-regions"]),
        (remove("cin_annotations"), ["labelled narrations of val and test"], []),
        (
            remove("cin_annotations", f"{REGIONS}/train_det*"),
            ["labelled narrations of val and test", "regions of train"],
            ["--no-regions"],
        ),
        (
            remove("cin_annotations", "mentions"),
            ["labelled narrations of val and test", "mentions found in train"],
            None,
        ),
    ],
)
def test_what_is_missing_is_said_and_a_training_starts_without_it(
    change: Change, missing: Sequence[str], options: Sequence[str] | None, whole: Path
) -> None:
    change(whole)
    check = check_data("cin", whole)
    assert [line for line in check.lines if line.endswith(": missing") and line[0] != " "] == [
        f"{what}: missing" for what in missing
    ]
    assert check.options == (None if options is None else tuple(options))
    if options is None:
        return
    values = {
        "text_encoder": tiny.encoder_folder(),
        "region_feature_size": tiny.FEATURE_SIZE,
        "region_feedforward_size": 32,
        "epochs": 1,
        "held_out": 0.0,
    }
    config = whole.parent / "config.json"
    config.write_text(json.dumps(values))
    training.main(
        [
            "--model_config",
            str(config),
            "--dataset",
            "cin",
            "--data-root",
            str(whole),
            *options,
            "--device",
            "cpu",
            "--batch",
            "2",
            "--save_name",
            str(whole.parent / "saved"),
        ]
    )
    assert (whole.parent / "saved" / "models.pt").exists()


def test_a_check_says_what_the_files_hold(whole: Path, capsys) -> None:
    prepare.main(["check", "--dataset", "cin", "--data-root", str(whole)])
    said = capsys.readouterr().out
    size = tiny.FEATURE_SIZE
    assert f"features [5, {size}] float32, pos_bboxes [2, 2] int64" in said
    assert "labels [4, 16] uint32" in said
    assert "flk30k_LN_trace_box: 1 files" in said
    assert f"cin train, regions: 3 pictures, features of {size} numbers; 0 pictures" in said
    assert "found mentions: 3\n" in said
    for split in get_reader("cin").splits:
        assert "\n".join(read_narrations("cin", whole, split).report.lines()) in said
    assert said.endswith(f"main.py --dataset cin --data-root {whole} --use-ssl\n")


def test_broken_files_are_said_and_not_built_upon(whole: Path) -> None:
    """A file that is there and cannot be read counts as little as one that is missing."""
    (whole / "flk30k_LN_label.h5").write_bytes(b"none")
    check = check_data("cin", whole)
    assert check.options == ("--use-ssl", "--no-unlabelled")
    assert any("cin train cannot be used" in line and "label.h5" in line for line in check.lines)
    assert any("flk30k_LN_label.h5: 4 bytes; not HDF5" in line for line in check.lines)
    annotations = whole / "cin_annotations" / "testval_annotations.json"
    records = json.loads(annotations.read_text())
    records[0]["captions"] = 3
    annotations.write_text(json.dumps(records))
    assert check_data("cin", whole).options is None
    skipping = check_data("cin", whole, skip_bad_records=True)
    assert skipping.options == ("--use-ssl", "--no-unlabelled")
    assert any("bad records skipped: " in line for line in skipping.lines)
