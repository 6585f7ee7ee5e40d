"""The coreference chains of CoNLL-2012 files, to score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from metrics.coreference.repeated_mentions import MOST_REPEATS, count_repeats, without_known_repeats
from utils.printable import quote
from utils.text.conll import (
    ConllDocument,
    ConllError,
    DocumentLines,
    WordSpan,
    split_documents,
)

DocumentChains = dict[str, list[list[WordSpan]]]


@dataclass(frozen=True, slots=True)
class ConllPair:
    """The two sides of a score.

    Attributes:
        gold, system: as `read_conll` gives them.
        documents: those of the gold file, by the same names.
        notes: what of the files is scored otherwise than it stands there.
    """

    gold: DocumentChains
    system: DocumentChains
    documents: Mapping[str, ConllDocument]
    notes: tuple[str, ...]


def read_conll(path: Path) -> DocumentChains:
    """Read the chains of every document of a CoNLL-2012 file.

    A mention stands there as often as in the file. Mentions with a split antecedent are in no
    chain, as in the official scorer 8.01 (Pradhan et al., ACL 2014).

    Returns:
        By document ("(NAME)", or "(NAME); part 0" where it has parts): chains of (first, last)
        words, counted from 0 over the document.

    Raises:
        ConllError: a bracket is not matched, a line has no place, a document is there twice or
            does not end, or there is none.
    """
    return _chains(_read_documents(path))


def read_conll_pair(gold: Path, system: Path) -> ConllPair:
    """Read the files of both sides, to score with `repeated_mentions`.

    Raises:
        ConllError: as `read_conll`, or more mentions of gold are repeated in the system's file than
            the official scorer takes.
    """
    gold_documents, system_documents = _read_documents(gold), _read_documents(system)
    gold_chains, system_chains = _chains(gold_documents), _chains(system_documents)
    left = {
        name: without_known_repeats(gold_chains.get(name, []), chains)
        for name, chains in system_chains.items()
    }
    taken_out = _mentions(system_chains) - sum(len(c) for chains in left.values() for c in chains)
    if taken_out > MOST_REPEATS:
        raise ConllError(
            f"{system}: {taken_out} repeated mentions that {gold} has too, expected at most "
            f"{MOST_REPEATS}; the official scorer 8.01 refuses to score more"
        )
    of_gold = sum(map(count_repeats, gold_chains.values()))
    others = sum(map(count_repeats, left.values()))
    counted = [
        (of_gold, f"{gold}: repeated mentions, each counted as often as it stands"),
        (taken_out, f"{system}: repeated mentions that {gold} has too, left out"),
        (others, f"{system}: other repeated mentions, each counted as often as it stands"),
    ]
    for path, documents in ((gold, gold_documents), (system, system_documents)):
        split = sum(len(document.split_antecedents) for document in documents.values())
        counted.append((split, f"{path}: mentions with a split antecedent, in no chain"))
    notes = tuple(f"{note}: {count}" for count, note in counted if count)
    return ConllPair(gold_chains, system_chains, gold_documents, notes)


def _read_documents(path: Path) -> dict[str, ConllDocument]:
    documents: dict[str, ConllDocument] = {}
    for lines in split_documents(path):
        name = _document_name(lines)
        if name in documents:
            raise ConllError(
                f"{path}, line {lines.number}: document {quote(name)} begins a second time"
            )
        documents[name] = lines.parse()
    return documents


def _chains(documents: dict[str, ConllDocument]) -> DocumentChains:
    return {name: list(map(list, document.chains)) for name, document in documents.items()}


def _mentions(documents: DocumentChains) -> int:
    return sum(len(chain) for chains in documents.values() for chain in chains)


def _document_name(lines: DocumentLines) -> str:
    """Return the name of a document and, where it is one of several parts, the part."""
    return f"({lines.name})" + ("" if lines.part is None else f"; part {lines.part}")
