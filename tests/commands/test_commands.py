"""The commands from their files to their files, on a tiny data folder and a tiny encoder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import test_coref
import test_grounding
from data.loading.splits import keep_labels
from data.mentions.found import cache_path, fingerprint
from data.narration import Mention, Narration, Regions
from data.readers import get_reader, read_narrations
from data.regions.store import GivenRegions
from inference.resolver import Resolver
from metrics.chain_files import read_chain_folder
from metrics.coreference.scores import score_chains
from metrics.document_pairs import read_conll
from tests.conftest import REPOSITORY
from tests.support import cin_files, tiny, trained
from tools import train_sense2vec
from training.trainer import Trainer
from utils.checkpointing.checkpoint import CheckpointError, load_checkpoint
from utils.config import ConfigError
from utils.device import choose_device
from utils.errors import InputError

TEXT = "A man holds a dog. He pets it on the left."
MENTIONS = [
    cin_files.MentionNote("A man", 0, [[10, 20, 30, 40]]),
    cin_files.MentionNote("a dog", 1, [[50, 50, 25, 25]]),
    cin_files.MentionNote("He", 0, [[10, 20, 30, 40]]),
    cin_files.MentionNote("it", 1, [[50, 50, 25, 25]], after=20),
    cin_files.MentionNote("the left", 2),
]
CAPTION = "a man holds a dog he pets"
LABELLED = ["--use-ema", "--use-ssl", "--ssl_loss", "con", "--bbox-reg", "--grounding"]
# All options of the published command.
PUBLISHED = [*LABELLED, "--label-prop"]
OPTIONS = [*LABELLED, "--no-unlabelled"]


def write_found(data_root: Path, spans: list[list[int]]) -> None:
    """Write the same found mentions for every unlabelled narration."""
    narrations = read_narrations("cin", data_root, "train").narrations
    content = {
        "texts": fingerprint(narrations),
        "pipeline": {},
        "mentions": {narration.id: spans for narration in narrations},
    }
    cache = cache_path(data_root, "train")
    cache.parent.mkdir(exist_ok=True)
    cache.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with 12 labelled, 3 test and 5 unlabelled narrations, and a configuration."""
    folder = tmp_path_factory.mktemp("commands")
    ids = {"val": [str(100 + n) for n in range(12)], "test": ["201", "2010", "202"]}
    captions = [str(number) for number in range(301, 306)]
    image = cin_files.DEFAULT_REGIONS["val"]["101"]
    cin_files.write_cin_folder(
        folder / "data",
        annotations=[
            cin_files.annotation(image_id, split, TEXT, MENTIONS)
            for split, of_split in ids.items()
            for image_id in of_split
        ],
        captions=dict.fromkeys(captions, [CAPTION]),
        regions={
            split: dict.fromkeys(of_split, image)
            for split, of_split in {**ids, "train": captions}.items()
        },
        feature_size=tiny.FEATURE_SIZE,
    )
    write_found(folder / "data", [[0, 5], [12, 17], [18, 20]])
    values = {
        "text_encoder": tiny.encoder_folder(),
        "region_feature_size": tiny.FEATURE_SIZE,
        "region_feedforward_size": 32,
        "epochs": 2,
        "lr": 1e-3,
        "held_out": 0.3,
    }
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def train(folder: Path, *options: str, name: str) -> Path:
    """Train in the folder; returns the last checkpoint."""
    return trained.train(folder, "--batch", "4", *options, name=name)


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> Path:
    return train(folder, *OPTIONS, name="final_model/")


def evaluated(folder: Path, checkpoint: Path, *options: str) -> dict:
    """Run test_coref.py; returns the scores that it writes."""
    scores = folder / "scores.json"
    test_coref.main(
        [
            "--bbox-reg",
            "--use-phrase-mask",
            "--device",
            "cpu",
            "--save_name",
            str(checkpoint),
            "--output",
            str(folder / "coref"),
            "--json",
            str(scores),
            *options,
        ]
    )
    return json.loads(scores.read_text())


def test_training_leaves_a_checkpoint_of_each_epoch_and_a_log(checkpoint: Path) -> None:
    names = {path.name for path in checkpoint.parent.iterdir()}
    assert names == {
        "models_0.pt", "models_1.pt", "models_best.pt", "models.pt", "run_state.pt", "log"
    }  # fmt: skip
    assert list((checkpoint.parent / "log").iterdir())
    last, first = load_checkpoint(checkpoint), load_checkpoint(checkpoint.parent / "models_0.pt")
    assert (first.epoch, last.epoch) == (0, 1)
    assert set(last.scores) >= {"conll", "muc", "b3", "ceafe", "lea", "grounding"}
    name = "fusion.layers.0.cross_attention.query.weight"
    assert not torch.equal(first.model_state[name], last.model_state[name])


