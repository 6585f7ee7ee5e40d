"""Localized Narratives: the words, their times and the points that the mouse went over in them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prepare
from data.encoding.traces import (
    mention_traces,
    read_trace,
    with_usable_traces,
)
from data.files import BadRecord, DataError
from data.mention_spans import with_spans
from data.narration import Narration
from data.readers import get_reader, read_narrations
from data.readers.localized_narratives import Narrative, read_narratives
from data.readers.report import ReadReport
from tests.support.cin_files import DEFAULT_REGIONS, write_regions
from utils.errors import InputError

FILE_NAME = "flickr30k_train_localized_narratives.jsonl"
Points = Sequence[tuple[float, float, float]]


def narrative(
    image_id: str, timed: Sequence[tuple[str, float, float]], *segments: Points
) -> dict[str, Any]:
    """A record whose caption is what its utterances say; points are (x, y, second)."""
    return {
        "dataset_id": "Flick30k_train",
        "image_id": image_id,
        "annotator_id": 7,
        "caption": " ".join(said for said, _, _ in timed),
        "timed_caption": [
            {"utterance": said, "start_time": start, "end_time": end} for said, start, end in timed
        ],
        "traces": [[dict(zip("xyt", p, strict=True)) for p in segment] for segment in segments],
        "voice_recording": "train/train_1.ogg",
    }


RECORDS = [
    narrative(
        "301",
        [("In this", 0.0, 0.5), ("picture,", 0.5, 1.0), ("a man.", 1.5, 2.0)],
        [(0.1, 0.2, 0.0), (0.3, 0.1, 0.25), (0.5, 0.6, 0.5), (0.7, 0.9, 0.75)],
        [(-0.3, 0.4, 1.6), (0.2, 1.2, 1.8)],
    ),
    narrative("301", [("Somebody", 0, 1)], [(0.5, 0.5, 0.5)]),
    narrative("303", [("it", 3, 4), ("-", 4, 4), ("reads", 4, 5)], [(0.25, 0.5, 3)], []),
    narrative("999", [("not", 0, 1), ("among", 1, 2), ("the pictures", 2, 3)]),
]


def write_narratives(path: Path, records: Sequence[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def read_file(path: Path, *, skip: bool = False) -> list[Narrative]:
    return list(read_narratives([path], ReadReport("localized_narratives", "train", skip)))


def points_between(record: dict[str, Any], start: float, end: float) -> list[tuple[float, float]]:
    """The points of a record between two times, clipped to the image."""
    points = [point for segment in record["traces"] for point in segment]
    return [
        (min(max(p["x"], 0), 1), min(max(p["y"], 0), 1)) for p in points if start <= p["t"] <= end
    ]


def box_of(points: list[tuple[float, float]]) -> list[float]:
    """The box (x1, y1, x2, y2) around points, and its area; zeros without any."""
    if not points:
        return [0.0] * 5
    xs, ys = zip(*points, strict=True)
    width, height = max(xs) - min(xs), max(ys) - min(ys)
    return [min(xs), min(ys), max(xs), max(ys), width * height]


def test_a_words_box_covers_exactly_the_points_between_its_start_and_its_end(
    tmp_path: Path,
) -> None:
    found = read_file(write_narratives(tmp_path / FILE_NAME, RECORDS))
    assert [n.image_id for n in found] == ["301", "301", "303", "999"]
    assert found[0].words == ("In", "this", "picture,", "a", "man.")
    for read, record in zip(found, RECORDS, strict=True):
        said = [(u, word) for u in record["timed_caption"] for word in u["utterance"].split()]
        assert read.words == tuple(word for _, word in said)
        times = [(u["start_time"], u["end_time"]) for u, _ in said]
        expected = [box_of(points_between(record, *time)) for time in times]
        np.testing.assert_allclose(read.word_boxes, expected, rtol=1e-6, atol=1e-7)


def test_a_word_of_several_utterances_has_the_time_of_all(tmp_path: Path) -> None:
    record = narrative("1", [("a t-", 0, 1), ("Shirt", 2, 3), (".", 8, 9)], [(0.5, 0.5, 0)])
    record["caption"] = "A T-shirt."
    record["traces"] = [[{"x": t / 10, "y": 0.5, "t": t} for t in range(10)]]
    (read,) = read_file(write_narratives(tmp_path / FILE_NAME, [record]))
    assert read.words == ("A", "T-shirt.")
    np.testing.assert_allclose(read.word_boxes[:, [0, 2]], [[0, 0.1], [0, 0.3]], rtol=1e-6)


def change(*keys: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    """Sets what the keys lead to."""

    def apply(record: dict[str, Any]) -> None:
        inside: Any = record
        for key in keys[:-1]:
            inside = inside[key]
        inside[keys[-1]] = to

    return apply


def remove(*keys: str | int) -> Callable[[dict[str, Any]], None]:
    def apply(record: dict[str, Any]) -> None:
        inside: Any = record
        for key in keys[:-1]:
            inside = inside[key]
        del inside[keys[-1]]

    return apply


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (remove("image_id"), "line 2: found image_id None"),
        (change("image_id", to="../301"), "line 2: found image_id '../301'"),
        (remove("dataset_id"), r"line 2 \(image_id 301\): found no dataset_id"),
        (change("dataset_id", to="coco"), "found dataset_id 'coco', expected 'Flick30k_train'"),
        (remove("caption"), "found no caption"),
        (change("caption", to=" "), "expected a text that is not blank"),
        (remove("timed_caption"), "found no timed_caption"),
        (remove("traces"), "found no traces"),
        (change("caption", to="In this picture, a dog."), "expected the words of its caption"),
        (change("timed_caption", to=[]), "found timed_caption '', expected the words"),
        (change("timed_caption", 1, to="picture"), "timed_caption 1 'picture', expected an object"),
        (change("timed_caption", 1, "utterance", to=3), "timed_caption 1 with utterance 3"),
        (change("timed_caption", 1, "start_time", to=1.5), "timed_caption 1 from 1.5 to 1.0"),
        (change("timed_caption", 1, "end_time", to=float("nan")), "1 from 0.5 to nan"),
        (remove("timed_caption", 1, "end_time"), "timed_caption 1 from 0.5 to None"),
        (change("traces", 0, to={}), r"traces 0 \{\}, expected a list of points"),
        (change("traces", 0, 1, "t", to=-1), "a point at second -1 after one at 0.0 in traces 0"),
        (change("traces", 0, 1, "t", to=float("inf")), "expected x and y relative"),
        (change("traces", 1, 0, "x", to=float("nan")), "in traces 1, expected x and y relative"),
        (change("traces", 1, 0, "x", to=310), "in traces 1, expected x and y relative"),
        (change("traces", 1, 0, "y", to=10**400), "in traces 1, expected x and y relative"),
        (remove("traces", 1, 0, "y"), "in traces 1, expected x and y relative"),
        (change("traces", 1, 0, to=None), "the point None in traces 1"),
    ],
)
def test_a_broken_record_is_named_or_counted(
    spoil: Callable[[dict[str, Any]], None], said: str, tmp_path: Path
) -> None:
    broken = copy.deepcopy(RECORDS[0])
    spoil(broken)
    path = write_narratives(tmp_path / FILE_NAME, [RECORDS[1], broken, *RECORDS[2:]])
    with pytest.raises(BadRecord, match=said) as raised:
        read_file(path)
    assert str(path) in str(raised.value) and "line 2" in str(raised.value)
    report = ReadReport("localized_narratives", "train", skip_bad_records=True)
    kept = list(read_narratives([path], report))
    assert [n.image_id for n in kept] == ["301", "303", "999"]
    assert len(report.skipped) == 1


def data_root(folder: Path) -> Path:
    """A folder with the regions of the unlabelled images 301, 302 and 303."""
    write_regions(folder, "train", DEFAULT_REGIONS["train"])
    return folder


def read_unlabelled(folder: Path) -> list[Narration]:
    narrations = read_narrations("cin", folder, "train").narrations
    usable, _ = with_usable_traces(narrations, skip_bad_records=False)
    return usable


def test_the_written_files_hold_what_the_narratives_do(tmp_path: Path, capsys) -> None:
    """Through the published files and straight: the same captions, words and traces."""
    straight, converted = data_root(tmp_path / "straight"), tmp_path / "converted"
    source = write_narratives(straight / FILE_NAME, RECORDS)
    prepare.main(["captions", "--narratives", str(source), "--out", str(converted)])
    assert "pictures: 3\n  captions: 4\n" in capsys.readouterr().out
    data_root(converted)
    first, second = read_unlabelled(straight), read_unlabelled(converted)
    assert [n.id for n in first] == ["301", "303"]
    assert first[0].text == "In this picture, a man."
    for one, other in zip(first, second, strict=True):
        assert (one.id, one.text, one.words, one.image_id, one.image_size) == (
            (other.id, other.text, other.words, other.image_id, other.image_size)
        )
        assert one.trace_path == source and other.trace_path != source
        np.testing.assert_array_equal(read_trace(one), read_trace(other))
        mentions = [with_spans(n, [(0, len(n.text))]) for n in (one, other)]
        given, written = (mention_traces(n, read_trace(n), [0]).boxes_xyxy for n in mentions)
        np.testing.assert_array_equal(given, written)
    assert source in get_reader("cin").unlabelled_files(straight)
    assert converted / "flk30k_LN.json" in get_reader("cin").unlabelled_files(converted)


def test_every_caption_of_an_image_is_written(tmp_path: Path) -> None:
    """The reader takes the first caption; without the first narratives it is the next one."""
    source = write_narratives(tmp_path / "in" / FILE_NAME, [RECORDS[1], RECORDS[2], RECORDS[0]])
    other = write_narratives(tmp_path / "in" / "more.jsonl", [RECORDS[3]])
    converted = tmp_path / "converted"
    prepare.main(["captions", "--narratives", str(source), str(other), "--out", str(converted)])
    texts = {n.id: n.text for n in read_unlabelled(data_root(converted))}
    assert texts == {"301": "Somebody", "303": "it - reads"}
    index = json.loads((converted / "flk30k_LN.json").read_text())
    assert [image["id"] for image in index["images"]] == [301, 303, 999]
    assert len(list((converted / "flk30k_LN_trace_box").iterdir())) == 3


def test_nothing_is_left_of_narratives_that_cannot_be_written(tmp_path: Path) -> None:
    source = write_narratives(tmp_path / FILE_NAME, [RECORDS[0], {"image_id": "5"}])
    out = tmp_path / "converted"
    with pytest.raises(BadRecord, match="line 2"):
        prepare.main(["captions", "--narratives", str(source), "--out", str(out)])
    empty = write_narratives(tmp_path / "empty.jsonl", [])
    with pytest.raises(DataError, match="no narrative"):
        prepare.main(["captions", "--narratives", str(empty), "--out", str(out)])
    assert {path.name for path in tmp_path.iterdir()} == {FILE_NAME, "empty.jsonl"}
    out.mkdir()
    (out / "mine").touch()
    with pytest.raises(InputError, match="not an empty folder"):
        prepare.main(["captions", "--narratives", str(source), "--out", str(out)])


def test_the_published_captions_are_read_where_both_are_there(tmp_path: Path) -> None:
    source = write_narratives(tmp_path / "in" / FILE_NAME, RECORDS)
    root = tmp_path / "root"
    prepare.main(["captions", "--narratives", str(source), "--out", str(root)])
    write_narratives(data_root(root) / FILE_NAME, [narrative("302", [("other", 0, 1)])])
    assert [n.id for n in read_unlabelled(root)] == ["301", "303"]


def test_a_file_that_changed_since_is_refused(tmp_path: Path) -> None:
    path = write_narratives(data_root(tmp_path) / FILE_NAME, RECORDS)
    narration = read_unlabelled(tmp_path)[1]
    path.write_text("\n" + path.read_text())
    with pytest.raises(DataError, match="at byte"):
        read_trace(narration)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        read_trace(narration)


def as_image_narrative(record: dict[str, Any], actor: dict[str, Any]) -> dict[str, Any]:
    """What is told of one actor of a real video, in the form of narratives of images."""
    began = actor["recording_start_time_ms_since_epoch"]
    words = actor["time_alignment"]
    caption = actor["caption"]
    ends = [*(w["referenced_word_start_idx"] for w in words[1:]), len(caption)]
    timed = [
        # With the marks that stand behind a word.
        (caption[w["referenced_word_start_idx"] : end], w["start_ms"] / 1e3, w["end_ms"] / 1e3)
        for w, end in zip(words, ends, strict=True)
    ]
    segments = [
        [(p["x"], p["y"], (p["time_ms_since_epoch"] - began) / 1e3) for p in segment]
        for segment in actor["traces"]
    ]
    name = f"{record['vidln_id']}_{actor['actor_name'].replace(' ', '_')}"
    return {**narrative(name, timed, *segments), "caption": caption}


def test_real_mouse_traces_become_the_boxes_of_the_points_of_their_words(
    real_data: Path, tmp_path: Path
) -> None:
    records = [
        as_image_narrative(video, actor)
        for path in sorted((real_data / "vidln").glob("*.jsonl"))
        for video in map(json.loads, path.read_text().splitlines())
        for actor in video["actor_narratives"]
    ]
    assert len(records) > 10
    found = read_file(write_narratives(tmp_path / FILE_NAME, records))
    boxed = words = 0
    for read, record in zip(found, records, strict=True):
        timed = record["timed_caption"]
        assert read.words == tuple(record["caption"].split())
        times = [(u["start_time"], u["end_time"]) for u in timed for _ in u["utterance"].split()]
        expected = [box_of(points_between(record, *time)) for time in times]
        np.testing.assert_allclose(read.word_boxes, expected, rtol=1e-5, atol=1e-6)
        boxed += int(read.word_boxes.any(axis=1).sum())
        words += len(read.words)
    # Who tells also speaks while the mouse is still or outside of the image.
    assert 0.2 * words < boxed < words


def test_where_no_narrative_is_left_it_is_said_why(tmp_path: Path) -> None:
    path = write_narratives(tmp_path / FILE_NAME, [{"image_id": "5"}])
    with pytest.raises(DataError, match=r"no narrative to write\n(.*\n)*.*line 1 \(image_id 5\)"):
        prepare.main(
            [
                "captions",
                "--narratives",
                str(path),
                "--out",
                str(tmp_path / "out"),
                "--skip-bad-records",
            ]
        )
