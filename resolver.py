"""Resolving narrations with a trained model: links, chains and boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from data.candidates import without_crossing
from data.loaders import NarrationDataset, OrderedBatches, make_loader
from data.mentions import with_spans
from data.narration import Narration
from data.regions import RegionStore
from data.word_pieces import WordPieces
from data.word_vectors import WordVectors
from evaluation.chains import chains_from_similarity
from evaluation.mention_scores import MENTION_THRESHOLDS, ScoredSpan, spans_above
from models.build import build_from_checkpoint
from models.coreference_model import CoreferenceModel, predicted_boxes
from models.windows import Texts
from utils.batch import Batch
from utils.checkpoint import CheckpointError, load_checkpoint
from utils.config import Config, language_of_features
from utils.errors import InputError


@dataclass(frozen=True)
class Resolution:
    """What a model says of one narration; M is all its mentions.

    Attributes:
        narration: what was resolved.
        similarity: [M, M] float32, the cosine of every two mentions, or where the model ranks
            antecedents the probability that they are of one chain; -1 between a mention that the
            model did not see and all others.
        chains: indices of mentions; every mention is in exactly one chain.
        boxes_xyxy: [M, 4] float32, relative to the picture; None where there are no regions.
        box_scores: [M] float32, the attention on each mention's region; None likewise.
        regions_xyxy: [R, 4] float32, the picture's regions; R is 0 where there are none.
    """

    narration: Narration
    similarity: np.ndarray
    chains: list[list[int]]
    boxes_xyxy: np.ndarray | None
    box_scores: np.ndarray | None
    regions_xyxy: np.ndarray


class Resolver:
    """A model together with what it takes to use it.

    Args:
        model: on the device that it is to run on.
        word_pieces: the text encoder's tokenizer.
        config: of the run that trained it.
        threshold: the similarity above which two mentions are linked.
        device: the model's.
        precision: of the model's matrix products.
        mention_threshold: the probability above which a stretch of a text is a mention; None where
            it is not known, or the model finds no mentions.
    """

    def __init__(
        self,
        model: CoreferenceModel,
        word_pieces: WordPieces,
        config: Config,
        threshold: float,
        device: torch.device,
        precision: torch.dtype = torch.float32,
        mention_threshold: float | None = None,
    ) -> None:
        self.model = model
        self.word_pieces = word_pieces
        self.config = config
        self.threshold = threshold
        self.device = device
        self.precision = precision
        self.mention_threshold = mention_threshold

    @classmethod
    def from_checkpoint(
        cls, path: Path, device: torch.device, precision: torch.dtype = torch.float32
    ) -> Resolver:
        """Load a checkpoint; nothing beside the file is needed, but for word vectors (`resolve`).

        Raises:
            CheckpointError: the file is missing, broken, or its weights are of another shape.
        """
        checkpoint = load_checkpoint(path)
        try:
            model = build_from_checkpoint(checkpoint.config, checkpoint.encoder_config)
            model.load_state_dict(checkpoint.model_state)
            word_pieces = WordPieces.from_json(checkpoint.word_pieces)
            largest = max(word_pieces.tokenizer.get_vocab().values())
            if largest >= model.text_encoder.config.vocab_size:
                raise ValueError(f"the text encoder has no word-piece {largest}, the tokenizer has")
        except Exception as error:
            # Values that do not fit together end in nearly any kind of error.
            raise CheckpointError(f"{path}: {type(error).__name__}: {error}") from error
        return cls(
            model.to(device),
            word_pieces,
            checkpoint.config,
            checkpoint.threshold,
            device,
            precision,
            checkpoint.mention_threshold,
        )

    def find_mentions(self, narrations: Sequence[Narration], **options: Any) -> list[Narration]:
        """The narrations with the mentions that the model finds in them, instead of any they have.

        Options and errors are those of `score_mentions`; `resolve` takes what is returned.
        """
        scored = self.score_mentions(narrations, **options)
        return [
            with_spans(narration, spans_above(of_narration, self.mention_threshold))
            for narration, of_narration in zip(narrations, scored, strict=True)
        ]

    def score_mentions(
        self,
        narrations: Sequence[Narration],
        *,
        word_vectors: WordVectors | None = None,
        batch: int = 32,
        workers: int = 0,
        progress: str | None = None,
    ) -> Iterator[list[ScoredSpan]]:
        """What may be mentions of narrations, of which only the texts are read.

        The most probable stretches first, of those that cross only the first, down to the lowest
        threshold there is. To take those above any higher one is to look for them with it.

        Args:
            word_vectors: of their words, for a model that was trained with such.
            batch: how many go through the text encoder together; the answer does not depend on it.
            workers: processes that read ahead.
            progress: what the progress bar says; None for no bar.

        Raises:
            InputError: the model was not trained to find mentions; or it reads word vectors and
                there are none, or the other way round.
        """
        if not self.config.mention_detection:
            raise InputError("the model was not trained to find mentions (--detect-mentions)")
        self._check_word_vectors(word_vectors)
        dataset = NarrationDataset(
            [replace(narration, mentions=()) for narration in narrations],
            None,
            self.word_pieces,
            self.config.max_mentions,
            word_vectors=word_vectors,
            max_mention_pieces=self.config.max_mention_pieces,
        )
        loader = make_loader(dataset, OrderedBatches(len(dataset), batch), workers, self.device)
        self.model.eval()
        with tqdm(total=len(narrations), desc=progress, disable=progress is None) as bar:
            for padded in loader:
                yield from self._scored_spans(padded)
                bar.update(len(padded))

    @torch.inference_mode()
    def _scored_spans(self, batch: Batch) -> list[list[ScoredSpan]]:
        logits = self.model.mention_logits(batch.to(self.device), self.precision)
        probabilities = logits.sigmoid().cpu()
        scored = []
        for of_narration, starts, ends in zip(
            probabilities, batch.mention_starts.tolist(), batch.mention_ends.tolist(), strict=True
        ):
            first, width = torch.nonzero(of_narration > MENTION_THRESHOLDS[0], as_tuple=True)
            values = of_narration[first, width]
            stretches = torch.stack([first, first + width], dim=1).numpy()
            order = values.argsort(descending=True, stable=True).tolist()
            taken = without_crossing(stretches, order)
            scored.append(
                [
                    ScoredSpan(starts[stretches[i, 0]], ends[stretches[i, 1]], values[i].item())
                    for i in taken
                ]
            )
        return scored

    def _check_word_vectors(self, word_vectors: WordVectors | None) -> None:
        if (word_vectors is not None) != bool(self.config.word_vector_size):
            found, expected = ("none", "some") if word_vectors is None else ("some", "none")
            raise InputError(
                f"word vectors (--sense2vec): found {found}, the model reads {expected}"
            )

    def resolve(
        self,
        narrations: Sequence[Narration],
        store: RegionStore | None,
        *,
        word_vectors: WordVectors | None = None,
        batch: int = 32,
        workers: int = 0,
        progress: str | None = None,
    ) -> Iterator[Resolution]:
        """Resolve narrations one after the other, in their order.

        Args:
            narrations: their mentions are what is linked and grounded.
            store: the regions of their pictures; None to read the texts alone.
            word_vectors: of their words, for a model that was trained with such.
            batch: how many go through the model together; the answer does not depend on it.
            workers: processes that read ahead.
            progress: what the progress bar says; None for no bar.

        Raises:
            InputError: the model reads word vectors and there are none, or the other way round.
        """
        self._check_word_vectors(word_vectors)
        dataset = NarrationDataset(
            narrations,
            store,
            self.word_pieces,
            self.config.max_mentions,
            word_vectors=word_vectors,
            language=language_of_features(self.config),
        )
        batches = OrderedBatches(len(dataset), batch)
        loader = make_loader(dataset, batches, workers, self.device)
        places = iter(range(len(narrations)))
        self.model.eval()
        labels = _LabelVectors(self.model, self.device, self.precision)
        with tqdm(total=len(narrations), desc=progress, disable=progress is None) as bar:
            for padded in loader:
                for of_batch in self._run(padded, labels):
                    yield self._resolution(narrations[next(places)], *of_batch)
                bar.update(len(padded))

    @torch.inference_mode()
    def _run(self, batch: Batch, labels: _LabelVectors) -> list[tuple[np.ndarray, ...]]:
        """For each narration: seen mentions, their similarity, boxes, scores, and its regions."""
        label_vectors = labels.of(batch)
        batch = batch.to(self.device)
        output = self.model(batch, self.precision, label_vectors)
        boxes, scores = predicted_boxes(output, batch, refine=self.config.box_regression)
        arrays = [
            tensor.float().cpu().numpy()
            for tensor in (output.mention_similarity, boxes, scores, batch.region_boxes_xyxy)
        ]
        region_counts = batch.region_mask.sum(dim=1).tolist()
        rows = []
        for row, (indices, regions) in enumerate(
            zip(batch.mention_indices, region_counts, strict=True)
        ):
            similarity, boxes_xyxy, box_scores, regions_xyxy = (array[row] for array in arrays)
            seen = np.asarray(indices, dtype=np.int64)
            count = len(seen)
            rows.append(
                (
                    seen,
                    similarity[:count, :count],
                    boxes_xyxy[:count],
                    box_scores[:count],
                    regions_xyxy[:regions],
                )
            )
        return rows

    def _resolution(
        self,
        narration: Narration,
        seen: np.ndarray,
        similarity: np.ndarray,
        boxes_xyxy: np.ndarray,
        box_scores: np.ndarray,
        regions_xyxy: np.ndarray,
    ) -> Resolution:
        mentions = len(narration.mentions)
        full = np.full((mentions, mentions), -1.0, dtype=np.float32)
        np.fill_diagonal(full, 1.0)
        full[np.ix_(seen, seen)] = similarity
        all_boxes = all_scores = None
        if len(regions_xyxy):
            all_boxes = np.zeros((mentions, 4), dtype=np.float32)
            all_scores = np.zeros(mentions, dtype=np.float32)
            all_boxes[seen], all_scores[seen] = boxes_xyxy, box_scores
        return Resolution(
            narration=narration,
            similarity=full,
            chains=chains_from_similarity(full, self.threshold),
            boxes_xyxy=all_boxes,
            box_scores=all_scores,
            regions_xyxy=regions_xyxy,
        )


class _LabelVectors:
    """The vectors of region labels, kept from batch to batch: pictures share most of theirs.

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
