"""What launchers say of a process, and which GPU is its own."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest
import torch

from utils.device import choose_device
from utils.distributed.launch import (
    Launch,
    first_host,
    read_launch,
)
from utils.errors import InputError

TORCHRUN = {
    "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "29500",
    "TORCHELASTIC_RUN_ID": "none",
}  # fmt: skip
SRUN = {
    "SLURM_JOB_ID": "123456", "SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1", "SLURM_STEP_NODELIST": "node[03-05,7],other",
}  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """At first; what is written into the environment is gone after a test."""
    monkeypatch.setattr(os, "environ", {})


def say(values: Mapping[str, str]) -> None:
    os.environ.update(values)


def test_without_a_launcher_there_is_one_rank() -> None:
    assert read_launch() == Launch(rank=0, world_size=1, local_rank=0)


@pytest.mark.parametrize("said", [TORCHRUN, SRUN])
def test_launchers_say_the_same(said: dict[str, str]) -> None:
    say(said)
    assert read_launch() == read_launch() == Launch(rank=5, world_size=8, local_rank=1)


def test_tasks_of_srun_meet_at_the_first_host_at_a_port_of_their_job() -> None:
    say(SRUN)
    read_launch()
    assert {name: os.environ[name] for name in TORCHRUN if name in os.environ} == {
        "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1",
        "MASTER_ADDR": "node03", "MASTER_PORT": "23456",
    }  # fmt: skip


def test_where_to_meet_can_be_said() -> None:
    say(SRUN | {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "4000"})
    read_launch()
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("10.0.0.1", "4000")


def test_what_torchrun_says_goes_before_what_slurm_says() -> None:
    """torchrun on each machine of a job is itself started by srun."""
    say(SRUN | TORCHRUN | {"RANK": "6"})
    assert read_launch().rank == 6
    assert os.environ["MASTER_ADDR"] == "a"


@pytest.mark.parametrize("tasks", ["1", None])
def test_one_task_and_the_shell_of_a_batch_job_are_one_process(tasks: str | None) -> None:
    said = {**SRUN, "SLURM_NTASKS": "8"}
    del said["SLURM_STEP_NUM_TASKS"]
    say(said if tasks is None else said | {"SLURM_STEP_NUM_TASKS": tasks})
    assert read_launch().world_size == 1


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("alone", "alone"),
        ("a.cluster.org,b.cluster.org", "a.cluster.org"),
        ("node[03-05,7],other", "node03"),
        ("node7,node[03-05]", "node7"),
        ("rack[1-2]n[09-12],other", "rack1n09"),
        ("n[1,4]-gpu", "n1-gpu"),
    ],
)
def test_the_first_host_of_a_list(nodes: str, first: str) -> None:
    assert first_host(nodes) == first


@pytest.mark.parametrize(
    ("said", "name", "value"),
    [
        (TORCHRUN, "RANK", "five"),
        (TORCHRUN, "RANK", "8"),
        (TORCHRUN, "WORLD_SIZE", "-8"),
        (TORCHRUN, "LOCAL_RANK", None),
        (TORCHRUN, "MASTER_ADDR", None),
        (TORCHRUN, "MASTER_PORT", "65536"),
        (SRUN, "SLURM_STEP_NUM_TASKS", "8(x2)"),
        (SRUN, "SLURM_PROCID", None),
        (SRUN, "SLURM_LOCALID", "1.0"),
        (SRUN, "SLURM_STEP_NODELIST", "node[03"),
        (SRUN, "SLURM_STEP_NODELIST", ""),
        (SRUN, "SLURM_JOB_ID", "12_3"),
    ],
)
def test_what_cannot_be_is_named(said: dict[str, str], name: str, value: str | None) -> None:
    say(said)
    if value is None:
        del os.environ[name]
    else:
        os.environ[name] = value
    with pytest.raises(InputError, match=name):
        read_launch()


@pytest.mark.parametrize(
    ("said", "gpus", "own"), [(TORCHRUN, 4, 1), (SRUN, 4, 1), (SRUN, 1, 0), ({}, 1, 0), ({}, 4, 0)]
)
def test_every_rank_has_a_gpu_of_its_own(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, str], gpus: int, own: int
) -> None:
    """The second task of a machine takes the second GPU, or the one that SLURM shows it alone."""
    say(said)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", own)


def test_ranks_of_torchrun_do_not_share_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    say(TORCHRUN)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="there are 1 CUDA devices"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    with pytest.raises(InputError, match="its own GPU, here cuda:1"):
        choose_device("cuda:0")
