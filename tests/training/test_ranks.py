"""The commands on several ranks, as torchrun and srun start them, on one host and on two."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import torch

import main as training
import prepare
import test_coref
import test_grounding
from data.mentions.found import cache_path
from metrics.chain_files import read_chain_folder
from tests.conftest import REPOSITORY
from tests.data.test_mentions import untrained_categorizer
from tests.support import tiny
from tools import make_sample
from utils.checkpointing.checkpoint import load_checkpoint
from utils.errors import InputError

TESTED = 4  # narrations: three ranks do not have as many each
PATIENCE = 300  # seconds
ADDRESSES = ("10.77.0.1", "10.77.0.2")

# After a step of a training one rank fails while the other waits for it.
ONE_FAILS = """
import torch
from utils.distributed.ranks import process_group, rank, sum_over_ranks, wrapped_for_ranks
from utils.distributed.command import run_command
from utils.errors import InputError

def learn():
    layer = wrapped_for_ranks(torch.nn.Linear(2, 2))
    layer(torch.ones(1, 2)).sum().backward()

def main():
    with process_group(torch.device("cpu")):
        learn()
        if rank() == 1:
            raise InputError("the second part is broken")
        sum_over_ranks(torch.ones(2))

run_command(main)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small generated world, a pipeline that finds mentions in it, and a tiny model."""
    folder = tmp_path_factory.mktemp("ranks")
    sizes = ["--train", "4", "--val", "8", "--test", str(TESTED), "--processes", "1"]
    make_sample.main(["--out", str(folder / "world"), *sizes])
    untrained_categorizer(0.5).to_disk(folder / "pipeline")
    values = {
        "text_encoder": tiny.encoder_folder(),
        "region_feedforward_size": 32,
        "epochs": 1,
        "batch": 2,
        "lr": 1e-3,
    }
    (folder / "config.json").write_text(json.dumps(values))
    training.main(training_options(folder, "alone"))
    return folder


def training_options(folder: Path, name: str) -> list[str]:
    return [
        *("--model_config", str(folder / "config.json"), "--data-root", str(folder / "world")),
        *("--device", "cpu", "--save_name", str(folder / name), "--held-out", "0"),
        *("--use-ssl", "--no-unlabelled", "--grounding", "--bbox-reg"),
    ]


def options_to_test_with(folder: Path, name: str) -> list[str]:
    return [
        *("--device", "cpu", "--save_name", str(folder / "alone" / "models.pt")),
        *("--output", str(folder / name), "--json", str(folder / name / "scores.json")),
    ]


def mention_options(folder: Path) -> list[str]:
    return [
        *("mentions", "--dataset", "cin", "--data-root", str(folder / "world")),
        *("--spacy-model", str(folder / "pipeline"), "--processes", "1"),
    ]


def command(name: str, options: Sequence[str]) -> list[str]:
    return [str(REPOSITORY / name), *options]


def torchrun(ranks: int, *options: str) -> list[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={ranks}"]
    return [*launcher, *options]


def on_this_host(ranks: int) -> list[str]:
    return torchrun(ranks, "--standalone", "--local_addr=127.0.0.1")


def side_by_side(
    commands: Sequence[Sequence[str]], environments: Sequence[Mapping[str, str]]
) -> list[subprocess.CompletedProcess[str]]:
    """Run commands at the same time; none of their processes is left."""
    common = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    started = [
        subprocess.Popen(
            command,
            env={**common, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for command, environment in zip(commands, environments, strict=True)
    ]
    try:
        said = [process.communicate(timeout=PATIENCE) for process in started]
    finally:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return [
        subprocess.CompletedProcess(process.args, process.returncode, *texts)
        for process, texts in zip(started, said, strict=True)
    ]


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    (done,) = side_by_side([command], [{}])
    return done


def srun(tasks: int, command: Sequence[str]) -> list[subprocess.CompletedProcess[str]]:
    """Run a command as the tasks of a job on this host."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "localhost", "MASTER_PORT": str(port)}
    environments = [
        {
            **common,
            "SLURM_STEP_NUM_TASKS": str(tasks),
            "SLURM_PROCID": str(task),
            "SLURM_LOCALID": str(task),
        }
        for task in range(tasks)
    ]
    return side_by_side([[sys.executable, *command]] * tasks, environments)


def test_coreference_scores_do_not_depend_on_the_ranks(folder: Path) -> None:
    test_coref.main(options_to_test_with(folder, "coref_1"))
    done = run(
        [*on_this_host(3), *command("test_coref.py", options_to_test_with(folder, "coref_3"))]
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"wrote {TESTED} chain files") == 1
    of_one, of_three = (folder / name for name in ("coref_1", "coref_3"))
    assert (of_one / "scores.json").read_bytes() == (of_three / "scores.json").read_bytes()
    for side in ("modelrefs", "gold_count"):
        chains = read_chain_folder(of_one / side / "test")
        assert len(chains) == TESTED
        assert read_chain_folder(of_three / side / "test") == chains


def test_grounding_scores_do_not_depend_on_the_tasks_of_srun(folder: Path) -> None:
    test_grounding.main(options_to_test_with(folder, "boxes_1"))
    done = srun(3, command("test_grounding.py", options_to_test_with(folder, "boxes_3")))
    assert [task.returncode for task in done] == [0, 0, 0], done
    assert [bool(task.stdout) for task in done] == [True, False, False]
    for name in ("scores.json", "grounding/test.json"):
        assert (folder / "boxes_1" / name).read_bytes() == (folder / "boxes_3" / name).read_bytes()
    assert len(json.loads((folder / "boxes_3" / "grounding" / "test.json").read_text())) == TESTED


