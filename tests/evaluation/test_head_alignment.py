"""Heads of mentions and chains: which region shows whom, what a model finds, what is printed."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import main as training
import test_alignment as command
from data.files import BadRecord
from data.narration import NO_REGION, Mention, Narration
from data.readers import get_reader, read_narrations
from data.readers.tiktalk.heads import HeadBox
from data.readers.tiktalk.regions import match_heads
from data.regions.head_files import HeadRegion, VideoHeads
from data.regions.store import RegionStore
from data.regions.writer import ImageRegions, write_region_store
from evaluation.head_alignment import (
    gold_chains_of,
    gold_headed_chains,
    head_scores,
    headed_chains,
    searches_in_dialogues,
    searches_in_split,
    singleton_chains_of,
)
from evaluation.thresholds import choose_head_threshold
from inference.resolution import AlignedVectors, Resolution
from metrics.alignment_scores import (
    NO_CANDIDATE,
    Recall,
    Search,
    score_joint,
    score_retrieval,
)
from models.alignment_head import AlignmentHead, chain_means
from prepare import main as prepare
from tests.readers.test_tiktalk import (
    ANNOTATIONS,
    OTHER_FILES,
    SPLITS,
    dialogue,
    head,
    write_parts,
)
from tests.support import tiny
from tests.support.links import links_of
from tests.visualization.test_page import Elements
from tools import data_split
from utils.errors import InputError

Corners = tuple[float, float, float, float]
LEFT, RIGHT = (20.0, 30.0, 60.0, 90.0), (100.0, 30.0, 140.0, 90.0)


def video(*tracks: tuple[tuple[int, Corners], ...]) -> VideoHeads:
    """Heads, each of one track."""
    heads = tuple(HeadRegion(track[0][0], f"{n}.jpg", (track,)) for n, track in enumerate(tracks))
    return VideoHeads((160, 120), (0, 10), heads)


def box(label: str, frame: int, corners: Corners) -> HeadBox:
    x1, y1, x2, y2 = map(int, corners)
    return HeadBox(label, frame, (x1, y1, x2, y2), None, PurePosixPath("f"), PurePosixPath("h"))


def regions_of(folder: Path, split: str) -> RegionStore:
    store = get_reader("tiktalk").open_regions(folder, split)
    assert store is not None
    return store


def overall(searches: Iterator[Search]) -> Recall:
    recall = score_retrieval(searches).overall
    assert recall is not None
    return recall


def write_heads(folder: Path, split: str, boxes: dict[str, list[tuple[float, ...]]]) -> None:
    """The heads of dialogues, each seen in frame 0."""
    random = np.random.default_rng(0)
    images = []
    for name, of_one in boxes.items():
        about = {
            "size": [160, 120],
            "looked_at": [0],
            "frames": [0] * len(of_one),
            "crops": [f"{name}_{n}.jpg" for n in range(len(of_one))],
            "tracks": [[[[0, *corners]]] for corners in of_one],
        }
        features = random.normal(size=(len(of_one), tiny.FEATURE_SIZE)).astype(np.float32)
        corners = np.array(of_one, dtype=np.float64).reshape(-1, 4)
        labels = ["head"] * len(of_one)
        images.append(ImageRegions(name, corners, labels, None, features, about))
    write_region_store(folder, split, images)


def test_a_box_is_shown_by_the_region_that_overlaps_it_in_its_frame() -> None:
    heads = video(((0, LEFT), (10, LEFT)), ((0, RIGHT),))
    boxes = [box("C1", 0, RIGHT), box("C2", 0, LEFT)]
    assert match_heads(boxes, heads) == {"C1": 1, "C2": 0}
    assert match_heads(boxes[::-1], heads) == {"C1": 1, "C2": 0}
    assert match_heads([box("C1", 10, RIGHT)], heads) == {}
    assert match_heads([], heads) == match_heads(boxes, video()) == {}


def test_two_boxes_never_have_one_region() -> None:
    heads = video(((0, LEFT),))
    near = (25.0, 35.0, 65.0, 95.0)
    assert match_heads([box("C1", 0, near), box("C2", 0, LEFT)], heads) == {"C2": 0}


def test_a_head_is_between_the_frames_that_were_looked_at() -> None:
    heads = video(((0, LEFT), (10, RIGHT)))
    middle = (60.0, 30.0, 100.0, 90.0)
    assert match_heads([box("C1", 5, middle)], heads) == {"C1": 0}
    assert match_heads([box("C1", 5, LEFT)], heads) == {}
    # After the last frame that was looked at it is where it was.
    assert match_heads([box("C1", 11, RIGHT)], heads) == {"C1": 0}
    left = video(((0, LEFT),))
    assert match_heads([box("C1", 9, LEFT)], left) == {"C1": 0}
    assert match_heads([box("C1", 10, LEFT)], left) == {}


def test_mentions_know_the_regions_and_kinds_of_what_they_mean(tmp_path: Path) -> None:
    names = [["某", "A"], ["他", "好"]]
    named = dialogue(
        "8",
        sentences=names,
        speaker_ids=[["A", "A"], ["B", "B"]],
        clusters=[[[0, 0], [2, 2]], [[3, 3]]],
        clusters_str=[["某", "他"], ["好"]],
        entity_label=["C1", "none"],
    )
    write_parts(tmp_path / "all", dialogue(), named)
    write_heads(tmp_path / "heads", "val", {"7": [RIGHT, LEFT], "8": [RIGHT]})
    reading = read_narrations("tiktalk", tmp_path / "all", "val")
    first, second = reading.narrations
    found = [(m.phrase, m.region, m.kind) for m in first.mentions]
    assert found == [
        ("他妈", NO_REGION, "noun"), ("他", 1, "pronoun"), ("我", NO_REGION, "pronoun"),
        ("你", NO_REGION, "pronoun"), ("他", 1, "pronoun"),
    ]  # fmt: skip
    assert (first.image_id, first.image_size, first.people) == ("7", (160, 120), (None, "某人"))
    # Its head is there, but no region shows it.
    found = [(m.phrase, m.region, m.kind) for m in second.mentions]
    assert found == [("某", None, "name"), ("他", None, "pronoun"), ("好", NO_REGION, "noun")]
    assert reading.report.counts["head boxes that a region shows"] == 1
    with regions_of(tmp_path / "all", "val") as store:
        assert store.read("7", (160, 120)).features.shape == (2, tiny.FEATURE_SIZE)


def test_a_chain_whose_head_is_missing_from_the_store_is_named(tmp_path: Path) -> None:
    write_parts(tmp_path / "all", dialogue(), dialogue("8"))
    write_heads(tmp_path / "heads", "val", {"7": [LEFT]})
    with pytest.raises(BadRecord, match="8: found no heads of val for this dialogue"):
        read_narrations("tiktalk", tmp_path / "all", "val")
    reading = read_narrations("tiktalk", tmp_path / "all", "val", skip_bad_records=True)
    _, second = reading.narrations
    assert second.image_id is None and {m.region for m in second.mentions} == {None}
    assert len(reading.report.skipped) == 1


def test_a_label_without_a_chain_is_named(tmp_path: Path) -> None:
    write_parts(tmp_path / "all", dialogue(visual_annotations=[head(box_labels="C2")]))
    write_heads(tmp_path / "heads", "val", {"7": [LEFT]})
    with pytest.raises(BadRecord, match="a box of 'C2', expected a label of its chains"):
        read_narrations("tiktalk", tmp_path / "all", "val")


def test_the_projection_of_a_mean_is_the_mean_of_the_projections() -> None:
    head = AlignmentHead(16, 4)
    mentions, chains = torch.randn(2, 5, 16), torch.tensor([[0, 1, 0, -1, -1], [2, 2, 2, 0, 1]])
    features = torch.randn(2, 3, 4)
    projected, of_means = (
        head(vectors, features).mentions for vectors in (mentions, chain_means(mentions, chains))
    )
    torch.testing.assert_close(chain_means(projected, chains), of_means)
    torch.testing.assert_close(of_means[0, 3:], projected[0, 3:])
    torch.testing.assert_close(of_means[0, 0], projected[0, [0, 2]].mean(dim=0))


def test_a_mention_is_aligned_whatever_its_image_shows() -> None:
    """Else the heads of its own dialogue would be known among all others."""
    model = tiny.tiny_model(alignment="mention")
    first, second, third = tiny.examples()
    other = dataclasses.replace(first, regions=tiny.regions(5, 8))
    with torch.no_grad():
        seen = model(tiny.batch([first])).alignment.mentions
        unseen = model(tiny.batch([other])).alignment.mentions
        together = model(tiny.batch([second, other, third])).alignment.mentions[1]
    torch.testing.assert_close(seen, unseen)
    torch.testing.assert_close(seen[0], together[: seen.shape[1]])


def resolution(
    name: str, chains: str, regions: dict[str, int | None], **changes: Any
) -> Resolution:
    """A resolution of mentions of one letter each, whose vectors and heads are unit vectors.

    Args:
        chains: the chain of each mention; a mention is like the head that has its chain's number.
    """
    mentions = tuple(
        Mention(n, n + 1, "x", chain, region=regions[chain]) for n, chain in enumerate(chains)
    )
    similarity = np.array([[float(a == b) for b in chains] for a in chains], dtype=np.float32)
    people = changes.pop("people", ())
    narration = Narration(name, "x" * len(chains), mentions, image_id=name, people=people)
    units = np.eye(6, dtype=np.float32)
    vectors = units[[int(chain) for chain in chains]]
    values = {"aligned": AlignedVectors(vectors, units[:3]), **changes}
    return Resolution(narration, links_of(similarity), 0.5, None, None, np.zeros((3, 4)), **values)


def test_heads_that_fit_best_are_found() -> None:
    resolutions = [
        resolution("a", "0101", {"0": 0, "1": 1}),
        resolution("b", "224", {"2": 2, "4": NO_REGION}),
    ]
    found = overall(searches_in_dialogues(resolutions, gold_chains_of))
    assert (found.searches, found.candidates, found.found) == (6, 3, (1, 1, 1))
    # Both dialogues have the same heads, so that two of all fit each mention equally well.
    found = overall(searches_in_split(resolutions, singleton_chains_of))
    assert (found.searches, found.candidates, found.found) == (6, 6, (0.5, 1, 1))
    threshold = choose_head_threshold(resolutions, gold_chains_of, by_chain=True)
    assert 0 < threshold < 1
    gold = gold_headed_chains([r.narration for r in resolutions])
    for by_chain in (True, False):
        system = headed_chains(resolutions, gold_chains_of, by_chain=by_chain, threshold=threshold)
        assert score_joint(gold, system).overall.f1 == 1
    everyone = headed_chains(resolutions, gold_chains_of, by_chain=True, threshold=-1.0)
    assert [chain.head for chain in everyone["b"]] == [2, 0]


def test_another_head_of_the_same_person_is_no_candidate() -> None:
    resolutions = [
        resolution("a", "0", {"0": 0}, people=("Ann", None, None)),
        resolution("b", "1", {"1": 1}, people=("Ann",)),
    ]
    first, second = searches_in_split(resolutions, singleton_chains_of)
    assert (len(first.scores), first.right) == (5, 0)
    assert (len(second.scores), second.right) == (6, 4)
    assert first.scores[0] == second.scores[4] == 1


def test_a_head_that_no_region_shows_is_never_found() -> None:
    (one,) = resolutions = [resolution("a", "00", {"0": None})]
    for searches in (searches_in_dialogues, searches_in_split):
        recall = overall(searches(resolutions, singleton_chains_of))
        assert (recall.searches, recall.found, recall.chance) == (2, (0, 0, 0), (0, 0, 0))
    (chain,) = gold_headed_chains([one.narration])["a"]
    assert chain.head == NO_CANDIDATE
    # So too where the model read fewer regions than there are.
    units = np.eye(6, dtype=np.float32)
    cut = [resolution("a", "2", {"2": 2}, aligned=AlignedVectors(units[[2]], units[:2]))]
    assert overall(searches_in_dialogues(cut, singleton_chains_of)).found == (0, 0, 0)


def test_a_chain_is_compared_by_the_mean_of_its_mentions() -> None:
    one = resolution("a", "0101", {"0": 0, "1": 1})
    assert one.aligned is not None
    one.aligned.mentions[2] = [0, 0, 4, 0, 0, 0]
    scores = head_scores(one, [[0, 2], [1], [3]], one.aligned.regions)
    np.testing.assert_allclose(scores[0], np.array([1, 0, 4]) / np.sqrt(17), rtol=1e-6)
    np.testing.assert_array_equal(scores[0], scores[2])
    np.testing.assert_allclose(scores[1], [0, 1, 0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dialogues of all splits with two heads each, and a model that was trained on them."""
    folder = tmp_path_factory.mktemp("alignment")
    for split in ("train", "test", "val"):
        names = [f"{split}{n}" for n in range(4)]
        write_parts(folder / "all", *map(dialogue, names))
        for kind in ("textual", "visual"):
            path = folder / "all" / f"val.{kind}.jsonl"
            path.rename(folder / "all" / f"{split}.{kind}.jsonl")
        write_heads(folder / "heads", split, {name: [LEFT, RIGHT] for name in names})
    training.main(training_options(folder, "run"))
    return folder


