"""Pad examples into batches."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.encoding.candidates import NO_BOUNDARY
from data.encoding.example import Example
from data.encoding.text import (
    UNKNOWN_CHAIN,
    UNKNOWN_PERSON,
    UNKNOWN_REGION,
    EncodedText,
    person_numbers,
    region_numbers,
)
from data.encoding.tokenizer import Tokenizer
from data.narration import Regions
from utils.batch import Batch, MaskedWords, SpanCandidates


class Collate:
    """Pads examples into a batch, each kind of slot to its own longest.

    Every distinct label of the regions is in the batch once, as word-pieces.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def __call__(self, examples: Sequence[Example]) -> Batch:
        texts = [example.text for example in examples]
        token_ids, token_mask = pad([text.token_ids for text in texts], self.tokenizer.pad_id)
        mention_spans, mention_mask = pad([text.mention_spans for text in texts], 0)
        chains, _ = pad([example.chains for example in examples], UNKNOWN_CHAIN)
        gold_boxes, gold_mask = _pad_gold_boxes(examples, mention_mask.shape[1])
        trace_boxes, trace_mask = _pad_traces(examples, mention_mask.shape[1])
        mention_regions, region_people = _pad_alignment(examples)
        return Batch(
            narration_ids=tuple(example.narration.id for example in examples),
            mention_indices=tuple(text.mention_indices for text in texts),
            token_lengths=tuple(map(len, texts)),
            token_ids=token_ids,
            token_mask=token_mask,
            mention_spans=mention_spans,
            mention_mask=mention_mask,
            chains=chains,
            gold_boxes_xyxy=gold_boxes,
            gold_box_mask=gold_mask,
            mention_regions=mention_regions,
            region_people=region_people,
            trace_boxes_xyxy=trace_boxes,
            trace_mask=trace_mask,
            mention_features=_pad_features(examples),
            word_vectors=_pad_word_vectors(texts),
            **self._regions(examples),
            masked_words=_masked_words(examples, token_ids.shape[1], self.tokenizer.pad_id),
            candidates=_span_candidates(examples),
        )

    def _regions(self, examples: Sequence[Example]) -> dict[str, Any]:
        numbers: dict[str, int] = {}
        all_regions = [example.regions for example in examples]
        width = max((r.features.shape[1] for r in all_regions if r is not None), default=0)
        nothing = Regions(np.zeros((0, 4), np.float32), (), (), np.zeros((0, width), np.float32))
        features, boxes, labels = [], [], []
        for regions in (nothing if r is None else r for r in all_regions):
            features.append(regions.features)
            boxes.append(regions.boxes_xyxy)
            rows = [numbers.setdefault(label, len(numbers)) for label in regions.labels]
            labels.append(np.asarray(rows, dtype=np.int64))
        region_features, region_mask = pad(features, 0)
        encoded = [self.tokenizer.encode(label) for label in numbers]
        label_ids, label_mask = pad([ids for ids, _, _ in encoded], self.tokenizer.pad_id)
        special, _ = pad([special for _, _, special in encoded], True)
        return {
            "region_features": region_features,
            "region_boxes_xyxy": pad(boxes, 0)[0],
            "region_labels": pad(labels, 0)[0],
            "region_mask": region_mask,
            "label_lengths": tuple(len(ids) for ids, _, _ in encoded),
            "label_token_ids": label_ids,
            "label_token_mask": label_mask,
            "label_word_mask": ~special.bool(),
        }


def pad(arrays: Sequence[np.ndarray], value: int) -> tuple[Tensor, Tensor]:
    """Stack arrays that differ in their first size.

    Args:
        arrays: each [n_i, ...], alike in type and in the other sizes; may be none.
        value: fills what is left.

    Returns:
        [len(arrays), max n_i, ...] and a mask [len(arrays), max n_i], True where something stands.
    """
    if not arrays:
        return torch.zeros((0, 0), dtype=torch.int64), torch.zeros((0, 0), dtype=torch.bool)
    longest = max(len(array) for array in arrays)
    padded = np.full((len(arrays), longest, *arrays[0].shape[1:]), value, dtype=arrays[0].dtype)
    mask = np.zeros((len(arrays), longest), dtype=bool)
    for row, array in enumerate(arrays):
        padded[row, : len(array)] = array
        mask[row, : len(array)] = True
    return torch.from_numpy(padded), torch.from_numpy(mask)


