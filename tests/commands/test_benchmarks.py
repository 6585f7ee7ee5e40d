"""What the benchmarks of speed count and feed is what they say."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import browsing, coverage, index, inference, loading, scoring, text, train_step
from benchmarks.generated_data import (
    RELEASED_MENTIONS,
    RELEASED_TOKENS,
    GeneratedData,
    as_released,
    published_config,
)
from benchmarks.operations import Sizes, forward_operations, training_operations
from data.encoding.example import Masking
from models.coreference_model import CoreferenceModel
from models.factory import build_from_config
from tests.readers import test_conll
from tests.support import tiny
from training.objective import (
    Objective,
    count_terms,
    make_micro_batch,
)

MASKING = Masking(0.15, seed=0)
CONFIG = published_config(text_layers=1, fusion_layers=2)


@pytest.fixture(scope="module")
def data() -> GeneratedData:
    return GeneratedData(3)


@pytest.fixture(scope="module")
def model() -> CoreferenceModel:
    small = {
        "model_type": "bert",
        "vocab_size": 30522,
        "hidden_size": 64,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "max_position_embeddings": 512,
        "num_hidden_layers": 1,
    }
    torch.manual_seed(0)
    return build_from_config(CONFIG, small)


def test_data_have_the_published_shapes(data: GeneratedData) -> None:
    batch = data.batch([0, 1, 2], MASKING)
    assert batch.region_features.shape == (3, 100, 2048)
    assert batch.mention_mask.sum(dim=1).tolist() == [17, 17, 17]
    assert all(60 <= length <= 100 for length in batch.token_lengths)
    distinct = [len(labels.unique()) for labels in batch.region_labels]
    assert all(35 <= count <= 55 for count in distinct)


def test_a_narration_alone_costs_what_is_counted(
    data: GeneratedData, model: CoreferenceModel
) -> None:
    batch = data.batch([0], MASKING)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        assert model(batch).mention_similarity.isfinite().all()
    counted = forward_operations(batch, Sizes.of(model))
    # What the last head attends to is computed beside the attention itself.
    assert counted <= counter.get_total_flops() <= 1.02 * counted


def test_a_step_costs_what_is_counted(data: GeneratedData, model: CoreferenceModel) -> None:
    batch = data.batch([0], MASKING)
    unlabelled = data.batch([1], MASKING)
    clean = dataclasses.replace(unlabelled, masked_words=None)
    objective = Objective(model, CONFIG)
    with FlopCounterMode(display=False) as counter:
        micro_batch = make_micro_batch(batch, unlabelled, None, CONFIG)
        loss, _ = objective(micro_batch, count_terms([micro_batch]), 0.0)
        loss.backward()
        with torch.no_grad():
            assert model(clean).mention_similarity.isfinite().all()
    counted = training_operations((batch, unlabelled), unlabelled, Sizes.of(model))
    assert counter.get_total_flops() == pytest.approx(counted, rel=0.03)


def test_padding_as_the_released_code_does_changes_nothing_but_the_cost(
    data: GeneratedData, model: CoreferenceModel
) -> None:
    batch = data.batch([0, 1], MASKING)
    released = as_released(batch)
    assert released.token_ids.shape == (2, RELEASED_TOKENS)
    assert released.mention_mask.shape == (2, RELEASED_MENTIONS)
    assert len(released.label_token_ids) == 2 * 100
    with torch.inference_mode():
        ours, theirs = model.eval()(batch), model(released)
    torch.testing.assert_close(theirs.fused_mentions[:, :17], ours.fused_mentions)
    torch.testing.assert_close(theirs.region_log_attention[:, :17], ours.region_log_attention)
    torch.testing.assert_close(theirs.masked_word_logits, ours.masked_word_logits)


@pytest.mark.parametrize("benchmark", [train_step, inference])
def test_a_benchmark_of_the_model_measures(
    benchmark: ModuleType, model: CoreferenceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "published_config", lambda **_: CONFIG)
    monkeypatch.setattr(benchmark, "published_model", lambda _: copy.deepcopy(model))
    once = ["--repeats", "1", "--released-repeats", "1", "--threads", "1", "--batch", "2"]
    benchmark.main([*once, "--json", str(tmp_path / "figures.json")])
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures.pop("batch") == 2
    assert set(figures) == {
        "seconds", "floor_ratio", "as_published_ratio", "matmul_gflops", "peak_gb"
    }  # fmt: skip
    assert all(math.isfinite(value) and value > 0 for value in figures.values())


def test_the_benchmark_of_texts_measures(tmp_path: Path) -> None:
    resolver = tiny.resolver(dataset="litbank", mention_detection=True, max_mention_pieces=8)
    checkpoint, data = tmp_path / "models.pt", tmp_path / "data"
    tiny.write_checkpoint(checkpoint, resolver)
    (data / "conll").mkdir(parents=True)
    (data / "conll" / "238_a.conll").write_text(test_conll.written("238_a"))
    options = ["--save_name", checkpoint, "--data-root", data, "--repeats", 1, "--threads", 1]
    sizes = ["--characters", 50, 2000, "--json", tmp_path / "figures.json"]
    text.main([*map(str, options), *map(str, sizes)])
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["encoder_ratio"] == figures["seconds"] / figures["encoder_seconds"] > 0
    short, long = figures["long_texts"]
    assert (short["characters"], long["characters"]) == (50, 2000)
    assert 0 < short["mentions"] < long["mentions"] and 0 < short["answer_mb"] < long["answer_mb"]
    assert short["seconds"] > 0 and 0 < short["peak_gb"] <= long["peak_gb"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what workers hold")
def test_the_benchmark_of_loading_measures(tmp_path: Path) -> None:
    figures = loading.measure(tmp_path, images=7, workers=0, epochs=2)
    assert figures["file_gb"] > 7 * 100 * 2048 * 4 / 1e9
    assert figures["item_ms"] > 0 and figures["items_per_second"] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process holds")
def test_the_benchmark_of_the_index_measures(tmp_path: Path) -> None:
    figures = index.measure(tmp_path, narrations=1200, shards=2)
    assert figures["disk_gb"] > 1200 * 100 * 24 / 1e9
    assert figures["open_seconds"] > 0 and figures["item_ms"] > 0


def test_the_benchmark_of_scoring_measures(tmp_path: Path) -> None:
    scoring.main(["--documents", "20", "--json", str(tmp_path / "figures.json")])
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["documents"] == 20
    assert all(figures[name] > 0 for name in ("seconds", "interval_seconds", "scorch_ratio"))


def test_the_benchmark_of_the_page_has_what_a_page_has() -> None:
    texts = browsing.make_texts(3)
    assert [len(text.text.split()) for text in texts] == [browsing.WORDS] * 3
    for shown in texts:
        assert shown.gold is not None and shown.errors
        for side in (shown.system, shown.gold):
            assert sum(map(len, side.chains)) == len(side.boxes) == browsing.MENTIONS


def test_the_benchmark_of_coverage_measures(tmp_path: Path) -> None:
    options = ("--worlds", "20", "--samples", "100", "--population", "400", "--sizes", "20")
    coverage.main([*options, "--json", str(tmp_path / "figures.json")])
    figures = json.loads((tmp_path / "figures.json").read_text())["20"]
    assert set(figures) == {"expanded", "percentile", "bca", "studentised"}
    # 95 are meant; 20 worlds are few.
    assert all(60 <= shares["CoNLL"] <= 100 for shares in figures.values())
