"""Read a split with all that a model reads of it: mentions, regions and mouse traces."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.encoding.left_out import count_left_out, left_out_lines
from data.encoding.text import encode_text
from data.encoding.tokenizer import Tokenizer
from data.encoding.traces import with_usable_traces
from data.loading.dataset import SplitData
from data.loading.split_cache import cached_split, file_states
from data.mentions.found import cache_path, with_found_mentions
from data.narration import Narration
from data.readers import get_reader, read_narrations
from data.regions.store import RegionStore
from utils.config import Config
from utils.distributed.ranks import is_main
from utils.errors import InputError


@dataclass(frozen=True)
class SplitReader:
    """Reads splits of a data set; whatever is found, and whatever is left out, is said.

    Attributes:
        config: what the model reads; data set and folder may be others than its own.
        tokenizer: the text encoder's.
        dataset: the data set's name.
        skip_bad_records: whether to go on without bad records.
        say: is told each line of what is found.
    """

    config: Config
    tokenizer: Tokenizer
    dataset: str
    skip_bad_records: bool
    say: Callable[[str], None] = print

    def read(
        self,
        data_root: Path,
        split: str,
        *,
        traces: bool = False,
        uses_mentions: bool = True,
        is_trained_on: bool = True,
    ) -> SplitData:
        """Read the narrations of a split, and open the regions of their images.

        Narrations of the unlabelled split come with the mentions that `prepare.py mentions` found.

        Args:
            traces: whether the mouse traces are read, so that a broken one is found now.
            uses_mentions: whether the model reads the mentions that the narrations have; else those
                of the unlabelled split need not have been found.
            is_trained_on: whether the split is for a training, which reads no more mentions of a
                narration than its cap.

        Returns:
            No regions where there are none, and where the model reads the texts alone.

        Raises:
            InputError: the files are broken, their features are of another size than the model's,
                or mentions are to be found first.
        """
        reading = read_narrations(
            self.dataset, data_root, split, skip_bad_records=self.skip_bad_records
        )
        self.say("\n".join(reading.report.lines()))
        narrations = list(reading.narrations)
        if uses_mentions and split == get_reader(self.dataset).unlabelled_split:
            narrations = with_found_mentions(narrations, cache_path(data_root, split))
        if uses_mentions:
            self._warn_of_unseen_mentions(narrations, is_trained_on=is_trained_on)
        data = SplitData(narrations, self._open_regions(data_root, split, narrations))
        return self.check_traces(data, split) if traces else data

    def read_cached(self, data_root: Path, split: str) -> SplitData:
        """Read the unlabelled split as it is kept in the configuration's cache.

        Raises:
            InputError: it is not there yet and cannot be read.
            DataError: what is there is broken.
        """
        config = self.config
        files = get_reader(self.dataset).unlabelled_files(data_root)
        made_from = {
            "dataset": self.dataset,
            "split": split,
            "files": file_states([*files, cache_path(data_root, split)]),
            "word_pieces": hashlib.sha256(self.tokenizer.to_json().encode()).hexdigest(),
            "max_mentions": config.max_mentions,
            "max_regions": config.max_regions if config.use_regions else 0,
            "region_feature_size": config.region_feature_size,
            "use_traces": config.use_traces,
            "skip_bad_records": self.skip_bad_records,
        }

        def read(say: Callable[[str], None]) -> SplitData:
            reader = dataclasses.replace(self, say=say)
            return reader.read(data_root, split, traces=config.use_traces)

        return cached_split(
            Path(config.cache),
            f"{self.dataset}-{split}",
            made_from,
            read,
            lambda narration: encode_text(narration, self.tokenizer, config.max_mentions),
        )

    def check_traces(self, data: SplitData, split: str) -> SplitData:
        """Read every mouse trace once, so that a broken one is found now.

        Returns:
            The split without the traces that cannot be used.

        Raises:
            DataError: a trace cannot be used, and bad records are not skipped.
        """
        usable, problems = with_usable_traces(
            data.narrations, skip_bad_records=self.skip_bad_records
        )
        if problems:
            self.say(f"{len(problems)} traces are left out, the first because {problems[0]}")
        traced = sum(narration.trace_path is not None for narration in usable)
        self.say(f"{traced} of {len(usable)} narrations of {split} to train on have a mouse trace")
        return dataclasses.replace(data, narrations=usable, traced=traced)

    def _warn_of_unseen_mentions(
        self, narrations: Sequence[Narration], *, is_trained_on: bool
    ) -> None:
        """Say what of the mentions is not read; all texts are cut for it, so on one rank."""
        if not is_main():
            return
        max_mentions = self.config.max_mentions if is_trained_on else None
        reach = self.config.mention_reach
        counted = list(count_left_out(narrations, self.tokenizer, max_mentions, reach))
        for line in left_out_lines(counted, reach, max_mentions):
            self.say(f"warning: {line}")

    def _open_regions(
        self, data_root: Path, split: str, narrations: Sequence[Narration]
    ) -> RegionStore | None:
        config = self.config
        if not config.use_regions:
            return None
        sizes = {n.image_id: n.image_size for n in narrations if n.image_size and n.image_id}
        store = get_reader(self.dataset).open_regions(
            data_root,
            split,
            max_regions=config.max_regions,
            image_sizes=sizes,
            skip_bad_records=self.skip_bad_records,
        )
        if store is None:
            self.say(f"{self.dataset} {split} has no regions: the texts are read alone")
            return None
        if store.feature_size != config.region_feature_size:
            raise InputError(
                f"{data_root}: the regions of {split} have features of {store.feature_size} "
                f"numbers, the model takes {config.region_feature_size} (region_feature_size)"
            )
        if store.skipped:
            self.say(
                f"{len(store.skipped)} pictures of {split} are read without their regions, the "
                f"first because {store.skipped[0]}"
            )
        return store
