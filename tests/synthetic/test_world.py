"""The generated world: its files, its truth, and that the image matters in it."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections import Counter
from pathlib import Path
from random import Random

import h5py
import numpy as np
import pytest
from PIL import Image

from data.encoding.traces import read_trace
from data.narration import Mention, Narration
from data.readers import get_reader, read_narrations
from features.labelled_boxes import read_labelled_boxes
from metrics.grounding_scores import PRONOUNS
from synthetic.world.drawing import Drawing, draw_scene
from synthetic.world.narrating import narrate
from synthetic.world.scenes import (
    FEMALE,
    MALE,
    make_scene,
)
from synthetic.world.transcript import IMAGE, Told
from synthetic.world.writing import tokenised
from tools.make_sample import main
from utils.errors import InputError

SIZES = ["--train", "5", "--val", "4", "--test", "3"]


def generate(folder: Path, seed: int, processes: int = 2) -> Path:
    main(["--out", str(folder), "--seed", str(seed), *SIZES, "--processes", str(processes)])
    return folder


def digests(folder: Path) -> dict[str, str]:
    """A hash of every file by its place in the folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("worlds") / "world", seed=3)


@pytest.fixture(scope="module")
def tellings() -> list[tuple[Drawing, Told]]:
    """Many scenes with their narrations."""
    found = []
    for number in range(150):
        random = Random(f"test/{number}")
        drawing = draw_scene(make_scene(random), random)
        told = narrate(drawing, random)
        if told is not None:
            found.append((drawing, told))
    assert len(found) > 140
    return found


def test_the_same_seed_gives_the_same_bytes(world: Path, tmp_path: Path) -> None:
    again = digests(generate(tmp_path / "again", seed=3, processes=1))
    assert again == digests(world)
    other = digests(generate(tmp_path / "other", seed=4))
    assert set(other) == set(again)
    assert all(other[name] != digest for name, digest in again.items() if "image_ids" not in name
               and "imgid2idx" not in name)  # fmt: skip


def test_the_files_are_those_of_the_release(world: Path) -> None:
    assert {path.name for path in world.iterdir()} == {
        "README", "boxes", "cin_annotations", "faster_rcnn_image_features", "flickr30k-images",
        "flk30k_LN.json", "flk30k_LN_label.h5", "flk30k_LN_trace_box", "truth",
    }  # fmt: skip
    records = json.loads((world / "cin_annotations/testval_annotations.json").read_text())
    assert all(type(record["image"]) is str for record in records)
    assert Counter(record["split"] for record in records) == {"val": 4, "test": 3}
    rows = pickle.loads((world / "faster_rcnn_image_features/train_imgid2idx.pkl").read_bytes())
    assert [type(key) for key in rows] == [int] * 5 and list(rows.values()) == list(range(5))
    index = json.loads((world / "flk30k_LN.json").read_text())
    assert [type(image["id"]) for image in index["images"]] == [int] * 12
    assert min(map(int, index["ix_to_word"])) == 1
    with h5py.File(world / "flk30k_LN_label.h5") as file:
        assert file["labels"].shape == (12, 256)
        assert file["label_start_ix"][:].tolist() == list(range(1, 13))
    with h5py.File(world / "faster_rcnn_image_features/test_features_compress.hdf5") as file:
        assert file["features"].dtype == np.float32 and file["features"].shape[1] == 2048
        assert file["pos_bboxes"].shape == (3, 2)


@pytest.mark.parametrize(("split", "size"), [("train", 5), ("val", 4), ("test", 3)])
def test_the_ordinary_readers_read_it(world: Path, split: str, size: int) -> None:
    narrations = read_narrations("cin", world, split).narrations
    store = get_reader("cin").open_regions(world, split)
    assert len(narrations) == size and store is not None
    for narration in narrations:
        assert narration.image_id is not None and narration.image_path is not None
        regions = store.read(narration.image_id, narration.image_size)
        assert 5 <= len(regions) <= 100
        assert regions.features.min() >= 0
        assert len(set(regions.labels)) > 2
        trace = read_trace(narration)
        assert trace.min() >= 0 and trace.max() <= 1
        assert (trace[:, :2] <= trace[:, 2:4]).all()
        with Image.open(narration.image_path) as image:
            assert image.size == narration.image_size == (320, 240)


def chains_of(narration: Narration) -> dict[str, list[Mention]]:
    chains: dict[str, list[Mention]] = {}
    for mention in narration.mentions:
        assert mention.chain is not None
        chains.setdefault(mention.chain, []).append(mention)
    return chains


def test_mentions_of_one_chain_share_their_boxes(world: Path) -> None:
    for split in ("val", "test"):
        for narration in read_narrations("cin", world, split).narrations:
            for chain in chains_of(narration).values():
                assert len({mention.boxes_xyxy for mention in chain}) == 1
            assert len(chains_of(narration)) > 2


@pytest.mark.parametrize("split", ["val", "test"])
def test_what_mentions_mean_is_among_the_labelled_boxes(world: Path, split: str) -> None:
    drawn = {p.image_id: p for p in read_labelled_boxes(world / "boxes" / f"{split}.json")}
    for narration in read_narrations("cin", world, split).narrations:
        assert narration.image_id is not None
        boxes = drawn[narration.image_id].boxes_xyxy
        assert len(set(drawn[narration.image_id].labels)) > 2
        for mention in narration.mentions:
            for box in mention.boxes_xyxy:
                pixels = np.array(box) * (320, 240, 320, 240)
                assert np.abs(boxes - pixels).max(axis=1).min() < 0.01


