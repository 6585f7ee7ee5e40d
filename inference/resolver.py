"""Resolving narrations with a trained model: links, chains and boxes.

resolver = Resolver.from_checkpoint("saved/RUN/models.pt")
(resolution,) = resolver(None, "A man holds a dog. He pets it.")
resolution.chain_texts()
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from data.encoding.example import ExampleEncoder
from data.encoding.left_out import left_out_lines
from data.encoding.tokenizer import Tokenizer
from data.encoding.word_vectors import WordVectors
from data.loading.dataset import NarrationDataset
from data.loading.loader import make_loader
from data.loading.samplers import SizedBatches
from data.mention_spans import with_spans
from data.narration import Narration
from data.regions.store import GivenRegions, RegionStore
from inference.decoding import Predictions, decode_spans
from inference.inputs import (
    ImageInput,
    ImagesToRegions,
    as_lists,
    check_images,
    narrations_of,
    with_images,
)
from inference.label_vectors import LabelVectors
from inference.resolution import Resolution
from metrics.mention_scores import ScoredSpan, spans_above
from models.coreference_model import CoreferenceModel
from models.factory import build_from_config
from utils.batch import Batch
from utils.checkpointing.checkpoint import CheckpointError, load_checkpoint
from utils.config import Config, language_of_features
from utils.device import choose_device
from utils.errors import InputError
from utils.text.spans import Span
from utils.thresholds import Thresholds

# How many characters of texts, with their padding, go through the model together.
_CHARACTERS_AT_ONCE = 2**18

_FINDS_NO_MENTIONS = "the model was not trained to find mentions (--detect-mentions)"


class LeftOutWarning(UserWarning):
    """A model did not see some mentions of a text, or did not compare all of them."""


class Resolver:
    """A model together with what it takes to use it.

    Args:
        model: on the device that it is to run on.
        tokenizer: the text encoder's.
        config: of the run that trained it.
        thresholds: above which two mentions are linked, a span is a mention, and a region
            shows a chain.
        precision: of the model's matrix products.
        region_extractor: finds the regions of images; None where all that are given have theirs.
        regions_made_of: what made the regions that the model was trained on, where that is known.
    """

    def __init__(
        self,
        model: CoreferenceModel,
        tokenizer: Tokenizer,
        config: Config,
        thresholds: Thresholds,
        precision: torch.dtype = torch.float32,
        region_extractor: ImagesToRegions | None = None,
        regions_made_of: Mapping[str, object] | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.config = config
        self.thresholds = thresholds
        self.precision = precision
        self.region_extractor = region_extractor
        self.regions_made_of = regions_made_of

    @classmethod
    def from_checkpoint(
        cls,
        path: Path | str,
        device: torch.device | str = "auto",
        precision: torch.dtype = torch.float32,
        *,
        language: str | None = None,
        region_extractor: ImagesToRegions | None = None,
    ) -> Resolver:
        """Load a checkpoint; nothing beside the file is needed, but for word vectors (`resolve`).

        Args:
            device: or its name; "auto" is the GPU where there is one.
            precision: of the model's matrix products.
            language: of the texts, where it is another one than that of the training.
            region_extractor: finds the regions of images.

        Raises:
            CheckpointError: the file is missing, broken, or its weights are of another shape.
            InputError: there is no such device.
        """
        checkpoint = load_checkpoint(Path(path))
        if isinstance(device, str):
            device = choose_device(device)
        try:
            model = build_from_config(checkpoint.config, checkpoint.encoder_config)
            model.load_state_dict(checkpoint.model_state)
            tokenizer = Tokenizer.from_json(checkpoint.tokenizer)
            largest = max(tokenizer.backend.get_vocab().values())
            if largest >= model.text_encoder.config.vocab_size:
                raise ValueError(f"the text encoder has no word-piece {largest}, the tokenizer has")
        except Exception as error:
            # Values that do not fit together end in nearly any kind of error.
            raise CheckpointError(f"{path}: {type(error).__name__}: {error}") from error
        config = checkpoint.config
        if language is not None:
            config = replace(config, language=language)
        return cls(
            model.to(device),
            tokenizer,
            config,
            checkpoint.thresholds,
            precision,
            region_extractor,
            checkpoint.regions_made_of,
        )

    @property
    def device(self) -> torch.device:
        """The model's."""
        return next(self.model.parameters()).device

    def __call__(
        self,
        images: Sequence[ImageInput | None] | ImageInput | None,
        texts: Sequence[str] | str,
        mentions: Sequence[Sequence[Span] | None] | Sequence[Span] | None = None,
        *,
        word_vectors: WordVectors | None = None,
        batch: int = 32,
    ) -> list[Resolution]:
        """Resolve texts, each alone or with its image.

        For a single text, pass the text itself with its image and its mentions, none of them in a
        list of texts.

        Args:
            images: the image of each text or its regions, None for a text alone; None for texts
                alone.
            mentions: the mentions of each text as characters (start, end), the end exclusive, in
                any order, or None for those that the model finds; None to find those of all.
            word_vectors: of the texts' words, for a model that was trained with such.
            batch: how many go through the model together; the answer does not depend on it.

        Returns:
            One for each text, in their order. What the model left out of their mentions is a
            `LeftOutWarning`.

        Raises:
            InputError: an image cannot be read, or its regions cannot be had or are not the
                model's; mentions are to be found by a model that finds none, or lie outside of
                their text; there are not as many of all as there are texts.
        """
        images, texts, mentions = as_lists(images, texts, mentions)
        check_images(images, self.config, can_extract=self.region_extractor is not None)
        if any(spans is None for spans in mentions) and not self.config.mention_detection:
            raise InputError(
                "mentions: found None, and the model was not trained to find mentions (main.py "
                "--detect-mentions); pass their places, such as "
                "data.mentions.spacy_pipeline.find_spans takes from a spaCy pipeline"
            )
        narrations = narrations_of(texts, mentions)
        resolutions: list[Resolution] = []
        for start in range(0, len(narrations), batch):
            part = slice(start, start + batch)
            marked = self._with_mentions(narrations[part], mentions[part], word_vectors, batch)
            imaged, store = with_images(marked, images[part], self.region_extractor, self.config)
            resolutions += self.resolve(imaged, store, word_vectors=word_vectors, batch=batch)
        counted = [resolution.left_out for resolution in resolutions]
        for line in left_out_lines(counted, self.config.mention_reach):
            warnings.warn(line, LeftOutWarning, stacklevel=2)
        return resolutions

    def _with_mentions(
        self,
        narrations: Sequence[Narration],
        mentions: Sequence[Sequence[Span] | None],
        word_vectors: WordVectors | None,
        batch: int,
    ) -> list[Narration]:
        """Find the mentions of the narrations that have none given."""
        unmarked = [n for n, given in zip(narrations, mentions, strict=True) if given is None]
        if not unmarked:
            return list(narrations)
        found = self.find_mentions(unmarked, word_vectors=word_vectors, batch=batch)
        by_id = {narration.id: narration for narration in found}
        return [by_id.get(narration.id, narration) for narration in narrations]

    def find_mentions(
        self,
        narrations: Sequence[Narration],
        *,
        word_vectors: WordVectors | None = None,
        batch: int = 32,
        workers: int = 0,
        progress: str | None = None,
    ) -> list[Narration]:
        """Return narrations with the mentions that the model finds, instead of any they have.

        Arguments and errors are those of `score_mentions`; `resolve` takes what is returned.
        """
        threshold = self.thresholds.mention
        if threshold is None:
            raise InputError(_FINDS_NO_MENTIONS)
        scored = self.score_mentions(
            narrations,
            word_vectors=word_vectors,
            batch=batch,
            workers=workers,
            progress=progress,
        )
        return [
            with_spans(narration, spans_above(spans, threshold))
            for narration, spans in zip(narrations, scored, strict=True)
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
        """Yield what may be mentions of narrations, of which only the texts are read.

        The spans come the most probable first, down to the lowest threshold that a model can have.
        Of two spans that cross, only the more probable one is kept. So those above a higher
        threshold are the spans that a search with this threshold finds.

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
            raise InputError(_FINDS_NO_MENTIONS)
        self._check_word_vectors(word_vectors)
        encoder = ExampleEncoder(
            self.tokenizer,
            None,
            word_vectors,
            max_mention_pieces=self.config.max_mention_pieces,
        )
        unmarked = [replace(narration, mentions=()) for narration in narrations]
        dataset = NarrationDataset(unmarked, None, encoder)
        for padded in self._batches(dataset, batch, workers, progress):
            yield from self._scored_spans(padded)

    @torch.inference_mode()
    def _scored_spans(self, padded: Batch) -> list[list[ScoredSpan]]:
        logits = self.model.mention_logits(padded.to(self.device), self.precision)
        assert padded.candidates is not None  # else there were no logits
        return decode_spans(logits, padded.candidates)

    def resolve(
        self,
        narrations: Sequence[Narration],
        store: RegionStore | GivenRegions | None,
        *,
        word_vectors: WordVectors | None = None,
        batch: int = 32,
        workers: int = 0,
        progress: str | None = None,
    ) -> Iterator[Resolution]:
        """Yield the resolutions of narrations one after the other, in their order.

        Args:
            narrations: their mentions are what is linked and grounded.
            store: the regions of their images; None to read the texts alone.
            word_vectors: of their words, for a model that was trained with such.
            batch: how many go through the model together; the answer does not depend on it.
            workers: processes that read ahead.
            progress: what the progress bar says; None for no bar.

        Raises:
            InputError: the model reads word vectors and there are none, or the other way round; or
                it is broken, so that what it says is not a number.
        """
        self._check_word_vectors(word_vectors)
        config = self.config
        encoder = ExampleEncoder(self.tokenizer, None, word_vectors, language_of_features(config))
        dataset = NarrationDataset(narrations, store, encoder)
        labels = LabelVectors(self.model, self.device, self.precision)
        left = iter(narrations)
        for padded in self._batches(dataset, batch, workers, progress):
            predictions = self._predict(padded, labels)
            for row, narration in enumerate(itertools.islice(left, len(padded))):
                yield predictions.resolution(row, narration, self.thresholds.link)

    @torch.inference_mode()
    def _predict(self, padded: Batch, labels: LabelVectors) -> Predictions:
        label_vectors = labels.of(padded)
        padded = padded.to(self.device)
        output = self.model(padded, self.precision, label_vectors)
        return Predictions.of(output, padded, refine_boxes=self.config.box_regression)

    def _batches(
        self, dataset: NarrationDataset, batch: int, workers: int, progress: str | None
    ) -> Iterator[Batch]:
        """Yield padded batches in order, with a progress bar where one is asked for."""
        lengths = [len(narration.text) for narration in dataset.narrations]
        batches = SizedBatches(lengths, batch, _CHARACTERS_AT_ONCE)
        loader = make_loader(dataset, batches, workers, self.device)
        self.model.eval()
        with tqdm(total=len(dataset), desc=progress, disable=progress is None) as bar:
            for padded in loader:
                yield padded
                bar.update(len(padded))

    def _check_word_vectors(self, word_vectors: WordVectors | None) -> None:
        if (word_vectors is not None) != bool(self.config.word_vector_size):
            found, expected = ("none", "some") if word_vectors is None else ("some", "none")
            raise InputError(
                f"word vectors (--sense2vec): found {found}, the model reads {expected}"
            )
