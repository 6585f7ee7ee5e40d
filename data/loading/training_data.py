"""Read the narrations that a configuration trains on, and those that it holds out."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.encoding.candidates import count_unreachable
from data.encoding.tokenizer import Tokenizer
from data.loading.dataset import SplitData
from data.loading.split_reader import SplitReader
from data.loading.splits import hold_out, keep_labels
from data.narration import NO_REGION, Narration, counted_mentions, without_labels
from data.readers import get_reader
from utils.config import Config
from utils.distributed.ranks import is_main
from utils.errors import InputError


@dataclass(frozen=True)
class TrainingData:
    """What a run reads.

    Attributes:
        labelled: to train on with their labels.
        held_out: labelled, never trained on; scores and threshold come from these.
        unlabelled: the parts to train on without labels.
        counted: the indices of the mentions of each held-out narration that scores count.
    """

    labelled: SplitData
    held_out: SplitData
    unlabelled: Sequence[SplitData]
    counted: Sequence[Sequence[int]]

    @property
    def regions_made_of(self) -> Mapping[str, Any] | None:
        """What made the regions that are trained on, where that is known of any."""
        stores = (part.store for part in (self.labelled, *self.unlabelled))
        known = (store.made_of for store in stores if store is not None)
        return next((made_of for made_of in known if made_of is not None), None)

    def narrations(self) -> Iterator[Narration]:
        """Every narration of every part."""
        parts = (self.labelled, self.held_out, *self.unlabelled)
        return itertools.chain.from_iterable(part.narrations for part in parts)


def read_training_data(
    config: Config, tokenizer: Tokenizer, *, skip_bad_records: bool
) -> TrainingData:
    """Read what the configuration asks for, and say what was found.

    Args:
        tokenizer: the text encoder's.

    Raises:
        InputError: the data cannot be read, or leaves nothing to train on.
    """
    reader = SplitReader(config, tokenizer, config.dataset, skip_bad_records)
    labelled = held_out = SplitData([], None)
    unlabelled: list[SplitData] = []
    if config.use_labelled:
        labelled, held_out, unlabelled = _read_labelled(reader)
    further = _read_unlabelled(reader)
    if further is not None:
        unlabelled.append(further)
    if config.use_pseudo_labels and not unlabelled:
        raise InputError(
            f"--label-prop: {config.dataset} has no unlabelled narrations; --label-fraction makes "
            "some of the labelled ones such"
        )
    if not labelled.narrations and not unlabelled:
        raise InputError(
            f"nothing to train on: {config.dataset} has no unlabelled narrations, and --use-ssl "
            "adds the labelled ones"
        )
    if (config.grounding or config.box_regression) and labelled.store is None:
        raise InputError("--grounding and --bbox-reg need regions, and there are none")
    if config.alignment != "off":
        _check_alignment(labelled, held_out, config)
    if config.use_traces:
        _check_traces([labelled, *unlabelled], config)
    counted = counted_mentions([*labelled.narrations, *held_out.narrations])
    return TrainingData(labelled, held_out, unlabelled, counted[len(labelled.narrations) :])


def _read_labelled(reader: SplitReader) -> tuple[SplitData, SplitData, list[SplitData]]:
    """Read the labelled split: to train on, held out, and those whose labels are not read."""
    config, dataset = reader.config, get_reader(reader.dataset)
    split, root = dataset.labelled_split, Path(config.data_root)
    source = reader.read(root, split)
    kept, held, others = split_labelled(source.narrations, config)
    labelled = dataclasses.replace(source, narrations=kept)
    held_out = dataclasses.replace(source, narrations=held)
    if dataset.held_out_split is not None and config.held_out > 0:
        held_out = reader.read(root, dataset.held_out_split, is_trained_on=False)
        held = [n for n in held_out.narrations if n.is_labelled]
        held_out = dataclasses.replace(held_out, narrations=held)
    print(f"{len(kept)} narrations to train on, {len(held)} held out")
    if empty := sum(not narration.mentions for narration in (*kept, *held)):
        print(f"{empty} of these are annotated and have no mention")
    if config.held_out > 0 and not held:
        print(
            f"warning: no narration is held out: --held-out {config.held_out:g} of so few is "
            "none; there are no scores, and the threshold stays the default one"
        )
    if config.use_traces:
        labelled = reader.check_traces(labelled, split)
    if not (config.use_unlabelled and others):
        return labelled, held_out, []
    print(f"{len(others)} narrations of {split} without their labels")
    unlabelled = dataclasses.replace(source, narrations=others)
    if config.use_traces:
        unlabelled = reader.check_traces(unlabelled, split)
    return labelled, held_out, [unlabelled]


def _read_unlabelled(reader: SplitReader) -> SplitData | None:
    """Read the unlabelled split; None where there is none, or it is not asked for."""
    config, split = reader.config, get_reader(reader.dataset).unlabelled_split
    if split is None and config.unlabelled_root:
        raise InputError(f"--unlabelled-root: {config.dataset} has no unlabelled split")
    if split is None or not config.use_unlabelled:
        return None
    if config.cache:
        return reader.read_cached(unlabelled_root(config), split)
    return reader.read(unlabelled_root(config), split, traces=config.use_traces)


def unlabelled_root(config: Config) -> Path:
    """Return the folder that the unlabelled split is read from."""
    return Path(config.unlabelled_root or config.data_root)


def split_labelled(
    narrations: Sequence[Narration], config: Config
) -> tuple[list[Narration], list[Narration], list[Narration]]:
    """Split narrations into those to train on, held-out ones, and those whose labels are not read.

    Those without a known chain, and those outside the share of labels, are of the last kind; their
    mentions keep their places in the text, and nothing else. None is held out where the data set
    has a split for that.

    Raises:
        InputError: nothing is left to train on.
    """
    labelled = keep_labels([n for n in narrations if n.is_labelled], config.label_fraction)
    share = config.held_out if get_reader(config.dataset).held_out_split is None else 0.0
    trained_on, held_out = hold_out(labelled, share)
    if not any(narration.mentions for narration in trained_on):
        raise InputError(
            f"of {len(narrations)} narrations none is labelled and outside the held-out share "
            f"of {config.held_out:g}: there is nothing to train on"
        )
    with_labels = {narration.id for narration in labelled}
    others = [without_labels(n) for n in narrations if n.id not in with_labels and n.mentions]
    return trained_on, held_out, others


def _check_alignment(labelled: SplitData, held_out: SplitData, config: Config) -> None:
    """Refuse to align with regions where there are none, or nobody says which."""
    if held_out.narrations and held_out.store is None:
        raise InputError(
            f"--align: {config.data_root} has no regions of the held-out narrations; prepare.py "
            "heads makes those of TikTalkCoref, and --held-out 0 holds nothing out"
        )
    if labelled.store is None:
        raise InputError(
            f"--align: {config.data_root} has no regions of {config.dataset}; prepare.py heads "
            "makes those of TikTalkCoref"
        )
    regions = (mention.region for n in labelled.narrations for mention in n.mentions)
    if not any(region is not None and region != NO_REGION for region in regions):
        raise InputError(
            f"--align: {config.dataset} does not say which regions show what its mentions mean"
        )


def _check_traces(sources: Sequence[SplitData], config: Config) -> None:
    """Refuse to train on traces where there are none, or no regions for them."""
    if all(source.store is None for source in sources):
        raise InputError("--traces needs regions, and there are none")
    if not any(source.traced for source in sources):
        roots = dict.fromkeys([Path(config.data_root), unlabelled_root(config)])
        reader = get_reader(config.dataset)
        folders = [str(f) for root in roots if (f := reader.trace_folder(root))]
        looked_for = f"has them in {' and '.join(folders)}" if folders else "has none"
        raise InputError(
            f"--traces: found no trace of the narrations to train on; the data set "
            f"{config.dataset} {looked_for}"
        )


def warn_of_unreachable_mentions(data: TrainingData, tokenizer: Tokenizer, config: Config) -> None:
    """Say how many gold mentions the model can never find; all texts are cut for it, so on one
    rank.
    """
    if not is_main():
        return
    narrations = [*data.labelled.narrations, *data.held_out.narrations]
    unreachable = count_unreachable(narrations, tokenizer, config.max_mention_pieces)
    if unreachable:
        print(
            f"warning: {unreachable} of {sum(len(n.mentions) for n in narrations)} gold mentions "
            f"have more than {config.max_mention_pieces} word-pieces (max_mention_pieces), or "
            "begin or end within a word; the model cannot find them"
        )