def test_the_truth_of_train_fits_its_captions(world: Path) -> None:
    captions = {n.id: n.text for n in read_narrations("cin", world, "train").narrations}
    truth = json.loads((world / "truth/train_annotations.json").read_text())
    assert {record["image"]: record["captions"] for record in truth} == captions
    for record in truth:
        for phrase, (start, end) in zip(record["query"], record["query_start_end"], strict=True):
            assert record["captions"][start:end] == phrase


def test_narrations_have_what_real_ones_have(tellings: list[tuple[Drawing, Told]]) -> None:
    nested = groups = boxless = 0
    words: Counter[str] = Counter()
    for drawing, told in tellings:
        assert 40 <= len(told.text.split()) <= 90
        starts = [mention.start for mention in told.mentions]
        assert starts == sorted(starts)
        for mention in told.mentions:
            words[told.text[mention.start : mention.end].lower()] += 1
            boxless += not mention.boxes
            groups += len(mention.boxes) > 1
            assert all(
                0 <= x1 < x2 <= 320 and 0 <= y1 < y2 <= 240 for x1, y1, x2, y2 in mention.boxes
            )
        spans = [(mention.start, mention.end) for mention in told.mentions]
        assert len(set(spans)) == len(spans)
        nested += sum((a < c and d <= b) or (a <= c and d < b) for a, b in spans for c, d in spans)
        assert 3 <= len(drawing.scene.entities) <= 8
    text = " ".join(told.text for _, told in tellings)
    assert nested > 100 and groups > 50 and boxless > 5
    assert "the background" in text and "the background" not in words
    assert "left side" in text and " um " in text
    assert sum(words[pronoun] for pronoun in PRONOUNS) > 400
    assert words["his"] > 5 and words["her"] > 5 and words["they"] > 20
    assert words["the other one"] > 10


def test_only_the_image_decides_a_marked_pronoun(tellings: list[tuple[Drawing, Told]]) -> None:
    """Its rivals were all introduced before it, its pronoun fits them all, and it means one."""
    marked = 0
    for drawing, told in tellings:
        for mention in told.mentions:
            if mention.kind != IMAGE:
                continue
            marked += 1
            assert told.text[mention.start : mention.end].lower() in ("he", "she", "it")
            assert len(mention.rivals) >= 2 and mention.chain in mention.rivals
            assert len(mention.boxes) == 1
            word = told.text[mention.start : mention.end].lower()
            box = mention.boxes[0]
            means = next(
                entity.kind
                for index, entity in enumerate(drawing.scene.entities)
                if drawing.boxes.get((index, "")) == box
            )
            assert word == ("he" if means in MALE else "she" if means in FEMALE else "it")
    assert marked / len(tellings) > 1.3


def test_the_image_can_tell_who_is_who(tellings: list[tuple[Drawing, Told]]) -> None:
    """Of one kind at most one is introduced by its bare name: the others by what is seen of them.

    Otherwise not even the image could say which of two mentions, "a man" and "another man", a
    later one belongs to.
    """
    described = 0
    for drawing, told in tellings:
        kind_of_box = {
            drawing.boxes[index, ""]: entity.kind
            for index, entity in enumerate(drawing.scene.entities)
            if (index, "") in drawing.boxes
        }
        first: dict[int, str] = {}
        kind_of_chain: dict[int, str] = {}
        for mention in told.mentions:
            if len(mention.boxes) == 1 and mention.boxes[0] in kind_of_box:
                first.setdefault(mention.chain, told.text[mention.start : mention.end])
                kind_of_chain[mention.chain] = kind_of_box[mention.boxes[0]]
        bare = Counter(
            kind_of_chain[chain]
            for chain, phrase in first.items()
            if phrase.split()[0] in ("a", "an", "another") and len(phrase.split()) == 2
        )
        assert max(bare.values(), default=0) <= 1, told.text
        described += sum(phrase.startswith("another ") for phrase in first.values())
    assert described > 10


def test_no_rule_of_the_text_finds_what_a_marked_pronoun_means(
    tellings: list[tuple[Drawing, Told]],
) -> None:
    """Neither the first nor the last of the rivals is meant more often than by chance."""
    first = last = chance = 0.0
    count = 0
    for _, told in tellings:
        for mention in told.mentions:
            if mention.kind == IMAGE:
                count += 1
                first += mention.chain == mention.rivals[0]
                last += mention.chain == mention.rivals[-1]
                chance += 1 / len(mention.rivals)
    spread = 3 * (0.25 / count) ** 0.5
    assert first / count == pytest.approx(chance / count, abs=spread)
    assert last / count == pytest.approx(chance / count, abs=spread)


def test_tokenised_mentions_keep_their_words(tellings: list[tuple[Drawing, Told]]) -> None:
    for _, told in tellings[:30]:
        caption = tokenised(told)
        for before, after in zip(told.mentions, caption.mentions, strict=True):
            phrase = told.text[before.start : before.end].lower()
            assert caption.text[after.start : after.end].replace(" ", "") == phrase.replace(" ", "")


def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(InputError, match="not an empty folder"):
        main(["--out", str(tmp_path), *SIZES])
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_nothing_half_made_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("synthetic.world.writing.write_region_store", fail)
    with pytest.raises(OSError, match="disk full"):
        main(["--out", str(tmp_path / "world"), *SIZES])
    assert list(tmp_path.iterdir()) == []
