"""What the ranks that a launcher started do together.

Without a launcher there is one rank, and everything here does nothing or gives back what it got.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.constants import default_pg_timeout
from torch.nn.parallel import DistributedDataParallel

from utils.distributed.launch import read_launch
from utils.errors import InputError

_T = TypeVar("_T")


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the other ranks; every rank but the first is silent on standard output meanwhile.

    Args:
        device: this rank's; GPUs talk by NCCL, CPUs by gloo.

    Raises:
        InputError: the launcher says what it cannot, or the ranks do not meet.
    """
    launch = read_launch()
    if launch.world_size == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    try:
        store = store_of_ranks()
        dist.init_process_group(
            backend, store=store, rank=launch.rank, world_size=launch.world_size
        )
    except RuntimeError as error:
        place = f"{os.environ['MASTER_ADDR']}, port {os.environ['MASTER_PORT']}"
        raise InputError(f"the ranks do not meet at {place}: {error}") from error
    with contextlib.ExitStack() as stack:
        if not is_main():
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        yield
    # Not after an error: it may wait for ranks that wait for this one. What reference cycles still
    # hold of the group goes first: its threads would abort the process when they end with it.
    gc.collect()
    dist.destroy_process_group()


def store_of_ranks(patience: timedelta = default_pg_timeout) -> dist.Store:
    """Return the store that the ranks share, also before and after they form a group.

    Raises:
        RuntimeError: they do not meet within the patience.
    """
    store, _, _ = next(dist.rendezvous("env://", timeout=patience))
    # torchrun keeps its store, with all that is in it, when it starts a machine's ranks again.
    starts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if int(os.environ.get("GROUP_WORLD_SIZE", "1")) > 1:
        # Each of several machines counts for itself.
        starts = "0"
    return dist.PrefixStore(f"start {starts}", store)


def rank() -> int:
    """Return this process's number among the ranks, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Return the number of ranks."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """Return whether this is the rank that writes files, progress and logs."""
    return rank() == 0


def was_restarted() -> bool:
    """Return whether torchrun started the ranks anew after one failed (--max-restarts)."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def sum_over_ranks(values: Tensor) -> Tensor:
    """Sum a tensor over the ranks, without gradient; it has the same shape on every rank."""
    values = values.detach().clone()
    if world_size() > 1:
        dist.all_reduce(values)
    return values


def gather_padded(values: Tensor) -> list[Tensor]:
    """Gather every rank's tensor, in the order of ranks, without gradient.

    Args:
        values: of as many dimensions and of the same type on every rank; sizes may differ.

    Returns:
        Tensors of one shape: each padded with zeros to the largest of its sizes over the ranks.
    """
    if world_size() == 1:
        return [values.detach()]
    shape = torch.tensor(values.shape, device=values.device)
    dist.all_reduce(shape, op=dist.ReduceOp.MAX)
    padded = values.new_zeros(shape.tolist())
    padded[tuple(slice(size) for size in values.shape)] = values.detach()
    gathered = [torch.empty_like(padded) for _ in range(world_size())]
    dist.all_gather(gathered, padded)
    return gathered


def gather_objects(value: _T) -> list[_T] | None:
    """Gather every rank's value, in the order of ranks, on the first rank; None on the others."""
    if world_size() == 1:
        return [value]
    gathered: list[_T] | None = [value] * world_size() if is_main() else None
    dist.gather_object(value, gathered)
    return gathered


def broadcast_object(value: _T) -> _T:
    """Return the first rank's value, on every rank."""
    if world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


def share_of(values: Sequence[_T]) -> Sequence[_T]:
    """Return this rank's share of what all ranks work through; each item is one rank's."""
    return values[rank() :: world_size()]


def interleave(shares: Sequence[Sequence[_T]]) -> list[_T]:
    """Put the shares of all ranks back into their order."""
    joined: list[_T] = []
    longest = max(map(len, shares), default=0)
    for place in range(longest):
        joined.extend(share[place] for share in shares if place < len(share))
    return joined


def wrapped_for_ranks(objective: nn.Module) -> nn.Module:
    """Wrap a module so that its gradients are averaged over the ranks; one rank gets it back.

    Which parameters a step uses depends on its batches, so the unused ones are looked for. Where
    there are none torch warns on every rank that this was in vain; one that is never used keeps it
    silent.
    """
    if world_size() == 1:
        return objective
    some = next(objective.parameters())
    objective.register_parameter("never_used", nn.Parameter(some.detach().new_zeros(1)))
    return DistributedDataParallel(objective, find_unused_parameters=True)
