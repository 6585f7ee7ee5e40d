"""Reader of coreference chains in CoNLL-2012 files.

A file holds documents between `#begin document (NAME); part NNN` and `#end document`, one token a
line, sentences apart by empty lines. The last column of a token opens and closes mentions: `(3`
opens one of chain 3, `3)` closes it, `(3)` is a mention of one token; several stand beside each
other, with `|` between them or nothing; `-` or `_` is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from utils.errors import InputError

Span = tuple[int, int]

_BEGIN = re.compile(r"#\s*begin document\s+\((?P<name>.*)\);(?:\s*part\s+(?P<part>\d+))?\s*$")
_END = re.compile(r"#\s*end document")
_BRACKET = re.compile(r"\((?P<single>[^()|]+)\)|\((?P<opened>[^()|]+)|(?P<closed>[^()|]+)\)|\|")


class ConllError(InputError):
    """A file that is not CoNLL-2012; the message names the file and the line."""


@dataclass
class _Document:
    """A document while it is read.

    Attributes:
        begin: its first line.
        tokens: how many tokens it has so far.
        chains: the spans of each chain, in the order in which the chains open.
        open: for each chain, token and line of its mentions that are not closed yet.
    """

    begin: int
    tokens: int = 0
    chains: dict[str, list[Span]] = field(default_factory=dict)
    open: dict[str, list[tuple[int, int]]] = field(default_factory=dict)


def read_conll(path: Path) -> dict[str, list[list[Span]]]:
    """The chains of every document of a CoNLL-2012 file.

    As the official scorer 8.01 does it, a span that is repeated stays only once, in the chain that
    opened first (chains that open at one token: those with a mention of just this token, then the
    others); a chain without any span left is dropped.

    Returns:
        By document ("NAME", or "NAME; part 0" where it has parts): chains of (first, last) tokens,
        counted from 0 over the document.

    Raises:
        ConllError: a bracket is not matched, a line has no place, a document is there twice or
            does not end, or there is none.
    """
    documents: dict[str, list[list[Span]]] = {}
    name, document = "", None
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ConllError(f"{path}: not UTF-8: {error}") from error
    for number, line in enumerate(lines, start=1):
        place = f"{path}, line {number}"
        if begin := _BEGIN.match(line):
            if document is not None:
                raise ConllError(f"{place}: a document begins before {name!r} has ended")
            name, document = _document_name(begin), _Document(begin=number)
            if name in documents:
                raise ConllError(f"{place}: document {name!r} begins a second time")
        elif _END.match(line) and document is not None:
            documents[name] = _finish(document, path)
            document = None
        elif line.strip() and not line.startswith("#"):
            if document is None:
                raise ConllError(f"{place}: found {line[:60]!r}, expected a document to begin")
            _read_token(document, line.split()[-1], number, place)
    if document is not None:
        raise ConllError(f"{path}, line {document.begin}: document {name!r} does not end")
    if not documents:
        raise ConllError(f'{path}: no document, expected "#begin document (NAME); part 0"')
    return documents


def _document_name(begin: re.Match[str]) -> str:
    """The name and, where it is one of several parts, its number."""
    part = begin["part"]
    return begin["name"] if part is None else f"{begin['name']}; part {int(part)}"


def _read_token(document: _Document, column: str, line: int, place: str) -> None:
    """Add what the last column of the next token opens and closes."""
    token = document.tokens
    document.tokens += 1
    if column in ("-", "_"):
        return
    brackets = list(_BRACKET.finditer(column))
    if "".join(bracket[0] for bracket in brackets) != column:
        raise ConllError(f"{place}: the last column is {column!r}, expected brackets or '-'")
    for kind in ("single", "opened"):
        for bracket in brackets:
            if bracket[kind]:
                document.chains.setdefault(bracket[kind], [])
    for bracket in brackets:
        if chain := bracket["single"]:
            document.chains[chain].append((token, token))
        elif chain := bracket["opened"]:
            document.open.setdefault(chain, []).append((token, line))
        elif chain := bracket["closed"]:
            if not document.open.get(chain):
                raise ConllError(f"{place}: {chain}) closes a mention that is not open")
            start, _ = document.open[chain].pop()
            document.chains[chain].append((start, token))


def _finish(document: _Document, path: Path) -> list[list[Span]]:
    """The chains of a whole document, every span once."""
    for chain, starts in document.open.items():
        for _, line in starts:
            raise ConllError(f"{path}, line {line}: ({chain} opens a mention that is not closed")
    return _without_repeats(document.chains.values())


def _without_repeats(chains: Iterable[list[Span]]) -> list[list[Span]]:
    """The chains with each span only where it comes first."""
    seen: set[Span] = set()
    kept = []
    for chain in chains:
        spans = sorted(set(chain) - seen)
        seen.update(spans)
        if spans:
            kept.append(spans)
    return kept
