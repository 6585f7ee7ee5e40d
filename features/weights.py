"""Files of weights, as torch writes them."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import torch

from data.files import DataError
from utils.printable import quote


def read_weights(path: Path) -> dict[str, Any]:
    """Read a file of weights, onto the CPU; no code in it is run.

    Raises:
        DataError: it cannot be read, or holds other things.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # What torch says of it would have the reader run what is in it.
        raise DataError(
            f"{path} cannot be read as a file of weights: it holds other things than tensors"
        ) from error
    except (OSError, EOFError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise DataError(f"{path} cannot be read as a file of weights: {reason}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds {quote(content)}, expected a dict of weights")
    return content


def identity_of_weights(weights: str) -> str:
    """Return what tells weights from others: their name, and a digest of a file or folder."""
    path = Path(weights)
    if not path.exists():
        return weights
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file())
    digests = []
    for each in files:
        with each.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    if path.is_file():
        return f"{path.name} {digests[0]}"
    named = [[each.name, digest] for each, digest in zip(files, digests, strict=True)]
    return f"{path.name} {hashlib.sha256(json.dumps(named).encode()).hexdigest()}"
