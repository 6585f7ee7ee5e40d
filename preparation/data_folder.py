"""The folder of a data set, as the commands that prepare it read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data.files import DataError
from data.narration import Narration
from data.readers import read_narrations


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A data set and where it lies.

    Attributes:
        dataset: the name of its reader.
        root: its folder.
        skip_bad_records: whether bad records are counted and left out.
    """

    dataset: str
    root: Path
    skip_bad_records: bool

    def read(self, split: str) -> tuple[Narration, ...]:
        """Read the narrations of a split and print the report of the reading.

        Raises:
            DataError: a file cannot be read.
            BadRecord: a record is wrong, and such are not skipped.
        """
        reading = read_narrations(
            self.dataset, self.root, split, skip_bad_records=self.skip_bad_records
        )
        print("\n".join(reading.report.lines()))
        return reading.narrations

    def read_labelled(self, split: str) -> list[Narration]:
        """Read the annotated narrations of a split, and print the report.

        Some may have no mention: what is found in their texts is found wrongly.

        Raises:
            DataError: a file cannot be read, or no narration has gold mentions.
            BadRecord: a record is wrong, and such are not skipped.
        """
        narrations = [narration for narration in self.read(split) if narration.is_labelled]
        if not any(narration.mentions for narration in narrations):
            raise DataError(f"{self.dataset} {split} has no gold mentions")
        return narrations
