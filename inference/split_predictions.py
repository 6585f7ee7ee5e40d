"""A split as the test commands see it: read, its mentions found where that is asked, resolved."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from data.encoding.left_out import left_out_lines
from data.encoding.word_vectors import WordVectors, look_up_words
from data.loading.split_reader import SplitReader
from data.mention_spans import with_spans
from data.mentions.spacy_pipeline import DEFAULT_PIPELINE, find_spans, load_pipeline
from data.narration import Narration, counted_mentions
from data.readers import get_reader
from data.regions.store import RegionStore
from inference.resolution import Resolution
from inference.resolver import Resolver
from utils.config import check_same_architecture, read_config_file
from utils.device import choose_precision
from utils.distributed.ranks import gather_objects, interleave, is_main, share_of
from utils.errors import InputError
from utils.text.languages import Language, read_language

# What finds the mentions of narrations, in place of any they have.
MentionFinder = Callable[[Sequence[Narration]], list[Narration]]


@dataclass(frozen=True)
class TestOptions:
    """Which checkpoint is tested, and on what.

    The fields are named like the options of the test commands, whose help says more.

    Attributes:
        save_name: the checkpoint.
        dataset, data_root, sense2vec, language: None for those of the checkpoint.
        split: None for the data set's test split.
        mentions: what is resolved: "gold", "predicted" or "spacy" ones.
        spacy_model: the pipeline that finds the mentions "spacy"; None for the default one.
        model_config: a configuration file that the checkpoint has to agree with.
        box_regression: whether the checkpoint's box head has to be trained.
        skip_bad_records: whether to go on without bad records.
        batch: how many narrations go through the model together.
        workers: processes that read ahead.
        precision: of the model's matrix products.
    """

    save_name: Path
    dataset: str | None = None
    data_root: str | None = None
    sense2vec: str | None = None
    language: str | None = None
    split: str | None = None
    mentions: str = "gold"
    spacy_model: str | None = None
    model_config: Path | None = None
    box_regression: bool = False
    skip_bad_records: bool = False
    batch: int = 32
    workers: int = 0
    precision: str = "float32"


@dataclass(frozen=True)
class SplitPredictions:
    """What a model predicts for a split.

    Attributes:
        checkpoint: the model's.
        dataset: the data set that it is a split of.
        data_root: the folder that it was read from.
        name: of the split.
        language: of its texts.
        skip_bad_records: whether it was read without its bad records.
        narrations: as they were read.
        mentions: what was resolved, "gold" or where they were found.
        resolutions: one for each narration, in their order; their mentions are the narration's own
            or those that were found in it.
    """

    checkpoint: Path
    dataset: str
    data_root: Path
    name: str
    language: Language
    skip_bad_records: bool
    narrations: Sequence[Narration]
    mentions: str
    resolutions: Sequence[Resolution]

    @property
    def folder(self) -> str:
        """Where what is said of it is written; of found mentions in a place of their own."""
        return self.name if self.mentions == "gold" else f"{self.name}-{self.mentions}"

    @cached_property
    def counted(self) -> list[tuple[int, ...]]:
        """The indices of the mentions of each narration that scores count."""
        return counted_mentions(self.narrations)

    @property
    def has_boxes(self) -> bool:
        """Whether any narration has regions, so that its mentions have predicted boxes."""
        return any(resolution.boxes_xyxy is not None for resolution in self.resolutions)


def resolver_for_test(options: TestOptions, device: torch.device) -> Resolver:
    """Load the model to test.

    Raises:
        InputError: the checkpoint cannot be used, or the options contradict it.
    """
    precision = choose_precision(options.precision, device)
    resolver = Resolver.from_checkpoint(
        options.save_name, device, precision, language=options.language
    )
    if options.model_config is not None:
        values, _ = read_config_file(options.model_config)
        check_same_architecture(values, resolver.config, options.model_config, options.save_name)
    if options.sense2vec and not resolver.config.word_vector_size:
        raise InputError(f"--sense2vec: {options.save_name} was trained without word vectors")
    if options.box_regression and not resolver.config.box_regression:
        raise InputError(f"--bbox-reg: the box head of {options.save_name} was not trained")
    if options.mentions == "predicted" and not resolver.config.mention_detection:
        raise InputError(
            f"--mentions predicted: {options.save_name} was not trained to find mentions (main.py "
            "--detect-mentions)"
        )
    if options.spacy_model is not None and options.mentions != "spacy":
        raise InputError(f"--spacy-model finds nothing with --mentions {options.mentions}")
    return resolver


def mention_finder(
    resolver: Resolver, options: TestOptions, word_vectors: WordVectors | None
) -> MentionFinder | None:
    """Return what finds the mentions to resolve; None for gold mentions.

    Raises:
        InputError: the spaCy pipeline cannot be used.
    """
    if options.mentions == "gold":
        return None
    if options.mentions == "predicted":
        return functools.partial(
            resolver.find_mentions,
            word_vectors=word_vectors,
            batch=options.batch,
            workers=options.workers,
            progress="finding mentions" if is_main() else None,
        )
    pipeline = load_pipeline(options.spacy_model or DEFAULT_PIPELINE)

    def find(narrations: Sequence[Narration]) -> list[Narration]:
        found = find_spans(pipeline, (narration.text for narration in narrations))
        return [with_spans(n, spans) for n, spans in zip(narrations, found, strict=True)]

    return find


def predict_split(resolver: Resolver, options: TestOptions) -> SplitPredictions | None:
    """Read a split and resolve it.

    Returns:
        None on every rank but the first.

    Raises:
        InputError: the data cannot be read.
    """
    config = resolver.config
    language = read_language(config.language)
    dataset = config.dataset if options.dataset is None else options.dataset
    data_root = Path(config.data_root if options.data_root is None else options.data_root)
    split = options.split or get_reader(dataset).test_split
    is_gold = options.mentions == "gold"
    reader = SplitReader(config, resolver.tokenizer, dataset, options.skip_bad_records)
    source = reader.read(data_root, split, uses_mentions=is_gold, is_trained_on=False)
    narrations = source.narrations
    sense2vec = config.sense2vec if options.sense2vec is None else options.sense2vec
    word_vectors = look_up_words(config, sense2vec, narrations)
    resolutions = resolve_on_all_ranks(
        resolver,
        narrations,
        source.store,
        mention_finder(resolver, options, word_vectors),
        word_vectors=word_vectors,
        batch=options.batch,
        workers=options.workers,
        progress=f"resolving {split}",
    )
    if resolutions is None:
        return None
    if not is_gold:
        counted = [resolution.left_out for resolution in resolutions]
        for line in left_out_lines(counted, config.mention_reach):
            print(f"warning: {line}")
    return SplitPredictions(
        checkpoint=options.save_name,
        dataset=dataset,
        data_root=data_root,
        name=split,
        language=language,
        skip_bad_records=options.skip_bad_records,
        narrations=narrations,
        mentions=options.mentions,
        resolutions=resolutions,
    )


def resolve_on_all_ranks(
    resolver: Resolver,
    narrations: Sequence[Narration],
    store: RegionStore | None,
    find: MentionFinder | None = None,
    **options: Any,
) -> list[Resolution] | None:
    """Resolve narrations, each on one of the ranks.

    Args:
        find: gives narrations the mentions that are found in them; None to take those they have.
        options: of `Resolver.resolve`.

    Returns:
        The resolutions in the order of the narrations, on the first rank; None on the others.
    """
    if not is_main():
        options = options | {"progress": None}
    share = share_of(narrations) if find is None else find(share_of(narrations))
    shares = gather_objects(list(resolver.resolve(share, store, **options)))
    return None if shares is None else interleave(shares)
