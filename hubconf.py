"""What torch.hub finds here:

resolver = torch.hub.load(REPOSITORY, "resolver", checkpoint=PATH, source="local")
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inference.resolver import Resolver as _Resolver

dependencies = ["torch", "torchvision", "transformers", "h5py", "numpy", "scipy", "PIL", "tqdm"]


def resolver(checkpoint: Path | str, **options: Any) -> _Resolver:
    """Load a trained model to resolve texts and images with.

    Args:
        checkpoint: a file of weights that `main.py` wrote; it says what the model is like.
        options: of `Resolver.from_checkpoint`.
    """
    return _Resolver.from_checkpoint(checkpoint, **options)
