"""What a configuration asks for: narrations to train on, their regions, the vectors of their words.

Whatever is found, and whatever is left out, is said.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.encoding.candidates import count_unreachable
from data.encoding.text import count_left_out, encode_text
from data.encoding.tokenizer import Tokenizer
from data.encoding.traces import with_usable_traces
from data.loading.dataset import SplitData
from data.loading.split_cache import open_prepared, state_of_files
from data.loading.splits import hold_out, keep_labels
from data.mentions.found import cache_path, with_found_mentions
from data.narration import NO_REGION, Narration, counted_mentions, without_labels
from data.readers import dataset_reader, read_narrations
from data.regions.store import RegionStore
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
    read = functools.partial(
        read_split,
        config,
        tokenizer,
        config.dataset,
        skip_bad_records=skip_bad_records,
    )
    labelled = held_out = SplitData([], None)
    unlabelled: list[SplitData] = []
    if config.use_labelled:
        split = dataset_reader(config.dataset).labelled_split
        source = read(Path(config.data_root), split)
        kept, held, others = split_labelled(source.narrations, config)
        labelled = dataclasses.replace(source, narrations=kept)
        held_out = dataclasses.replace(source, narrations=held)
        own = dataset_reader(config.dataset).held_out_split
        if own is not None and config.held_out > 0:
            held_out = read(Path(config.data_root), own)
            held = [n for n in held_out.narrations if n.is_labelled]
            held_out = dataclasses.replace(held_out, narrations=held)
        print(f"{len(kept)} narrations to train on, {len(held)} held out")
        if config.held_out > 0 and not held:
            print(
                f"warning: no narration is held out: --held-out {config.held_out:g} of so few is "
                "none; there are no scores, and the threshold stays the default one"
            )
        if config.use_traces:
            labelled = _with_checked_traces(labelled, split, skip_bad_records)
        if config.use_unlabelled and others:
            print(f"{len(others)} narrations of {split} without their labels")
            without = dataclasses.replace(source, narrations=others)
            if config.use_traces:
                without = _with_checked_traces(without, split, skip_bad_records)
            unlabelled.append(without)
    split = dataset_reader(config.dataset).unlabelled_split
    if split is None and config.unlabelled_root:
        raise InputError(f"--unlabelled-root: {config.dataset} has no unlabelled split")
    if config.use_unlabelled and split is not None:
        root = unlabelled_root(config)
        if config.cache:
            unlabelled.append(
                _read_prepared(config, tokenizer, root, split, read, skip_bad_records)
            )
        else:
            unlabelled.append(read(root, split, traces=config.use_traces))
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


def unlabelled_root(config: Config) -> Path:
    """The folder that the unlabelled split is read from."""
    return Path(config.unlabelled_root or config.data_root)


def split_labelled(
    narrations: Sequence[Narration], config: Config
) -> tuple[list[Narration], list[Narration], list[Narration]]:
    """Narrations to train on, held-out ones, and those whose labels are not read.

    Those without a known chain, and those outside the share of labels, are of the last kind; their
    mentions keep their places in the text, and nothing else. None is held out where the data set
    has a split for that.

    Raises:
        InputError: nothing is left to train on.
    """
    labelled = keep_labels([n for n in narrations if n.is_labelled], config.label_fraction)
    share = config.held_out if dataset_reader(config.dataset).held_out_split is None else 0.0
    trained_on, held_out = hold_out(labelled, share)
    if not trained_on:
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
        reader = dataset_reader(config.dataset)
        folders = [str(f) for root in roots if (f := reader.trace_folder(root))]
        looked_for = f"has them in {' and '.join(folders)}" if folders else "has none"
        raise InputError(
            f"--traces: found no trace of the narrations to train on; the data set "
            f"{config.dataset} {looked_for}"
        )


def read_split(
    config: Config,
    tokenizer: Tokenizer,
    dataset: str,
    data_root: Path,
    split: str,
    *,
    traces: bool = False,
    uses_mentions: bool = True,
    skip_bad_records: bool,
    say: Callable[[str], None] = print,
) -> SplitData:
    """The narrations of a split, and their regions; says what was found.

    Narrations of the unlabelled split come with the mentions that `prepare.py mentions` found.

    Args:
        config: what the model reads; data set and folder may be others than its own.
        tokenizer: the model's.
        traces: whether the mouse traces are read, so that a broken one is found now.
        uses_mentions: whether the model reads the mentions that the narrations have; else those of
            the unlabelled split need not have been found.

    Returns:
        No regions where there are none, and where the model reads the texts alone.

    Raises:
        InputError: the files are broken, their features are of another size than the model's, or
            mentions are to be found first.
    """
    reading = read_narrations(dataset, data_root, split, skip_bad_records=skip_bad_records)
    say("\n".join(reading.report.lines()))
    narrations = list(reading.narrations)
    if uses_mentions and split == dataset_reader(dataset).unlabelled_split:
        narrations = with_found_mentions(narrations, cache_path(data_root, split))
    if uses_mentions:
        say_left_out(narrations, tokenizer, config.max_mentions, say)
    store = _open_regions(config, dataset, data_root, split, narrations, skip_bad_records, say)
    source = SplitData(narrations, store)
    return _with_checked_traces(source, split, skip_bad_records, say) if traces else source


def _with_checked_traces(
    source: SplitData, split: str, skip_bad_records: bool, say: Callable[[str], None] = print
) -> SplitData:
    """The source, once every mouse trace is known to be usable."""
    usable, problems = with_usable_traces(source.narrations, skip_bad_records=skip_bad_records)
    if problems:
        say(f"{len(problems)} traces are left out, the first because {problems[0]}")
    traced = sum(narration.trace_path is not None for narration in usable)
    say(f"{traced} of {len(usable)} narrations of {split} to train on have a mouse trace")
    return dataclasses.replace(source, narrations=usable, traced=traced)


def _open_regions(
    config: Config,
    dataset: str,
    data_root: Path,
    split: str,
    narrations: Sequence[Narration],
    skip_bad_records: bool,
    say: Callable[[str], None],
) -> RegionStore | None:
    if not config.use_regions:
        return None
    store = dataset_reader(dataset).open_regions(
        data_root,
        split,
        max_regions=config.max_regions,
        image_sizes={n.image_id: n.image_size for n in narrations if n.image_size and n.image_id},
        skip_bad_records=skip_bad_records,
    )
    if store is None:
        say(f"{dataset} {split} has no regions: the texts are read alone")
        return None
    if store.feature_size != config.region_feature_size:
        raise InputError(
            f"{data_root}: the regions of {split} have features of {store.feature_size} numbers, "
            f"the model takes {config.region_feature_size} (region_feature_size)"
        )
    if store.skipped:
        say(
            f"{len(store.skipped)} pictures of {split} are read without their regions, the first "
            f"because {store.skipped[0]}"
        )
    return store


def _read_prepared(
    config: Config,
    tokenizer: Tokenizer,
    data_root: Path,
    split: str,
    read: Callable[..., SplitData],
    skip_bad_records: bool,
) -> SplitData:
    """A split as `read` reads it, kept in the cache."""
    reader = dataset_reader(config.dataset)
    files = [*reader.unlabelled_files(data_root), cache_path(data_root, split)]
    made_from = {
        "dataset": config.dataset,
        "split": split,
        "files": state_of_files(files),
        "word_pieces": hashlib.sha256(tokenizer.to_json().encode()).hexdigest(),
        "max_mentions": config.max_mentions,
        "max_regions": config.max_regions if config.use_regions else 0,
        "region_feature_size": config.region_feature_size,
        "use_traces": config.use_traces,
        "skip_bad_records": skip_bad_records,
    }
    return open_prepared(
        Path(config.cache),
        f"{config.dataset}-{split}",
        made_from,
        lambda say: read(data_root, split, traces=config.use_traces, say=say),
        lambda narration: encode_text(narration, tokenizer, config.max_mentions),
    )


def say_left_out(
    narrations: Sequence[Narration],
    tokenizer: Tokenizer,
    max_mentions: int,
    say: Callable[[str], None] = print,
) -> None:
    """Say how many mentions the model will not see; all texts are cut for it, so on one rank."""
    if not is_main():
        return
    left_out = count_left_out(narrations, tokenizer, max_mentions)
    if left_out:
        say(
            f"warning: {sum(left_out.values())} mentions of {len(left_out)} narrations are over "
            f"the cap of {max_mentions} mentions (max_mentions) or have no word-piece; the model "
            "does not see them, and each is a chain of its own"
        )


def say_unreachable(data: TrainingData, tokenizer: Tokenizer, config: Config) -> None:
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
