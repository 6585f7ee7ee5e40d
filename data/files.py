"""Files that come from elsewhere, read without running or trusting anything in them.

What is wrong with a file ends in a `DataError` that names it; what is wrong with one of its records
in a `BadRecord` that names that too. Values from a file are shown shortened and escaped, so that a
message can be printed anywhere.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

from utils.errors import InputError
from utils.printable import quote

LONGEST_ID = 200  # characters; with an ending, still a file name everywhere

# All that pickling a dict of whole numbers or texts to whole numbers can write, in every protocol.
# None of these can name a class, call anything, or set aside memory beyond the size of the file.
_ID_PICKLE_OPCODES = frozenset(
    "PROTO FRAME STOP MARK EMPTY_DICT DICT SETITEM SETITEMS "
    "INT BININT BININT1 BININT2 LONG LONG1 "
    "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE "
    "PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET".split()
)
_ID_PICKLE_EXPECTED = "a pickled dict of ids (text or whole numbers) to whole numbers"


class DataError(InputError):
    """A file does not hold what it should; the message names it, what was found and expected."""


class BadRecord(DataError):
    """One record of a file is wrong; the rest may be read without it."""


def bad_record(path: Path, record: str, found: str, expected: str) -> BadRecord:
    """Return the error for one wrong record.

    Args:
        record: names the record within the file.
        found: what is there, anything from the file as `quote` gives it.
        expected: what should be.
    """
    return BadRecord(f"{path}: {record}: found {found}, expected {expected}")


def read_id(value: object) -> str | None:
    """Return an id as text, or None where the value is not fit to be one.

    Ids become names of files, and the published files hold them as whole numbers here and as text
    there. Fit are whole numbers, and printable text of at most `LONGEST_ID` characters that cannot
    lead out of a folder.
    """
    if type(value) is int and abs(value) < 2**63:
        return str(value)
    if type(value) is not str or not value.isprintable() or not 0 < len(value) <= LONGEST_ID:
        return None
    if "/" in value or "\\" in value or value.startswith("."):
        return None
    return value


def published_id(image_id: str) -> str | int:
    """Return the id as the published indices hold it: a number where it is one."""
    is_number = image_id.isascii() and image_id.isdecimal() and len(image_id) < 19
    return int(image_id) if is_number and str(int(image_id)) == image_id else image_id


def read_image_rows(path: Path) -> dict[str, int]:
    """Read a pickled dict of image ids to rows, in its order, without running anything in it.

    Raises:
        DataError: the file is missing, or holds anything else; an id appears twice, as a number and
            as text.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    loaded = _unpickle_ids(path, content)
    if type(loaded) is not dict:
        raise DataError(f"{path} holds {quote(loaded)}, expected {_ID_PICKLE_EXPECTED}")
    rows: dict[str, int] = {}
    for key, row in loaded.items():
        image_id = read_id(key)
        if image_id is None or type(row) is not int:
            found = f"{quote(key)}: {quote(row)}"
            raise DataError(f"{path} holds {found}, expected {_ID_PICKLE_EXPECTED}")
        if image_id in rows:
            raise DataError(f"{path} holds the id {image_id} twice")
        rows[image_id] = row
    return rows


class _IdUnpickler(pickle.Unpickler):
    """Finds no class and no object outside of the pickle, whatever it asks for."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}")

    def persistent_load(self, persistent_id: Any) -> Any:
        raise pickle.UnpicklingError("it asks for an object outside of the file")


def _unpickle_ids(path: Path, content: bytes) -> Any:
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name not in _ID_PICKLE_OPCODES:
                raise pickle.UnpicklingError(f"it holds {opcode.name}")
            # The unpickler makes room for as many notes as the highest number says.
            is_note = opcode.name.endswith("PUT")
            if is_note and isinstance(argument, int) and argument > len(content):
                raise pickle.UnpicklingError(f"it counts notes up to {argument}")
        return _IdUnpickler(io.BytesIO(content)).load()
    except Exception as error:
        # Broken pickles end in nearly any kind of error.
        raise DataError(f"{path} is not {_ID_PICKLE_EXPECTED}: {error}") from error
