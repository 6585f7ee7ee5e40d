"""A DataLoader of batches, and what ends its worker processes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils.data import DataLoader

from data.loading.collate import Collate
from data.loading.dataset import JoinedDataset, NarrationDataset
from data.loading.samplers import EndlessBatches, OrderedBatches, SizedBatches
from utils.batch import Batch
from utils.errors import InputError


def make_loader(
    dataset: NarrationDataset | JoinedDataset,
    batches: OrderedBatches | SizedBatches | EndlessBatches,
    workers: int,
    device: torch.device,
) -> DataLoader[Batch]:
    """Make a loader of padded batches.

    Args:
        workers: processes that read ahead; 0 reads in this one.
        device: pages are locked for copies where it is a GPU.
    """
    return DataLoader(
        dataset,  # type: ignore[arg-type]  # the stubs take a loader to give what its dataset does
        batch_sampler=batches,
        collate_fn=Collate(dataset.encoder.tokenizer),
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        worker_init_fn=_ignore_others_sigterm,
        # Of its own, so that starting workers does not shift the model's random numbers.
        generator=torch.Generator(),
    )


def _ignore_others_sigterm(worker: int) -> None:
    """Let only the process that reads from this worker end it by SIGTERM.

    Schedulers send that to all processes, and the one that reads may still want its batches.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_exit_with_reader, daemon=True).start()


def _exit_with_reader() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


@contextmanager
def worker_errors_explained() -> Iterator[None]:
    """Turn an error of a loader's worker into one line without a traceback inside the block.

    Raises:
        InputError: the worker's own, without its traceback; or a worker was killed.
    """
    try:
        yield
    except InputError as error:
        # A worker hands its error over as the text of its traceback, which ends in the message.
        *traceback, message = str(error).split(f"{type(error).__module__}.{type(error).__name__}: ")
        if not traceback:
            raise
        raise type(error)(message.strip()) from None
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise InputError(
            f"a process that reads data ahead has ended ({error}); where the system killed it, "
            "memory may have run out: fewer --workers take less"
        ) from error
