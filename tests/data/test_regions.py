"""The region store: the published files in and out, read by rows, wherever it is handed to."""

from __future__ import annotations

import base64
import csv
import io
import json
import multiprocessing
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from data.files import BadRecord, DataError, read_image_rows
from data.regions.file_names import RegionFiles, find_region_files, region_files, shard_name
from data.regions.store import RegionStore
from data.regions.writer import (
    ImageRegions,
    images_of,
    write_region_store,
)
from prepare import main as prepare
from tests.support.cin_files import (
    DEFAULT_REGIONS,
    ImageNote,
    write_cin_folder,
    write_regions,
)
from utils.errors import InputError

SIZE = (200, 100)
FOLDER = "faster_rcnn_image_features"


def written(folder: Path, images: dict[str, ImageNote] | None = None) -> RegionFiles:
    """The three files of a `val` store, in the published formats."""
    write_regions(folder, "val", DEFAULT_REGIONS["val"] if images is None else images)
    return region_files(folder / FOLDER, "val")


def test_an_image_has_its_rows_of_the_file(tmp_path: Path) -> None:
    features_path, *others = written(tmp_path)
    with (
        h5py.File(features_path) as file,
        RegionStore.read_files([RegionFiles(features_path, *others)]) as store,
    ):
        assert store.image_ids == ("101", "102")
        assert len(store) == 2
        assert "101" in store
        assert "103" not in store
        assert store.feature_size == 8
        for image_id, (start, end) in zip(store.image_ids, file["pos_bboxes"], strict=True):
            regions = store.read(image_id, SIZE)
            assert np.array_equal(regions.features, file["features"][start:end])
            assert regions.labels == tuple(DEFAULT_REGIONS["val"][image_id].labels)


def test_boxes_become_relative_and_are_clipped(tmp_path: Path) -> None:
    note = ImageNote([[20, 20, 80, 60], [-5, 50, 150, 120]], ["man", "dog"])
    with RegionStore.read_files([written(tmp_path, {"101": note})]) as store:
        boxes = store.read("101", SIZE).boxes_xyxy
        assert boxes.dtype == np.float32
        assert boxes == pytest.approx(np.array([[0.1, 0.2, 0.4, 0.6], [0, 0.5, 0.75, 1]]))
        # Without a size the image ends at 150 and 120.
        boxes = store.read("101", None).boxes_xyxy
        assert boxes[1] == pytest.approx(np.array([0, 50 / 120, 1, 1]))


def test_attributes_are_there_where_the_detector_gives_them(tmp_path: Path) -> None:
    with RegionStore.read_files([written(tmp_path)]) as store:
        assert store.read("101", SIZE).attributes == ("tall", "brown", "green")
        assert store.read("102", SIZE).attributes == ()


def test_the_first_regions_are_kept_and_all_tell_the_size(tmp_path: Path) -> None:
    paths = written(tmp_path)
    with (
        RegionStore.read_files([paths]) as whole,
        RegionStore.read_files([paths], max_regions=2) as store,
    ):
        every, first = whole.read("101", None), store.read("101", None)
        assert len(first) == 2
        assert np.array_equal(first.features, every.features[:2])
        assert np.array_equal(first.boxes_xyxy, every.boxes_xyxy[:2])
        assert (first.labels, first.attributes) == (every.labels[:2], every.attributes[:2])


def test_an_image_may_have_no_regions(tmp_path: Path) -> None:
    images = {"101": ImageNote([], []), **DEFAULT_REGIONS["train"]}
    with RegionStore.read_files([written(tmp_path, images)]) as store:
        assert len(store.read("101", None)) == 0
        assert store.read("101", SIZE).features.shape == (0, 8)
        assert len(store.read("301", None)) == 3


