"""The coreference chains of CoNLL-2012 files, to score."""

from __future__ import annotations

from pathlib import Path

from utils.printable import quote
from utils.text.conll import (
    ConllError,
    DocumentLines,
    WordSpan,
    split_documents,
    without_repeats,
)


def read_conll(path: Path) -> dict[str, list[list[WordSpan]]]:
    """Read the chains of every document of a CoNLL-2012 file.

    A span that is repeated stays only once, in the chain that opened first, as in the official
    scorer 8.01 (Pradhan et al., ACL 2014).

    Returns:
        By document ("(NAME)", or "(NAME); part 0" where it has parts): chains of (first, last)
        words, counted from 0 over the document.

    Raises:
        ConllError: a bracket is not matched, a line has no place, a document is there twice or
            does not end, or there is none.
    """
    documents: dict[str, list[list[WordSpan]]] = {}
    for lines in split_documents(path):
        name = _document_name(lines)
        if name in documents:
            raise ConllError(
                f"{path}, line {lines.number}: document {quote(name)} begins a second time"
            )
        documents[name] = without_repeats(lines.parse().chains)
    return documents


def _document_name(lines: DocumentLines) -> str:
    """Return the name of a document and, where it is one of several parts, the part."""
    return f"({lines.name})" + ("" if lines.part is None else f"; part {lines.part}")
