"""Being asked to stop (SIGTERM, as schedulers send it before they take a machine away)."""

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

from utils.distributed import sum_over_ranks, world_size

# What shells report of a process that SIGTERM ended.
STOPPED = 128 + signal.SIGTERM


class StopRequests:
    """Ends the process on SIGTERM: at once, or where `deferred` says so, when it is ready.

    Ranks that train together are ready at the same step, whichever of them was asked.
    """

    def __init__(self) -> None:
        self._asked = False
        self._is_deferred = False
        self._sum_before: Tensor | None = None

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Inside, SIGTERM is a request to stop."""
        before = signal.signal(signal.SIGTERM, self._hear)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, a request only makes `agreed` tell of it; it is obeyed at the end."""
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False
        if self._asked:
            self.leave()

    def agreed(self, device: torch.device) -> bool:
        """Whether to stop now, the same on every rank; to be called once a step by all of them.

        Args:
            device: of the ranks' other exchanges.
        """
        if world_size() == 1:
            return self._asked
        # Of the step before: the device has reached it by now, so that reading it does not wait.
        before = self._sum_before
        self._sum_before = sum_over_ranks(torch.tensor(float(self._asked), device=device))
        return before is not None and before.item() > 0

    def leave(self) -> NoReturn:
        """End the process as one that was asked to stop."""
        # Not by print, which may be what the signal has interrupted.
        os.write(sys.stderr.fileno(), b"stopped by SIGTERM; --resume goes on\n")
        sys.exit(STOPPED)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        if not self._is_deferred:
            self.leave()
