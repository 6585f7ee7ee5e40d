"""What reading a data set found, and how a reader says that a record is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.files import BadRecord, bad_record
from data.narration import Narration
from utils.printable import quote

SKIPPED_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a JSON file and where it stands, to check it field by field.

    Attributes:
        path: the file.
        name: names the record within the file.
        fields: its keys and values.
    """

    path: Path
    name: str
    fields: dict[str, Any]

    def bad(self, found: str, expected: str) -> BadRecord:
        """Return the error that says what is wrong with this record."""
        return bad_record(self.path, self.name, found, expected)

    def take(self, key: str, kind: type, expected: str) -> Any:
        """Return the value of a key, which must be of exactly this type (no bool for an int).

        Raises:
            BadRecord: the key is missing or its value is of another type.
        """
        if key not in self.fields:
            raise self.bad(f"no {key}", f"{key}: {expected}")
        value = self.fields[key]
        if type(value) is not kind:
            raise self.bad(f"{key} {quote(value)}", expected)
        return value


@dataclass(slots=True)
class ReadReport:
    """What was found in one split of a data set; a reader fills it while it reads.

    Attributes:
        dataset: name of the data set.
        split: name of the split.
        skip_bad_records: whether a bad record is left out and written down instead of ending the
            reading.
        counts: how many there are of what is named, in the order to print.
        expected: how many the release states, where it does; a part of the release, or another data
            set in its formats, has other counts.
        notes: what else the reader of the report should know.
        skipped: the messages of the bad records that were left out.
    """

    dataset: str
    split: str
    skip_bad_records: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    expected: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def count(self, what: str, found: int, expected: int | None = None) -> None:
        """Write down how many were found of something, and how many the release states."""
        self.counts[what] = found
        if expected is not None:
            self.expected[what] = expected

    def count_chains(self, narrations: Iterable[Narration]) -> None:
        """Write down how many mentions, chains and chains of one mention narrations have."""
        sizes = [
            size
            for narration in narrations
            for size in Counter(mention.chain for mention in narration.mentions).values()
        ]
        self.count("mentions", sum(sizes))
        self.count("chains", len(sizes))
        self.count("singletons", sizes.count(1))

    @contextmanager
    def skipping(self) -> Iterator[None]:
        """Leave out the record that the `with` block reads where it is bad and such are skipped.

        Raises:
            BadRecord: it is bad, and such end the reading.
        """
        try:
            yield
        except BadRecord as problem:
            self.refuse(problem)

    def refuse(self, problem: BadRecord) -> None:
        """Leave a bad record out where that is wanted; otherwise it ends the reading.

        Raises:
            BadRecord: the problem itself.
        """
        if not self.skip_bad_records:
            raise problem
        self.skipped.append(str(problem))

    def lines(self) -> list[str]:
        """Return the report as lines to print."""
        lines = [f"{self.dataset} {self.split}"]
        for what, found in self.counts.items():
            line = f"  {what}: {found:,}"
            if what in self.expected:
                line += f" (the release states {self.expected[what]:,})"
            lines.append(line)
        lines += [f"  {note}" for note in self.notes]
        if self.skipped:
            lines.append(f"  bad records skipped: {len(self.skipped):,}")
            lines += [f"    {message}" for message in self.skipped[:SKIPPED_SHOWN]]
        if len(self.skipped) > SKIPPED_SHOWN:
            lines.append(f"    and {len(self.skipped) - SKIPPED_SHOWN:,} more")
        return lines


def same_words(first: str, second: str) -> bool:
    """Return whether two texts are the same but for white space and the case of letters."""
    return " ".join(first.split()).casefold() == " ".join(second.split()).casefold()
