"""How a command ends: with one line where the user can mend what is wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from utils.distributed.launch import read_launch
from utils.errors import InputError


def run_command(main: Callable[[], None]) -> None:
    """Run a command; an `InputError` ends it with its message and exit status 1.

    Of several ranks that end with the same one, one says so, with its rank.
    """
    try:
        if read_launch().world_size == 1:
            main()
        else:
            # Imported here: torch takes seconds to load, and some commands do without it.
            from utils.distributed.failures import run_on_ranks

            run_on_ranks(main)
    except InputError as error:
        print(f"{sys.argv[0]}: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Who reads the output has seen enough, as `head` has; nothing is left to be flushed to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
