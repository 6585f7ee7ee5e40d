"""HDF5 files that come from elsewhere."""

from __future__ import annotations

from pathlib import Path

import h5py

# Deflate packs at most 1,032 bytes into one; what is smaller than this may be sparse.
_MOST_PACKED = 1100
_MAY_BE_SPARSE = 2**26


def open_hdf5(path: Path, **options: int) -> h5py.File:
    """Open a file to read, also where it cannot be locked.

    Args:
        options: of `h5py.File`.
    """
    return h5py.File(path, "r", locking="best-effort", **options)


def held_dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """Return a dataset of a file, which may then be read as a whole.

    Raises:
        ValueError: it promises far more numbers than its file can hold, which reading would make
            room for; what else is wrong with it ends in nearly any kind of error.
    """
    dataset = file[name]
    held = dataset.id.get_storage_size()
    if dataset.nbytes > max(_MAY_BE_SPARSE, _MOST_PACKED * held):
        raise ValueError(f"{name} promises {dataset.nbytes:,} bytes and holds {held:,}")
    return dataset
