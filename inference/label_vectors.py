"""The vectors of region labels, computed once for a model."""

from __future__ import annotations

import torch
from torch import Tensor

from models.coreference_model import CoreferenceModel
from models.windows import Texts
from utils.batch import Batch


class LabelVectors:
    """The vectors of region labels, kept from batch to batch: images share most of theirs.

    Args:
        model: whose weights do not change meanwhile.
        device: the model's.
        precision: of its matrix products.
    """

    def __init__(
        self, model: CoreferenceModel, device: torch.device, precision: torch.dtype
    ) -> None:
        self._model = model
        self._device = device
        self._precision = precision
        self._rows: dict[tuple[int, ...], int] = {}
        self._vectors = torch.empty(0, model.text_encoder.hidden_size, device=device)

    def of(self, batch: Batch) -> Tensor | None:
        """[L, H] for the labels of a batch that is not on the device yet; None without labels."""
        if not batch.label_lengths:
            return None
        rows = zip(batch.label_token_ids.tolist(), batch.label_lengths, strict=True)
        keys = [tuple(row[:length]) for row, length in rows]
        # Labels that are written differently may have the same word-pieces.
        new = {key: place for place, key in enumerate(keys) if key not in self._rows}
        if new:
            places = list(new.values())
            lengths = tuple(batch.label_lengths[place] for place in places)
            ids, mask, word_mask = (
                tensor[places].to(self._device)
                for tensor in (
                    batch.label_token_ids,
                    batch.label_token_mask,
                    batch.label_word_mask,
                )
            )
            texts = Texts(ids, mask, lengths)
            vectors = self._model.encode_labels(texts, word_mask, self._precision)
            self._rows |= {key: row for row, key in enumerate(new, start=len(self._rows))}
            self._vectors = torch.cat([self._vectors, vectors])
        return self._vectors[[self._rows[key] for key in keys]]