def test_reading_an_image_does_not_read_the_file(tmp_path: Path) -> None:
    features_path, *others = written(tmp_path)
    rows = 10**9
    with h5py.File(features_path, "w") as file:
        # Eight terabytes that are promised and not written.
        features = file.create_dataset("features", (rows, 2048), np.float32, chunks=(64, 2048))
        file["pos_bboxes"] = [[rows - 5, rows - 2], [7, 9]]
        features[rows - 5] = 1
    with RegionStore.read_files([RegionFiles(features_path, *others)]) as store:
        features = store.read("101", SIZE).features
        assert features.shape == (3, 2048)
        assert features[:2].mean(axis=1).tolist() == [1, 0]


@pytest.mark.parametrize("layout", [{}, {"compression": "gzip"}, {"chunks": (2, 3)}])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_any_layout_and_floats_give_the_same_features(
    tmp_path: Path, layout: dict[str, object], dtype: type
) -> None:
    features_path, *others = written(tmp_path)
    with h5py.File(features_path, "r+") as file:
        features = file["features"][:].astype(np.float16)
        del file["features"]
        file.create_dataset("features", data=features.astype(dtype), **layout)
    with RegionStore.read_files([RegionFiles(features_path, *others)]) as store:
        read = store.read("101", SIZE).features
        assert read.dtype == np.float32
        assert np.array_equal(read, features[:3].astype(np.float32))


def put_sums(
    store: RegionStore, image_ids: list[str], answers: multiprocessing.SimpleQueue[list[bytes]]
) -> None:
    answers.put([store.read(image_id, SIZE).features.tobytes() for image_id in image_ids])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_what_their_parent_reads(tmp_path: Path, method: str) -> None:
    # The type of a context that is chosen by its name has no processes.
    context: Any = multiprocessing.get_context(method)
    image_ids = ["102", "101", "102"]
    with RegionStore.read_files([written(tmp_path)]) as store:
        # The parent has the file open by now, and goes on reading beside its workers.
        before = [store.read(image_id, SIZE).features.tobytes() for image_id in image_ids]
        answers = [context.SimpleQueue() for _ in range(2)]
        workers = [context.Process(target=put_sums, args=(store, image_ids, a)) for a in answers]
        for worker in workers:
            worker.start()
        assert [answer.get() for answer in answers] == [before, before]
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0
        assert [store.read(image_id, SIZE).features.tobytes() for image_id in image_ids] == before


def test_a_closed_store_opens_again(tmp_path: Path) -> None:
    store = RegionStore.read_files([written(tmp_path)])
    before = store.read("101", SIZE).features
    store.close()
    store.close()
    assert np.array_equal(store.read("101", SIZE).features, before)
    store.close()


def test_an_image_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        RegionStore.read_files([written(tmp_path)]) as store,
        pytest.raises(DataError, match="'103'"),
    ):
        store.read("103", SIZE)


def test_features_that_are_not_finite_are_named(tmp_path: Path) -> None:
    features_path, *others = written(tmp_path)
    with h5py.File(features_path, "r+") as file:
        file["features"][4, 2] = np.nan
    with RegionStore.read_files([RegionFiles(features_path, *others)]) as store:
        store.read("101", SIZE)
        with pytest.raises(BadRecord, match=r"val_features_compress\.hdf5: the features of 102"):
            store.read("102", SIZE)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_image_of_features_that_are_not_finite_can_be_read_without_regions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: float
) -> None:
    paths = written(tmp_path)
    with h5py.File(paths[0], "r+") as file:
        file["features"][4, 2] = value
    with RegionStore.read_files([paths], skip_bad_records=True) as store:
        first, again = store.read("102", SIZE), store.read("102", SIZE)
        # Said by each process that reads it, and by none twice.
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and "the features of 102" in said
        elsewhere = pickle.loads(pickle.dumps(store)).read("102", SIZE)
        assert capsys.readouterr().err == said
        assert [p.image_id for p in images_of(store) if len(p.boxes_xyxy)] == ["101"]
        assert len(store.read("101", SIZE)) == 3
    for regions in (first, again, elsewhere):
        assert len(regions) == len(regions.boxes_xyxy) == 0
        assert regions.features.shape == (0, 8)


