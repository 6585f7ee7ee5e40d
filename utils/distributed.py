"""The process's place among the ranks of a launcher."""

from __future__ import annotations

import os

from utils.errors import InputError


class TooManyRanks(InputError):
    """More than one process was launched for a command that runs in one."""


def require_single_process() -> None:
    """Refuse to be one of several ranks.

    A launcher (torchrun, torch.distributed.launch --use_env) with one process is as good as none.

    Raises:
        TooManyRanks: the launcher started more than one process.
    """
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if ranks > 1:
        raise TooManyRanks(
            f"{ranks} processes were launched, and several ranks are not built yet: "
            "launch one (--nproc_per_node=1)"
        )
