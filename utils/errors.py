"""What a user can mend: errors that end a command with one clear line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from utils.visible import visible


class InputError(ValueError):
    """Something in files, options or data that the user can mend; the message says what.

    As text it can be printed anywhere, whatever it quotes from data.
    """

    def __str__(self) -> str:
        return visible(super().__str__(), keep="\n")


def run_command(main: Callable[[], None]) -> None:
    """Run a command; an `InputError` ends it with its message and exit status 1.

    Of several ranks that end with the same one, one says so, with its rank.
    """
    # Imported here: they raise what is defined here, and one process does without torch.
    from utils.launch import read_launch

    try:
        if read_launch().world_size == 1:
            main()
        else:
            from utils.failing import run_on_ranks

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