def test_the_same_seed_trains_the_same_model(folder: Path, checkpoint: Path) -> None:
    again = load_checkpoint(train(folder, *OPTIONS, name="again")).model_state
    for name, weight in load_checkpoint(checkpoint).model_state.items():
        assert torch.equal(weight, again[name]), name
    other = load_checkpoint(train(folder, *OPTIONS, "--seed", "7", name="other")).model_state
    assert not all(torch.equal(weight, again[name]) for name, weight in other.items())


def test_an_epoch_has_the_steps_that_the_configuration_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it trains on; where it says 0, a pass over the unlabelled part if there is one.

    A step is one of the optimizer, of however many batches.
    """
    seen: list[int] = []

    def train_step(*_: object) -> None:
        seen[-1] += 1

    monkeypatch.setattr(Trainer, "train_step", train_step)
    path = folder / "steps.json"
    for steps in (0, 3):
        values = json.loads((folder / "config.json").read_text()) | {"steps_per_epoch": steps}
        path.write_text(json.dumps(values))
        for options in (["--no-unlabelled"], [], ["--accumulation", "2"]):
            options = [*options, "--use-ssl", "--batch", "1", "--epochs", "1", "--held-out", "0"]
            seen.append(0)
            train(folder, *options, "--model_config", str(path), name="steps")
    assert seen == [12, 5, 3, 3, 3, 3]


def test_workers_that_read_ahead_change_nothing(folder: Path, checkpoint: Path) -> None:
    ahead = load_checkpoint(train(folder, *OPTIONS, "--workers", "1", name="ahead")).model_state
    for name, weight in load_checkpoint(checkpoint).model_state.items():
        assert torch.equal(weight, ahead[name]), name


def test_what_is_kept_in_the_cache_trains_the_same_model(folder: Path, capsys) -> None:
    options = [*PUBLISHED, "--epochs", "1"]
    expected = load_checkpoint(train(folder, *options, name="uncached")).model_state
    said = capsys.readouterr().out
    options += ["--cache", str(folder / "cache")]
    for run in range(2):
        workers = ["--workers", "1"] if run else []
        weights = load_checkpoint(
            train(folder, *options, *workers, name=f"cached{run}")
        ).model_state
        for name, weight in expected.items():
            assert torch.equal(weight, weights[name]), name
        (made,) = (folder / "cache").iterdir()
        printed = capsys.readouterr().out.replace(f"read from {made}\n", "")
        assert printed.replace(f"/cached{run}/", "/uncached/") == said
    (folder / "data" / "mentions" / "train.json").touch()
    train(folder, *options, name="cached")
    assert len(list((folder / "cache").iterdir())) == 2


def test_the_averaged_weights_are_what_is_saved(folder: Path, checkpoint: Path) -> None:
    plain = [option for option in OPTIONS if option != "--use-ema"]
    student = load_checkpoint(train(folder, *plain, name="student")).model_state
    # A decay of 0 follows the student at once.
    follower = load_checkpoint(train(folder, *OPTIONS, "--ema-decay", "0", name="follower"))
    for name, weight in student.items():
        torch.testing.assert_close(follower.model_state[name], weight)
    averaged = load_checkpoint(checkpoint).model_state
    assert not all(torch.equal(weight, averaged[name]) for name, weight in student.items())


@pytest.mark.parametrize(
    "options",
    [
        ["--ssl_loss", "fro"],
        ["--ssl_loss", "sigmoid", "--use-phrase-mask"],
        ["--no-regions"],
        ["--held-out", "0"],
    ],
)
def test_published_options_train(folder: Path, options: list[str]) -> None:
    last = load_checkpoint(
        train(folder, "--use-ssl", "--no-unlabelled", "--epochs", "1", *options, name="options")
    )
    assert last.config.use_ema is False
    if "--held-out" in options:
        assert last.thresholds.link == 0.8 and not last.scores


def test_coref_writes_every_chain_file_once_and_the_scores_of_them(
    folder: Path, checkpoint: Path
) -> None:
    scores = evaluated(folder, checkpoint)
    gold = read_chain_folder(folder / "coref" / "gold_count" / "test")
    system = read_chain_folder(folder / "coref" / "modelrefs" / "test")
    assert set(gold) == set(system) == {"201", "2010", "202"}
    # Only mentions that have a box are counted.
    expected = [["A man0", "He2"], ["a dog1", "it3"]]
    assert [sorted(chain) for chain in gold["201"]] == expected
    assert sorted(name for chain in system["202"] for name in chain) == sorted(sum(expected, []))
    of_files = score_chains(gold, system).to_json()
    assert scores["documents"] == 3
    for way in ("pooled", "scorch"):
        assert scores[way]["conll"] == pytest.approx(of_files[way]["conll"])
    assert scores["links"]["pronouns"]["mentions"] == 6
    assert set(scores["rules"]) >= {"singletons", "one chain", "same head word"}


def test_coref_splits_the_scores(folder: Path, checkpoint: Path, tmp_path: Path, capsys) -> None:
    scores = evaluated(folder, checkpoint, "--by", "kind", "distance", "length")
    printed = capsys.readouterr().out
    subsets = scores["subsets"]
    assert set(subsets) == {"kind", "distance", "length"}
    assert all(f"by {title}" in printed for title in ("kind of mention", "words from", "words of"))
    assert sum(subset["documents"] for subset in subsets["length"].values()) == 3
    (of_length,) = subsets["length"].values()
    assert of_length["pooled"]["scores"] == scores["certainty"]["pooled"]["scores"]
    # Every gold mention is a pronoun or a noun, and at one distance.
    words = {name: subsets["kind"][name] for name in ("pronouns", "nouns")}
    for each in (words, subsets["distance"]):
        assert sum(subset["gold_mentions"] for subset in each.values()) == 12
    assert words["pronouns"]["gold_mentions"] == 6
    options = ["--device", "cpu", "--save_name", str(checkpoint), "--output", str(tmp_path)]
    with pytest.raises(InputError, match="--by genre: no document has one"):
        test_coref.main([*options, "--by", "genre"])
    assert "subsets" not in evaluated(folder, checkpoint)


def test_coref_writes_conll_files_that_score_the_same(
    folder: Path, checkpoint: Path, tmp_path: Path
) -> None:
    scores = evaluated(folder, checkpoint, "--conll", str(tmp_path))
    key, response = (read_conll(tmp_path / f"{side}.conll") for side in ("key", "response"))
    assert set(key) == set(response) == {f"({image}); part 0" for image in ("201", "2010", "202")}
    assert score_chains(key, response).to_json()["pooled"] == scores["pooled"]


def test_coref_resolves_annotated_pronouns(
    folder: Path, checkpoint: Path, tmp_path: Path, capsys
) -> None:
    dialogue = {
        "doc_key": "d", "sentences": [["a", "man"], ["he"]], "speakers": [["c", "c"], ["q"]],
        "pronoun_info": [{
            "current_pronoun": [2, 2], "candidate_NPs": [[0, 1]], "correct_NPs": [[0, 1]],
            "reference_type": 0, "not_discussed": False,
        }],
        "clusters": [[[0, 1], [2, 2]]],
    }  # fmt: skip
    (tmp_path / "test.vispro.1.1.jsonlines").write_text(json.dumps(dialogue))
    options = ["--dataset", "vispro", "--data-root", str(tmp_path)]
    options += ["--output", str(tmp_path / "coref")]
    scores = evaluated(folder, checkpoint, *options)["pronoun_resolution"]
    assert scores["overall"]["gold_links"] == scores["overall"]["mentions"] == 1
    assert scores["overall"] == scores["discussed"]
    assert "pronouns to candidates" in capsys.readouterr().out
    assert "pronoun_resolution" not in evaluated(folder, checkpoint)


def test_coref_shows_texts_and_sorts_errors(folder: Path, checkpoint: Path, capsys) -> None:
    scores = evaluated(folder, checkpoint, "--errors", "1", "--texts", "2")
    printed = capsys.readouterr().out
    # Of three narrations two; only mentions that have a box are counted, and marked.
    marked = r"\n  gold +\[A man](\d) holds \[a dog](\d)\. \[He]\1 pets \[it]\2 on the left\."
    assert len(re.findall(marked, printed)) == 2
    assert "\033" not in printed
    links = [scores["errors"][sort] for sort in ("missed_links", "wrong_links")]
    muc = scores["pooled"]["muc"]
    for count, share in zip(links, (muc["recall"], muc["precision"]), strict=True):
        assert 100 * (count["of"] - count["wrong"]) / max(count["of"], 1) == pytest.approx(share)
        assert sum(kind["wrong"] for kind in count["kinds"].values()) == count["wrong"]
    assert any(count["wrong"] for count in links) == ("linked to" in printed)
    assert "errors" not in evaluated(folder, checkpoint)
    assert "missed links" not in capsys.readouterr().out


def test_errors_need_gold_chains_and_texts_do_not(folder: Path, checkpoint: Path, capsys) -> None:
    options = ["--save_name", str(checkpoint), "--split", "train", "--device", "cpu"]
    options += ["--output", str(folder / "unlabelled")]
    with pytest.raises(InputError, match="--errors: train has no gold chains"):
        test_coref.main([*options, "--errors"])
    capsys.readouterr()
    test_coref.main([*options, "--texts"])
    printed = capsys.readouterr().out
    assert printed.count("  predicted  [a man]1 holds [a dog]") == 5
    assert "  gold  " not in printed


def test_existing_gold_is_compared_and_kept(folder: Path, checkpoint: Path, capsys) -> None:
    evaluated(folder, checkpoint)
    path = folder / "coref" / "gold_count" / "test" / "202.json"
    other = '{"name": "202", "type": "clusters", "clusters": {"0": ["A man0"]}}'
    path.write_text(other)
    capsys.readouterr()
    evaluated(folder, checkpoint)
    printed = capsys.readouterr().out
    assert path.read_text() == other
    assert "202.json" in printed and "1 gold files differ" in printed
    path.unlink()


def test_scorch_may_confuse_ids_and_that_is_said(folder: Path, checkpoint: Path, capsys) -> None:
    evaluated(folder, checkpoint)
    assert "'201'" in capsys.readouterr().out


@pytest.mark.parametrize("batch", ["1", "2"])
def test_scores_do_not_depend_on_the_batch(folder: Path, checkpoint: Path, batch: str) -> None:
    whole = evaluated(folder, checkpoint)
    assert evaluated(folder, checkpoint, "--batch", batch) == whole


def test_grounding_scores_stand_beside_the_oracle(folder: Path, checkpoint: Path) -> None:
    written = folder / "grounding.json"
    test_grounding.main(
        [
            "--save_name",
            str(checkpoint),
            "--json",
            str(written),
            "--split",
            "test",
            "--output",
            str(folder / "boxes"),
        ]
    )
    scores = json.loads(written.read_text())
    boxes = json.loads((folder / "boxes" / "grounding" / "test.json").read_text())
    assert [narration["id"] for narration in boxes] == ["201", "2010", "202"]
    assert all(len(m["box_xyxy"]) == 4 for narration in boxes for m in narration["mentions"])
    assert (scores["mentions"], scores["pronouns_mentions"]) == (12, 6)
    assert scores["oracle"] == 100
    assert 0 <= scores["overall"] <= 100


def test_the_published_commands_run_on_two_ranks(folder: Path) -> None:
    """As published, from another folder, but for what is not to be had here."""
    launcher = [sys.executable, "-m", "torch.distributed.launch", "--nproc_per_node=2", "--use_env"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    common = ["--device", "cpu", "--data-root", str(folder / "data")]
    for command in (
        ["main.py", "--use-ema", "--use-ssl", "--model_config", str(folder / "config.json"),
         "--batch", "6", "--ssl_loss", "con", "--label-prop", "--bbox-reg", "--grounding",
         "--save_name", "final_model/"],
        ["test_coref.py", "--bbox-reg", "--use-phrase-mask", "--model_config",
         str(folder / "config.json"), "--save_name", "saved/final_model/models_1.pt"],
    ):  # fmt: skip
        script = [str(REPOSITORY / command[0]), *command[1:]]
        run = subprocess.run(
            [*launcher, "--master_port", "29511", *script, *common],
            cwd=folder, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
    of_two = read_chain_folder(folder / "coref" / "modelrefs" / "test")
    assert run.stdout.count("wrote 3 chain files") == 1
    evaluated(
        folder, folder / "saved" / "final_model" / "models_1.pt", "--output", str(folder / "one")
    )
    assert read_chain_folder(folder / "one" / "modelrefs" / "test") == of_two


def test_pseudo_labels_are_trained_on_and_measured(folder: Path, capsys) -> None:
    loose = json.loads((folder / "config.json").read_text()) | {
        "pseudo_positive_above": 0.0, "pseudo_negative_below": 0.0, "pseudo_region_above": 0.0,
        "held_out": 0.0, "epochs": 3,
    }  # fmt: skip
    (folder / "loose.json").write_text(json.dumps(loose))
    train(folder, *PUBLISHED, "--model_config", str(folder / "loose.json"), name="pseudo")
    epochs = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert len(epochs) == 3
    # They start after the first epoch; nothing knows whether they are right.
    assert "pseudo_" not in epochs[0] and "pseudo_grounding" in epochs[1]
    assert all("region_coverage 100.0" in line and "precision" not in line for line in epochs)


def test_antecedents_are_trained_and_tested_with(folder: Path) -> None:
    options = [*PUBLISHED, "--coref-head", "antecedent"]
    checkpoint = train(folder, *options, name="antecedent")
    trained = load_checkpoint(checkpoint)
    assert any(name.startswith("antecedent_head.") for name in trained.model_state)
    whole = evaluated(folder, checkpoint)
    assert 0 < whole["threshold"] < 1
    assert evaluated(folder, checkpoint, "--batch", "1") == whole
    with pytest.raises(InputError, match="coreference_head is 'cosine' in the file"):
        other = folder / "other.json"
        other.write_text(json.dumps({"coreference_head": "cosine"}))
        evaluated(folder, checkpoint, "--model_config", str(other))


def test_the_truth_of_unlabelled_narrations_is_only_measured_with(folder: Path, capsys) -> None:
    """With it the same model comes out, and the pseudo-labels' precision is known."""
    options = [*PUBLISHED, "--held-out", "0"]
    without = load_checkpoint(train(folder, *options, name="without")).model_state
    truth = folder / "data" / "truth" / "train_annotations.json"
    truth.parent.mkdir()
    mentions = [
        cin_files.MentionNote("a man", 0, [[10, 20, 30, 40]]),
        cin_files.MentionNote("a dog", 1, [[50, 50, 25, 25]]),
        cin_files.MentionNote("he", 0, [[10, 20, 30, 40]], after=18),
    ]
    records = [cin_files.annotation(str(n), "train", CAPTION, mentions) for n in range(301, 306)]
    truth.write_text(json.dumps(records))
    capsys.readouterr()
    with_truth = load_checkpoint(train(folder, *options, name="with")).model_state
    assert "precision" in capsys.readouterr().out
    assert all(torch.equal(weight, with_truth[name]) for name, weight in without.items())
    truth.unlink()
    truth.parent.rmdir()


