"""Cached splits: the same as what they were made from, until that changes."""

from __future__ import annotations

import dataclasses
import functools
import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.encoding.example import Masking
from data.encoding.text import EncodedText, encode_text
from data.files import DataError
from data.loading import split_cache
from data.loading.dataset import NarrationDataset, SplitData
from data.loading.split_cache import cached_split, file_states
from data.narration import Narration, Sentence
from data.regions.file_names import region_files
from data.regions.store import RegionStore
from tests.support import tiny
from tests.support.cin_files import ImageNote, write_regions
from tests.support.present import present

IMAGES = {
    "man": ImageNote([[20, 20, 80, 60], [5, 50, 150, 120]], ["man", "dog"], ["tall", "red"]),
    "women": ImageNote([[0, 0, 10, 10]], ["woman"]),
}


def narrations() -> list[Narration]:
    """Narrations with everything that one can have, and one with nothing."""
    full = [example.narration for example in tiny.examples()]
    bare = Narration("\u00e9\u4eba", "\U0001f600 it")
    sentences = (Sentence(0, 30, "narrator"), Sentence(32, 50))
    first = dataclasses.replace(
        full[0],
        sentences=sentences,
        image_size=(200, 150),
        image_path=Path("a b.jpg"),
        trace_path=Path("t.jsonl"),
        trace_offset=0,
    )
    return [first, *full[1:], bare]


def source(folder: Path) -> SplitData:
    """Those narrations with regions for two of them."""
    files = region_files(folder / "faster_rcnn_image_features", "val")
    if not files.image_index.exists():
        write_regions(folder, "val", IMAGES)
    return SplitData(narrations(), RegionStore.read_files([files]), traced=1)


def encode(narration: Narration) -> EncodedText:
    return encode_text(narration, tiny.tokenizer(), 128)


