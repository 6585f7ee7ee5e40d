"""Input that is broken or means harm: it is refused by name, and nothing else happens."""

from __future__ import annotations

import functools
import json
import math
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import test_coref
import test_grounding
from data.encoding.text import encode_text
from data.files import DataError
from data.readers import read_narrations
from inference.links import MentionLinks
from inference.resolver import Resolver
from metrics.chain_files import read_chain_folder
from metrics.chains import chains_from_links
from metrics.coreference.pairs import ChainsError
from metrics.coreference.scores import score_chains
from metrics.grounding_scores import GroundedMention, score_grounding
from models.factory import encoder_config_of
from tests.readers import test_conll as test_reader_conll
from tests.support import cin_files, tiny
from tests.support.inputs import INPUTS
from tests.support.mutations import spoil_file
from utils.checkpointing.checkpoint import (
    Checkpoint,
    CheckpointError,
    save_checkpoint,
)
from utils.config import read_config_file
from utils.distributed.command import run_command
from utils.errors import InputError
from utils.thresholds import Thresholds


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The valid folder of an input, written once."""

    @functools.cache
    def write(name: str) -> Path:
        folder = tmp_path_factory.mktemp("valid") / "input"
        folder.mkdir()
        INPUTS[name].write(folder)
        return folder

    return write


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize("name", INPUTS)
def test_the_valid_inputs_are_read(name: str, written: Callable[[str], Path]) -> None:
    for skip in (False, True):
        INPUTS[name].read(written(name), skip)


@pytest.mark.parametrize("name", INPUTS)
def test_spoilt_input_is_read_or_refused_by_name(
    name: str,
    written: Callable[[str], Path],
    spoilt_inputs: Counter[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> None:
    """Whatever is done to a file: nothing in it is run, nothing is written, and where it cannot be
    read an `InputError` names it."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    folder = tmp_path / "input"

    @settings(
        max_examples=math.ceil(pytestconfig.getoption("inputs") / len(INPUTS)),
        derandomize=True,
        database=None,
        deadline=None,
        print_blob=True,
        # What is drawn is small already.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def read_spoilt(data: st.DataObject) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(written(name), folder)
        path = data.draw(st.sampled_from([p for p in files_in(folder) if p.is_file()]))
        spoil_file(data.draw, path)
        before = files_in(tmp_path)
        refused = False
        for skip in (False, True):
            try:
                INPUTS[name].read(folder, skip)
            except InputError as error:
                # A cache goes on naming the features it was made from.
                assert str(folder) in str(error) or str(written(name)) in str(error)
                assert all(c.isprintable() or c == "\n" for c in str(error))
                refused |= not skip
            assert files_in(tmp_path) == before
        spoilt_inputs["refused" if refused else "read"] += 1

    read_spoilt()


# Each clears a screen, colours, turns the direction of writing, or begins a script.
LIVE = ("\x1b[2J", "\x9b31m", "\u202e", "<script>")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the tiny model, with random weights."""
    path = tmp_path_factory.mktemp("checkpoint") / "models.pt"
    model, config = tiny.tiny_model(), tiny.tiny_config()
    encoder, tokenizer = encoder_config_of(model), tiny.tokenizer().to_json()
    save_checkpoint(
        path, Checkpoint(config, encoder, tokenizer, model.state_dict(), 0, Thresholds(0.5), {})
    )
    return path


def live_folder(folder: Path) -> Path:
    """A data folder whose captions, phrases, ids and labels all hold something live."""
    live = "".join(LIVE)
    text = f"A man{live} holds a dog{live}. He pets it."
    mentions = [
        cin_files.MentionNote(f"A man{live}", 0, [[10, 20, 30, 40]]),
        cin_files.MentionNote(f"a dog{live}", 1, [[50, 50, 25, 25]]),
        cin_files.MentionNote("He", 0, [[10, 20, 30, 40]]),
    ]
    bad_id = {**cin_files.annotation("1", "test", text, mentions), "image": f"7{live}"}
    bad_label = cin_files.ImageNote([[0, 0, 1, 1]], [live])
    cin_files.write_cin_folder(
        folder,
        annotations=[cin_files.annotation("201", "test", text, mentions)],
        regions={"test": {"201": bad_label}},
        feature_size=tiny.FEATURE_SIZE,
    )
    annotations = folder / "cin_annotations" / "testval_annotations.json"
    annotations.write_text(json.dumps([*json.loads(annotations.read_text()), bad_id]))
    kinds = {"201": [f"picture{live}", None, None]}
    (folder / "cin_annotations" / "mention_kinds.json").write_text(json.dumps(kinds))
    return folder


def test_nothing_live_of_the_data_is_printed(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--save_name", str(checkpoint), "--data-root", str(live_folder(tmp_path / "data"))]
    options += ["--device", "cpu", "--output", str(tmp_path / "coref"), "--errors", "--texts"]
    with pytest.raises(SystemExit):
        run_command(lambda: test_coref.main(options))
    refused = capsys.readouterr()
    assert "testval_annotations.json" in refused.err and "\\x1b[2J" in refused.err
    test_coref.main([*options, "--skip-bad-records"])
    resolved = capsys.readouterr()
    assert "\\x1b[2J\\x9b31m\\u202e<script>" in resolved.out
    assert "kind: picture\\x1b[2J" in resolved.out and "missed links" in resolved.out
    test_grounding.main([*options[:-2], "--skip-bad-records"])
    grounded = capsys.readouterr()
    assert "kind: picture\\x1b[2J" in grounded.out
    for printed in (*refused, *resolved, *grounded):
        # The progress bar goes back to the beginning of its line.
        assert all(c.isprintable() or c in "\n\r" for c in printed)


def test_an_error_can_be_printed_whatever_it_quotes() -> None:
    assert str(InputError("a\x1b[2J\udc80\nb")) == "a\\x1b[2J\\udc80\nb"


def test_no_document_is_written_outside_of_the_output_folder(
    tmp_path: Path, checkpoint: Path
) -> None:
    names = ("../../../evil", "/etc/evil", "..", "a\0b", "C:\\evil", "good")
    documents = [test_reader_conll.written(name) for name in names]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "test.conll").write_text("".join(documents))
    before = files_in(tmp_path)
    options = ["--save_name", str(checkpoint), "--data-root", str(tmp_path / "data")]
    options += ["--dataset", "conll", "--skip-bad-records", "--device", "cpu"]
    test_coref.main([*options, "--output", str(tmp_path / "out" / "coref")])
    made = {path for path in files_in(tmp_path) if path.is_file() and path not in before}
    assert {path.name for path in made} == {"_etc_evil.json", "good.json"}
    assert all(path.is_relative_to(tmp_path / "out" / "coref") for path in made)


def test_ten_thousand_mentions_of_a_megabyte_of_text_are_read(tmp_path: Path) -> None:
    sentence = "the man and his dog and the red ball on the blue tree and it in " * 2
    text = sentence * 10_000
    starts = range(0, len(text), len(sentence))
    record = cin_files.annotation("101", "val", "the man", [cin_files.MentionNote("the man", 0)])
    count = len(starts)
    many = {
        "captions": text,
        "query": ["the man"] * count,
        "query_start_end": [[start, start + 7] for start in starts],
        "cluster": list(range(count)),
        "target_bboxes": [[]] * count,
    }
    cin_files.write_cin_folder(tmp_path, annotations=[{**record, **many}])
    (narration,) = read_narrations("cin", tmp_path, "val").narrations
    assert (len(narration.text), len(narration.mentions)) == (len(text), 10_000)
    encoded = encode_text(narration, tiny.tokenizer(), max_mentions=20_000)
    assert encoded.mention_indices == tuple(range(10_000))
    first, end = encoded.mention_spans.T
    assert np.array_equal(encoded.offsets[first, 0], starts)
    assert np.array_equal(encoded.offsets[end - 1, 1], np.asarray(starts) + 7)


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("faster_rcnn_image_features/train_features_compress.hdf5", "pos_bboxes"),
        ("flk30k_LN_label.h5", "label_end_ix"),
        ("flk30k_LN_label.h5", "labels"),
    ],
)
def test_a_dataset_that_promises_more_than_there_is_takes_no_memory(
    tmp_path: Path, name: str, dataset: str
) -> None:
    INPUTS["cin train"].write(tmp_path)
    with h5py.File(tmp_path / name, "r+") as file:
        width, kind = file[dataset].shape[1:], file[dataset].dtype
        del file[dataset]
        file.create_dataset(dataset, (2**36, *width), kind, chunks=(8, *width))
    with pytest.raises(DataError, match=rf"{Path(name).name}.*{dataset} promises"):
        INPUTS["cin train"].read(tmp_path, True)


def test_the_names_of_unread_settings_can_be_printed(tmp_path: Path) -> None:
    INPUTS["configuration"].write(tmp_path)
    layers = {"num_hidden_layers": 4, "fusion_layer": 2, "".join(LIVE): 1}
    (tmp_path / "configs" / "bert.json").write_text(json.dumps(layers))
    _, ignored = read_config_file(tmp_path / "configs" / "config.json")
    assert any(name.startswith("bert.json: ") for name in ignored)
    assert all(name.isprintable() for name in ignored)


def test_a_split_without_mentions_is_resolved(tmp_path: Path, checkpoint: Path) -> None:
    cin_files.write_cin_folder(
        tmp_path / "data",
        annotations=[cin_files.annotation("201", "test", "A man holds a dog.", [])],
        feature_size=tiny.FEATURE_SIZE,
    )
    options = ["--save_name", str(checkpoint), "--data-root", str(tmp_path / "data")]
    options += ["--device", "cpu", "--output", str(tmp_path / "coref"), "--texts"]
    test_coref.main(options)
    assert read_chain_folder(tmp_path / "coref" / "modelrefs" / "test") == {"201": []}


_NAN = float("nan")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("threshold", _NAN),
        ("threshold", "0.8"),
        ("epoch", None),
        ("model", []),
        ("model", {"weights": 3}),
        ("model", {"weights": torch.tensor([_NAN])}),
        ("config", {1: 2}),
        ("config", {"lr": 10**400}),
        ("encoder_config", "[" * 10**5),
        ("encoder_config", "{}"),
        ("word_pieces", "{}"),
        ("mention_threshold", [0.5]),
    ],
)
def test_a_checkpoint_of_wrong_values_is_named(
    tmp_path: Path, checkpoint: Path, key: str, value: object
) -> None:
    content = torch.load(checkpoint, weights_only=True)
    torch.save({**content, key: value}, tmp_path / "wrong.pt")
    with pytest.raises(CheckpointError, match=r"wrong\.pt: "):
        Resolver.from_checkpoint(tmp_path / "wrong.pt", torch.device("cpu"))


@pytest.mark.parametrize(
    ("written_as", "spoilt"),
    [
        ('"pad_id": 0', '"pad_id": "a"'),
        ('"pad_id": 0', '"pad_id": -1'),
        ('"mask_id": 4', '"mask_id": 9999'),
        ('\\"man\\":7', '\\"man\\":9999'),
    ],
)
def test_a_checkpoint_of_word_pieces_that_its_encoder_lacks_is_named(
    tmp_path: Path, checkpoint: Path, written_as: str, spoilt: str
) -> None:
    content = torch.load(checkpoint, weights_only=True)
    assert written_as in content["word_pieces"]
    content["word_pieces"] = content["word_pieces"].replace(written_as, spoilt)
    torch.save(content, tmp_path / "wrong.pt")
    with pytest.raises(CheckpointError, match=r"wrong\.pt: "):
        Resolver.from_checkpoint(tmp_path / "wrong.pt", torch.device("cpu"))


odd_numbers = st.floats(width=32) | st.sampled_from([0.0, 0.5, 1.0, -1.0, _NAN, math.inf])
few = settings(max_examples=25, derandomize=True, database=None, deadline=None)


@few
@given(st.data(), st.integers(0, 5), odd_numbers)
def test_all_scores_of_links_are_decoded_or_refused(
    data: st.DataObject, mentions: int, threshold: float
) -> None:
    reach = data.draw(st.integers(0, mentions))
    size = mentions * reach
    numbers = data.draw(st.lists(odd_numbers, min_size=size, max_size=size))
    scores = np.asarray(numbers, dtype=np.float32).reshape(mentions, reach)
    links = MentionLinks(mentions, np.arange(mentions), scores)
    try:
        chains = chains_from_links(mentions, links.above(threshold))
    except InputError:
        assert np.isnan([*scores.flat, threshold]).any()
    else:
        assert sorted(mention for chain in chains for mention in chain) == list(range(mentions))


_chains = st.lists(st.lists(st.integers(0, 6), max_size=4), max_size=4)


@few
@given(_chains, _chains)
def test_overlapping_chains_are_scored_or_refused(
    gold: list[list[int]], system: list[list[int]]
) -> None:
    def are_chains(chains: list[list[int]]) -> bool:
        mentions = [mention for chain in chains for mention in chain]
        return all(chains) and len(set(mentions)) == len(mentions)

    try:
        scores = score_chains({"a": gold}, {"a": system})
    except ChainsError as error:
        assert "'a'" in str(error) and not (are_chains(gold) and are_chains(system))
    else:
        assert are_chains(gold) and are_chains(system)
        assert 0 <= scores.pooled.conll <= 1 and 0 <= scores.scorch.conll <= 1


def test_ten_thousand_mentions_are_scored() -> None:
    mentions = range(10_000)
    gold = {"a": [list(mentions[place::2_500]) for place in range(2_500)]}
    system = {"a": [list(mentions[place : place + 4]) for place in mentions[::4]]}
    assert score_chains(gold, gold).pooled.conll == score_chains(gold, gold).scorch.conll == 1
    assert 0 <= score_chains(gold, system).pooled.conll < 1


@few
@given(st.lists(st.lists(odd_numbers, min_size=4, max_size=4), max_size=4))
def test_boxes_of_any_numbers_are_scored(boxes: list[list[float]]) -> None:
    array = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    box = array[0] if len(array) else None
    scores = score_grounding([GroundedMention("it", array, box, array)])
    for share in (scores.any_box.overall, scores.union.overall, scores.oracle, scores.random):
        assert (share is None) == (not boxes)
        assert share is None or 0 <= share <= 1
