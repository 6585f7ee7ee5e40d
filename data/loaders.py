"""From narrations to batches: the dataset, its sampler, and the padding."""

from __future__ import annotations

import bisect
import hashlib
import itertools
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from data.candidates import NO_BOUNDARY, Candidates, find_candidates
from data.encoding import (
    UNKNOWN_CHAIN,
    UNKNOWN_PERSON,
    UNKNOWN_REGION,
    EncodedText,
    MaskedWords,
    chain_numbers,
    encode_text,
    mask_words,
    masking_generator,
    person_numbers,
    region_numbers,
    with_word_vectors,
)
from data.mention_features import mention_features
from data.narration import Narration, Regions
from data.regions import GivenRegions, RegionStore
from data.traces import MentionTraces, mention_traces, read_trace
from data.word_pieces import WordPieces
from data.word_vectors import WordVectors
from utils.batch import Batch
from utils.errors import InputError
from utils.languages import Language


@dataclass(frozen=True)
class Masking:
    """How words are masked: the chance of each word-piece, and the run's seed."""

    probability: float
    seed: int


@dataclass(frozen=True)
class Source:
    """Narrations, and what is known of them.

    Attributes:
        narrations: in the order of their files.
        store: the regions of their pictures; None where there are none to read.
        texts: the narrations cut into word-pieces, where that was done already.
        traced: how many have a mouse trace that is read.
    """

    narrations: Sequence[Narration]
    store: RegionStore | None
    texts: Sequence[EncodedText] | None = None
    traced: int = 0


@dataclass(frozen=True)
class Example:
    """A narration with all that a batch needs of it."""

    narration: Narration
    text: EncodedText
    chains: np.ndarray  # [M] int64
    regions: Regions | None
    masked: MaskedWords | None
    traces: MentionTraces | None = None
    mention_features: np.ndarray | None = None  # [M, features] int64
    candidates: Candidates | None = None


class NarrationDataset(Dataset[Example]):
    """Narrations, encoded when they are asked for; an index is (epoch, place).

    Args:
        narrations: what to read, in order.
        store: their pictures' regions; None to read texts alone.
        word_pieces: the text encoder's tokenizer.
        max_mentions: the most mentions of a narration.
        masking: None where no masked words are to be predicted.
        word_vectors: of the narrations' words; None where the model reads none.
        use_traces: whether to read the mouse traces of the narrations that have one.
        trace_lag: by how many words the mouse follows what is spoken of.
        texts: the narrations cut into word-pieces, where that was done already.
        language: of the texts, for the pair features of mentions; None where the model reads none.
        max_mention_pieces: the most word-pieces of a mention to find; None where none are to be
            found.
    """

    def __init__(
        self,
        narrations: Sequence[Narration],
        store: RegionStore | GivenRegions | None,
        word_pieces: WordPieces,
        max_mentions: int,
        masking: Masking | None = None,
        word_vectors: WordVectors | None = None,
        use_traces: bool = False,
        trace_lag: int = 0,
        texts: Sequence[EncodedText] | None = None,
        language: Language | None = None,
        max_mention_pieces: int | None = None,
    ) -> None:
        self.narrations = narrations
        self.store = store
        self.word_pieces = word_pieces
        self.max_mentions = max_mentions
        self.masking = masking
        self.word_vectors = word_vectors
        self.use_traces = use_traces
        self.trace_lag = trace_lag
        self.texts = texts
        self.language = language
        self.max_mention_pieces = max_mention_pieces

    def __len__(self) -> int:
        return len(self.narrations)

    def __getitem__(self, key: tuple[int, int]) -> Example:
        epoch, place = key
        narration = self.narrations[place]
        if self.texts is None:
            text = encode_text(narration, self.word_pieces, self.max_mentions)
        else:
            text = self.texts[place]
        if self.word_vectors is not None:
            text = with_word_vectors(text, narration, self.word_vectors)
        regions = None
        if self.store is not None and narration.image_id is not None:
            regions = self.store.read(narration.image_id, narration.image_size)
        masked = None
        if self.masking is not None:
            generator = masking_generator(self.masking.seed, epoch, narration.id)
            masked = mask_words(text, self.word_pieces, self.masking.probability, generator)
        traces = None
        if self.use_traces and narration.trace_path is not None:
            trace = read_trace(narration)
            traces = mention_traces(narration, trace, text.mention_indices, self.trace_lag)
        candidates = None
        if self.max_mention_pieces is not None:
            candidates = find_candidates(narration, text, self.max_mention_pieces)
        chains = chain_numbers(narration, text.mention_indices)
        features = None
        if self.language is not None:
            features = mention_features(narration, text.mention_indices, self.language)
        return Example(narration, text, chains, regions, masked, traces, features, candidates)


