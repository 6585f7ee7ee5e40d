"""The text encoder's tokenizer: texts to word-pieces that know their characters."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import tokenizers

from utils.pretrained import EncoderNotFound, locate_encoder
from utils.printable import quote


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer and the few facts about its vocabulary that encoding needs.

    Attributes:
        backend: with neither truncation nor padding.
        pad_id: fills the slots of a batch.
        mask_id: stands for a masked word-piece.
    """

    backend: tokenizers.Tokenizer
    pad_id: int
    mask_id: int

    @functools.cached_property
    def vocabulary_size(self) -> int:
        """How many word-pieces there are."""
        # The tokenizer counts its vocabulary anew each time it is asked, which takes milliseconds.
        return int(self.backend.get_vocab_size())

    def encode(self, text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cut a text into word-pieces.

        Returns:
            token ids [T] int64; the characters of each, [T, 2] int64 from start to end, end
            exclusive; whether it is special (added by the tokenizer, without characters), [T] bool.
        """
        encoding = self.backend.encode(text)
        return (
            np.asarray(encoding.ids, dtype=np.int64),
            np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2),
            np.asarray(encoding.special_tokens_mask, dtype=bool),
        )

    def to_json(self) -> str:
        """Write everything as text for a checkpoint."""
        return json.dumps(
            {
                "tokenizer": self.backend.to_str(),
                "pad_id": self.pad_id,
                "mask_id": self.mask_id,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        """Read what `to_json` wrote; anything else ends in nearly any kind of error."""
        values = json.loads(text)
        backend = tokenizers.Tokenizer.from_str(values["tokenizer"])
        for name in ("pad_id", "mask_id"):
            if type(values[name]) is not int or backend.id_to_token(values[name]) is None:
                raise ValueError(f"{name} is {quote(values[name])}, expected that of a word-piece")
        return cls(backend, pad_id=values["pad_id"], mask_id=values["mask_id"])


def load_tokenizer(name: str) -> Tokenizer:
    """Load the tokenizer of a text encoder.

    Args:
        name: a hub name, a folder, or the packaged encoder's name.

    Raises:
        EncoderNotFound: it cannot be had, or its tokenizer does not tell characters.
    """
    # transformers takes seconds to import; a checkpoint brings its tokenizer and needs none of it.
    from transformers import AutoTokenizer

    source = locate_encoder(name)
    try:
        load: Any = AutoTokenizer.from_pretrained  # transformers does not type it
        tokenizer = load(source, use_fast=True)
    except (OSError, ValueError, ImportError) as error:
        raise EncoderNotFound(name, error) from error
    if not tokenizer.is_fast or None in (tokenizer.mask_token_id, tokenizer.pad_token_id):
        raise EncoderNotFound(name, "its tokenizer lacks character offsets, mask or padding")
    # A copy: the file's own settings may cut texts at a length of its makers' choosing.
    backend = tokenizers.Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    return Tokenizer(
        backend=backend,
        pad_id=tokenizer.pad_token_id,
        mask_id=tokenizer.mask_token_id,
    )
