"""Generated dialogues: their files, their truth, and that the looks of people matter in them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random

import av
import numpy as np
import pytest
from PIL import Image

from data.readers import read_narrations
from data.readers.report import ReadReport
from data.readers.tiktalk.heads import read_heads
from features.labelled_boxes import read_labelled_boxes
from synthetic.dialogues.drawing import draw_video
from synthetic.dialogues.moving import (
    FRAMES,
    HEIGHT,
    WIDTH,
    stage,
)
from synthetic.dialogues.people import CELEBRITIES, make_celebrity
from synthetic.dialogues.telling import IMAGE, KNOWN_FACE
from synthetic.dialogues.writing import told_cast
from tests.synthetic.test_world import digests
from tools.data_split import main as split
from tools.make_dialogues import main


def generate(folder: Path, seed: int, dialogues: int = 3, processes: int = 1) -> Path:
    sizes = ["--dialogues", str(dialogues), "--faces", "2", "--processes", str(processes)]
    main(["--out", str(folder), "--seed", str(seed), *sizes])
    return folder


@pytest.fixture(scope="module")
def dialogues(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = generate(tmp_path_factory.mktemp("dialogues") / "set", seed=3)
    split(["--data-root", str(folder)])
    return folder


def records_of(folder: Path) -> list[dict]:
    path = folder / "all_textual_and_visual_annotations.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_same_seed_gives_the_same_bytes(dialogues: Path, tmp_path: Path) -> None:
    again = digests(generate(tmp_path / "again", seed=3, processes=2))
    made = digests(dialogues)
    assert again == {name: made[name] for name in again}
    assert any(name.endswith(".mp4") for name in again)
    other = digests(generate(tmp_path / "other", seed=4, dialogues=1))
    assert not set(other.values()) & set(again.values())


def test_fewer_dialogues_are_the_first_of_more(dialogues: Path, tmp_path: Path) -> None:
    fewer = generate(tmp_path / "fewer", seed=3, dialogues=1)
    assert records_of(fewer) == records_of(dialogues)[:1]


def test_the_ordinary_readers_read_it(dialogues: Path) -> None:
    records = {record["doc_key"]: record for record in records_of(dialogues)}
    read = read_narrations("tiktalk", dialogues / "all", "train").narrations
    heads = read_heads(dialogues / "all", "train", ReadReport("tiktalk", "train"))
    assert {narration.id for narration in read} == set(heads) == set(records)
    for narration in read:
        chains = Counter(mention.chain for mention in narration.mentions)
        assert sorted(chains.values()) == sorted(map(len, records[narration.id]["clusters"]))
        assert {head.label for head in heads[narration.id]} <= set(chains)


def test_videos_and_frames_show_the_same(dialogues: Path) -> None:
    for record in records_of(dialogues):
        video_id = record["doc_key"]
        with av.open(str(dialogues / "videos" / f"{video_id}.mp4")) as container:
            shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(shown) == FRAMES and shown[0].shape == (HEIGHT, WIDTH, 3)
        for number in (0, FRAMES // 2, FRAMES - 1):
            path = dialogues / "frames" / video_id / f"{video_id}_{number}_1.jpg"
            with Image.open(path) as image:
                difference = np.asarray(image, float) - shown[number]
            assert np.abs(difference).mean() < 8


def test_boxes_are_where_the_truth_has_the_heads(dialogues: Path) -> None:
    truths = map(json.loads, (dialogues / "truth.jsonl").read_text().splitlines())
    for record, truth in zip(records_of(dialogues), truths, strict=True):
        assert len(truth["kinds"]) == sum(map(len, record["clusters"]))
        there = {(head["frame"], tuple(head["bbox"])) for head in truth["heads"]}
        for box in record["visual_annotations"]:
            if box["box_labels"].count("C") == 1:
                assert (box["cur_frame"], tuple(box["bbox"])) in there
        for head in truth["heads"]:
            x1, y1, x2, y2 = head["bbox"]
            assert 0 <= x1 < x2 <= WIDTH and 0 <= y1 < y2 <= HEIGHT and 0 < head["visible"] <= 1


def test_heads_to_train_on_are_of_others(dialogues: Path) -> None:
    heads = read_labelled_boxes(dialogues / "faces" / "heads.json")
    faces = read_labelled_boxes(dialogues / "faces" / "faces.json")
    for with_heads, with_faces in zip(heads, faces, strict=True):
        assert (dialogues / "faces" / "pictures" / with_heads.file_name).exists()
        assert np.array_equal(with_heads.boxes_xyxy, with_faces.boxes_xyxy)
        assert set(with_heads.labels) == {"head"} and not any(with_heads.attributes)
        assert all(name.startswith("face ") for name in with_faces.attributes)


def test_everybody_is_lost_and_comes_back_somewhere() -> None:
    """Tracks break: heads are hidden, leave, or are elsewhere after a cut."""
    random = Random(0)
    people = [make_celebrity(0, number) for number in range(2)]
    gone = cuts = 0
    for _ in range(8):
        staging = stage(2, random)
        frames = draw_video(people, staging, random)
        seen = [{head.person for head in frame.heads if head.visible > 0.5} for frame in frames]
        gone += any(len(heads) < 2 for heads in seen)
        cuts += staging.shots[-1] == 1
    assert gone >= 3 and cuts >= 2


def test_what_is_told_agrees_with_the_looks() -> None:
    """Over many dialogues: what decides is true of who is meant, and either of two is meant."""
    kinds: Counter[str | None] = Counter()
    genders: Counter[str] = Counter()
    for number in range(300):
        _, people, told = told_cast(0, number)
        characters = [character for turn in told.turns for character in turn]
        spans = [(mention.first, mention.last) for mention in told.mentions]
        assert len(set(spans)) == len(spans)
        for mention in told.mentions:
            kinds[mention.kind] += 1
            phrase = "".join(characters[mention.first : mention.last + 1])
            if isinstance(mention.who, str) or len(mention.who) > 1:
                continue
            (person,) = (people[n] for n in mention.who)
            inner = phrase.split("旁边")[-1]
            assert ("她" in inner) <= (person.gender == "female")
            assert ("他" in inner) <= (person.gender == "male")
            assert ("帽" in inner) <= bool(person.hat) and ("眼镜" in inner) <= person.glasses
            if mention.kind == IMAGE:
                assert not any(other.name for other in people)
                genders[person.gender] += 1
    assert kinds[IMAGE] > 20 and kinds[KNOWN_FACE] > 10
    assert min(genders.values()) > 0.25 * genders.total()


def test_celebrities_keep_their_face_and_name() -> None:
    everybody = [make_celebrity(7, number) for number in range(CELEBRITIES)]
    assert everybody == [make_celebrity(7, number) for number in range(CELEBRITIES)]
    assert len({person.name for person in everybody}) == CELEBRITIES
    assert everybody[0].skin != make_celebrity(8, 0).skin
