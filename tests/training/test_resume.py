"""A training that is killed, stopped or restarted ends as one that never was."""

from __future__ import annotations

import itertools
import json
import math
import multiprocessing
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterator, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch

import main as training
from data.encoding.example import Example
from data.files import BadRecord
from data.loading.dataset import NarrationDataset
from data.loading.loader import make_loader, worker_errors_explained
from data.loading.samplers import EndlessBatches, OrderedBatches
from tests.commands.test_commands import (
    CAPTION,
    MENTIONS,
    PUBLISHED,
    TEXT,
    write_found,
)
from tests.conftest import REPOSITORY
from tests.support import cin_files, tiny
from training import gradients, trainer
from utils.checkpointing.checkpoint import CheckpointError, load_checkpoint
from utils.checkpointing.run_state import load_run_state, save_run_state
from utils.distributed.preemption import STOPPED
from utils.errors import InputError

# Starts processes from one that has imported everything and runs no threads.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["main"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with 16 labelled and 8 unlabelled narrations, and a configuration."""
    folder = tmp_path_factory.mktemp("resume")
    labelled = [str(100 + n) for n in range(16)]
    unlabelled = [str(300 + n) for n in range(8)]
    image = cin_files.DEFAULT_REGIONS["val"]["101"]
    cin_files.write_cin_folder(
        folder / "data",
        annotations=[cin_files.annotation(i, "val", TEXT, MENTIONS) for i in labelled],
        captions=dict.fromkeys(unlabelled, [CAPTION]),
        regions={
            "val": dict.fromkeys(labelled, image),
            "train": dict.fromkeys(unlabelled, image),
        },
        feature_size=tiny.FEATURE_SIZE,
    )
    write_found(folder / "data", [[0, 5], [12, 17], [18, 20]])
    values = {
        "text_encoder": tiny.encoder_folder(),
        "region_feature_size": tiny.FEATURE_SIZE,
        "region_feedforward_size": 32,
        "epochs": 3,
        "steps_per_epoch": 5,
        "lr": 1e-3,
        "held_out": 0.3,
        "warmup_epochs": 1,
        "pseudo_ramp_epochs": 2,
    }
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def arguments(folder: Path, name: str, *options: str) -> list[str]:
    """The command line of a training in the folder."""
    return [
        "--model_config", str(folder / "config.json"), "--data-root", str(folder / "data"),
        "--device", "cpu", "--batch", "2", "--save_name", str(folder / "saved" / name),
        *PUBLISHED, *options,
    ]  # fmt: skip


def process(folder: Path, name: str, *options: str) -> BaseProcess:
    """The training in a process of its own, which is started."""

    started = SERVER.Process(target=training.main, args=(arguments(folder, name, *options),))
    started.start()
    return started


def train(folder: Path, name: str, *options: str) -> Path:
    """Train here; returns the folder of the run."""
    training.main(arguments(folder, name, *options))
    return folder / "saved" / name


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> Path:
    return train(folder, "undisturbed")


def assert_same_end(run: Path, expected: Path) -> None:
    """The same weights, scores and threshold after every epoch, and the same state of the run."""
    for name in ("models_0.pt", "models_1.pt", "models_2.pt", "models_best.pt", "models.pt"):
        found, wanted = load_checkpoint(run / name), load_checkpoint(expected / name)
        assert (found.epoch, found.thresholds) == (wanted.epoch, wanted.thresholds)
        assert found.scores == wanted.scores
        assert found.model_state.keys() == wanted.model_state.keys()
        for key, weight in wanted.model_state.items():
            assert torch.equal(found.model_state[key], weight), (name, key)
    state, whole = (load_run_state(path / "run_state.pt") for path in (run, expected))
    assert (state.taken, state.losses, state.best) == (whole.taken, whole.losses, whole.best)
    for number, moments in whole.learner["optimizer"]["state"].items():
        for key, value in moments.items():
            assert torch.equal(state.learner["optimizer"]["state"][number][key], value)
    assert not list(run.glob(".*.tmp"))


