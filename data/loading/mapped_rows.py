"""Rows of different lengths, one after the other in a file that is mapped into memory.

Such a file opens at once however long it is, takes no memory but for what is read, and processes
share that. Each row has a checksum, which is compared when the row is read.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from data.files import DataError


class MappedRows(Sequence[np.ndarray]):
    """The rows that a `RowWriter` wrote.

    Args:
        folder, name: as it was given them.
        dtype: of the numbers.
        width: how many numbers an item of a row has; a row is [items, width], or [items] where the
            width is 0.

    Raises:
        DataError: the files are missing or do not fit together; of reading a row, it is not what
            was written.
    """

    def __init__(self, folder: Path, name: str, dtype: type[np.generic], width: int = 0) -> None:
        self._arguments = (folder, name, dtype, width)
        values_path, ends_path = _paths(folder, name)
        shape = (-1, width) if width else (-1,)
        try:
            ends = np.load(ends_path, mmap_mode="r", allow_pickle=False)
            # A file of nothing cannot be mapped. A slice of a memmap costs more than a view's.
            empty = not values_path.stat().st_size
            values = np.zeros(0, dtype) if empty else np.memmap(values_path, dtype, mode="r")
            self._values = np.asarray(values).reshape(shape)
        except Exception as error:
            # A broken header ends in nearly any kind of error.
            raise DataError(f"{values_path} cannot be read: {error}") from error
        if ends.dtype != np.int64 or ends.ndim != 2 or ends.shape[1] != 2 or not len(ends):
            raise DataError(
                f"{ends_path} is {ends.dtype}, {ends.shape}, expected int64 [rows + 1, 2]"
            )
        self._ends = np.asarray(ends)
        self._path = values_path
        if self._ends[-1, 0] != len(self._values):
            raise DataError(
                f"{values_path} has {len(self._values)} items, expected {self._ends[-1, 0]}"
            )

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, row: int) -> np.ndarray:  # type: ignore[override]
        start, (end, checksum) = int(self._ends[row, 0]), self._ends[row + 1].tolist()
        values = self._values[start:end]
        if zlib.crc32(values.data) != checksum:
            raise DataError(f"{self._path}: row {row} is not what was written")
        return values

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process maps the file for itself.
        return MappedRows, self._arguments


class RowWriter:
    """Writes rows, one after the other; see `write_rows`."""

    def __init__(self, file: Any) -> None:
        self._file = file
        # Where each row ends, in items from the beginning of the file, and its checksum.
        self.ends = [(0, 0)]

    def append(self, row: np.ndarray) -> None:
        """Write one more row, [items] or [items, width]."""
        content = np.ascontiguousarray(row).data
        self._file.write(content)
        self.ends.append((self.ends[-1][0] + len(row), zlib.crc32(content)))


@contextmanager
def write_rows(folder: Path, name: str) -> Iterator[RowWriter]:
    """Open a writer of rows into a folder that is there."""
    values_path, ends_path = _paths(folder, name)
    with values_path.open("wb") as file:
        writer = RowWriter(file)
        yield writer
    np.save(ends_path, np.asarray(writer.ends, dtype=np.int64))


def _paths(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.bin", folder / f"{name}_ends.npy"