def test_labels_outside_the_share_are_not_read(folder: Path, tmp_path: Path) -> None:
    """Other labels, the same model: those narrations are unlabelled ones."""
    options = ["--use-ssl", "--label-fraction", "0.5", "--held-out", "0"]
    first = load_checkpoint(train(folder, *options, name="share")).model_state
    path = folder / "data" / "cin_annotations" / "testval_annotations.json"
    content = path.read_text()
    records = json.loads(content)
    labelled = list(read_narrations("cin", folder / "data", "val").narrations)
    kept = {narration.id for narration in keep_labels(labelled, 0.5)}
    for record in records:
        if record["image"] not in kept:
            record["cluster"] = record["cluster"][::-1]
            record["target_bboxes"] = [[] for _ in record["target_bboxes"]]
    path.write_text(json.dumps(records))
    second = load_checkpoint(train(folder, *options, name="share")).model_state
    path.write_text(content)
    assert len(kept) == 6
    assert all(torch.equal(weight, second[name]) for name, weight in first.items())


def test_pseudo_labels_need_unlabelled_narrations(folder: Path) -> None:
    dialogue = {
        "id": "d", "dialog": [{"author": "a", "text": ["a", "man", "he"]}], "clusters": [[0, 1]],
        "text_ref": [
            {"sentence_id": 0, "cluster_id": 0, "span": "a man", "start": 0, "end": 1},
            {"sentence_id": 0, "cluster_id": 0, "span": "he", "start": 2, "end": 2},
        ],
    }  # fmt: skip
    (folder / "data" / "train.jsonlines").write_text(json.dumps(dialogue) + "\n")
    options = ["--dataset", "vd_ref", "--use-ssl", "--held-out", "0", "--epochs", "1"]
    with pytest.raises(InputError, match="--label-prop: vd_ref has no unlabelled"):
        train(folder, *options, "--label-prop", name="refused")
    train(folder, *options, name="dialogues")


