"""Files of weights, as torch writes them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from data.files import DataError
from utils.visible import shown


def read_weights(path: Path) -> dict[str, Any]:
    """What a file of weights holds, on the CPU; no code in it is run.

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
        raise DataError(f"{path} holds {shown(content)}, expected a dict of weights")
    return content