@pytest.mark.parametrize("rows", [[3, 6], [3, 2], [-1, 2], [2**62, 2**63]])
def test_an_image_of_wrong_rows_can_be_read_without_regions(
    tmp_path: Path, rows: list[int]
) -> None:
    paths = written(tmp_path)
    with h5py.File(paths[0], "r+") as file:
        del file["pos_bboxes"]
        file["pos_bboxes"] = np.asarray([[0, 3], rows], np.int64 if rows[0] < 0 else np.uint64)
    with pytest.raises(BadRecord, match="102"):
        RegionStore.read_files([paths])
    with RegionStore.read_files([paths], skip_bad_records=True) as store:
        assert len(store.skipped) == 1
        assert len(store.read("101", SIZE)) == 3
        assert not len(store.read("102", SIZE))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_missing_file_is_named(tmp_path: Path, place: int) -> None:
    paths = written(tmp_path)
    paths[place].unlink()
    with pytest.raises(DataError, match=paths[place].name):
        RegionStore.read_files([paths])


def test_a_truncated_file_of_features_is_named(tmp_path: Path) -> None:
    paths = written(tmp_path)
    paths[0].write_bytes(paths[0].read_bytes()[:-100])
    with pytest.raises(DataError, match=r"val_features_compress\.hdf5 cannot be read as HDF5"):
        RegionStore.read_files([paths])


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("pos_bboxes", [[0, 3]], r"102 has row 1.*pos_bboxes .* has 1 rows"),
        ("pos_bboxes", [[0, 3], [3, 6]], r"regions of 102 are rows \[3, 6\] of 5"),
        ("pos_bboxes", [[3, 0], [3, 5]], r"regions of 101 are rows \[3, 0\] of 5"),
        ("pos_bboxes", [[-1, 2], [3, 5]], r"regions of 101 are rows \[-1, 2\] of 5"),
        ("pos_bboxes", [[0, 2], [3, 5]], r"json: 101: found 3 regions, expected 2, .* in \S*hdf5"),
        ("pos_bboxes", [0, 3], "pos_bboxes is int64"),
        ("pos_bboxes", [[0.0, 3.0]], "pos_bboxes is float64"),
        ("features", np.zeros((5, 8), np.int32), "features is int32"),
        ("features", np.zeros(5, np.float32), "features is float32"),
    ],
)
def test_rows_that_do_not_fit_are_named(
    tmp_path: Path, name: str, values: object, message: str
) -> None:
    paths = written(tmp_path)
    with h5py.File(paths[0], "r+") as file:
        del file[name]
        file[name] = values
    with pytest.raises(DataError, match=message):
        RegionStore.read_files([paths])


def test_a_file_without_rows_is_named(tmp_path: Path) -> None:
    paths = written(tmp_path)
    with h5py.File(paths[0], "r+") as file:
        del file["pos_bboxes"]
    with pytest.raises(DataError, match=r"val_features_compress\.hdf5.*pos_bboxes"):
        RegionStore.read_files([paths])


