"""Writing files whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def replaced_when_whole(path: Path) -> Iterator[Path]:
    """A temporary file to write, which becomes `path` where the block ends without an error.

    The folder is made where it is missing; after an error nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid4().hex}.tmp")
    try:
        yield temporary
        # On the disk before the name is, so that a power cut leaves the old file or the new one.
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """Write a text file whole or not at all."""
    with replaced_when_whole(path) as temporary:
        temporary.write_text(content, encoding="utf-8")