def test_killed_at_any_moment_it_ends_the_same(folder: Path, undisturbed: Path, kills: int) -> None:
    """Killed with -9 at random times, then resumed to its end."""
    moments = random.Random(1)
    for _ in range(2):  # The first one waits for the server.
        begin = time.monotonic()
        process(folder, "timed", "--save-steps", "1").join()
    length = time.monotonic() - begin
    was_killed = 0
    for number in range(kills):
        name = f"killed_{number}"
        run = process(folder, name, "--save-steps", "1", "--resume")
        run.join(moments.uniform(0.1, 0.9) * length)
        run.kill()
        run.join()
        was_killed += run.exitcode == -signal.SIGKILL
        resumed = process(folder, name, "--save-steps", "3", "--resume")
        resumed.join()
        assert resumed.exitcode == 0
        assert_same_end(folder / "saved" / name, undisturbed)
    assert was_killed


def wait_for(path: Path) -> None:
    """Wait until a file is there."""
    end = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.01)


def test_asked_to_stop_it_saves_and_resumes_to_the_same_end(
    folder: Path, undisturbed: Path
) -> None:
    run = process(folder, "asked", "--save-steps", "2")
    wait_for(folder / "saved" / "asked" / "run_state.pt")
    run.terminate()
    run.join()
    assert run.exitcode == STOPPED
    assert not (folder / "saved" / "asked" / "models.pt").exists()
    assert_same_end(train(folder, "asked", "--resume"), undisturbed)


