"""How a command ends on several ranks: what is wrong is said once, and no rank stays behind."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import NoReturn

from torch.distributed import Store
from torch.distributed.elastic.multiprocessing.errors import record

from utils.distributed.launch import read_launch
from utils.distributed.ranks import store_of_ranks
from utils.errors import InputError

_PATIENCE = timedelta(seconds=5)
_FAILED = "ranks that failed"


def run_on_ranks(main: Callable[[], None]) -> None:
    """Run a command on this rank of several; torchrun's report says what the rank ended with.

    Of the ranks that end with the same error one says so, an `InputError` by a line with its rank.
    The others, and those whose exchange with it broke off, are silent.
    """
    try:
        record(_say_once)(main)
    except SystemExit as ended:
        # As Python does: nothing is success, words are a failure.
        _leave(ended.code if isinstance(ended.code, int) else int(ended.code is not None))
    except InputError:
        _leave()
    except Exception:
        # The one that torch sets: it writes the rank before every line.
        sys.excepthook(*sys.exc_info())
        _leave()


def _say_once(main: Callable[[], None]) -> None:
    try:
        main()
    except Exception as error:
        try:
            store = store_of_ranks(_PATIENCE)
        except RuntimeError:
            store = None
        if store is not None and not _is_first_to_fail_so(store, error):
            # The launcher ends who is left when another rank has gone, and reports that one.
            time.sleep(_PATIENCE.total_seconds())
            _leave()
        if not isinstance(error, InputError):
            raise
        message = f"{sys.argv[0]}: {error}"
        print(f"[rank {read_launch().rank}] {message}", file=sys.stderr, flush=True)
        if store is not None:
            _let_others_look(store)
        # Without what came before it: the report shows where it was raised.
        raise InputError(message) from None


def _leave(status: int = 1) -> NoReturn:
    """End at once: threads that exchange with other ranks would abort a process that tidies up."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _is_first_to_fail_so(store: Store, error: Exception) -> bool:
    """Whether no rank has failed with this error before, nor this one because another one had."""
    launch = read_launch()
    try:
        failed_before = store.add(_FAILED, 1) > 1
        is_first = store.add(f"{type(error).__name__}: {error}", 1) == 1
        # Last, as a rank that keeps the store may wait for it and then leave.
        store.set(f"{_FAILED}: {launch.rank}", "")
    except RuntimeError:
        return True
    # An exchange with a rank that has gone breaks off with such an error.
    return is_first and not (failed_before and isinstance(error, RuntimeError))


def _let_others_look(store: Store) -> None:
    """Wait for the other ranks where the store ends with this process: torchrun keeps its own."""
    launch = read_launch()
    if launch.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != str(True):
        with contextlib.suppress(RuntimeError):
            store.wait([f"{_FAILED}: {rank}" for rank in range(launch.world_size)], _PATIENCE)