def training_options(folder: Path, name: str, *further: str) -> list[str]:
    config = {
        "text_encoder": tiny.encoder_folder(),
        "region_feature_size": tiny.FEATURE_SIZE,
        "region_feedforward_size": 32,
        "dataset": "tiktalk",
        "language": "zh",
        "epochs": 1,
        "batch": 2,
    }
    (folder / f"{name}.json").write_text(json.dumps(config))
    return [
        *("--use-ssl", "--device", "cpu", "--align", "chain", "--save_name", str(folder / name)),
        *("--model_config", str(folder / f"{name}.json"), "--data-root", str(folder / "all")),
        *further,
    ]


def test_the_commands_train_and_score(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = folder / "scores.json"
    options = ["--device", "cpu", "--output", str(folder / "coref"), "--json", str(written)]
    command.main(["--save_name", str(folder / "run" / "models.pt"), *options])
    said = capsys.readouterr().out
    assert said.count("chance") == 4 * 2  # all and pronouns: nothing else means a head
    scores = json.loads(written.read_text())
    in_dialogue = scores["retrieval"]["the heads of the dialogue"]["its gold chain"]["all"]
    assert (in_dialogue["mentions"], in_dialogue["candidates"]) == (8, 2)
    assert in_dialogue["chance R@1"] == 50
    in_split = scores["retrieval"]["all heads of the split"]["its gold chain"]["all"]
    # Of the same person there are three more in other dialogues.
    assert in_split["candidates"] == 5
    assert scores["joint"]["all"]["gold"] == 12
    described = json.loads((folder / "coref" / "heads" / "test.json").read_text())
    assert [one["id"] for one in described] == [f"test{n}" for n in range(4)]
    assert {len(m["text"]) for one in described for c in one["chains"] for m in c["mentions"]}


def test_the_page_shows_frames_and_heads(folder: Path) -> None:
    frames = folder / "frames" / "test0"
    frames.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (160, 120)).save(frames / "test0_0_1.jpg")
    (names, *_) = get_reader("tiktalk").read_frames(folder / "all", "test").values()
    assert [frame.number for frame in names] == [0, 0]
    found = {frame.path.resolve() for frame in names if frame.path is not None}
    assert found == {(frames / "test0_0_1.jpg").resolve()}
    assert all(frame.path is not None for frame in names)
    page = folder / "page.html"
    options = ["--device", "cpu", "--output", str(folder / "coref"), "--page", str(page)]
    command.main(["--save_name", str(folder / "run" / "models.pt"), *options])
    said = page.read_text(encoding="utf-8")
    assert [name for name, _ in Elements(said).tags].count("img") == 2
    assert said.count("<figcaption>frame 0</figcaption>") == 4
    # The two mentions of a chain in each dialogue have a head; every head that is predicted is
    # right or wrong, also where there should be none.
    assert said.count('class="box gold') == 8
    predicted = len(re.findall(r'class="box(?! gold)', said))
    assert said.count("✓</span>") + said.count("✗</span>") == predicted > 0
    assert said.count("✓</span>") <= 8


