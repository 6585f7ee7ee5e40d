"""The sources of random numbers: seeds, and states to go on from."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from utils.checkpointing.checkpoint import CheckpointError


def set_seeds(seed: int) -> None:
    """Seed every source of random numbers."""
    for set_seed in (random.seed, np.random.seed, torch.manual_seed):
        set_seed(seed % 2**32)


def random_state(device: torch.device) -> dict[str, Any]:
    """Return the state of every source of random numbers, as plain values.

    Args:
        device: that this rank computes on.
    """
    of_numpy = np.random.get_state()
    assert isinstance(of_numpy, tuple)
    name, keys, *rest = of_numpy
    state = {
        "python": random.getstate(),
        "numpy": (name, keys.tolist(), *rest),
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Go on with the random numbers after those that `random_state` was taken at.

    Raises:
        CheckpointError: they are no such state.
    """
    try:
        random.setstate(state["python"])
        np.random.set_state(state["numpy"])
        torch.set_rng_state(state["torch"])
        if device.type == "cuda" and "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], device)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"the random numbers of a run cannot be set: {error}") from error
