"""GAP: passages of Wikipedia with a pronoun and two names, and which of them it means.

A tab-separated file with a line of the columns' names: ID, Text, Pronoun, Pronoun-offset, A,
A-offset, A-coref, B, B-offset, B-coref, URL. Offsets are characters of the text.

Webster et al., TACL 2018: github.com/google-research-datasets/gap-coreference.
"""

from __future__ import annotations

import re
from pathlib import Path

from utils.errors import InputError
from utils.files import decode_text, split_lines
from utils.printable import quote
from utils.text.documents import Converted, checked_name, document_of_text
from utils.text.spans import Span

_COLUMNS = (
    *("ID", "Text", "Pronoun", "Pronoun-offset", "A", "A-offset", "A-coref"),
    *("B", "B-offset", "B-coref", "URL"),
)
_OFFSET = re.compile(r"[0-9]{1,9}")
_TRUTH = {"TRUE": True, "FALSE": False}


def read_gap(path: Path) -> Converted:
    """Read each passage as a document: the pronoun in a chain with the names that it means.

    A name that it does not mean is a chain of its own.

    Raises:
        InputError: the file cannot be read, or a line is wrong.
    """
    try:
        lines = split_lines(decode_text(path.read_bytes()))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8: {error}") from error
    # The texts hold quotation marks that quote nothing.
    if tuple(lines[0].split("\t")) != _COLUMNS:
        expected = f"the columns {', '.join(_COLUMNS)}"
        raise InputError(f"{path}, line 1: found {quote(lines[0])}, expected {expected}")
    converted = Converted([])
    for number, line in enumerate(lines[1:], start=2):
        if not line:
            continue
        place = f"{path}, line {number}"
        row = line.split("\t")
        if len(row) != len(_COLUMNS):
            raise InputError(f"{place}: found {len(row)} columns, expected {len(_COLUMNS)}")
        fields = dict(zip(_COLUMNS, row, strict=True))
        name = checked_name(fields["ID"], place)
        converted.documents.append(
            document_of_text(name, fields["Text"], _chains(fields, place), converted.lost)
        )
        converted.lost["addresses of pages"] += bool(fields["URL"])
    if not converted.documents:
        raise InputError(f"{path}: no passage, expected one a line")
    return converted


def _chains(fields: dict[str, str], place: str) -> list[list[Span]]:
    own = [_span(fields, "Pronoun", place)]
    others = []
    for name in ("A", "B"):
        truth = _TRUTH.get(fields[f"{name}-coref"].upper())
        if truth is None:
            found = quote(fields[f"{name}-coref"])
            raise InputError(f"{place}: found {name}-coref {found}, expected TRUE or FALSE")
        if truth:
            own.append(_span(fields, name, place))
        else:
            others.append([_span(fields, name, place)])
    return [sorted(own), *others]


def _span(fields: dict[str, str], name: str, place: str) -> Span:
    phrase, offset = fields[name], fields[f"{name}-offset"]
    start = int(offset) if _OFFSET.fullmatch(offset) else -1
    if not phrase or start < 0 or fields["Text"][start : start + len(phrase)] != phrase:
        raise InputError(
            f"{place}: found {name} {quote(phrase)} at {quote(offset)}, where it is not"
        )
    return start, start + len(phrase)