def test_ranks_share_the_finding_of_mentions(folder: Path) -> None:
    path = cache_path(folder / "world", "train")
    prepare.main(mention_options(folder))
    of_one = path.read_bytes()
    assert all(json.loads(of_one)["mentions"].values())
    path.unlink()
    done = srun(3, command("prepare.py", mention_options(folder)))
    assert [task.returncode for task in done] == [0, 0, 0], done
    assert ["wrote " in task.stdout for task in done] == [True, False, False]
    assert path.read_bytes() == of_one


@pytest.mark.parametrize("name", ["mention-pipeline", "repack", "score-mentions"])
def test_what_ranks_cannot_share_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost"}
    for variable, value in (said | {"MASTER_PORT": "29500"}).items():
        monkeypatch.setenv(variable, value)
    options = ["--dataset", "cin", "--data-root", str(tmp_path)]
    if name != "score-mentions":
        options += ["--out", str(tmp_path / "out")]
    if name == "repack":
        options += ["--split", "val"]
    with pytest.raises(InputError, match=f"{name}: 2 ranks were started"):
        prepare.main([name, *options])
    assert not (tmp_path / "out").exists()


def test_an_error_of_all_ranks_is_said_once(folder: Path) -> None:
    options = training_options(folder, "refused")
    done = srun(2, command("main.py", [*options, "--data-root", str(folder / "nowhere")]))
    assert [task.returncode for task in done] == [1, 1]
    lines = [line for task in done for line in task.stderr.splitlines() if "nowhere" in line]
    assert len(lines) == 1
    assert lines[0].startswith("[rank ") and "main.py: " in lines[0]
    assert not (folder / "refused").exists()


def test_an_error_of_one_rank_is_said_with_its_rank(tmp_path: Path) -> None:
    """And by torchrun, each time that it starts the ranks; the one that waits says nothing."""
    (tmp_path / "one_fails.py").write_text(ONE_FAILS)
    done = run([*on_this_host(2), "--max_restarts=1", str(tmp_path / "one_fails.py")])
    assert done.returncode == 1
    said, report = done.stderr.split("one_fails.py FAILED")
    assert said.count("the second part is broken") == 2
    assert f"[rank 1] {tmp_path / 'one_fails.py'}: the second part is broken" in said
    root_cause = report.split("Root Cause")[1]
    assert "rank      : 1 " in root_cause and "the second part is broken" in root_cause
    assert "closed by peer" not in done.stderr
    assert "find_unused_parameters" not in done.stderr


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture
def two_hosts() -> Iterator[list[str]]:
    """The names of two network namespaces that a cable joins; gone after the test.

    Where they cannot be made a test is skipped; where MCR_REQUIRE_NAMESPACES is set that is a
    failure.
    """
    names = [f"mcr-{os.getpid()}-{number}" for number in range(2)]
    with contextlib.ExitStack() as stack:
        try:
            for name in names:
                ip("netns", "add", name)
                # Its end of the cable goes with it.
                stack.callback(ip, "netns", "delete", name)
            first, second = names
            ends = ("cable", "netns", first, "type", "veth", "peer", "name", "cable")
            ip("link", "add", *ends, "netns", second)
            for name, address in zip(names, ADDRESSES, strict=True):
                ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
                ip("-n", name, "link", "set", "cable", "up")
                ip("-n", name, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError) as error:
            reason = f"no network namespaces: {getattr(error, 'stderr', None) or error}"
            if os.environ.get("MCR_REQUIRE_NAMESPACES"):
                pytest.fail(reason)
            pytest.skip(reason)
        yield names


@pytest.mark.two_hosts
def test_two_hosts_train_what_one_host_trains(folder: Path, two_hosts: list[str]) -> None:
    """Two ranks on each of two hosts, and four ranks on one."""
    done = run([*on_this_host(4), *command("main.py", training_options(folder, "one_host"))])
    assert done.returncode == 0, done.stderr
    commands = [
        [
            *("ip", "netns", "exec", host),
            *torchrun(2, "--nnodes=2", f"--node_rank={number}", f"--local_addr={address}"),
            *("--rdzv_backend=c10d", f"--rdzv_endpoint={ADDRESSES[0]}:29400", "--rdzv_id=test"),
            f"--rdzv_conf=is_host={number == 0}",
            *command("main.py", training_options(folder, "two_hosts")),
        ]
        for number, (host, address) in enumerate(zip(two_hosts, ADDRESSES, strict=True))
    ]
    hosts = side_by_side(commands, [{"GLOO_SOCKET_IFNAME": "cable"}] * 2)
    assert [host.returncode for host in hosts] == [0, 0], [host.stderr for host in hosts]
    assert sum(host.stdout.count("saved ") for host in hosts) == 1
    of_one, of_two, alone = (
        load_checkpoint(folder / name / "models.pt").model_state
        for name in ("one_host", "two_hosts", "alone")
    )
    assert all(torch.equal(weight, of_two[name]) for name, weight in of_one.items())
    assert not all(torch.equal(weight, alone[name]) for name, weight in of_one.items())
