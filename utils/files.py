"""Writing files and folders whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from utils.errors import InputError

_BYTE_ORDER_MARK = "\ufeff"
_LINE_END = re.compile(r"\r\n?|\n")


@contextmanager
def replaced_when_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary file to write; it becomes `path` where the block ends without an error.

    The folder is made where it is missing; after an error nothing is left behind. Of a process that
    was killed the temporary file is: its name begins with a dot and that of `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The beginning of its name, as the whole may be as long as a name can be.
    temporary = path.with_name(f".{path.name[:40]}.{uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        # On the disk before the name is, so that a power cut leaves the old file or the new one.
        _to_disk(temporary)
        os.replace(temporary, path)
        # Not every file system can do this for a folder.
        with suppress(OSError):
            _to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def folder_when_whole(path: Path) -> Iterator[Path]:
    """Yield a folder to make and fill; it becomes `path` where the block ends without an error.

    After an error nothing is left behind.

    Raises:
        InputError: `path` is there already and not an empty folder.
    """
    path = path.resolve()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path} is there already and not an empty folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}.unfinished")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def decode_text(content: bytes) -> str:
    """Decode UTF-8; a byte-order mark at its beginning, as editors write it, is no text.

    Raises:
        UnicodeDecodeError: it is no UTF-8.
    """
    return content.decode("utf-8").removeprefix(_BYTE_ORDER_MARK)


def split_lines(text: str) -> list[str]:
    """Split a text at its line ends, of any system.

    What Unicode names line ends besides, as U+2028 and U+0085 are, is text. A byte-order mark
    before a line, as where marked files were joined, is none.
    """
    return [line.removeprefix(_BYTE_ORDER_MARK) for line in _LINE_END.split(text)]


def write_text(path: Path, content: str) -> None:
    """Write a text file whole or not at all."""
    with replaced_when_whole(path) as temporary:
        temporary.write_text(content, encoding="utf-8")
