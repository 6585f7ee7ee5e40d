"""CIN: the published files become narrations, and what is wrong in them is named."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from data.encoding.traces import read_trace
from data.files import BadRecord, DataError
from data.narration import Narration, are_boxes_known
from data.readers import DATASETS, Reading, get_reader, read_narrations
from tests.support.cin_files import (
    DEFAULT_CAPTIONS,
    DEFAULT_REGIONS,
    HEIGHT,
    WIDTH,
    default_annotations,
    write_annotations,
    write_captions,
    write_cin_folder,
    write_image,
    write_regions,
    write_trace,
)


def read(folder: Path, split: str, **options: bool) -> Reading:
    return read_narrations("cin", folder, split, **options)


def by_id(reading: Reading) -> dict[str, Narration]:
    return {narration.id: narration for narration in reading.narrations}


def test_labelled_narrations_are_what_was_written(tmp_path: Path) -> None:
    write_cin_folder(tmp_path)
    records = {record["image"]: record for record in default_annotations()}
    for split, ids in (("val", ["101", "102"]), ("test", ["201", "202"])):
        reading = read(tmp_path, split)
        assert [narration.id for narration in reading.narrations] == ids
        assert are_boxes_known(reading.narrations)
        for narration in reading.narrations:
            record = records[narration.id]
            assert narration.text == record["captions"]
            assert narration.words == tuple(record["captions"].split())
            assert narration.image_id == narration.id
            assert narration.image_size == (WIDTH, HEIGHT)
            assert narration.is_labelled
            chains = {
                (*span, str(chain))
                for span, chain in zip(record["query_start_end"], record["cluster"], strict=True)
            }
            assert {(m.start, m.end, m.chain) for m in narration.mentions} == chains


def test_every_mention_slices_to_its_phrase_in_text_order(tmp_path: Path) -> None:
    narrations = by_id(read(write_cin_folder(tmp_path), "val"))
    for narration in narrations.values():
        for mention in narration.mentions:
            assert narration.text[mention.start : mention.end] == mention.phrase
    assert [m.phrase for m in narrations["101"].mentions] == [
        *["A man", "a dog", "He", "it", "the left"]
    ]
    # The longer one stands first in its record, and both start at 0.
    assert [m.phrase for m in narrations["102"].mentions][:2] == ["The man's hat", "The man"]


def test_boxes_in_percent_become_relative_corners(tmp_path: Path) -> None:
    mentions = by_id(read(write_cin_folder(tmp_path), "val"))["102"].mentions
    (box,) = mentions[0].boxes_xyxy
    assert box == pytest.approx((0.2, 0.0, 0.3, 0.1))
    left, right = mentions[2].boxes_xyxy
    assert left == pytest.approx((0.5, 0.0, 0.7, 1.0))
    assert right == pytest.approx((0.75, 0.0, 1.0, 1.0))


def test_a_mention_without_a_box_has_none_and_is_counted(tmp_path: Path) -> None:
    reading = read(write_cin_folder(tmp_path), "val")
    assert by_id(reading)["101"].mentions[-1].boxes_xyxy == ()
    assert reading.report.counts["mentions without a box"] == 1


def test_a_split_without_any_box_says_so(tmp_path: Path) -> None:
    records = default_annotations()
    for record in records:
        record["target_bboxes"] = [[] for _ in record["query"]]
    reading = read(write_cin_folder(tmp_path, annotations=records), "val")
    assert not are_boxes_known(reading.narrations)


def test_a_box_just_over_the_edge_is_clipped(tmp_path: Path) -> None:
    records = default_annotations()
    records[0]["target_bboxes"][0] = [[-0.2, 0, 100.4, 100.1]]
    mentions = by_id(read(write_cin_folder(tmp_path, annotations=records), "val"))["101"].mentions
    assert mentions[2].boxes_xyxy == ((0.0, 0.0, 1.0, 1.0),)


def test_white_space_and_case_may_differ_from_the_phrase(tmp_path: Path) -> None:
    records = default_annotations()
    records[0]["captions"] = records[0]["captions"].replace("A man", "A\u00a0MAN")
    mentions = by_id(read(write_cin_folder(tmp_path, annotations=records), "val"))["101"].mentions
    assert mentions[0].phrase == "A man"


@pytest.mark.parametrize("ids_as_text", [False, True])
def test_ids_may_be_numbers_or_text(tmp_path: Path, ids_as_text: bool) -> None:
    write_cin_folder(tmp_path, ids_as_text=ids_as_text)
    for split, images in DEFAULT_REGIONS.items():
        narrations = by_id(read(tmp_path, split))
        assert list(narrations) == list(images)
        assert all(narration.image_id == narration.id for narration in narrations.values())


def test_counts_stand_beside_those_of_the_release(tmp_path: Path) -> None:
    report = read(write_cin_folder(tmp_path), "test").report
    assert report.counts["narrations"] == 2
    assert report.expected["narrations"] == 1000
    assert report.counts["mentions in val and test"] == 13
    assert report.expected["mentions in val and test"] == 21_246
    assert report.counts["chains of several mentions in val and test"] == 5
    assert report.expected["chains of several mentions in val and test"] == 3_310
    assert report.lines()[:2] == ["cin test", "  narrations: 2 (the release states 1,000)"]


def test_a_long_list_of_skipped_records_is_cut_and_counted(tmp_path: Path) -> None:
    write_cin_folder(tmp_path)
    path = tmp_path / "cin_annotations" / "val_image_ids.json"
    path.write_text(json.dumps([101, 102, *range(900, 925)]))
    reading = read(tmp_path, "val", skip_bad_records=True)
    assert len(reading.report.skipped) == 25
    lines = reading.report.lines()
    assert "  bad records skipped: 25" in lines
    assert sum("no val narration" in line for line in lines) == 20
    assert lines[-1] == "    and 5 more"


def test_unlabelled_narrations_are_the_first_captions_of_the_indexed_images(
    tmp_path: Path,
) -> None:
    write_cin_folder(tmp_path)
    # The captions may hold more images than the region files.
    write_regions(tmp_path, "train", {i: DEFAULT_REGIONS["train"][i] for i in ("303", "301")})
    reading = read(tmp_path, "train")
    texts = {narration.id: narration.text for narration in reading.narrations}
    assert texts == {i: DEFAULT_CAPTIONS[i][0] for i in ("303", "301")}
    assert list(texts) == ["303", "301"]
    assert all(narration.words == tuple(narration.text.split()) for narration in reading.narrations)
    assert not are_boxes_known(reading.narrations)


def test_an_image_without_a_caption_is_counted(tmp_path: Path) -> None:
    captions = {**DEFAULT_CAPTIONS, "302": [], "303": [""]}
    report = read(write_cin_folder(tmp_path, captions=captions), "train").report
    assert report.counts["narrations"] == 1
    assert report.counts["pictures without a caption"] == 2


def test_the_size_of_an_unlabelled_image_comes_from_its_header(tmp_path: Path) -> None:
    write_cin_folder(tmp_path)
    path = write_image(tmp_path, "302", 64, 48)
    reading = read(tmp_path, "train")
    assert by_id(reading)["302"].image_size == (64, 48)
    assert by_id(reading)["302"].image_path == path
    assert by_id(reading)["301"].image_size is None
    sizes_guessed = "pictures of unknown size, taken to end where their regions do"
    assert reading.report.counts[sizes_guessed] == 2


def test_a_truncated_image_is_a_bad_record(tmp_path: Path) -> None:
    path = write_image(write_cin_folder(tmp_path), "302", 64, 48)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(BadRecord, match=r"302\.jpg: 302: found no picture"):
        read(tmp_path, "train")
    assert list(by_id(read(tmp_path, "train", skip_bad_records=True))) == ["301", "303"]


def test_a_narration_whose_image_has_no_regions_stands_alone(tmp_path: Path) -> None:
    write_cin_folder(tmp_path)
    write_regions(tmp_path, "val", {"102": DEFAULT_REGIONS["val"]["102"]})
    reading = read(tmp_path, "val")
    assert by_id(reading)["101"].image_id is None
    assert by_id(reading)["102"].image_id == "102"
    assert reading.report.counts["narrations without regions"] == 1


def test_without_any_region_file_the_texts_are_read_alone(tmp_path: Path) -> None:
    write_cin_folder(tmp_path, regions={})
    assert get_reader("cin").open_regions(tmp_path, "val") is None
    assert {narration.image_id for narration in read(tmp_path, "val").narrations} == {None}
    with pytest.raises(DataError, match=r"train_imgid2idx\.pkl is missing"):
        read(tmp_path, "train")


def test_a_part_of_the_region_files_is_an_error_that_names_the_rest(tmp_path: Path) -> None:
    write_cin_folder(tmp_path)
    (tmp_path / "faster_rcnn_image_features" / "val_detection_dict.json").unlink()
    with pytest.raises(DataError, match=r"missing: \S*val_detection_dict\.json$"):
        get_reader("cin").open_regions(tmp_path, "val")


def test_the_opened_regions_are_those_of_the_split(tmp_path: Path) -> None:
    store = get_reader("cin").open_regions(write_cin_folder(tmp_path), "test", max_regions=1)
    assert store is not None
    with store:
        assert store.image_ids == ("201", "202")
        assert len(store.read("201", (WIDTH, HEIGHT))) == 1


def test_mentions_have_the_kinds_of_their_file(tmp_path: Path) -> None:
    write_cin_folder(tmp_path)
    path = tmp_path / "cin_annotations" / "mention_kinds.json"
    path.write_text(json.dumps({"101": [None, "noun", None, "hard", None]}))
    narrations = by_id(read(tmp_path, "val"))
    kinds = {mention.phrase: mention.kind for mention in narrations["101"].mentions}
    assert kinds == {"He": None, "A man": "noun", "a dog": None, "it": "hard", "the left": None}
    assert {mention.kind for mention in narrations["102"].mentions} == {None}


def test_a_file_of_kinds_with_other_keys_than_ids_is_named(tmp_path: Path) -> None:
    write_cin_folder(tmp_path)
    path = tmp_path / "cin_annotations" / "mention_kinds.json"
    path.write_text(json.dumps({"\x1b[31m": []}))
    with pytest.raises(DataError, match=r"mention_kinds\.json holds") as raised:
        read(tmp_path, "val")
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("kinds", [{"101": ["noun"]}, {"101": [1] * 5}, {"101": 5}, {"9": []}])
def test_kinds_that_fit_no_narration_are_bad_records(tmp_path: Path, kinds: dict[str, Any]) -> None:
    write_cin_folder(tmp_path)
    (tmp_path / "cin_annotations" / "mention_kinds.json").write_text(json.dumps(kinds))
    with pytest.raises(BadRecord, match=rf"mention_kinds\.json: {next(iter(kinds))}: found"):
        read(tmp_path, "val")


def test_a_trace_has_one_box_a_word(tmp_path: Path) -> None:
    write_cin_folder(tmp_path)
    trace = np.linspace(0, 1, 15).reshape(3, 5)
    write_trace(tmp_path, "303", trace)
    narrations = by_id(read(tmp_path, "train"))
    assert narrations["301"].trace_path is None
    assert np.array_equal(read_trace(narrations["303"]), trace.astype(np.float32))
    with pytest.raises(DataError, match="narration 301 has no trace"):
        read_trace(narrations["301"])


@pytest.mark.parametrize(
    "trace",
    [np.zeros((4, 5)), np.zeros((3, 4)), np.full((3, 5), np.nan), np.full((3, 5), "a")],
)
def test_a_trace_that_does_not_fit_is_named(tmp_path: Path, trace: np.ndarray) -> None:
    write_trace(write_cin_folder(tmp_path), "303", trace)
    with pytest.raises(DataError, match=r"303\.npy.*\[3 words, 5\]"):
        read_trace(by_id(read(tmp_path, "train"))["303"])


@pytest.mark.parametrize("length", [0, 5, 40, 180])
def test_a_truncated_trace_is_named(tmp_path: Path, length: int) -> None:
    path = write_trace(write_cin_folder(tmp_path), "303", np.zeros((3, 5)))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=r"303\.npy is not an array"):
        read_trace(by_id(read(tmp_path, "train"))["303"])


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.sprung,)


def test_a_pickled_trace_is_not_unpickled(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    write_cin_folder(tmp_path)
    write_trace(tmp_path, "303", np.array([Trap(sprung)], dtype=object))
    with pytest.raises(DataError, match=r"303\.npy"):
        read_trace(by_id(read(tmp_path, "train"))["303"])
    assert not sprung.exists()


def test_a_size_that_is_not_annotated_is_that_of_the_image(tmp_path: Path) -> None:
    records = default_annotations()
    for record in records:
        del record["img_width"], record["img_height"]
    write_cin_folder(tmp_path, annotations=records)
    write_image(tmp_path, "101", 30, 20)
    sizes = {name: narration.image_size for name, narration in by_id(read(tmp_path, "val")).items()}
    assert sizes == {"101": (30, 20), "102": None}


Record = dict[str, Any]
WRONG: dict[str, tuple[Callable[[Record], object], str]] = {
    "span": (lambda r: r["query_start_end"].__setitem__(1, [0, 4]), "'A ma' at characters 0 to 4"),
    "span out of the text": (lambda r: r["query_start_end"].__setitem__(1, [0, 400]), "[0, 400]"),
    "span backwards": (lambda r: r["query_start_end"].__setitem__(1, [5, 0]), "[5, 0]"),
    "span of text": (lambda r: r["query_start_end"].__setitem__(1, ["0", "5"]), "['0', '5']"),
    "phrase": (lambda r: r["query"].__setitem__(1, "a woman"), "a woman"),
    "blank phrase": (lambda r: r["query"].__setitem__(1, " "), "query 1 ' '"),
    "one phrase less": (lambda r: r["query"].pop(), "4 query, 5 query_start_end"),
    "one chain less": (lambda r: r["cluster"].pop(), "4 cluster"),
    "chain": (lambda r: r["cluster"].__setitem__(1, None), "cluster 1 None"),
    "box outside": (lambda r: r["target_bboxes"].__setitem__(1, [[90, 0, 20, 10]]), "[90, 0, 20"),
    "negative box": (lambda r: r["target_bboxes"].__setitem__(1, [[5, 5, -4, 4]]), "[5, 5, -4"),
    "empty box": (lambda r: r["target_bboxes"].__setitem__(1, [[5, 5, 0, 4]]), "[5, 5, 0, 4]"),
    "NaN": (lambda r: r["target_bboxes"].__setitem__(1, [[float("nan"), 5, 4, 4]]), "[nan, 5"),
    "endless box": (lambda r: r["target_bboxes"].__setitem__(1, [[0, 0, float("inf"), 4]]), "inf"),
    "three numbers": (lambda r: r["target_bboxes"].__setitem__(1, [[5, 5, 4]]), "[5, 5, 4]"),
    "flat box": (lambda r: r["target_bboxes"].__setitem__(1, [5, 5, 4, 4]), "the box 5"),
    "no captions": (lambda r: r.pop("captions"), "no captions"),
    "blank captions": (lambda r: r.update(captions="\n"), "captions '\\n'"),
    "half a character": (lambda r: r.update(captions=r["captions"] + "\udc00"), "captions"),
    "size": (lambda r: r.update(img_width=0), "img_width 0"),
    "size of text": (lambda r: r.update(img_height="100"), "img_height '100'"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_bad_annotation_is_named_or_skipped(tmp_path: Path, kind: str) -> None:
    records = default_annotations()
    change, found = WRONG[kind]
    change(records[0])
    write_cin_folder(tmp_path, annotations=records)
    with pytest.raises(BadRecord) as raised:
        read(tmp_path, "val")
    path = tmp_path / "cin_annotations" / "testval_annotations.json"
    assert str(raised.value).startswith(f"{path}: 101: found ")
    assert found in str(raised.value)
    assert ", expected " in str(raised.value)
    reading = read(tmp_path, "val", skip_bad_records=True)
    assert list(by_id(reading)) == ["102"]
    assert reading.report.skipped == [str(raised.value)]
    # A bad narration of another split is no concern of this one.
    assert len(read(tmp_path, "test").narrations) == 2


@pytest.mark.parametrize("image_id", [None, True, 1.5, "", "../101", "a\x00b", "a\x1b[0m", 10**30])
def test_an_id_that_could_not_name_a_file_is_a_bad_record(tmp_path: Path, image_id: object) -> None:
    write_cin_folder(tmp_path)
    records = default_annotations()
    records.append({**records[0], "image": image_id})
    (tmp_path / "cin_annotations" / "testval_annotations.json").write_text(json.dumps(records))
    with pytest.raises(BadRecord, match="record 4: found image") as raised:
        read(tmp_path, "val")
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("again", ["val", "test"])
def test_an_id_of_two_annotations_is_a_bad_record(tmp_path: Path, again: str) -> None:
    write_cin_folder(tmp_path)
    records = default_annotations()
    records.append({**copy.deepcopy(records[0]), "split": again})
    (tmp_path / "cin_annotations" / "testval_annotations.json").write_text(json.dumps(records))
    with pytest.raises(BadRecord, match=r"testval_annotations\.json: 101: .*every id once"):
        read(tmp_path, "val")
    reading = read(tmp_path, "val", skip_bad_records=True)
    assert list(by_id(reading)) == ["101", "102"]
    assert len(reading.report.skipped) == 1


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ([101], r"testval_annotations\.json: 102: found an id that val_image_ids\.json"),
        ([101, 102, 103], r"val_image_ids\.json: 103: found no val narration"),
        ([101, 102, 201], r"val_image_ids\.json: 201: found no val narration"),
        ([101, 102, "101"], r"val_image_ids\.json: 101: .*every id once"),
        ([101, 102, None], r"val_image_ids\.json: item 2: found None"),
    ],
)
def test_lists_of_ids_and_annotations_must_agree(
    tmp_path: Path, listed: list[object], message: str
) -> None:
    write_cin_folder(tmp_path)
    (tmp_path / "cin_annotations" / "val_image_ids.json").write_text(json.dumps(listed))
    with pytest.raises(BadRecord, match=message):
        read(tmp_path, "val")
    assert len(read(tmp_path, "val", skip_bad_records=True).report.skipped) == 1


def test_texts_are_read_where_only_the_index_of_their_regions_is_there(tmp_path: Path) -> None:
    write_cin_folder(tmp_path)
    splits = get_reader("cin").splits
    whole = {split: read_narrations("cin", tmp_path, split).narrations for split in splits}
    for path in (tmp_path / "faster_rcnn_image_features").iterdir():
        if not path.name.endswith(".pkl"):
            path.unlink()
    for split in splits:
        assert read_narrations("cin", tmp_path, split).narrations == whole[split]
        with pytest.raises(DataError, match=f"missing: .*{split}_features_compress.hdf5"):
            get_reader("cin").open_regions(tmp_path, split)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{", "is not JSON"),
        ("{}", "expected a list"),
        ("[" * 100_000, "is not JSON"),
        (None, "cannot be read"),
    ],
)
@pytest.mark.parametrize("name", ["testval_annotations.json", "val_image_ids.json"])
def test_a_broken_file_of_annotations_is_named(
    tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    path = write_cin_folder(tmp_path) / "cin_annotations" / name
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=f"{name}.* {message}"):
        read(tmp_path, "val")


def overwrite(path: Path, name: str, values: object) -> None:
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = values


@pytest.mark.parametrize("number", [0, 999])
def test_a_caption_with_a_number_of_no_word_is_a_bad_record(tmp_path: Path, number: int) -> None:
    path = write_cin_folder(tmp_path) / "flk30k_LN_label.h5"
    with h5py.File(path, "r+") as file:
        file["labels"][0, 1] = number
    with pytest.raises(BadRecord, match=r"flk30k_LN_label\.h5: 301: found words"):
        read(tmp_path, "train")
    reading = read(tmp_path, "train", skip_bad_records=True)
    assert list(by_id(reading)) == ["302", "303"]


@pytest.mark.parametrize(("start", "end"), [(0, 1), (1, 5), (5, 9), (-3, -2)])
def test_captions_that_are_not_there_are_a_bad_record(tmp_path: Path, start: int, end: int) -> None:
    path = write_cin_folder(tmp_path) / "flk30k_LN_label.h5"
    overwrite(path, "label_start_ix", np.array([1, 3, start]))
    overwrite(path, "label_end_ix", np.array([2, 3, end]))
    with pytest.raises(BadRecord, match=rf"303: found captions {start} to {end}"):
        read(tmp_path, "train")
    assert list(by_id(read(tmp_path, "train", skip_bad_records=True))) == ["301", "302"]


def test_an_id_of_two_captioned_images_is_a_bad_record(tmp_path: Path) -> None:
    path = write_cin_folder(tmp_path) / "flk30k_LN.json"
    index = json.loads(path.read_text())
    index["images"][2]["id"] = "301"
    path.write_text(json.dumps(index))
    with pytest.raises(BadRecord, match=r"flk30k_LN\.json: images 2: "):
        read(tmp_path, "train")
    reading = read(tmp_path, "train", skip_bad_records=True)
    assert by_id(reading)["301"].text == DEFAULT_CAPTIONS["301"][0]
    assert by_id(reading)["302"].text == DEFAULT_CAPTIONS["302"][0]


@pytest.mark.parametrize(
    "index",
    [
        [],
        {"images": []},
        {"ix_to_word": {"1": "a"}, "images": 3},
        {"ix_to_word": {"0": "a"}, "images": []},
        {"ix_to_word": {"1": 2}, "images": []},
    ],
)
def test_a_wrong_file_of_words_is_named(tmp_path: Path, index: object) -> None:
    (write_cin_folder(tmp_path) / "flk30k_LN.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match=r"flk30k_LN\.json"):
        read(tmp_path, "train")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("label_start_ix", np.array([1, 3])),
        ("labels", np.zeros(4, dtype=np.int64)),
        ("labels", np.zeros((4, 16))),
    ],
)
def test_a_wrong_file_of_captions_is_named(tmp_path: Path, name: str, values: object) -> None:
    path = write_cin_folder(tmp_path) / "flk30k_LN_label.h5"
    overwrite(path, name, values)
    with pytest.raises(DataError, match=r"flk30k_LN_label\.h5.*label_start_ix"):
        read(tmp_path, "train")


def test_a_truncated_file_of_captions_is_named(tmp_path: Path) -> None:
    path = write_cin_folder(tmp_path) / "flk30k_LN_label.h5"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"flk30k_LN_label\.h5 cannot be read"):
        read(tmp_path, "train")


def test_an_index_that_would_run_code_runs_none(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    write_cin_folder(tmp_path)
    path = tmp_path / "faster_rcnn_image_features" / "val_imgid2idx.pkl"
    path.write_bytes(pickle.dumps({101: Trap(sprung)}))
    with pytest.raises(DataError, match=r"val_imgid2idx\.pkl is not a pickled dict of ids"):
        read(tmp_path, "val")
    assert not sprung.exists()


def test_more_captions_than_are_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read(write_cin_folder(tmp_path), "train").narrations
    monkeypatch.setattr("data.readers.cin.caption_files._ROWS_PER_READ", 2)
    assert read(tmp_path, "train").narrations == whole


def test_an_unknown_data_set_or_split_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no data set 'CIN', only cin, vd_ref"):
        read_narrations("CIN", tmp_path, "val")
    with pytest.raises(DataError, match="cin has no split 'dev', only train, val, test"):
        get_reader("cin").open_regions(tmp_path, "dev")


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_reader_names_its_splits(dataset: str) -> None:
    reader = DATASETS[dataset]
    assert reader.labelled_split in reader.splits
    assert reader.test_split in reader.splits
    assert reader.unlabelled_split in {*reader.splits, None}
    # What is scored by default is never what is trained on.
    assert reader.test_split != reader.labelled_split


def test_a_split_without_narrations_is_an_error(tmp_path: Path) -> None:
    write_cin_folder(tmp_path)
    write_annotations(tmp_path, [r for r in default_annotations() if r["split"] == "val"])
    with pytest.raises(DataError, match="no narration of cin test"):
        read(tmp_path, "test")


def test_the_same_captions_whatever_the_order_of_the_images(tmp_path: Path) -> None:
    write_cin_folder(tmp_path)
    before = by_id(read(tmp_path, "train"))
    write_captions(tmp_path, dict(reversed(DEFAULT_CAPTIONS.items())))
    assert by_id(read(tmp_path, "train")) == before