class Reading:
    """Reads the source and counts how often."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def __call__(self, say: Callable[[str], None]) -> SplitData:
        self.count += 1
        say("four narrations")
        return source(self.folder)


def assert_same_text(found: EncodedText, expected: EncodedText) -> None:
    for name in ("token_ids", "offsets", "special", "mention_spans"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert np.array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
    assert found.mention_indices == expected.mention_indices


def test_what_is_cached_is_what_was_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read = Reading(tmp_path)
    for _ in range(2):
        found = cached_split(tmp_path / "cache", "made", {"of": 1}, read, encode)
        assert capsys.readouterr().out.startswith("four narrations\n")
        assert list(found.narrations) == narrations()
        assert found.narrations[1:3] == narrations()[1:3]
        assert found.traced == 1
        for text, narration in zip(present(found.texts), narrations(), strict=True):
            assert_same_text(text, encode(narration))
        store, expected = present(found.store), present(source(tmp_path).store)
        assert len(store) == len(expected) == 2
        for image_id in IMAGES:
            ours, theirs = (s.read(image_id, (200, 150)) for s in (store, expected))
            assert np.array_equal(ours.features, theirs.features)
            assert np.array_equal(ours.boxes_xyxy, theirs.boxes_xyxy)
            assert (ours.labels, ours.attributes) == (theirs.labels, theirs.attributes)
        assert "tree" not in store
    assert read.count == 1
    with pytest.raises(IndexError):
        found.narrations[4]


def test_it_is_made_anew_where_it_was_made_from_something_else(tmp_path: Path) -> None:
    read = Reading(tmp_path)
    open_cache = functools.partial(cached_split, tmp_path / "cache", "made")
    made_froms: list[dict[str, object]] = [{"of": 1}, {"of": 2}, {"of": 2, "and": []}]
    for count, made_from in enumerate(made_froms, start=1):
        open_cache(made_from, read, encode)
        open_cache(made_from, read, encode)
        assert read.count == count


def test_a_file_that_changes_changes_its_state(tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    states = [file_states([file, folder])]

    def changed() -> bool:
        states.append(file_states([folder, file]))
        return states[-1] not in states[:-1]

    folder.mkdir()
    assert changed()
    file.write_text("a")
    assert changed()
    file.write_text("ab")
    assert changed()
    os.utime(file, ns=(1, 1))
    assert changed()
    os.utime(folder, ns=(1, 1))
    assert changed()
    assert not changed()


def test_what_ends_in_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    def refuse(narration: Narration) -> EncodedText:
        raise DataError(narration.id)

    with pytest.raises(DataError, match="man"):
        cached_split(tmp_path / "cache", "made", {}, Reading(tmp_path), refuse)
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize(
    "name", ["narrations.bin", "word_pieces.bin", "mentions_ends.npy", "regions/labels.npy"]
)
def test_what_is_cut_short_is_refused(tmp_path: Path, name: str) -> None:
    open_cache = functools.partial(cached_split, tmp_path, "made", {}, Reading(tmp_path), encode)
    open_cache()
    (broken,) = tmp_path.glob(f"made-*/{name}")
    broken.write_bytes(broken.read_bytes()[:-3])
    with pytest.raises(DataError, match=str(broken.parent)):
        open_cache()


@pytest.mark.parametrize("name", ["narrations.bin", "word_pieces.bin", "mentions.bin"])
def test_what_was_changed_is_refused_where_it_is_read(tmp_path: Path, name: str) -> None:
    open_cache = functools.partial(cached_split, tmp_path, "made", {}, Reading(tmp_path), encode)
    open_cache()
    (changed,) = tmp_path.glob(f"made-*/{name}")
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1  # of the last row that is not empty
    changed.write_bytes(content)
    found = open_cache()
    assert found.narrations[0] == narrations()[0]
    with pytest.raises(DataError, match=rf"{name}: row \d is not what was written"):
        for place in range(4):
            found.narrations[place], present(found.texts)[place]


@pytest.mark.parametrize(
    ("key", "value"),
    [("said", "a"), ("traced", None), ("features", [3]), ("features", ["no/file"])],
)
def test_a_cache_that_says_something_else_is_named(tmp_path: Path, key: str, value: object) -> None:
    open_cache = functools.partial(cached_split, tmp_path, "made", {}, Reading(tmp_path), encode)
    open_cache()
    (about,) = tmp_path.glob("made-*/about.json")
    about.write_text(json.dumps({**json.loads(about.read_text()), key: value}))
    with pytest.raises(DataError, match=rf"about\.json: {key}"):
        open_cache()


def put_example(dataset: NarrationDataset, answers: multiprocessing.SimpleQueue) -> None:
    answers.put(example_as_json(dataset))


def example_as_json(dataset: NarrationDataset) -> str:
    example = dataset[3, 0]
    regions, masked = present(example.regions), present(example.masked)
    values = (regions.features, example.text.token_ids, masked.token_ids)
    return json.dumps([example.narration.text, *(value.tolist() for value in values)])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_what_their_parent_reads(tmp_path: Path, method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    found = cached_split(tmp_path, "made", {}, Reading(tmp_path), encode)
    encoder = tiny.encoder(masking=Masking(0.3, seed=1))

    def dataset(of: SplitData) -> NarrationDataset:
        return NarrationDataset(of.narrations, of.store, encoder, of.texts)

    expected = example_as_json(dataset(source(tmp_path)))
    assert example_as_json(dataset(found)) == expected
    answers = context.SimpleQueue()
    worker = context.Process(target=put_example, args=(dataset(found), answers))
    worker.start()
    assert answers.get() == expected
    worker.join()


def test_what_another_run_makes_meanwhile_is_opened(tmp_path: Path) -> None:
    """Two runs that make the same side by side leave one whole split, and both can open it."""
    meanwhile: list[SplitData] = []

    def encode_slowly(narration: Narration) -> EncodedText:
        if not meanwhile:
            other = cached_split(tmp_path / "cache", "made", {}, Reading(tmp_path), encode)
            meanwhile.append(other)
        return encode(narration)

    found = cached_split(tmp_path / "cache", "made", {}, Reading(tmp_path), encode_slowly)
    assert list(found.narrations) == list(meanwhile[0].narrations) == narrations()
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_other_ranks_open_what_the_first_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = Reading(tmp_path), Reading(tmp_path)
    made = cached_split(tmp_path / "cache", "made", {}, first, encode)
    monkeypatch.setattr(split_cache, "is_main", lambda: False)
    found = cached_split(tmp_path / "cache", "made", {}, other, encode)
    assert list(found.narrations) == list(made.narrations)
    assert (first.count, other.count) == (1, 0)
    # What the first could not make, the others do not wait for.
    problem = DataError("of the first")
    monkeypatch.setattr(split_cache, "broadcast_object", lambda _: problem)
    with pytest.raises(DataError, match="of the first"):
        cached_split(tmp_path / "cache", "made", {"of": 2}, other, encode)