def test_a_request_in_the_evaluation_ends_at_once_and_loses_nothing(
    folder: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluate(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched, pytest.raises(SystemExit) as ended:
        patched.setattr(training, "evaluate", evaluate)
        train(folder, "evaluating")
    assert ended.value.code == STOPPED
    assert_same_end(train(folder, "evaluating", "--resume"), undisturbed)


def test_a_run_that_a_bad_step_ended_goes_on_without_such(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, pytest.raises(InputError, match="--skip-bad-steps"):
        with_bad_losses(patched, {8})
        train(folder, "bad", "--save-steps", "2")
    assert load_run_state(folder / "saved" / "bad" / "run_state.pt").step == 2
    train(folder, "bad", "--resume", "--skip-bad-steps")


@pytest.mark.parametrize(
    ("key", "value"),
    [("steps_per_epoch", 0), ("epoch", "1"), ("losses", 5), ("taken", None), ("learner", {})],
)
def test_a_state_of_wrong_values_is_named(
    folder: Path, undisturbed: Path, key: str, value: object
) -> None:
    content = torch.load(undisturbed / "run_state.pt", weights_only=True)
    (folder / "saved" / "wrong").mkdir(exist_ok=True)
    torch.save({**content, key: value}, folder / "saved" / "wrong" / "run_state.pt")
    with pytest.raises(CheckpointError, match=key if value != {} else "does not fit its run"):
        train(folder, "wrong", "--resume")


def test_more_epochs_go_on_where_fewer_ended(folder: Path, undisturbed: Path) -> None:
    train(folder, "longer", "--epochs", "2")
    assert_same_end(train(folder, "longer", "--resume"), undisturbed)


def test_resuming_nothing_begins(folder: Path, undisturbed: Path) -> None:
    assert_same_end(train(folder, "nothing", "--resume", "--workers", "1"), undisturbed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lr", "0.1"], "lr was 0.001 and is 0.1"),
        (["--ssl_loss", "fro", "--seed", "1"], "was 'con' and is 'fro'; seed was 42 and is 1"),
        (["--label-fraction", "0.5"], "there were 8 labelled narrations and there are"),
        (["--epochs", "2"], "is in epoch 2 already"),
    ],
)
def test_another_run_is_not_resumed(
    folder: Path, undisturbed: Path, options: Sequence[str], message: str
) -> None:
    before = {path: path.stat().st_mtime_ns for path in undisturbed.glob("*.pt")}
    with pytest.raises(InputError, match=message):
        train(folder, "undisturbed", "--resume", *options)
    assert {path: path.stat().st_mtime_ns for path in undisturbed.glob("*.pt")} == before


def test_a_new_run_puts_an_earlier_one_aside(folder: Path, capsys) -> None:
    run = train(folder, "twice", "--epochs", "2")
    first = load_checkpoint(run / "models.pt").model_state
    train(folder, "twice", "--epochs", "1", "--lr", "0.01")
    assert "an earlier run lies there" in capsys.readouterr().out
    assert {path.name for path in run.iterdir()} == {
        "models_0.pt", "models_best.pt", "models.pt", "run_state.pt", "log", "earlier_1"
    }  # fmt: skip
    aside = load_checkpoint(run / "earlier_1" / "models.pt").model_state
    assert all(torch.equal(first[name], weight) for name, weight in aside.items())


def test_the_last_checkpoints_and_the_best_are_kept(folder: Path, undisturbed: Path) -> None:
    run = train(folder, "kept", "--keep", "1")
    assert {path.name for path in run.glob("*.pt")} == {
        "models_2.pt", "models_best.pt", "models.pt", "run_state.pt"
    }  # fmt: skip
    of_epochs = [load_checkpoint(undisturbed / f"models_{epoch}.pt") for epoch in range(3)]
    best = max(of_epochs, key=lambda checkpoint: (checkpoint.scores["conll"], -checkpoint.epoch))
    assert load_checkpoint(run / "models_best.pt").epoch == best.epoch


def refuse_to_write(folder: Path, limit: int) -> None:
    """Resume where files cannot become longer than so many bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with pytest.raises(CheckpointError, match=r"run_state.pt: cannot be written"):
        train(folder, "full", "--resume")


def test_a_full_disk_leaves_the_old_state(folder: Path) -> None:
    run = train(folder, "full", "--epochs", "1")
    before = (run / "run_state.pt").read_bytes()

    # No file may become as long as the state.
    limit = (run / "run_state.pt").stat().st_size // 2
    resumed = SERVER.Process(target=refuse_to_write, args=(folder, limit))
    resumed.start()
    resumed.join()
    assert resumed.exitcode == 0
    assert (run / "run_state.pt").read_bytes() == before
    assert not list(run.glob(".*"))


def test_weights_that_are_not_finite_are_never_saved(folder: Path, undisturbed: Path) -> None:
    state = load_run_state(undisturbed / "run_state.pt")
    state.learner["model"]["box_head.layers.0.bias"][0] = float("nan")
    with pytest.raises(CheckpointError, match=r"the weight box_head.layers.0.bias is infinite or"):
        save_run_state(folder / "other" / "run_state.pt", state)
    assert not (folder / "other").exists()


def with_bad_losses(monkeypatch: pytest.MonkeyPatch, steps: Container[int]) -> None:
    """Make the losses of these steps, counted from 1, infinite."""
    original, calls = gradients.backward, itertools.count(1)

    def backward(*values: Any) -> dict[str, torch.Tensor]:
        terms = original(*values)
        factor = math.inf if next(calls) in steps else 1.0
        return {name: term * factor for name, term in terms.items()}

    monkeypatch.setattr(trainer, "backward", backward)


def with_bad_gradients(monkeypatch: pytest.MonkeyPatch, steps: Container[int]) -> None:
    """Make the gradients of these steps, counted from 1, no numbers."""
    original, calls = gradients.backward, itertools.count(1)

    def backward(objective: torch.nn.Module, *values: Any) -> dict[str, torch.Tensor]:
        terms = original(objective, *values)
        if next(calls) in steps:
            gradient = next(objective.parameters()).grad
            assert gradient is not None
            gradient.fill_(math.nan)
        return terms

    monkeypatch.setattr(trainer, "backward", backward)


def test_bad_steps_are_left_out_where_that_is_wanted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    with_bad_gradients(monkeypatch, {3})
    run = train(folder, "skipped", "--skip-bad-steps", "--epochs", "1")
    said = capsys.readouterr().err
    assert re.search(r"left out: step 3: the gradient's norm is nan, .*narrations 1\d\d, 1", said)
    assert "left out: step 4" not in said
    weights = load_checkpoint(run / "models.pt").model_state
    assert all(torch.isfinite(weight).all() for weight in weights.values())


def test_nothing_but_bad_steps_ends_the_training(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_bad_gradients(monkeypatch, range(3, 100))
    with pytest.raises(InputError, match="step 12: .*so it was in the 9 steps before"):
        train(folder, "hopeless", "--skip-bad-steps")


@pytest.mark.parametrize("batches", [(4, 1, 1), (2, 2, 1), (1, 1, 4), (3, 2, 1)])
def test_the_stream_goes_on_for_any_number_of_ranks(batches: tuple[int, int, int]) -> None:
    """What is trained on after a break is what one rank would have trained on, rank by rank."""

    def stream(batch: int, ranks: int, accumulation: int, taken: int) -> Iterator[tuple[int, int]]:
        of_ranks = [
            iter(EndlessBatches(10, batch, 5, number, ranks, accumulation, taken))
            for number in range(ranks)
        ]
        while True:
            for of_rank in of_ranks:
                yield from next(of_rank)

    size = math.prod(batches)
    taken = 6 * size
    whole = list(itertools.islice(stream(size, 1, 1, 0), taken + 60))
    assert list(itertools.islice(stream(*batches, taken), 60)) == whole[taken:]


class Failing(NarrationDataset):
    """Narrations of which one cannot be had."""

    def __init__(self, whole: NarrationDataset, fail: Callable[[], None]) -> None:
        super().__init__(whole.narrations, whole.store, whole.encoder)
        self.fail = fail

    def __getitem__(self, key: tuple[int, int]) -> Example:
        if key[1] == 1:
            self.fail()
        return super().__getitem__(key)


def refuse() -> None:
    raise BadRecord("features.h5: picture 7: found NaN, expected numbers")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("fail", "message"),
    [
        (refuse, "^features.h5: picture 7: found NaN, expected numbers$"),
        (die, "a process that reads data ahead has ended .DataLoader worker"),
    ],
)
def test_what_ends_a_worker_is_said(fail: Callable[[], None], message: str) -> None:
    narrations = [tiny.narration("a man", [("a man", "1")], name=str(n)) for n in range(2)]
    dataset = Failing(NarrationDataset(narrations, None, tiny.encoder()), fail)
    loader = make_loader(dataset, OrderedBatches(2, 1), 1, torch.device("cpu"))
    with pytest.raises(InputError, match=message), worker_errors_explained():
        list(loader)


def test_ranks_are_started_again_and_another_number_of_ranks_goes_on(folder: Path) -> None:
    """Two ranks, of which one alone is asked to stop and later killed, and then one rank do what
    one rank does; without dropout."""
    values = json.loads((folder / "config.json").read_text())
    values |= {"dropout": 0.0, "attention_dropout": 0.0}
    (folder / "still.json").write_text(json.dumps(values))
    still = ["--model_config", str(folder / "still.json")]
    whole = train(folder, "whole", *still, "--batch", "4")
    happened = folder / "happened"
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local_addr=127.0.0.1",
         "--nproc_per_node=2", "--max-restarts=2",
         "tests/support/dying_rank.py", str(happened), "1", "3",
         *arguments(folder, "restarted", *still, "--save-steps", "2", "--epochs", "2")],
        cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert happened.read_text() == "SIGTERM SIGKILL"
    # Both ranks leave together, and again as their launcher says so.
    assert done.stderr.count("stopped by SIGTERM") >= 2
    assert "after 4 of 5 steps" in done.stdout or "after 5 of 5 steps" in done.stdout
    run = train(folder, "restarted", *still, "--batch", "4", "--resume")
    # Not the weights: Adam follows the sign of gradients that are nothing but rounding.
    found, expected = (load_run_state(path / "run_state.pt") for path in (run, whole))
    assert found.taken == expected.taken
    assert found.losses.keys() == expected.losses.keys()
    for name, (total, count) in expected.losses.items():
        assert found.losses[name] == pytest.approx((total, count), rel=1e-3), name
