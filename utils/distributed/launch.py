"""What a launcher says of this process: torchrun, torch.distributed.launch --use_env, or srun.

torchrun's variables are those that torch.distributed reads. SLURM's srun has its own, which become
these here. Without a launcher there is one rank.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from utils.errors import InputError

# Ports that are free as a rule: below those that the system gives away.
_FIRST_PORT, _PORTS = 20_000, 10_000


@dataclass(frozen=True)
class Launch:
    """Where this process stands among the ranks.

    Attributes:
        rank: its number among all of them, from 0.
        world_size: how many there are.
        local_rank: its number among those of its machine, from 0.
    """

    rank: int
    world_size: int
    local_rank: int


def read_launch() -> Launch:
    """Read what the launcher says of this process.

    Where srun started several tasks, its variables are first written where torch.distributed reads:
    MASTER_ADDR and MASTER_PORT stay as they are where they are set.

    Raises:
        InputError: a variable is missing or says what it cannot.
    """
    # The shell of a batch job is no task of srun and has no such variable.
    if "RANK" not in os.environ and _whole_number("SLURM_STEP_NUM_TASKS", default=1) > 1:
        os.environ.update(_said_by_slurm())
    world_size = _whole_number("WORLD_SIZE", default=1)
    if world_size <= 1:
        return Launch(0, 1, _whole_number("LOCAL_RANK", default=0))
    _said("MASTER_ADDR")
    _whole_number("MASTER_PORT", below=2**16)
    return Launch(_whole_number("RANK", below=world_size), world_size, _whole_number("LOCAL_RANK"))


def first_host(nodes: str) -> str:
    """Return the first host of a list as SLURM writes it, such as node[03-05,7],other.

    Raises:
        InputError: it is no such list.
    """
    host = re.sub(r"\[(\w+)[-,\w]*\]", r"\1", nodes).split(",")[0]
    if not re.fullmatch(r"[\w.-]+", host):
        raise InputError(
            f"SLURM_STEP_NODELIST is {nodes!r}, expected hosts such as node[03-05,7],other"
        )
    return host


def _said_by_slurm() -> dict[str, str]:
    """Return what SLURM says of this task, in the variables that torch.distributed reads."""
    said: dict[str, str | int] = {
        "RANK": _whole_number("SLURM_PROCID"),
        "WORLD_SIZE": _whole_number("SLURM_STEP_NUM_TASKS"),
        "LOCAL_RANK": _whole_number("SLURM_LOCALID"),
    }
    if "MASTER_ADDR" not in os.environ:
        said["MASTER_ADDR"] = first_host(_said("SLURM_STEP_NODELIST"))
    if "MASTER_PORT" not in os.environ:
        # Jobs that share a machine as a rule have numbers that are close to each other.
        said["MASTER_PORT"] = _FIRST_PORT + _whole_number("SLURM_JOB_ID") % _PORTS
    return {name: str(value) for name, value in said.items()}


def _said(name: str) -> str:
    if not os.environ.get(name):
        raise InputError(f"{name} is not set, as a launcher of several ranks sets it")
    return os.environ[name]


def _whole_number(name: str, *, default: int | None = None, below: int | None = None) -> int:
    if default is not None and not os.environ.get(name):
        return default
    value = _said(name)
    if not (value.isascii() and value.isdigit()) or (below is not None and int(value) >= below):
        most = "" if below is None else f" below {below}"
        raise InputError(f"{name} is {value!r}, expected a whole number{most}")
    return int(value)
