"""Stopping on SIGTERM, which schedulers send before they take a machine away."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

import torch
from torch import Tensor

from utils.distributed.ranks import sum_over_ranks, world_size

# What shells report of a process that SIGTERM ended.
STOPPED = 128 + signal.SIGTERM


class StopRequests:
    """Ends the process on SIGTERM: at once, or inside of `deferred` when it is ready.

    Ranks that train together are ready at the same step, whichever of them was asked.
    """

    def __init__(self) -> None:
        self._asked = False
        self._is_deferred = False
        self._sum: Tensor | None = None

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Take SIGTERM as a request to stop, inside the block."""
        earlier = signal.signal(signal.SIGTERM, self._hear)
        try:
            yield
        except RuntimeError:
            # What an exchange ends in when another rank has obeyed the request already.
            if self._asked:
                self.leave()
            raise
        finally:
            signal.signal(signal.SIGTERM, earlier)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Only note a request for `agreed` and `leave_together`, inside the block."""
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False

    def agreed(self, device: torch.device) -> bool:
        """Return whether to stop now, the same on every rank; all of them call it once a step.

        Args:
            device: of the ranks' other exchanges.
        """
        if world_size() == 1:
            return self._asked
        # Of the step before: the device has reached it by now, so that reading it does not wait.
        earlier, self._sum = self._sum, self._ask_ranks(device)
        return earlier is not None and earlier.item() > 0

    def leave_together(self, device: torch.device) -> None:
        """End all ranks where one of them was asked to stop; all of them call it."""
        if self._ask_ranks(device).item() > 0:
            self.leave()

    def _ask_ranks(self, device: torch.device) -> Tensor:
        # Filled on the device: to copy a number to it would wait for its work.
        return sum_over_ranks(torch.full((), float(self._asked), device=device))

    def leave(self) -> NoReturn:
        """End the process as one that was asked to stop."""
        # Not by print, which may be what the signal has interrupted.
        os.write(2, b"stopped by SIGTERM; --resume goes on\n")
        sys.exit(STOPPED)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        if not self._is_deferred:
            self.leave()