BOX = [1, 2, 3, 4]
BAD_DETECTIONS: dict[str, object] = {
    "NaN": {"bboxes": [BOX, [float("nan"), 2, 3, 4]], "classes": ["a", "b"]},
    "endless": {"bboxes": [BOX, [1, 2, float("inf"), 4]], "classes": ["a", "b"]},
    "far away": {"bboxes": [BOX, [1, 2, 1e300, 4]], "classes": ["a", "b"]},
    "beyond 64 bits": {"bboxes": [BOX, [1, 2, 10**40, 4]], "classes": ["a", "b"]},
    "backwards": {"bboxes": [BOX, [3, 2, 1, 4]], "classes": ["a", "b"]},
    "three numbers": {"bboxes": [BOX, [1, 2, 3]], "classes": ["a", "b"]},
    "text": {"bboxes": [BOX, ["1", "2", "3", "4"]], "classes": ["a", "b"]},
    "no list": {"bboxes": 3, "classes": ["a", "b"]},
    "no classes": {"bboxes": [BOX, BOX]},
    "one class": {"bboxes": [BOX, BOX], "classes": ["a"]},
    "class of no text": {"bboxes": [BOX, BOX], "classes": ["a", 1]},
    "empty class": {"bboxes": [BOX, BOX], "classes": ["a", ""]},
    "one attribute": {"bboxes": [BOX, BOX], "classes": ["a", "b"], "attrs": ["c"]},
    "no boxes": {"classes": ["a", "b"]},
    "no object": [BOX, BOX],
    "text for an object": "\x1b[31m",
}


@pytest.mark.parametrize("kind", BAD_DETECTIONS)
def test_bad_detections_are_named(tmp_path: Path, kind: str) -> None:
    paths = written(tmp_path)
    detections = json.loads(paths[2].read_text())
    detections["102"] = BAD_DETECTIONS[kind]
    paths[2].write_text(json.dumps(detections))
    with pytest.raises(
        BadRecord, match=r"val_detection_dict\.json: 102: found .*, expected"
    ) as raised:
        RegionStore.read_files([paths])
    assert str(raised.value).isprintable()


def test_boxes_of_another_scale_than_the_image_are_named(tmp_path: Path) -> None:
    paths = written(tmp_path)
    largest = json.loads(paths[2].read_text())["102"]["bboxes"]
    width, height = (int(max(box[axis] for box in largest)) for axis in (2, 3))
    RegionStore.read_files([paths], image_sizes={"102": (width, height), "elsewhere": (1, 1)})
    sizes = {"102": (width // 2, height)}
    expected = (
        rf"json: 102: found boxes up to x {width} .*inside its {width // 2} x {height} pixels"
    )
    with pytest.raises(BadRecord, match=expected):
        RegionStore.read_files([paths], image_sizes=sizes)
    store = RegionStore.read_files([paths], image_sizes=sizes, skip_bad_records=True)
    assert len(store.skipped) == 1
    assert not store.read("102", sizes["102"]).labels


def test_an_image_of_bad_detections_can_be_read_without_regions(tmp_path: Path) -> None:
    paths = written(tmp_path)
    whole = RegionStore.read_files([paths])
    detections = json.loads(paths[2].read_text())
    detections["102"] = BAD_DETECTIONS["NaN"]
    paths[2].write_text(json.dumps(detections))
    store = RegionStore.read_files([paths], skip_bad_records=True)
    assert [message.split(": ")[1] for message in store.skipped] == ["102"]
    for image_id in whole.image_ids:
        regions = store.read(image_id, None)
        kept = image_id != "102"
        assert len(regions.boxes_xyxy) == len(whole.read(image_id, None).boxes_xyxy) * kept
        assert len(regions.labels) == len(regions.features) == len(regions.boxes_xyxy)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("3", "expected an object of image ids"),
        ("[[1, 2]]", "expected an object of image ids"),
        ("{}", "101: found nothing, expected its regions: it is in .*val_imgid2idx.pkl"),
        ('{"../1": {}}', "expected an image id"),
        ('{"101": {}, "101": {}}', "101: found its detections twice"),
    ],
)
def test_a_broken_file_of_detections_is_named(tmp_path: Path, content: str, message: str) -> None:
    paths = written(tmp_path)
    paths[2].write_text(content)
    with pytest.raises(DataError, match=rf"val_detection_dict\.json.* {message}"):
        RegionStore.read_files([paths])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_index_of_any_protocol_is_read_in_its_order(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "index.pkl"
    rows = {70_000: 0, 3: 1, "name": 2, "b": 300, 2**40: 70_000, -1: 5}
    path.write_bytes(pickle.dumps(rows, protocol))
    assert list(read_image_rows(path).items()) == [(str(key), row) for key, row in rows.items()]


def test_an_index_written_by_python_2_is_read(tmp_path: Path) -> None:
    path = tmp_path / "index.pkl"
    path.write_bytes(b"(dp0\nS'101'\np1\nI0\nsL102L\nI1\ns.")
    assert read_image_rows(path) == {"101": 0, "102": 1}


class Asking(pickle.Pickler):
    """Writes everything that is not a number as something to be found elsewhere."""

    def persistent_id(self, value: object) -> str | None:
        return "elsewhere" if value == "elsewhere" else None


def asking_pickle() -> bytes:
    written_to = io.BytesIO()
    Asking(written_to).dump({"101": "elsewhere"})
    return written_to.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps([1, 2]),
        pickle.dumps({1: "a"}),
        pickle.dumps({1: True}),
        pickle.dumps({True: 1}),
        pickle.dumps({1: 1.5}),
        pickle.dumps({1.5: 1}),
        pickle.dumps({None: 1}),
        pickle.dumps({(1, 2): 1}),
        pickle.dumps({"../101": 1}),
        pickle.dumps({10**3000: 1}),
        pickle.dumps({1: np.int64(2)}),
        pickle.dumps({1: {2: 3}}),
        pickle.dumps({1: 2})[:-3],
        asking_pickle(),
        b"cos\nsystem\n(S'true'\ntR.",
        b"}}1s.",
        b".",
        b"",
        b"<html>not found</html>",
        # Would make room for four thousand million notes.
        b"\x80\x02}r" + struct.pack("<I", 2**32 - 1) + b".",
    ],
)
def test_an_index_of_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "index.pkl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"index\.pkl .*a pickled dict of ids"):
        read_image_rows(path)