def test_features_of_another_size_are_refused(folder: Path) -> None:
    options = training_options(folder, "other")
    config = json.loads((folder / "other.json").read_text())
    (folder / "other.json").write_text(json.dumps({**config, "region_feature_size": 5}))
    with pytest.raises(InputError, match="features of 12 numbers, the model takes 5"):
        training.main(options)


@pytest.mark.parametrize(
    ("further", "message"),
    [
        (["--no-regions"], "--align aligns with regions"),
        (
            ["--data-root", "elsewhere/all"],
            "--align: .*elsewhere/all has no regions of the held-out",
        ),
    ],
)
def test_alignment_without_heads_is_refused(folder: Path, further: list[str], message: str) -> None:
    elsewhere = folder / "elsewhere"
    if not elsewhere.exists():
        shutil.copytree(folder / "all", elsewhere / "all")
    further = [str(folder / each) if "elsewhere" in each else each for each in further]
    with pytest.raises(InputError, match=message):
        training.main(training_options(folder, "refused", *further))


def write_random_heads(folder: Path, split: str, *further: str) -> None:
    """Run `prepare.py heads` without any video."""
    given = ["--heads", "annotated", "--image-encoder", "random", "--split", split, *further]
    prepare(["heads", "--data-root", str(folder / "all"), "--out", str(folder / "heads"), *given])


