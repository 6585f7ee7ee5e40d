"""Files with one JSON object a line."""

from __future__ import annotations

import json
from pathlib import Path

from data.files import BadRecord, DataError, bad_record
from data.readers.report import ReadReport, Record
from utils.visible import shown


def read_json_lines(path: Path, report: ReadReport) -> list[Record]:
    """The object of every line that is not blank, named by the number of the line.

    Raises:
        DataError: the file is missing or cannot be read.
        BadRecord: a line is no JSON object, and the report does not skip such.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    records = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            records.append(_parse_line(path, f"line {number}", line))
        except BadRecord as problem:
            report.refuse(problem)
    return records


def _parse_line(path: Path, name: str, line: bytes) -> Record:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise bad_record(path, name, f"no JSON ({error})", "one object a line") from error
    if not isinstance(fields, dict):
        raise bad_record(path, name, shown(fields), "an object")
    return Record(path, name, fields)
