"""What a user can mend: errors that end a command with one clear line."""

from __future__ import annotations

from utils.printable import escape_unprintable


class InputError(ValueError):
    """Something in files, options or data that the user can mend; the message says what.

    As text it can be printed anywhere, whatever it quotes from data.
    """

    def __str__(self) -> str:
        return escape_unprintable(super().__str__(), keep="\n")