def test_random_features_need_annotated_heads_alone(tmp_path: Path) -> None:
    write_parts(tmp_path / "all", dialogue(), dialogue("8", visual_annotations=[]))
    with pytest.raises(InputError, match="--image-encoder random: expected --heads annotated"):
        write_random_heads(tmp_path, "val", "--heads", "detected")
    with pytest.raises(InputError, match="--videos: none are given"):
        write_random_heads(tmp_path, "val", "--image-encoder", "no such encoder")
    shutil.rmtree(tmp_path / "heads", ignore_errors=True)
    write_random_heads(tmp_path, "val")
    first, second = read_narrations("tiktalk", tmp_path / "all", "val").narrations
    assert (first.image_size, first.people) == ((60, 90), ("某人",))
    assert (second.image_size, second.people) == ((1, 1), ())
    with regions_of(tmp_path / "all", "val") as store:
        drawn = store.read("7", first.image_size).features
        assert len(store.read("8", second.image_size)) == 0
    shutil.rmtree(tmp_path / "heads")
    for seed, same in ((0, True), (1, False)):
        write_random_heads(tmp_path, "val", "--seed", str(seed))
        with regions_of(tmp_path / "all", "val") as store:
            again = store.read("7", first.image_size).features
        assert np.array_equal(drawn, again) is same
        shutil.rmtree(tmp_path / "heads")