def _pad_gold_boxes(examples: Sequence[Example], mentions: int) -> tuple[Tensor, Tensor]:
    """Pad gold boxes to [B, M, G, 4] float32 of the mentions in the batch; mask [B, M, G]."""
    boxes = [
        [example.narration.mentions[index].boxes_xyxy for index in example.text.mention_indices]
        for example in examples
    ]
    most = max(map(len, itertools.chain.from_iterable(boxes)), default=0)
    padded = np.zeros((len(examples), mentions, most, 4), dtype=np.float32)
    mask = np.zeros((len(examples), mentions, most), dtype=bool)
    for row, of_narration in enumerate(boxes):
        for column, of_mention in enumerate(of_narration):
            if of_mention:
                padded[row, column, : len(of_mention)] = of_mention
                mask[row, column, : len(of_mention)] = True
    return torch.from_numpy(padded), torch.from_numpy(mask)


def _pad_traces(examples: Sequence[Example], mentions: int) -> tuple[Tensor, Tensor]:
    """Pad trace boxes to [B, M, 4] float32 of the mentions in the batch; mask [B, M]."""
    boxes = np.zeros((len(examples), mentions, 4), dtype=np.float32)
    mask = np.zeros((len(examples), mentions), dtype=bool)
    for row, example in enumerate(examples):
        if example.traces is not None:
            count = len(example.traces.known)
            boxes[row, :count] = example.traces.boxes_xyxy
            mask[row, :count] = example.traces.known
    return torch.from_numpy(boxes), torch.from_numpy(mask)


def _pad_alignment(examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Pad the regions of mentions to [B, M] int64, and who each region shows to [B, R] int64."""
    counts = [0 if example.regions is None else len(example.regions) for example in examples]
    regions = [
        region_numbers(example.narration, example.text.mention_indices, count)
        for example, count in zip(examples, counts, strict=True)
    ]
    people = [person_numbers(e.narration, count) for e, count in zip(examples, counts, strict=True)]
    return pad(regions, UNKNOWN_REGION)[0], pad(people, UNKNOWN_PERSON)[0]


def _pad_features(examples: Sequence[Example]) -> Tensor | None:
    """Pad pair features to [B, M, features] int64; None where none are read."""
    features = [e.mention_features for e in examples if e.mention_features is not None]
    return pad(features, 0)[0] if len(features) == len(examples) else None


def _pad_word_vectors(texts: Sequence[EncodedText]) -> Tensor | None:
    """Pad word vectors to [B, T, D] float32; None where the texts were encoded without."""
    vectors = [text.word_vectors for text in texts if text.word_vectors is not None]
    return pad(vectors, 0)[0] if len(vectors) == len(texts) else None


def _masked_words(examples: Sequence[Example], length: int, pad_id: int) -> MaskedWords | None:
    """Pad masked texts to [B, length]; None where some are not masked."""
    masked = [example.masked for example in examples if example.masked is not None]
    if len(masked) < len(examples):
        return None
    positions = [row * length + text.positions for row, text in enumerate(masked)]
    return MaskedWords(
        token_ids=pad([text.token_ids for text in masked], pad_id)[0],
        positions=torch.from_numpy(np.concatenate(positions)),
        targets=torch.from_numpy(np.concatenate([text.targets for text in masked])),
    )


def _span_candidates(examples: Sequence[Example]) -> SpanCandidates | None:
    """Pad what may be mentions; None where none are to be found."""
    found = [example.candidates for example in examples if example.candidates is not None]
    if not found:
        return None
    gold = [np.insert(candidates.gold, 0, row, axis=1) for row, candidates in enumerate(found)]
    return SpanCandidates(
        starts=pad([candidates.starts for candidates in found], NO_BOUNDARY)[0],
        ends=pad([candidates.ends for candidates in found], NO_BOUNDARY)[0],
        gold=torch.from_numpy(np.concatenate(gold)),
    )
