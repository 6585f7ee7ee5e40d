"""What a configuration asks for: narrations to train on, their regions, the vectors of their words.

Whatever is found, and whatever is left out, is said.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.loaders import count_left_out, hold_out, keep_labels
from data.mentions import cache_path, with_found_mentions
from data.narration import Narration, are_boxes_known, without_labels
from data.readers import (
    labelled_split,
    open_regions,
    read_narrations,
    trace_folder,
    unlabelled_split,
)
from data.regions import RegionStore
from data.traces import with_usable_traces
from data.word_pieces import WordPieces
from data.word_vectors import WordVectors, read_word_vectors
from utils.config import Config
from utils.distributed import is_main
from utils.errors import InputError

# Narrations and the regions of their pictures.
Source = tuple[Sequence[Narration], RegionStore | None]
Sources = Sequence[Source]


@dataclass(frozen=True)
class TrainingData:
    """What a run reads.

    Attributes:
        labelled: to train on with their labels; with the regions of their pictures.
        held_out: labelled, never trained on; scores and threshold come from these.
        unlabelled: each part with the regions of its pictures.
        boxes_known: whether any mention of the labelled ones has a box.
    """

    labelled: Sequence[Narration]
    held_out: Sequence[Narration]
    store: RegionStore | None
    unlabelled: Sources
    boxes_known: bool

    def narrations(self) -> Iterator[Narration]:
        """Every narration of every part."""
        parts = (of_part for of_part, _ in self.unlabelled)
        return itertools.chain(self.labelled, self.held_out, *parts)


def read_training_data(config: Config, *, skip_bad_records: bool) -> TrainingData:
    """Read what the configuration asks for, and say what was found.

    Raises:
        InputError: the data cannot be read, or leaves nothing to train on.
    """
    read = functools.partial(read_split, config, config.dataset, skip_bad_records=skip_bad_records)
    labelled: list[Narration] = []
    held_out: list[Narration] = []
    unlabelled: list[Source] = []
    store = None
    if config.use_labelled:
        split = labelled_split(config.dataset)
        narrations, store = read(Path(config.data_root), split)
        labelled, held_out, others = split_labelled(narrations, config)
        print(f"{len(labelled)} narrations to train on, {len(held_out)} held out")
        if config.held_out > 0 and not held_out:
            print(
                f"warning: no narration is held out: --held-out {config.held_out:g} of so few is "
                "none; there are no scores, and the threshold stays the published one"
            )
        if config.use_unlabelled and others:
            unlabelled.append((others, store))
            print(f"{len(others)} narrations of {split} without their labels")
    split = unlabelled_split(config.dataset)
    if split is None and config.unlabelled_root:
        raise InputError(f"--unlabelled-root: {config.dataset} has no unlabelled split")
    if config.use_unlabelled and split is not None:
        unlabelled.append(read(unlabelled_root(config), split))
    if config.use_pseudo_labels and not unlabelled:
        raise InputError(
            f"--label-prop: {config.dataset} has no unlabelled narrations; --label-fraction makes "
            "some of the labelled ones such"
        )
    if not labelled and not unlabelled:
        raise InputError(
            f"nothing to train on: {config.dataset} has no unlabelled narrations, and --use-ssl "
            "adds the labelled ones"
        )
    if (config.grounding or config.box_regression) and store is None:
        raise InputError("--grounding and --bbox-reg need regions, and there are none")
    stores = [store, *(its_store for _, its_store in unlabelled)]
    if config.use_traces and all(its_store is None for its_store in stores):
        raise InputError("--traces needs regions, and there are none")
    boxes_known = are_boxes_known([*labelled, *held_out])
    return TrainingData(labelled, held_out, store, unlabelled, boxes_known)


def unlabelled_root(config: Config) -> Path:
    """The folder that the unlabelled split is read from."""
    return Path(config.unlabelled_root or config.data_root)


def split_labelled(
    narrations: Sequence[Narration], config: Config
) -> tuple[list[Narration], list[Narration], list[Narration]]:
    """Narrations to train on, held-out ones, and those whose labels are not read.

    Those without a known chain, and those outside the share of labels, are of the last kind; their
    mentions keep their places in the text, and nothing else.

    Raises:
        InputError: nothing is left to train on.
    """
    labelled = keep_labels([n for n in narrations if n.is_labelled], config.label_fraction)
    trained_on, held_out = hold_out(labelled, config.held_out)
    if not trained_on:
        raise InputError(
            f"of {len(narrations)} narrations none is labelled and outside the held-out share "
            f"of {config.held_out:g}: there is nothing to train on"
        )
    with_labels = {narration.id for narration in labelled}
    others = [without_labels(n) for n in narrations if n.id not in with_labels and n.mentions]
    return trained_on, held_out, others


def with_checked_traces(
    data: TrainingData, config: Config, *, skip_bad_records: bool
) -> TrainingData:
    """The same data, once every trace to train on is known to be usable; says how many there are.

    Raises:
        InputError: there is no trace, or one is broken and such are not skipped.
    """
    parts = [data.labelled, *(of_part for of_part, _ in data.unlabelled)]
    checked = [with_usable_traces(of_part, skip_bad_records=skip_bad_records) for of_part in parts]
    problems = [problem for _, of_part in checked for problem in of_part]
    if problems:
        print(f"{len(problems)} traces are left out, the first because {problems[0]}")
    labelled, *unlabelled = (of_part for of_part, _ in checked)
    narrations = [narration for of_part, _ in checked for narration in of_part]
    traced = sum(narration.trace_path is not None for narration in narrations)
    if not traced:
        roots = dict.fromkeys([Path(config.data_root), unlabelled_root(config)])
        folders = [str(f) for root in roots if (f := trace_folder(config.dataset, root))]
        looked_for = f"has them in {' and '.join(folders)}" if folders else "has none"
        raise InputError(
            f"--traces: found no trace of the {len(narrations)} narrations to train on; the data "
            f"set {config.dataset} {looked_for}"
        )
    print(f"{traced} of {len(narrations)} narrations to train on have a mouse trace")
    stores = (store for _, store in data.unlabelled)
    sources = list(zip(unlabelled, stores, strict=True))
    return dataclasses.replace(data, labelled=labelled, unlabelled=sources)


def read_split(
    config: Config, dataset: str, data_root: Path, split: str, *, skip_bad_records: bool
) -> Source:
    """The narrations of a split, and their regions; says what was found.

    Narrations of the unlabelled split come with the mentions that `prepare.py mentions` found.

    Args:
        config: what the model reads; data set and folder may be others than its own.

    Returns:
        No regions where there are none, and where the model reads the texts alone.

    Raises:
        InputError: the files are broken, their features are of another size than the model's, or
            mentions are to be found first.
    """
    reading = read_narrations(dataset, data_root, split, skip_bad_records=skip_bad_records)
    print("\n".join(reading.report.lines()))
    narrations = list(reading.narrations)
    if split == unlabelled_split(dataset):
        narrations = with_found_mentions(narrations, cache_path(data_root, split))
    if not config.use_regions:
        return narrations, None
    store = open_regions(
        dataset,
        data_root,
        split,
        max_regions=config.max_regions,
        image_sizes={n.image_id: n.image_size for n in narrations if n.image_size and n.image_id},
        skip_bad_records=skip_bad_records,
    )
    if store is None:
        print(f"{dataset} {split} has no regions: the texts are read alone")
        return narrations, None
    if store.feature_size != config.region_feature_size:
        raise InputError(
            f"{data_root}: the regions of {split} have features of {store.feature_size} numbers, "
            f"the model takes {config.region_feature_size} (region_feature_size)"
        )
    if store.skipped:
        print(
            f"{len(store.skipped)} pictures of {split} are read without their regions, the first "
            f"because {store.skipped[0]}"
        )
    return narrations, store


def look_up_words(
    config: Config, folder: str, narrations: Iterable[Narration]
) -> WordVectors | None:
    """The vectors that a model reads of the words of narrations; None where it reads none.

    Args:
        folder: of sense2vec vectors; empty for none.

    Raises:
        InputError: the folder cannot be read, or holds other vectors than the configuration says.
    """
    if not folder:
        return None
    vectors = read_word_vectors(Path(folder), (narration.text for narration in narrations))
    if config.word_vector_size not in (0, vectors.size):
        raise InputError(
            f"--sense2vec: the vectors in {folder} have {vectors.size} numbers, the model takes "
            f"{config.word_vector_size} (word_vector_size)"
        )
    if config.word_vector_checksum not in (0, vectors.checksum):
        raise InputError(
            f"--sense2vec: {folder} holds other vectors than the model was trained with: found "
            f"the checksum {vectors.checksum}, expected {config.word_vector_checksum}"
        )
    print(
        f"{folder}: {len(vectors.rows)} of {vectors.looked_up} distinct words have a vector of "
        f"{vectors.size} numbers"
    )
    return vectors


def report_left_out(
    narrations: Sequence[Narration], word_pieces: WordPieces, max_mentions: int
) -> None:
    """Say how many mentions the model will not see; all texts are cut for it, so on one rank."""
    if not is_main():
        return
    left_out = count_left_out(narrations, word_pieces, max_mentions)
    if left_out:
        print(
            f"warning: {sum(left_out.values())} mentions of {len(left_out)} narrations lie beyond "
            f"the encoder's {word_pieces.limit} word-pieces, are over the cap of {max_mentions} "
            "mentions, or have no word-piece; the model does not see them, and each is a chain of "
            "its own"
        )