def test_an_id_twice_in_an_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "index.pkl"
    path.write_bytes(pickle.dumps({1: 0, "1": 1}))
    with pytest.raises(DataError, match=r"index\.pkl holds the id 1 twice"):
        read_image_rows(path)


def image(
    image_id: str | int = "7", count: int = 3, seed: int = 0, feature_size: int = 5
) -> ImageRegions:
    generator = np.random.default_rng(seed)
    corners = generator.uniform(0, 300, (count, 2, 2)).astype(np.float32)
    return ImageRegions(
        image_id=image_id,
        boxes_xyxy=np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1),
        classes=[f"thing {index % 2}" for index in range(count)],
        attributes=["red"] * count if count % 2 else None,
        features=generator.standard_normal((count, feature_size), dtype=np.float32),
    )


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    images = [image(900 + count, count, seed=count) for count in (3, 0, 70, 2)]
    write_region_store(tmp_path / "new", "train", iter(images))
    size = (300, 300)
    with RegionStore.read_files([region_files(tmp_path / "new", "train")]) as store:
        assert store.image_ids == ("903", "900", "970", "902")
        for given in images:
            regions = store.read(str(given.image_id), size)
            assert np.array_equal(regions.features, given.features)
            assert np.allclose(regions.boxes_xyxy * 300, given.boxes_xyxy, rtol=1e-6)
            assert regions.labels == tuple(given.classes)
            assert regions.attributes == tuple(given.attributes or ())


def test_ids_are_written_as_the_release_has_them(tmp_path: Path) -> None:
    ids = ["17", "017", "name", "٣", "9" * 30]
    write_region_store(tmp_path, "val", [image(image_id) for image_id in ids])
    _, index_path, detections_path = region_files(tmp_path, "val")
    written_ids = [17, *ids[1:]]
    assert pickle.loads(index_path.read_bytes()) == {i: row for row, i in enumerate(written_ids)}
    assert list(json.loads(detections_path.read_text())) == ids
    assert list(read_image_rows(index_path)) == ids