class JoinedDataset(Dataset[Example]):
    """Several datasets one after the other; an index is (epoch, place).

    Args:
        datasets: of one tokenizer; at least one.
    """

    def __init__(self, datasets: Sequence[NarrationDataset]) -> None:
        self.datasets = datasets
        self._ends = np.cumsum([len(dataset) for dataset in datasets]).tolist()
        self.word_pieces = datasets[0].word_pieces

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, key: tuple[int, int]) -> Example:
        epoch, place = key
        number = bisect.bisect_right(self._ends, place)
        start = self._ends[number] - len(self.datasets[number])
        return self.datasets[number][epoch, place - start]


class OrderedBatches(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, place) keys in order, each place once.

    Args:
        size: how many narrations there are.
        batch: how many go into a batch; the last one may be smaller.
    """

    def __init__(self, size: int, batch: int) -> None:
        self.size = size
        self.batch = batch

    def __len__(self) -> int:
        return -(-self.size // self.batch)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for start in range(0, self.size, self.batch):
            yield [(0, place) for place in range(start, min(start + self.batch, self.size))]


class EndlessBatches(Sampler[list[tuple[int, int]]]):
    """One rank's batches of (epoch, place) keys, without end.

    The narrations of all epochs, each shuffled anew, are one stream; a batch of all ranks takes the
    next stretch of it and each rank its part, and a step takes one such batch or several. What a
    step trains on therefore depends on how many narrations it takes in all, not on how many batches
    and ranks share them. The epoch travels with each key, so that workers that read ahead know it
    too.

    Args:
        size: how many narrations there are, at least 1.
        batch: how many go into a rank's batch; fewer where there are not enough for a step.
        seed: shuffles, together with the epoch.
        rank, ranks: which part is this rank's.
        accumulation: how many batches a rank has in a step.
        taken: how many narrations of the stream were trained on before, rounded to whole steps.
    """

    def __init__(
        self,
        size: int,
        batch: int,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        accumulation: int = 1,
        taken: int = 0,
    ) -> None:
        self.size = size
        self.batch = max(1, min(batch, size // (ranks * accumulation)))
        self.seed = seed
        self.rank = rank
        self.ranks = ranks
        self.accumulation = accumulation
        self.start_step = round(taken / self.step_size)

    @property
    def step_size(self) -> int:
        """How many narrations a step takes in all."""
        return self.batch * self.ranks * self.accumulation

    @property
    def steps_per_epoch(self) -> int:
        """Steps until every narration was seen."""
        return -(-self.size // self.step_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        stream = itertools.islice(self._stream(), self.start_step * self.step_size, None)
        while True:
            of_all_ranks = list(itertools.islice(stream, self.batch * self.ranks))
            yield of_all_ranks[self.rank * self.batch : (self.rank + 1) * self.batch]

    def _stream(self) -> Iterator[tuple[int, int]]:
        begun: set[int] = set()
        for epoch in itertools.count():
            places = np.random.default_rng([self.seed, epoch]).permutation(self.size).tolist()
            # No narration twice in a step: it would be held against itself.
            if not begun.isdisjoint(places[: self.step_size - len(begun)]):
                places.sort(key=begun.__contains__)
            yield from ((epoch, place) for place in places)
            begun = set(places[self.size - ((epoch + 1) * self.size) % self.step_size :])


def make_loader(
    dataset: NarrationDataset | JoinedDataset,
    batches: OrderedBatches | EndlessBatches,
    workers: int,
    device: torch.device,
) -> DataLoader[Batch]:
    """A loader of padded batches.

    Args:
        workers: processes that read ahead; 0 reads in this one.
        device: pages are locked for copies where it is a GPU.
    """
    return DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=Collate(dataset.word_pieces),
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        worker_init_fn=_obey_the_reader_alone,
        # Of its own, so that starting workers does not shift the model's random numbers.
        generator=torch.Generator(),
    )


def _obey_the_reader_alone(worker: int) -> None:
    """In a worker: only the process that reads from it ends it by SIGTERM.

    Schedulers send that to all processes, and the one that reads may still want its batches.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_leave_when_told, daemon=True).start()


def _leave_when_told() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


@contextmanager
def workers_explained() -> Iterator[None]:
    """Inside, what ends a worker of a loader is said in one line.

    Raises:
        InputError: the worker's own, without its traceback; or a worker was killed.
    """
    try:
        yield
    except InputError as error:
        # A worker hands its error over as the text of its traceback, which ends in the message.
        *traceback, message = str(error).split(f"{type(error).__module__}.{type(error).__name__}: ")
        if not traceback:
            raise
        raise type(error)(message.strip()) from None
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise InputError(
            f"a process that reads data ahead has ended ({error}); where the system killed it, "
            "memory may have run out: fewer --workers take less"
        ) from error


