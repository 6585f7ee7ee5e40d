"""Files with one JSON object a line."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path

from data.files import BadRecord, DataError, bad_record
from data.readers.report import ReadReport, Record
from utils.printable import quote


def read_json_lines(path: Path, report: ReadReport) -> list[Record]:
    """Read the object of every line that is not blank, named by the number of the line.

    Raises:
        DataError: the file is missing or cannot be read.
        BadRecord: a line is no JSON object, and the report does not skip such.
    """
    return [record for _, record in each_json_line(path, report)]


def each_json_line(path: Path, report: ReadReport) -> Iterator[tuple[int, Record]]:
    """Read one object after the other, for files larger than memory; errors as above.

    Yields:
        The byte that the line begins at, and its object.
    """
    start = 0
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    if line.strip().removeprefix(codecs.BOM_UTF8):
                        yield start, parse_json_line(path, f"line {number}", line)
                except BadRecord as problem:
                    report.refuse(problem)
                start += len(line)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def parse_json_line(path: Path, name: str, line: bytes) -> Record:
    """Parse the object of one line.

    Args:
        name: names the line within the file.

    Raises:
        BadRecord: it is no JSON object.
    """
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise bad_record(path, name, f"no JSON ({error})", "one JSON object a line") from error
    if not isinstance(fields, dict):
        raise bad_record(path, name, quote(fields), "an object")
    return Record(path, name, fields)