def test_shards_hold_what_the_whole_holds(tmp_path: Path) -> None:
    images = [image(900 + count, count, seed=count) for count in (3, 0, 70, 2, 5)]
    write_region_store(tmp_path / "whole", "train", images)
    for number in range(2):
        write_region_store(tmp_path / "parts", shard_name("train", number, 2), images[number::2])
    found = [find_region_files(tmp_path / name, "train") for name in ("whole", "parts")]
    assert list(map(len, found)) == [1, 2]
    with RegionStore.read_files(found[0]) as whole, RegionStore.read_files(found[1]) as parts:
        assert set(parts.image_ids) == set(whole.image_ids)
        for image_id in whole.image_ids:
            expected, regions = whole.read(image_id, SIZE), parts.read(image_id, SIZE)
            assert np.array_equal(regions.features, expected.features)
            assert np.array_equal(regions.boxes_xyxy, expected.boxes_xyxy)
            assert regions.labels == expected.labels
            assert regions.attributes == expected.attributes
    # A split whose name begins another's is not taken for it.
    assert find_region_files(tmp_path / "parts", "tra") == []


def test_shards_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    first, second = (shard_name("val", number, 2) for number in range(2))
    write_region_store(tmp_path, first, [image("1")])
    with pytest.raises(DataError, match="missing: .*val-00001-of-00002"):
        find_region_files(tmp_path, "val")
    write_region_store(tmp_path, second, [image("1")])
    with pytest.raises(DataError, match="00001-of-00002.* holds 1, which an earlier shard has"):
        RegionStore.read_files(find_region_files(tmp_path, "val"))
    write_region_store(tmp_path, second, [image("2", feature_size=6)])
    with pytest.raises(DataError, match="features of 6 numbers, expected 5"):
        RegionStore.read_files(find_region_files(tmp_path, "val"))
    write_region_store(tmp_path, "val", [image("2")])
    with pytest.raises(DataError, match="in 2 shards and in one piece"):
        find_region_files(tmp_path, "val")


def test_half_precision_takes_half_the_space_and_rounds(tmp_path: Path) -> None:
    images = [image(number, 64, seed=number, feature_size=256) for number in range(4)]
    write_region_store(tmp_path / "whole", "val", images)
    with RegionStore.read_files([region_files(tmp_path / "whole", "val")]) as whole:
        write_region_store(tmp_path / "half", "val", images_of(whole), np.float16)
    files = [region_files(tmp_path / name, "val") for name in ("whole", "half")]
    sizes = [of_store.features.stat().st_size for of_store in files]
    assert sizes[1] < 0.6 * sizes[0]
    assert files[0].detections.read_text() == files[1].detections.read_text()
    with RegionStore.read_files(files[1:]) as half:
        for given in images:
            features = half.read(str(given.image_id), SIZE).features
            assert features.dtype == np.float32
            assert np.array_equal(features, given.features.astype(np.float16).astype(np.float32))
    too_large = [image()._replace(features=np.full((3, 5), 1e5))]
    with pytest.raises(DataError, match="a feature of 7 is larger than 65504"):
        write_region_store(tmp_path / "other", "val", too_large, np.float16)


def test_the_command_writes_regions_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_cin_folder(tmp_path)
    command = ["repack", "--dataset", "cin", "--data-root", str(tmp_path), "--split", "val"]
    out = tmp_path / "anew"
    prepare([*command, "--precision", "float16", "--shards", "2", "--out", str(out)])
    assert "regions of 2 pictures" in capsys.readouterr().out
    files = find_region_files(out, "val")
    assert [h5py.File(of_shard.features)["features"].dtype for of_shard in files] == ["f2", "f2"]
    before = RegionStore.read_files(find_region_files(tmp_path / FOLDER, "val"))
    with before, RegionStore.read_files(files) as after:
        assert after.image_ids == before.image_ids
        for image_id in before.image_ids:
            given, regions = before.read(image_id, SIZE), after.read(image_id, SIZE)
            assert np.allclose(regions.features, given.features, rtol=1e-3)
            assert np.array_equal(regions.boxes_xyxy, given.boxes_xyxy)
            assert (regions.labels, regions.attributes) == (given.labels, given.attributes)
    for wrong, message in (
        (["--shards", "3", "--out", str(tmp_path / "new")], "there are 2 pictures"),
        (["--out", str(out)], "not an empty folder"),
    ):
        with pytest.raises(InputError, match=message):
            prepare([*command, *wrong])


