"""The interface of a data set: its splits, its files, and the narrations read from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from data.files import DataError
from data.media.frame_files import RegionFrame
from data.narration import Narration
from data.readers.expected_files import ExpectedFiles
from data.readers.report import ReadReport
from data.regions.file_names import find_region_files
from data.regions.store import MAX_REGIONS, RegionStore
from utils.text.annotated_pronouns import AnnotatedPronoun
from utils.text.conllu import ConlluDocument


class DatasetReader(ABC):
    """Read one data set, each of its splits from the files in a folder, the data root.

    A subclass has a name, and reads the narrations (`read`) and lists the files (`expected_files`)
    of its data set. Whatever else a method gives only some data sets have; the defaults are those
    of labelled texts alone.

    Attributes:
        name: of the data set, in options and reports.
        splits: the names of its splits.
        labelled_split: the one whose chains are trained on.
        unlabelled_split: the one that is trained on without chains; None where there is none.
        held_out_split: the one that thresholds and the best epoch are chosen on; None where they
            are chosen on a share of the labelled one.
        test_split: the one that is tested on where nobody says otherwise.
        has_trees: whether its files are CoNLL-U, which `read_conllu` gives.
    """

    name: ClassVar[str]
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")
    labelled_split: ClassVar[str] = "train"
    unlabelled_split: ClassVar[str | None] = None
    held_out_split: ClassVar[str | None] = None
    test_split: ClassVar[str] = "test"
    has_trees: ClassVar[bool] = False

    # What every data set has to give.

    @abstractmethod
    def read(self, data_root: Path, split: str, report: ReadReport) -> list[Narration]:
        """Read the narrations of a split in the order of its files, and fill in the report.

        Raises:
            DataError: a file is missing or broken.
            BadRecord: a record is wrong, and the report does not skip such.
        """

    @abstractmethod
    def expected_files(self, data_root: Path) -> list[ExpectedFiles]:
        """List all files that a folder of the data set may hold, there or not.

        Raises:
            DataError: the folder holds the same thing in two ways.
        """

    # The splits.

    def check_split(self, split: str) -> None:
        """Refuse a split that the data set does not have.

        Raises:
            DataError: there is no such split.
        """
        if split not in self.splits:
            raise DataError(f"{self.name} has no split {split!r}, only {', '.join(self.splits)}")

    # Regions of images or videos.

    def open_regions(
        self,
        data_root: Path,
        split: str,
        *,
        max_regions: int = MAX_REGIONS,
        image_sizes: Mapping[str, tuple[int, int]] | None = None,
        skip_bad_records: bool = False,
    ) -> RegionStore | None:
        """Open the regions of a split's images; the options are those of `RegionStore.read_files`.

        Returns:
            None where the data set has no regions, or where none of the split's region files is
            there: its narrations are then read as texts alone. The caller reports it
            where it needs regions.

        Raises:
            DataError: there is no such split; some of the files are missing, or broken.
            BadRecord: an image's detections are wrong, and such are not skipped.
        """
        self.check_split(split)
        folder = self.region_folder(data_root)
        files = [] if folder is None else find_region_files(folder, split)
        if not files:
            return None
        return RegionStore.read_files(
            files,
            max_regions,
            image_sizes=image_sizes,
            skip_bad_records=skip_bad_records,
            made_of=self.regions_made_of(data_root, split),
        )

    def region_folder(self, data_root: Path) -> Path | None:
        """Return the folder of the region files; None where the data set has none."""
        return None

    def regions_made_of(self, data_root: Path, split: str) -> Mapping[str, Any] | None:
        """Read the settings of the detector that a model is to find regions with in new images.

        Returns:
            None where nobody wrote them down, and where regions are not of images.

        Raises:
            DataError: the file of them is broken.
        """
        return None

    def read_frames(self, data_root: Path, split: str) -> dict[str, tuple[RegionFrame, ...]]:
        """Read which frames of videos the regions of each narration are described in.

        Returns:
            The frame of each region by the narration's id; empty where regions are not of videos.

        Raises:
            DataError: there are no regions of the split, or a file is broken.
            BadRecord: a record is wrong.
        """
        return {}

    # Unlabelled texts.

    def unlabelled_files(self, data_root: Path) -> list[Path]:
        """List the files and folders that the unlabelled split is read from, there or not."""
        return []

    def further_texts(self, data_root: Path, split: str) -> Iterable[str]:
        """Yield texts that belong to no narration, such as titles.

        Raises:
            DataError: the file is missing or broken.
            BadRecord: a record is wrong.
        """
        return ()

    def trace_folder(self, data_root: Path) -> Path | None:
        """Return where mouse traces are looked for; None where the data set has none."""
        return None

    # To measure with.

    def read_truth(self, data_root: Path) -> dict[str, Narration]:
        """Read the true labels of the unlabelled split, if known, to measure pseudo-labels by.

        Returns:
            Labelled narrations by id; empty where nothing is known, as in every real data set.

        Raises:
            DataError: the data set's file of it is broken.
            BadRecord: a record is wrong.
        """
        return {}

    def read_pronouns(
        self, data_root: Path, split: str, *, skip_bad_records: bool = False
    ) -> dict[str, tuple[AnnotatedPronoun, ...]]:
        """Read the pronouns that are annotated with candidates, to score their resolution by.

        Returns:
            Those of each narration by its id; empty where the data set has no such annotation.

        Raises:
            DataError: the file is missing or broken.
            BadRecord: a record is wrong, and such are not skipped.
        """
        return {}

    def read_conllu(
        self, data_root: Path, split: str, *, skip_bad_records: bool = False
    ) -> dict[Path, dict[str, ConlluDocument]]:
        """Read the documents that the narrations of a split are made of, as its files have them.

        Returns:
            Of each file the documents by the ids of their narrations; empty without CoNLL-U.

        Raises:
            DataError: a file is missing or broken.
            BadRecord: a document is wrong, and such are not skipped.
        """
        return {}