def test_the_unlabelled_part_alone_trains(folder: Path) -> None:
    last = load_checkpoint(train(folder, "--use-ema", name="unlabelled"))
    assert last.thresholds.link == 0.8 and not last.scores


def test_the_unlabelled_part_may_lie_elsewhere(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(folder / "data", data)
    for place in ("flk30k_LN.json", "flk30k_LN_label.h5", "mentions"):
        (data / place).rename(tmp_path / place)
    (tmp_path / "faster_rcnn_image_features").mkdir()
    for path in (data / "faster_rcnn_image_features").glob("train*"):
        path.rename(tmp_path / "faster_rcnn_image_features" / path.name)
    options = [*PUBLISHED, "--data-root", str(data), "--epochs", "1"]
    with pytest.raises(InputError, match="lists the unlabelled pictures"):
        train(folder, *options, name="refused")
    saved = train(folder, *options, "--unlabelled-root", str(tmp_path), name="elsewhere")
    there = train(folder, *PUBLISHED, "--epochs", "1", name="there")
    first, second = (load_checkpoint(path).model_state for path in (saved, there))
    assert all(torch.equal(first[name], second[name]) for name in second)


def test_a_loss_that_is_not_finite_ends_the_training(folder: Path) -> None:
    with pytest.raises(InputError, match=r"step \d+: the loss \w+ is (nan|inf), .*narrations 1"):
        train(folder, "--use-ssl", "--no-unlabelled", "--lr", "1e30", name="infinite")
    assert not (folder / "saved" / "infinite" / "models.pt").exists()


def test_mentions_of_other_texts_are_refused(folder: Path) -> None:
    cache = cache_path(folder / "data", "train")
    content = cache.read_text()
    cache.unlink()
    with pytest.raises(InputError, match="prepare.py mentions"):
        train(folder, *PUBLISHED, name="refused")
    cache.write_text(content)
    assert not (folder / "saved" / "refused").exists()


@pytest.fixture
def traced(folder: Path) -> Iterator[Path]:
    """The folder while two labelled and two unlabelled narrations of it have a trace."""
    for image_id, text in (("106", TEXT), ("107", TEXT), ("301", CAPTION), ("302", CAPTION)):
        words = len(text.split())
        # From the man to the dog.
        boxes = np.linspace([0.1, 0.2, 0.4, 0.6, 0.12], [0.5, 0.5, 0.75, 0.75, 0.06], words)
        cin_files.write_trace(folder / "data", image_id, boxes)
    yield folder
    shutil.rmtree(folder / "data" / "flk30k_LN_trace_box")


@pytest.mark.parametrize(
    "options", [["--use-ssl"], ["--use-ssl", "--no-unlabelled"], [], [*PUBLISHED, "--workers", "1"]]
)
def test_traces_are_trained_on_with_and_without_grounding(
    traced: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    options = [*options, "--held-out", "0", "--epochs", "1"]
    plain = load_checkpoint(train(traced, *options, name="plain"))
    assert "trace " not in capsys.readouterr().out.partition("\nepoch 0")[2]
    trained = load_checkpoint(train(traced, *options, "--traces", name="traces"))
    printed = capsys.readouterr().out
    labelled, unlabelled = "--use-ssl" in options, "--no-unlabelled" not in options
    assert ("2 of 12 narrations of val to train on have a mouse trace" in printed) == labelled
    assert ("2 of 5 narrations of train to train on have a mouse trace" in printed) == unlabelled
    assert "  trace " in printed.partition("\nepoch 0")[2]
    assert trained.config.use_traces and not plain.config.use_traces
    last = "fusion.layers.1.cross_attention.query.weight"
    assert not torch.equal(trained.model_state[last], plain.model_state[last])


def test_traces_count_by_their_weight_and_follow_the_words_by_their_lag(traced: Path) -> None:
    options = ["--use-ssl", "--no-unlabelled", "--held-out", "0", "--epochs", "1"]
    found = [load_checkpoint(train(traced, *options, name="plain")).model_state]
    for values in ({"trace_weight": 0.0}, {}, {"trace_lag": 4}):
        path = traced / "traces.json"
        path.write_text(json.dumps(json.loads((traced / "config.json").read_text()) | values))
        with_traces = [*options, "--traces", "--model_config", str(path)]
        found.append(load_checkpoint(train(traced, *with_traces, name="traces")).model_state)
    plain, weightless, at_once, later = found
    for name, weight in plain.items():
        torch.testing.assert_close(weight, weightless[name], msg=name)
    query = "fusion.layers.1.cross_attention.query.weight"
    assert not torch.equal(at_once[query], plain[query])
    assert not torch.equal(at_once[query], later[query])


def test_broken_traces_are_named_and_not_read_where_they_are_not_used(
    traced: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cin_files.write_trace(traced / "data", "302", np.zeros((3, 5)))
    options = ["--use-ssl", "--epochs", "1"]
    train(traced, *options, name="unused")
    with pytest.raises(InputError, match=r"302\.npy has shape \(3, 5\), expected .*7 words"):
        train(traced, *options, "--traces", name="refused")
    assert not (traced / "saved" / "refused").exists()
    capsys.readouterr()
    train(traced, *options, "--traces", "--skip-bad-records", name="skipped")
    printed = capsys.readouterr().out
    assert "1 traces are left out, the first because" in printed and "302.npy" in printed


def test_traces_of_images_without_regions_are_refused(traced: Path) -> None:
    with pytest.raises(InputError, match="--traces needs regions"):
        train(traced, "--use-ssl", "--traces", "--no-regions", name="refused")


def test_traces_that_are_not_there_are_said_to_be_missing(folder: Path) -> None:
    said = "found no trace of the narrations to train on.*data/flk30k_LN_trace_box"
    with pytest.raises(InputError, match=said):
        train(folder, "--use-ssl", "--traces", name="refused")
    assert not (folder / "saved" / "refused").exists()


@pytest.fixture(scope="module")
def word_vectors(folder: Path) -> Path:
    """A folder of word vectors that `tools/train_sense2vec.py` made of the texts."""
    train_sense2vec.main(
        [
            "--dataset",
            "cin",
            "--data-root",
            str(folder / "data"),
            "--split",
            "val",
            "--size",
            "6",
            "--out",
            str(folder / "s2v_old"),
        ]
    )
    return folder / "s2v_old"


@pytest.fixture(scope="module")
def with_word_vectors(folder: Path, word_vectors: Path) -> Path:
    return train(folder, *OPTIONS, "--sense2vec", str(word_vectors), name="word_vectors")


def test_word_vectors_are_trained_and_tested_with(
    folder: Path, checkpoint: Path, with_word_vectors: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = load_checkpoint(with_word_vectors)
    assert trained.config.sense2vec == str(folder / "s2v_old")
    assert trained.config.word_vector_size == 6
    weight = trained.model_state["word_vector_layer.linear.weight"]
    assert weight.shape == (16, 16 + 6) and weight[:, 16:].any()
    assert "word_vector_layer.linear.weight" not in load_checkpoint(checkpoint).model_state
    whole = evaluated(folder, with_word_vectors)
    assert "12 of 12 distinct words have a vector of 6 numbers" in capsys.readouterr().out
    assert evaluated(folder, with_word_vectors, "--batch", "1", "--workers", "1") == whole


def test_word_vectors_are_found_where_the_test_command_says(
    folder: Path, word_vectors: Path, with_word_vectors: Path, tmp_path: Path
) -> None:
    whole = evaluated(folder, with_word_vectors)
    elsewhere = tmp_path / "elsewhere"
    word_vectors.rename(elsewhere)
    try:
        assert evaluated(folder, with_word_vectors, "--sense2vec", str(elsewhere)) == whole
        with pytest.raises(InputError, match="--sense2vec: .*s2v_old is not a folder"):
            evaluated(folder, with_word_vectors)
    finally:
        elsewhere.rename(word_vectors)


def test_other_word_vectors_than_the_models_are_refused(
    folder: Path, checkpoint: Path, word_vectors: Path, with_word_vectors: Path, tmp_path: Path
) -> None:
    for size, said in (("5", "have 5 numbers, the model takes 6"), ("6", "other vectors")):
        train_sense2vec.main(
            [
                "--dataset",
                "cin",
                "--data-root",
                str(folder / "data"),
                "--split",
                "val",
                "--size",
                size,
                "--window",
                "1",
                "--out",
                str(tmp_path / size),
            ]
        )
        with pytest.raises(InputError, match=said):
            evaluated(folder, with_word_vectors, "--sense2vec", str(tmp_path / size))
    with pytest.raises(InputError, match="trained without word vectors"):
        evaluated(folder, checkpoint, "--sense2vec", str(word_vectors))
    with pytest.raises(InputError, match="found none, the model reads some"):
        evaluated(folder, with_word_vectors, "--sense2vec", "")


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        (["--use-ssl", "--label-prop", "--no-unlabelled"], InputError, "--label-prop"),
        (["--no-unlabelled"], InputError, "--use-ssl"),
        (["--grounding"], InputError, "need labels: add --use-ssl"),
        (["--label-prop"], InputError, "need labels: add --use-ssl"),
        (["--use-ssl", "--language", "xx"], InputError, "found 'xx', expected en, zh or"),
        (["--use-ssl", "--accumulation", "99"], InputError, "--accumulation 99: 1 ranks would"),
        (["--dataset", "vd_ref"], InputError, "vd_ref has no unlabelled narrations"),
        (["--use-ssl", "--sense2vec", "no/s2v_old"], InputError, "--sense2vec: no/s2v_old"),
        (["--use-ssl", "--dataset", "cim"], InputError, "cin"),
        (["--use-ssl", "--text-encoder", "no/encoder"], InputError, "--text-encoder"),
        (["--use-ssl", "--held-out", "0.9", "--data-root", "nowhere"], InputError, "nowhere"),
        (["--use-ssl", "--epochs", "0"], ConfigError, "epochs"),
        (["--use-ssl", "--device", "abacus"], InputError, "abacus"),
        (["--use-ssl", "--device", "cuda:99"], InputError, "cuda:99"),
        (["--use-ssl", "--grounding", "--no-regions"], InputError, "need regions"),
    ],
)
def test_what_cannot_run_is_refused(
    folder: Path, options: list[str], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        train(folder, *options, name="refused")
    assert not (folder / "saved" / "refused").exists()


def test_several_ranks_do_not_share_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "TORCHELASTIC_RUN_ID": "1"}
    for name, value in (said | {"MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="its own GPU, here cuda:1"):
        choose_device("cuda:0")
    assert choose_device("cpu").type == "cpu"


def test_a_model_of_texts_alone_grounds_nothing(folder: Path) -> None:
    blind = train(folder, "--use-ssl", "--no-unlabelled", "--no-regions", name="blind")
    with pytest.raises(InputError, match="reads texts alone"):
        test_grounding.main(["--save_name", str(blind), "--output", str(folder / "none")])
    assert not (folder / "none").exists()


def test_the_answer_depends_neither_on_the_batch_nor_much_on_the_precision(
    folder: Path, checkpoint: Path
) -> None:
    store = get_reader("cin").open_regions(folder / "data", "test")
    narrations = read_narrations("cin", folder / "data", "test").narrations

    def similarities(precision: torch.dtype, batch: int) -> list[np.ndarray]:
        resolver = Resolver.from_checkpoint(checkpoint, torch.device("cpu"), precision)
        return [found.similarity for found in resolver.resolve(narrations, store, batch=batch)]

    together = similarities(torch.float32, 32)
    for one, other in zip(similarities(torch.float32, 1), together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    in_bfloat16 = similarities(torch.bfloat16, 32)
    for one, other in zip(in_bfloat16, together, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=0.05)
    assert any((one != other).any() for one, other in zip(in_bfloat16, together, strict=True))


def test_the_test_commands_take_a_precision(
    folder: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[torch.dtype] = []

    def load(
        path: Path, device: torch.device, precision: torch.dtype, *, language: str | None
    ) -> Resolver:
        asked.append(precision)
        return from_checkpoint(path, device, precision, language=language)

    from_checkpoint = Resolver.from_checkpoint
    monkeypatch.setattr(Resolver, "from_checkpoint", load)
    evaluated(folder, checkpoint)
    evaluated(folder, checkpoint, "--precision", "bfloat16")
    assert asked == [torch.float32, torch.bfloat16]


def test_labels_of_the_same_word_pieces_are_told_from_others(checkpoint: Path) -> None:
    """Upper case is none of an uncased tokenizer's."""
    images = {"1": ("dog", "Dog", "ball"), "2": ("man", "tree", "dog"), "3": ("ball", "man")}

    def regions(labels: tuple[str, ...]) -> Regions:
        boxes = np.tile(np.array([0.1, 0.1, 0.9, 0.9], np.float32), (len(labels), 1))
        features = np.ones((len(labels), tiny.FEATURE_SIZE), np.float32)
        return Regions(boxes, labels, (), features)

    store = GivenRegions({image_id: regions(labels) for image_id, labels in images.items()})
    narrations = [
        Narration(image_id, "a man and the dog", (Mention(0, 5, "a man"), Mention(10, 17, "dog")),
                  image_id=image_id)
        for image_id in images
    ]  # fmt: skip
    resolver = Resolver.from_checkpoint(checkpoint, torch.device("cpu"))
    one_by_one = resolver.resolve(narrations, store, batch=1)
    for found, narration in zip(one_by_one, narrations, strict=True):
        (alone,) = resolver.resolve([narration], store)
        np.testing.assert_allclose(found.similarity, alone.similarity, atol=1e-5)
        assert found.box_scores is not None and alone.box_scores is not None
        np.testing.assert_allclose(found.box_scores, alone.box_scores, atol=1e-5)


def test_chains_of_found_mentions_are_written_without_scores(
    folder: Path, checkpoint: Path, tmp_path: Path
) -> None:
    options = ["--save_name", str(checkpoint), "--split", "train", "--output", str(tmp_path)]
    test_coref.main(options)
    chains = read_chain_folder(tmp_path / "modelrefs" / "train")
    assert {document: sum(map(len, found)) for document, found in chains.items()} == dict.fromkeys(
        ("301", "302", "303", "304", "305"), 3
    )
    with pytest.raises(InputError, match="no gold chains"):
        test_coref.main([*options, "--json", str(tmp_path / "scores.json")])
    test_coref.main([*options, "--conll", str(tmp_path)])
    assert len(read_conll(tmp_path / "response.conll")) == len(chains)
    assert not (tmp_path / "key.conll").exists()


def test_regions_of_another_size_are_refused(folder: Path) -> None:
    config = folder / "other.json"
    values = json.loads((folder / "config.json").read_text())
    config.write_text(json.dumps({**values, "region_feature_size": 99}))
    with pytest.raises(InputError, match="features of 12 numbers, the model takes 99"):
        train(folder, "--use-ssl", "--model_config", str(config), name="refused")


def test_a_configuration_of_another_model_is_refused(folder: Path, checkpoint: Path) -> None:
    with pytest.raises(ConfigError, match="region_feature_size is 2048 in the file and 12"):
        evaluated(folder, checkpoint, "--model_config", str(REPOSITORY / "configs/mcr_config.json"))


def test_a_box_head_that_was_not_trained_is_refused(folder: Path) -> None:
    untrained = train(folder, "--use-ssl", "--no-unlabelled", "--epochs", "1", name="no_boxes")
    with pytest.raises(InputError, match="was not trained"):
        evaluated(folder, untrained)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04"])
def test_a_broken_checkpoint_is_named(folder: Path, content: bytes) -> None:
    path = folder / "broken.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="broken.pt"):
        load_checkpoint(path)


def test_a_checkpoint_runs_no_code(folder: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(folder / "owned"),)

    torch.save({"format": Evil()}, folder / "evil.pt")
    with pytest.raises(CheckpointError, match="evil.pt"):
        load_checkpoint(folder / "evil.pt")
    assert not (folder / "owned").exists()


def test_a_missing_checkpoint_names_those_that_are_there(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="models_0.pt"):
        load_checkpoint(checkpoint.with_name("models_17.pt"))


@pytest.mark.parametrize("command", ["main.py", "test_coref.py", "test_grounding.py"])
def test_an_error_of_the_user_is_one_line(tmp_path: Path, command: str) -> None:
    options = ["--use-ssl", "--data-root", "x"] if command == "main.py" else []
    run = subprocess.run(
        [sys.executable, str(REPOSITORY / command), "--save_name", "none/there.pt", *options],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 1
    assert "Traceback" not in run.stderr and run.stderr.strip()


def test_who_has_read_enough_ends_the_command_quietly(folder: Path) -> None:
    """As `| head` does."""
    command = [sys.executable, str(REPOSITORY / "prepare.py"), "check", "--dataset", "cin"]
    run = subprocess.Popen(
        [*command, "--data-root", str(folder / "data")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert run.stdout is not None and run.stderr is not None
    run.stdout.close()
    assert "BrokenPipe" not in run.stderr.read()
    assert run.wait() == 1