WRONG_IMAGES: dict[str, Callable[[], list[ImageRegions]]] = {
    "none": list,
    "id": lambda: [image(), image("a/b")],
    "id twice": lambda: [image(7), image("7")],
    "feature size": lambda: [image(), image("8", feature_size=6)],
    "fewer features": lambda: [image(), image("8")._replace(features=np.zeros((2, 5)))],
    "fewer classes": lambda: [image(), image("8")._replace(classes=["a"])],
    "NaN": lambda: [image(), image("8")._replace(features=np.full((3, 5), np.nan))],
    "box": lambda: [image(), image("8")._replace(boxes_xyxy=np.full((3, 4), np.nan))],
}


@pytest.mark.parametrize("kind", WRONG_IMAGES)
def test_a_wrong_image_leaves_what_was_there(tmp_path: Path, kind: str) -> None:
    write_region_store(tmp_path, "val", [image("1")])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == set(region_files(tmp_path, "val"))
    with pytest.raises(DataError):
        write_region_store(tmp_path, "val", WRONG_IMAGES[kind]())
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def first_names(path: Path) -> list[str]:
    """The first of the names on each line of a vocabulary."""
    return [line.split(",")[0].strip() for line in path.read_text().splitlines()]


def real_images(folder: Path) -> dict[str, tuple[ImageRegions, tuple[int, int]]]:
    """Regions and (width, height) of the images in the bottom-up-attention file."""
    objects = first_names(folder / "vocab" / "objects_vocab.txt")
    attributes = first_names(folder / "vocab" / "attributes_vocab.txt")
    images = {}
    with (folder / "train2014_obj36.tsv").open() as file:
        csv.field_size_limit(2**24)
        for row in csv.reader(file, delimiter="\t"):
            image_id, height, width, object_ids, _, attribute_ids, _, count, boxes, features = row

            def numbers(field: str, kind: str, regions: int = int(count)) -> np.ndarray:
                return np.frombuffer(base64.b64decode(field), kind).reshape(regions, -1)

            regions = ImageRegions(
                image_id,
                numbers(boxes, "<f4"),
                [objects[number] for number in numbers(object_ids, "<i8").ravel()],
                [attributes[number] for number in numbers(attribute_ids, "<i8").ravel()],
                numbers(features, "<f4"),
            )
            images[image_id] = (regions, (int(width), int(height)))
    return images


def test_real_region_features_are_read_back_unchanged(real_data: Path, tmp_path: Path) -> None:
    images = real_images(real_data / "bua_features")
    assert len(images) == 10
    write_region_store(tmp_path, "train", (regions for regions, _ in images.values()))
    with RegionStore.read_files([region_files(tmp_path, "train")]) as store:
        assert store.image_ids == tuple(images)
        assert store.feature_size == 2048
        for image_id, (given, (width, height)) in images.items():
            regions = store.read(image_id, (width, height))
            assert len(regions) == 36
            assert regions.features.tobytes() == given.features.tobytes()
            pixels = regions.boxes_xyxy * np.array([width, height] * 2, dtype=np.float32)
            # No box of the detector reaches over its image, so clipping changes none.
            assert pixels == pytest.approx(given.boxes_xyxy, rel=1e-6, abs=1e-4)
            assert regions.labels == tuple(given.classes)
            assert regions.attributes == tuple(given.attributes or ())
