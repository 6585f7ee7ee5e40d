"""The test commands on mentions that were found in the texts, compared with gold ones by span."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

import test_coref
import test_grounding
from data.mention_spans import with_spans
from data.narration import Mention, Narration
from evaluation.grounding import grounded_gold_mentions
from evaluation.mention_matching import match_mentions, with_distinct_mentions
from inference.resolution import Resolution
from inference.resolver import Resolver
from metrics.chain_files import read_chain_folder
from metrics.coreference.scores import score_chains
from metrics.grounding_scores import PRONOUNS, score_grounding
from metrics.mention_scores import score_mentions
from tests.conftest import REPOSITORY
from tests.support import cin_files, tiny, trained
from tests.support.links import links_of
from utils.checkpointing.checkpoint import load_checkpoint
from utils.errors import InputError

TEXT = "A man holds a dog. He pets it on the left."
BOX = [10, 20, 30, 40]
MENTIONS = [
    cin_files.MentionNote("A man", 0, [BOX]),
    cin_files.MentionNote("a dog", 1, [[50, 50, 25, 25]]),
    cin_files.MentionNote("He", 0, [BOX]),
    cin_files.MentionNote("it", 1, [[50, 50, 25, 25]], after=20),
    cin_files.MentionNote("the left", 2),
]
# "A man", "a dog", "He", "it", "the left", of which the last has no box.
SPANS = [(0, 5), (12, 17), (19, 21), (27, 29), (33, 41)]
BOXES = ((0.1, 0.1, 0.5, 0.5),)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root of 10 labelled and 3 test narrations, and a configuration."""
    folder = tmp_path_factory.mktemp("found")
    ids = {"val": [str(100 + n) for n in range(10)], "test": ["201", "202", "203"]}
    image = cin_files.DEFAULT_REGIONS["val"]["101"]
    cin_files.write_cin_folder(
        folder / "data",
        annotations=[
            cin_files.annotation(image_id, split, TEXT, MENTIONS)
            for split, of_split in ids.items()
            for image_id in of_split
        ],
        regions={split: dict.fromkeys(of_split, image) for split, of_split in ids.items()},
        feature_size=tiny.FEATURE_SIZE,
    )
    values = {
        "text_encoder": tiny.encoder_folder(), "region_feature_size": tiny.FEATURE_SIZE,
        "region_feedforward_size": 32, "epochs": 3, "steps_per_epoch": 15, "lr": 5e-3,
        "warmup_epochs": 0, "held_out": 0.3, "mlm_probability": 0.0,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def train(folder: Path, *options: str, name: str) -> Path:
    labelled = ("--batch", "4", "--use-ssl", "--no-unlabelled", "--grounding")
    return trained.train(folder, *labelled, *options, name=name)


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> Path:
    return train(folder, "--detect-mentions", name="found")


def run(command, folder: Path, checkpoint: Path, *options: str) -> dict:
    """Run a test command on the test split; returns the scores that it writes."""
    scores = folder / "scores.json"
    command.main(
        [
            "--device",
            "cpu",
            "--save_name",
            str(checkpoint),
            "--json",
            str(scores),
            *options,
            "--output",
            str(folder / "coref"),
        ]
    )
    return json.loads(scores.read_text())


def finding(spans: Sequence[tuple[int, int]]) -> Callable:
    """What stands for `Resolver.find_mentions` and finds these in every narration."""

    def find_mentions(self: Resolver, narrations: Sequence[Narration], **_) -> list[Narration]:
        return [with_spans(narration, spans) for narration in narrations]

    return find_mentions


def test_the_threshold_of_mentions_is_tuned_and_kept(checkpoint: Path) -> None:
    last = load_checkpoint(checkpoint)
    assert last.config.mention_detection and last.thresholds.mention is not None
    assert 0 < last.thresholds.mention < 1
    assert last.scores["mentions"] > 0


def test_an_older_checkpoint_has_no_threshold_of_mentions(folder: Path, tmp_path: Path) -> None:
    import torch

    path = train(folder, "--epochs", "1", name="plain")
    content = torch.load(path, weights_only=True)
    assert content.pop("mention_threshold") is None
    for name in ("mention_detection", "max_mention_pieces", "mention_weight"):
        del content["config"][name]
    torch.save(content, tmp_path / "old.pt")
    assert load_checkpoint(tmp_path / "old.pt").thresholds.mention is None
    with pytest.raises(InputError, match="was not trained to find mentions"):
        run(test_coref, folder, tmp_path / "old.pt", "--mentions", "predicted")
    with pytest.raises(InputError, match="--spacy-model finds nothing with --mentions gold"):
        run(test_coref, folder, tmp_path / "old.pt", "--spacy-model", "x")


def test_found_mentions_that_are_the_gold_ones_score_as_these(
    folder: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Resolver, "find_mentions", finding(SPANS))
    for command in (test_coref, test_grounding):
        gold = run(command, folder, checkpoint)
        found = run(command, folder, checkpoint, "--mentions", "predicted")
        mentions = found.pop("mentions") if command is test_coref else None
        assert found == {name: value for name, value in gold.items() if name != "mentions"} or (
            found == gold
        )
        if mentions is not None:
            # What has no box does not count.
            assert mentions["overall"] == {
                "precision": 100, "recall": 100, "f1": 100, "gold": 12, "found": 12,
            }  # fmt: skip
            assert mentions["pronouns"]["gold"] == 6


def test_chain_files_of_found_mentions_name_their_characters(
    folder: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(test_coref, folder, checkpoint)
    before = {p: p.read_bytes() for p in (folder / "coref").rglob("test/*.json")}
    monkeypatch.setattr(Resolver, "find_mentions", finding([(0, 5), (2, 5), (12, 17), (33, 41)]))
    scores = run(test_coref, folder, checkpoint, "--mentions", "predicted")
    assert before == {p: p.read_bytes() for p in (folder / "coref").rglob("test/*.json")}
    gold = read_chain_folder(folder / "coref" / "gold_count" / "test-predicted")
    system = read_chain_folder(folder / "coref" / "modelrefs" / "test-predicted")
    assert gold["201"] == [["A man@0-5", "He@19-21"], ["a dog@12-17", "it@27-29"]]
    # "man" is wrong; "the left", found where gold has a mention without a box, is left out.
    assert {name for chain in system["201"] for name in chain} == {
        "A man@0-5", "man@2-5", "a dog@12-17",
    }  # fmt: skip
    assert score_chains(gold, system).to_json()["pooled"]["conll"] == pytest.approx(
        scores["pooled"]["conll"]
    )
    assert scores["mentions"]["overall"]["precision"] == pytest.approx(200 / 3)
    assert scores["mentions"]["overall"]["recall"] == 50
    assert scores["mentions"]["pronouns"]["recall"] == 0
    # The rules have the same mentions: all but "man" a chain of its own in both.
    assert scores["rules"]["singletons"] < 100


def test_singletons_are_dropped_on_both_sides(folder: Path, checkpoint: Path) -> None:
    for mentions, place in (("gold", "test"), ("predicted", "test-predicted")):
        options = ["--mentions", mentions, "--conll", str(folder / "conll")]
        kept = run(test_coref, folder, checkpoint, *options)
        scores = run(test_coref, folder, checkpoint, *options, "--singletons", "drop")
        assert scores["pooled"] == kept["pooled_without_singletons"]
        assert scores["scorch"] == kept["scorch_without_singletons"]
        assert "pooled_without_singletons" not in scores
        for side in ("gold_count", "modelrefs"):
            written = read_chain_folder(folder / "coref" / side / f"{place}-without-singletons")
            assert set(written) == {"201", "202", "203"}
            assert all(len(chain) > 1 for chains in written.values() for chain in chains)


def test_a_gold_mention_that_is_not_found_is_grounded_wrong(
    folder: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Resolver, "find_mentions", finding([(12, 17), (14, 17)]))
    scores = run(test_grounding, folder, checkpoint, "--mentions", "predicted")
    assert (scores["mentions"], scores["pronouns"]) == (12, 0)
    written = json.loads((folder / "coref" / "grounding" / "test-predicted.json").read_text())
    assert [len(mention["gold_boxes_xyxy"]) for mention in written[0]["mentions"]] == [1, 0]
    gold = Narration(
        "n", "it, he", (Mention(0, 2, "it", "1", BOXES), Mention(4, 6, "he", "2", BOXES))
    )
    found = with_spans(gold, [(4, 6)])
    boxes = np.asarray(BOXES)
    resolution = Resolution(found, links_of(np.eye(1)), 0.5, boxes, np.ones(1), boxes)
    grounded = grounded_gold_mentions(gold, resolution)
    assert [mention.box_xyxy is None for mention in grounded] == [True, False]
    assert score_grounding(grounded).any_box.overall == 0.5


def test_mentions_in_one_place_are_one_on_both_sides() -> None:
    text = "a man and he "
    gold = Narration(
        "n", text,
        (Mention(0, 5, "A", "1"), Mention(0, 5, "A", "2", BOXES), Mention(9, 13, "he", "2", BOXES)),
    )  # fmt: skip
    found = with_spans(gold, [(0, 5), (2, 5), (10, 12)])
    both = match_mentions(gold, found, [[0, 2], [1]], counted=[1, 2])
    assert both.names == ["a man@0-5", "man@2-5", "he@10-12"]
    assert both.gold == [[0, 2]] and both.system == [[0, 2], [1]]
    without_boxes = match_mentions(gold, found, [[0, 2], [1]], counted=[0, 1, 2])
    assert without_boxes.gold == [[0], [2]]
    assert [m.chain for m in with_distinct_mentions(gold, [0, 1, 2]).mentions] == ["1", "2"]
    nothing = match_mentions(with_spans(gold, []), found, [[0, 2], [1]], counted=[])
    assert nothing.gold == [] and nothing.system == [[0, 2], [1]]


def test_pronouns_and_others_are_scored_apart() -> None:
    text = "He and his dog"
    gold, found = [(0, 2), (7, 14), (7, 10)], [(0, 2), (11, 14)]
    scores = score_mentions({"n": gold}, {"n": found}, {"n": text}, PRONOUNS)
    assert (scores.overall.right, scores.overall.gold, scores.overall.found) == (1, 3, 2)
    assert (scores.pronouns.right, scores.pronouns.gold, scores.pronouns.found) == (1, 2, 1)
    assert (scores.nouns.right, scores.nouns.gold, scores.nouns.found) == (0, 1, 1)


def test_a_spacy_pipeline_finds_mentions_too(folder: Path, checkpoint: Path) -> None:
    spacy = pytest.importorskip("spacy")
    from spacy.tokens import Span

    @spacy.Language.component("first_two_words", assigns=["doc.spans"])
    def first_two_words(document):
        document.spans["sc"] = [Span(document, 0, 2), Span(document, 3, 5)]
        return document

    class Finder:
        key = "sc"

        def __call__(self, document):
            return first_two_words(document)

    spacy.Language.factory("spancat_fixed", func=lambda nlp, name: Finder())
    pipeline = spacy.blank("en")
    pipeline.add_pipe("spancat_fixed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inference.split_predictions.load_pipeline", lambda name: pipeline)
        patch.setattr("data.mentions.spacy_pipeline.span_group", lambda pipeline: "sc")
        options = ["--mentions", "spacy", "--spacy-model", "any"]
        scores = run(test_coref, folder, checkpoint, *options)
    assert scores["mentions"]["overall"] == {
        "precision": 100, "recall": 50, "f1": pytest.approx(200 / 3), "gold": 12, "found": 6,
    }  # fmt: skip
    assert (folder / "coref" / "modelrefs" / "test-spacy" / "201.json").exists()


def test_texts_without_gold_mentions_are_resolved(
    folder: Path, checkpoint: Path, tmp_path: Path, capsys
) -> None:
    """Nothing has to be prepared for them, and there is nothing to score."""
    captions = {"301": ["a man holds a dog he pets"], "302": ["a dog"]}
    cin_files.write_cin_folder(
        tmp_path,
        annotations=[],
        captions=captions,
        regions={"train": dict.fromkeys(captions, cin_files.DEFAULT_REGIONS["val"]["101"])},
        feature_size=tiny.FEATURE_SIZE,
    )
    test_coref.main(
        [
            "--save_name",
            str(checkpoint),
            "--data-root",
            str(tmp_path),
            "--split",
            "train",
            "--mentions",
            "predicted",
            "--device",
            "cpu",
            "--output",
            str(tmp_path / "coref"),
        ]
    )
    assert "train has no gold chains: nothing to score" in capsys.readouterr().out
    assert len(list((tmp_path / "coref" / "modelrefs" / "train-predicted").iterdir())) == 2


def test_two_ranks_find_the_same(folder: Path, checkpoint: Path, tmp_path: Path) -> None:
    alone = run(test_coref, folder, checkpoint, "--mentions", "predicted")
    launcher = [sys.executable, "-m", "torch.distributed.launch", "--nproc_per_node=2", "--use_env"]
    script = [str(REPOSITORY / "test_coref.py"), "--device", "cpu", "--save_name", str(checkpoint)]
    script += ["--mentions", "predicted", "--output", str(tmp_path), "--json", str(tmp_path / "s")]
    done = subprocess.run(
        [*launcher, "--master_port", "29517", *script],
        cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "s").read_text()) == alone
    assert run(test_coref, folder, checkpoint, "--mentions", "predicted", "--batch", "1") == alone
