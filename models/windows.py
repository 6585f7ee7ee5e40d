"""Texts that are longer than an encoder reads at once, cut into windows that overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Texts:
    """Texts of one kind, padded to the longest.

    Attributes:
        token_ids: [N, T] int64.
        token_mask: [N, T] bool.
        lengths: N numbers, the word-pieces of each, known without asking the device.
    """

    token_ids: Tensor
    token_mask: Tensor
    lengths: tuple[int, ...]


@dataclass(frozen=True)
class Windows:
    """The windows of some texts.

    Attributes:
        texts: the windows, W of them.
        places: [N, T] int64, where each word-piece of the texts stands in the flattened windows.
        mask: [N, T] bool, the texts'.
    """

    texts: Texts
    places: Tensor
    mask: Tensor

    def join(self, vectors: Tensor) -> Tensor:
        """Gather the vectors of texts [N, T, H] from those of windows [W, t, H].

        Padding gets zeros.
        """
        return vectors.flatten(0, 1)[self.places] * self.mask[..., None]


def cut_into_windows(texts: Texts, limit: int) -> Windows:
    """Cut each text into windows of at most `limit` word-pieces, each of which can be encoded.

    A text that is not longer is one window. Every window of a longer one begins with the text's
    first word-piece and ends with its last, the special ones; what stands between overlaps the next
    window's by half. A word-piece is taken from the window that has it nearest to the middle.
    """
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    sources: list[tuple[int, np.ndarray]] = []
    for row, length in enumerate(texts.lengths):
        windows = _windows(length, limit)
        sources.extend((row, window) for window in windows)
        kept.append(_most_central(windows, length))
    width = max(len(window) for _, window in sources)
    # Of each slot of a window the word-piece that it holds, in the flattened texts; the padding of
    # a window holds any, and is masked.
    longest = texts.token_ids.shape[1]
    slots = np.zeros((len(sources), width), dtype=np.int64)
    places = np.zeros((len(texts.lengths), longest), dtype=np.int64)
    first = 0
    for row, (window_of, column_of) in enumerate(kept):
        places[row, : len(window_of)] = (first + window_of) * width + column_of
        first += window_of.max(initial=-1) + 1
    for number, (row, window) in enumerate(sources):
        slots[number, : len(window)] = row * longest + window
    lengths = tuple(len(window) for _, window in sources)
    device = texts.token_ids.device
    filled = np.arange(width) < np.asarray(lengths)[:, None]
    cut = Texts(
        token_ids=texts.token_ids.flatten()[torch.from_numpy(slots).to(device)],
        token_mask=torch.from_numpy(filled).to(device),
        lengths=lengths,
    )
    return Windows(cut, torch.from_numpy(places).to(device), texts.token_mask)


def _windows(length: int, limit: int) -> list[np.ndarray]:
    """Return the word-pieces of each window of a text."""
    if length <= limit:
        return [np.arange(length)]
    room, between = limit - 2, length - 2
    starts = [*range(0, between - room, room // 2), between - room]
    return [np.r_[0, 1 + start : 1 + start + room, length - 1] for start in starts]


def _most_central(windows: list[np.ndarray], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Find for each word-piece of a text the window that has it nearest to its middle.

    Returns:
        [length] int64, the windows, and the word-pieces' columns in them.
    """
    nearest = np.zeros(length, dtype=np.int64)
    columns = np.zeros(length, dtype=np.int64)
    least = np.full(length, np.inf)
    for number, window in enumerate(windows):
        own = np.arange(len(window))
        distance = np.abs(own - (len(window) - 1) / 2)
        # The special ones stand in all windows: the first is the first window's, the last the
        # last's.
        if number > 0:
            distance[0] = np.inf
        if number < len(windows) - 1:
            distance[-1] = np.inf
        nearer = distance < least[window]
        places = window[nearer]
        nearest[places], columns[places] = number, own[nearer]
        least[places] = distance[nearer]
    return nearest, columns
