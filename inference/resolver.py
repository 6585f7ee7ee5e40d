"""Resolving narrations with a trained model: links, chains and boxes.

resolver = Resolver.from_checkpoint("saved/RUN/models.pt")
(resolution,) = resolver(None, "A man holds a dog. He pets it.")
resolution.chain_texts()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from data.encoding.candidates import without_crossing
from data.encoding.example import ExampleEncoder
from data.encoding.tokenizer import Tokenizer
from data.encoding.word_vectors import WordVectors
from data.files import is_text
from data.loading.dataset import NarrationDataset
from data.loading.loader import make_loader
from data.loading.samplers import OrderedBatches
from data.media.images import open_image
from data.mention_spans import checked_spans, with_spans
from data.narration import Narration, Regions
from data.regions.store import GivenRegions, RegionStore
from inference.label_vectors import LabelVectors
from inference.resolution import Resolution
from metrics.mention_scores import (
    MENTION_THRESHOLDS,
    ScoredSpan,
    spans_above,
)
from models.coreference_model import CoreferenceModel, predicted_boxes
from models.factory import build_from_checkpoint
from utils.batch import Batch
from utils.checkpointing.checkpoint import CheckpointError, load_checkpoint
from utils.config import Config, language_of_features
from utils.device import choose_device
from utils.errors import InputError
from utils.printable import quote
from utils.text.spans import Span
from utils.thresholds import Thresholds

# From images in RGB to the regions of each.
RegionFinder = Callable[[Sequence[Image.Image]], list[Regions]]

# A file, an image, or what a detector found in one.
ImageInput = Path | str | Image.Image | Regions

_FINDS_NO_MENTIONS = "the model was not trained to find mentions (--detect-mentions)"


class Resolver:
    """A model together with what it takes to use it.

    Args:
        model: on the device that it is to run on.
        tokenizer: the text encoder's tokenizer.
        config: of the run that trained it.
        thresholds: above which mentions are linked, found, and shown by a region.
        device: the model's.
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
        device: torch.device,
        precision: torch.dtype = torch.float32,
        region_extractor: RegionFinder | None = None,
        regions_made_of: Mapping[str, object] | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.config = config
        self.thresholds = thresholds
        self.device = device
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
        region_extractor: RegionFinder | None = None,
    ) -> Resolver:
        """Load a checkpoint; nothing beside the file is needed, but for word vectors (`resolve`).

        Args:
            device: or its name; "auto" is the GPU where there is one.
            precision: of the model's matrix products.
            region_extractor: finds the regions of images.

        Raises:
            CheckpointError: the file is missing, broken, or its weights are of another shape.
            InputError: there is no such device.
        """
        checkpoint = load_checkpoint(Path(path))
        if isinstance(device, str):
            device = choose_device(device)
        try:
            model = build_from_checkpoint(checkpoint.config, checkpoint.encoder_config)
            model.load_state_dict(checkpoint.model_state)
            tokenizer = Tokenizer.from_json(checkpoint.tokenizer)
            largest = max(tokenizer.backend.get_vocab().values())
            if largest >= model.text_encoder.config.vocab_size:
                raise ValueError(f"the text encoder has no word-piece {largest}, the tokenizer has")
        except Exception as error:
            # Values that do not fit together end in nearly any kind of error.
            raise CheckpointError(f"{path}: {type(error).__name__}: {error}") from error
        return cls(
            model.to(device),
            tokenizer,
            checkpoint.config,
            checkpoint.thresholds,
            device,
            precision,
            region_extractor,
            checkpoint.regions_made_of,
        )

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

        Of one text that is in no list, image and mentions are in none either.

        Args:
            images: the image of each text or its regions, None for a text alone; None for texts
                alone.
            mentions: the mentions of each text as characters (start, end), the end exclusive, in
                any order, or None for those that the model finds; None to find those of all.
            word_vectors: of the texts' words, for a model that was trained with such.
            batch: how many go through the model together; the answer does not depend on it.

        Returns:
            One for each text, in their order.

        Raises:
            InputError: an image cannot be read, or its regions cannot be had or are not the
                model's; mentions are to be found by a model that finds none, or lie outside of
                their text; there are not as many of all as there are texts.
        """
        if isinstance(texts, str):
            texts, images, mentions = [texts], [images], [mentions]
        images = [None] * len(texts) if images is None else images
        mentions = [None] * len(texts) if mentions is None else mentions
        for name, given in (("images", images), ("mentions", mentions)):
            if len(given) != len(texts):
                raise InputError(f"{name}: found {len(given)}, expected one for each text")
        self._check_images(images)
        if any(spans is None for spans in mentions) and not self.config.mention_detection:
            raise InputError(
                "mentions: found None, and the model was not trained to find mentions (main.py "
                "--detect-mentions); pass their places, such as "
                "data.mentions.spacy_pipeline.find_spans takes from a spaCy pipeline"
            )
        narrations = [
            _given_narration(number, text, spans)
            for number, (text, spans) in enumerate(zip(texts, mentions, strict=True))
        ]
        options = {"word_vectors": word_vectors, "batch": batch}
        resolutions: list[Resolution] = []
        for start in range(0, len(narrations), batch):
            part = slice(start, start + batch)
            unmarked = [
                n
                for n, spans in zip(narrations[part], mentions[part], strict=True)
                if spans is None
            ]
            found = {n.id: n for n in self.find_mentions(unmarked, **options)} if unmarked else {}
            marked = [found.get(narration.id, narration) for narration in narrations[part]]
            imaged, store = self._with_regions(marked, images[part])
            resolutions += self.resolve(imaged, store, **options)
        return resolutions

    def _check_images(self, images: Sequence[ImageInput | None]) -> None:
        for number, image in enumerate(images):
            if image is None:
                continue
            if not isinstance(image, ImageInput):
                raise InputError(
                    f"images[{number}]: found {type(image).__name__}, expected a path, a picture, "
                    "its regions or None"
                )
            if not self.config.use_regions:
                raise InputError(
                    f"images[{number}]: the model reads texts alone (main.py --no-regions)"
                )
            if self.region_extractor is None and not isinstance(image, Regions):
                raise InputError(
                    f"images[{number}]: a picture takes a region extractor (`region_extractor` of "
                    "the resolver), and there is none; pass one, or the picture's Regions"
                )

    def _with_regions(
        self, narrations: Sequence[Narration], images: Sequence[ImageInput | None]
    ) -> tuple[list[Narration], GivenRegions]:
        """The narrations with their images' ids and sizes, and the regions by these ids."""
        regions: dict[str, Regions] = {}
        opened: dict[str, Image.Image] = {}
        for narration, image in zip(narrations, images, strict=True):
            if isinstance(image, Regions):
                regions[narration.id] = image
            elif image is not None:
                opened[narration.id] = _opened(narration.id, image)
        if self.region_extractor is not None and opened:
            extracted = self.region_extractor(list(opened.values()))
            regions |= zip(opened, extracted, strict=True)
        checked = {name: _checked_regions(name, r, self.config) for name, r in regions.items()}
        imaged = [
            replace(
                narration,
                image_id=narration.id,
                image_size=opened[narration.id].size if narration.id in opened else None,
            )
            if narration.id in checked
            else narration
            for narration in narrations
        ]
        return imaged, GivenRegions(checked)

    def find_mentions(self, narrations: Sequence[Narration], **options: Any) -> list[Narration]:
        """The narrations with the mentions that the model finds in them, instead of any they have.

        Options and errors are those of `score_mentions`; `resolve` takes what is returned.
        """
        threshold = self.thresholds.mention
        if threshold is None:
            raise InputError(_FINDS_NO_MENTIONS)
        scored = self.score_mentions(narrations, **options)
        return [
            with_spans(narration, spans_above(of_narration, threshold))
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
            raise InputError(_FINDS_NO_MENTIONS)
        self._check_word_vectors(word_vectors)
        dataset = NarrationDataset(
            [replace(narration, mentions=()) for narration in narrations],
            None,
            ExampleEncoder(
                self.tokenizer,
                self.config.max_mentions,
                word_vectors,
                max_mention_pieces=self.config.max_mention_pieces,
            ),
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
            probabilities,
            batch.candidates.starts.tolist(),
            batch.candidates.ends.tolist(),
            strict=True,
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
        store: RegionStore | GivenRegions | None,
        *,
        word_vectors: WordVectors | None = None,
        batch: int = 32,
        workers: int = 0,
        progress: str | None = None,
    ) -> Iterator[Resolution]:
        """Resolve narrations one after the other, in their order.

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
        encoder = ExampleEncoder(
            self.tokenizer, config.max_mentions, word_vectors, language_of_features(config)
        )
        dataset = NarrationDataset(narrations, store, encoder)
        batches = OrderedBatches(len(dataset), batch)
        loader = make_loader(dataset, batches, workers, self.device)
        places = iter(range(len(narrations)))
        self.model.eval()
        labels = LabelVectors(self.model, self.device, self.precision)
        with tqdm(total=len(narrations), desc=progress, disable=progress is None) as bar:
            for padded in loader:
                for of_batch in self._run(padded, labels):
                    yield self._resolution(narrations[next(places)], *of_batch)
                bar.update(len(padded))

    @torch.inference_mode()
    def _run(self, batch: Batch, labels: LabelVectors) -> list[tuple[np.ndarray | None, ...]]:
        """For each narration: seen mentions, their similarity, boxes, scores, and its regions; and
        the aligned vectors of both.
        """
        label_vectors = labels.of(batch)
        batch = batch.to(self.device)
        output = self.model(batch, self.precision, label_vectors)
        boxes, scores = predicted_boxes(output, batch, refine=self.config.box_regression)
        arrays = [
            tensor.float().cpu().numpy()
            for tensor in (output.mention_similarity, boxes, scores, batch.region_boxes_xyxy)
        ]
        aligned = [
            None if output.alignment is None else tensor_of(output.alignment).cpu().numpy()
            for tensor_of in (attrgetter("mentions"), attrgetter("regions"))
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
                    *(
                        None if array is None else array[row, :size]
                        for array, size in zip(aligned, (count, regions), strict=True)
                    ),
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
        aligned_mentions: np.ndarray | None,
        aligned_regions: np.ndarray | None,
    ) -> Resolution:
        if not np.isfinite(similarity).all():
            raise InputError(
                f"narration {narration.id}: the similarity of mentions is not finite everywhere, "
                "as that of a broken model is"
            )
        mentions = len(narration.mentions)
        full = np.full((mentions, mentions), -1.0, dtype=np.float32)
        np.fill_diagonal(full, 1.0)
        full[np.ix_(seen, seen)] = similarity
        all_boxes = all_scores = None
        if len(regions_xyxy):
            all_boxes = np.zeros((mentions, 4), dtype=np.float32)
            all_scores = np.zeros(mentions, dtype=np.float32)
            all_boxes[seen], all_scores[seen] = boxes_xyxy, box_scores
        all_aligned = None
        if aligned_mentions is not None:
            all_aligned = np.zeros((mentions, aligned_mentions.shape[1]), dtype=np.float32)
            all_aligned[seen] = aligned_mentions
        return Resolution(
            narration=narration,
            similarity=full,
            threshold=self.thresholds.link,
            boxes_xyxy=all_boxes,
            box_scores=all_scores,
            regions_xyxy=regions_xyxy,
            aligned_mentions=all_aligned,
            aligned_regions=aligned_regions,
        )


def _given_narration(number: int, text: str, spans: Sequence[Span] | None) -> Narration:
    """A text with the mentions that somebody gives, none where they are to be found."""
    if not is_text(text):
        raise InputError(f"texts[{number}]: found {quote(text)}, expected text")
    try:
        return with_spans(
            Narration(str(number), text), checked_spans(text, () if spans is None else spans)
        )
    except InputError as error:
        raise InputError(f"texts[{number}]: {error}") from error


def _opened(name: str, image: Path | str | Image.Image) -> Image.Image:
    try:
        return open_image(image)
    except InputError as error:
        raise InputError(f"images[{name}]: {error}") from error


def _checked_regions(name: str, regions: Regions, config: Config) -> Regions:
    """The regions that the model reads, which are at most so many; the first ones are kept."""
    size, expected = regions.features.shape[1], config.region_feature_size
    if size != expected:
        raise InputError(
            f"images[{name}]: the regions have features of {size} numbers, the model takes "
            f"{expected} (region_feature_size)"
        )
    if not np.isfinite(regions.features).all():
        raise InputError(f"images[{name}]: the features of the regions are not all finite")
    boxes = regions.boxes_xyxy
    if not ((boxes >= 0) & (boxes <= 1)).all():
        raise InputError(
            f"images[{name}]: the boxes of the regions reach from {boxes.min():g} to "
            f"{boxes.max():g}, expected parts of the picture, from 0 to 1"
        )
    kept = slice(config.max_regions)
    return Regions(
        boxes[kept].astype(np.float32),
        regions.labels[kept],
        regions.attributes[kept],
        regions.features[kept].astype(np.float32),
    )