def test_the_released_boxes_go_the_whole_way(real_data: Path, tmp_path: Path) -> None:
    """Their videos are not public: with random features chance is what is found."""
    for name in (ANNOTATIONS, *OTHER_FILES):
        shutil.copyfile(real_data / "tiktalkcoref" / name, tmp_path / name)
    data_split.main(["--data-root", str(tmp_path)])
    shown = searched = 0
    for split in SPLITS:
        write_random_heads(tmp_path, split)
        reading = read_narrations("tiktalk", tmp_path / "all", split)
        shown += reading.report.counts["head boxes that a region shows"]
        mentions = [m for narration in reading.narrations for m in narration.mentions]
        assert all(m.region is not None for m in mentions)
        searched += sum(m.region != NO_REGION for m in mentions)
    assert (shown, searched) == (881, 1399)
    resolver = tiny.resolver(alignment="mention", region_feature_size=128)
    tiny.write_checkpoint(tmp_path / "tiny.pt", resolver)
    written = tmp_path / "scores.json"
    command.main(
        [
            *("--save_name", str(tmp_path / "tiny.pt"), "--device", "cpu", "--dataset", "tiktalk"),
            *("--data-root", str(tmp_path / "celeb"), "--output", str(tmp_path / "coref")),
            *("--json", str(written)),
        ]
    )
    scores = json.loads(written.read_text())
    recall = scores["retrieval"]["all heads of the split"]["its own vector"]["all"]
    assert (recall["mentions"], round(recall["candidates"], 1)) == (72, 39.0)
    deviation = np.sqrt(recall["chance R@1"] * 100 / recall["mentions"])
    assert abs(recall["R@1"] - recall["chance R@1"]) < 4 * deviation