def hold_out(
    narrations: Sequence[Narration], fraction: float
) -> tuple[list[Narration], list[Narration]]:
    """Split off narrations that are never trained on, by a hash of their id.

    The same id falls on the same side in every run and for every seed.

    Args:
        fraction: the share to hold out, from 0 to 1.

    Returns:
        The narrations to train on, and those held out, each in the given order.
    """
    kept: list[Narration] = []
    held: list[Narration] = []
    for narration in narrations:
        (held if _share_of_id(narration.id) < fraction else kept).append(narration)
    return kept, held


def keep_labels(narrations: Sequence[Narration], fraction: float) -> list[Narration]:
    """The share of labelled narrations whose labels are read, by a hash of their id.

    A smaller share is part of a larger one. The hash is another than that of `hold_out`, so that
    both shares are taken independently.

    Args:
        fraction: above 0, up to 1; rounded to a whole number of narrations, at least one.

    Returns:
        That many narrations, in the given order.
    """
    count = max(1, round(fraction * len(narrations)))
    ids = sorted((n.id for n in narrations), key=lambda i: _share_of_id(f"labels of {i}"))
    kept = set(ids[:count])
    return [narration for narration in narrations if narration.id in kept]


def _share_of_id(narration_id: str) -> float:
    """A number from 0 to 1 that the id alone decides."""
    digest = hashlib.sha256(narration_id.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


class Collate:
    """Pads examples into a batch, each kind of slot to its own longest.

    Every distinct label of the regions is in the batch once, as word-pieces.
    """

    def __init__(self, word_pieces: WordPieces) -> None:
        self.word_pieces = word_pieces

    def __call__(self, examples: Sequence[Example]) -> Batch:
        texts = [example.text for example in examples]
        token_ids, token_mask = pad([text.token_ids for text in texts], self.word_pieces.pad_id)
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
            **_masked_words(examples, token_ids, self.word_pieces.pad_id),
            **_candidates(examples),
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
        encoded = [self.word_pieces.encode(label) for label in numbers]
        label_ids, label_mask = pad([ids for ids, _, _ in encoded], self.word_pieces.pad_id)
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
    """Gold boxes [B, M, G, 4] float32 of the mentions in the batch, and their mask [B, M, G]."""
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
    """Trace boxes [B, M, 4] float32 of the mentions in the batch, and their mask [B, M]."""
    boxes = np.zeros((len(examples), mentions, 4), dtype=np.float32)
    mask = np.zeros((len(examples), mentions), dtype=bool)
    for row, example in enumerate(examples):
        if example.traces is not None:
            count = len(example.traces.known)
            boxes[row, :count] = example.traces.boxes_xyxy
            mask[row, :count] = example.traces.known
    return torch.from_numpy(boxes), torch.from_numpy(mask)


def _pad_alignment(examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """The region of each mention [B, M] int64, and who each region shows [B, R] int64."""
    counts = [0 if example.regions is None else len(example.regions) for example in examples]
    regions = [
        region_numbers(example.narration, example.text.mention_indices, count)
        for example, count in zip(examples, counts, strict=True)
    ]
    people = [person_numbers(e.narration, count) for e, count in zip(examples, counts, strict=True)]
    return pad(regions, UNKNOWN_REGION)[0], pad(people, UNKNOWN_PERSON)[0]


def _pad_features(examples: Sequence[Example]) -> Tensor | None:
    """Features [B, M, features] int64 of the mentions; None where none are read."""
    features = [e.mention_features for e in examples if e.mention_features is not None]
    return pad(features, 0)[0] if len(features) == len(examples) else None


def _pad_word_vectors(texts: Sequence[EncodedText]) -> Tensor | None:
    """Word vectors [B, T, D] float32; None where the texts were encoded without."""
    vectors = [text.word_vectors for text in texts if text.word_vectors is not None]
    return pad(vectors, 0)[0] if len(vectors) == len(texts) else None


def _masked_words(
    examples: Sequence[Example], token_ids: Tensor, pad_id: int
) -> dict[str, Tensor | None]:
    masked = [example.masked for example in examples if example.masked is not None]
    if len(masked) < len(examples):
        return {}
    length = token_ids.shape[1]
    positions = [row * length + words.positions for row, words in enumerate(masked)]
    return {
        "masked_token_ids": pad([words.token_ids for words in masked], pad_id)[0],
        "masked_positions": torch.from_numpy(np.concatenate(positions)),
        "masked_targets": torch.from_numpy(np.concatenate([words.targets for words in masked])),
    }


def _candidates(examples: Sequence[Example]) -> dict[str, Tensor]:
    found = [example.candidates for example in examples if example.candidates is not None]
    if not found:
        return {}
    gold = [np.insert(of_one.gold, 0, row, axis=1) for row, of_one in enumerate(found)]
    return {
        "mention_starts": pad([of_one.starts for of_one in found], NO_BOUNDARY)[0],
        "mention_ends": pad([of_one.ends for of_one in found], NO_BOUNDARY)[0],
        "gold_stretches": torch.from_numpy(np.concatenate(gold)),
    }
