"""The coreference chains of two files of documents, to score.

Two CoNLL-2012 files are paired as the official scorer does. Other files (JSON lines, GAP, and one
CoNLL-U file beside one of these) are paired by the names of their documents, and must have the same
words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from metrics.coreference.repeated_mentions import MOST_REPEATS, count_repeats, without_known_repeats
from utils.errors import InputError
from utils.printable import quote
from utils.text.conll import (
    ConllDocument,
    ConllError,
    DocumentLines,
    WordSpan,
    split_documents,
)
from utils.text.document_files import read_document_file
from utils.text.documents import document_name

DocumentChains = dict[str, list[list[WordSpan]]]


@dataclass(frozen=True, slots=True)
class DocumentPair:
    """The two sides of a score.

    Attributes:
        gold, system: the chains of each document, by its name (`read_conll`,
            `read_document_pair`).
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


def read_conll_pair(gold: Path, system: Path) -> DocumentPair:
    """Read the files of both sides, to score with `repeated_mentions`.

    Raises:
        ConllError: as `read_conll`, or more mentions of gold are repeated in the system's file than
            the official scorer takes.
    """
    documents = _read_documents(gold), _read_documents(system)
    return _pair(gold, system, *documents)


def read_document_pair(gold: Path, system: Path) -> DocumentPair:
    """Read two files of documents of any format, to score with `repeated_mentions`.

    Raises:
        InputError: as `read_same_documents`, or as `read_conll_pair`.
    """
    *sides, notes = read_same_documents(gold, system)
    pair = _pair(gold, system, *sides)
    return replace(pair, notes=(*notes, *pair.notes))


def read_same_documents(
    gold: Path, system: Path
) -> tuple[dict[str, ConllDocument], dict[str, ConllDocument], list[str]]:
    """Read two files of the same documents in any formats.

    Returns:
        The documents of gold and of the system by their names, with "_" and the number of their
        part where that is not 0; and what of the files is a mention and has no place in chains of
        words, such as zero mentions.

    Raises:
        InputError: a file cannot be read, a document is there twice or in one file alone, or its
            words differ.
    """
    sides, notes = [], []
    for path in (gold, system):
        converted = read_document_file(path)
        documents: dict[str, ConllDocument] = {}
        for document in converted.documents:
            name = document_name(document)
            if documents.setdefault(name, document) is not document:
                raise InputError(f"{path}: the document {quote(name)} is there twice")
        sides.append(documents)
        counted = ((what, converted.lost[what]) for what in _NOT_SCORED)
        notes += [f"{path}: {what}, not scored: {count}" for what, count in counted if count]
    of_gold, of_system = sides
    for path, others, found in ((system, of_gold, of_system), (gold, of_system, of_gold)):
        if missing := others.keys() - found.keys():
            raise InputError(f"{path}: found no document {quote(min(missing))}, which others have")
    for name, document in of_gold.items():
        _check_same_words(system, name, document.words, of_system[name].words)
    return of_gold, of_system, notes


# What of a file is a mention, or says something of one, and is in no chain of words.
_NOT_SCORED = ("zero mentions", "discontinuous mentions", "mentions without a word")


def _check_same_words(path: Path, name: str, gold: Iterable[str], system: Iterable[str]) -> None:
    """Check that a document has the words of gold.

    Raises:
        InputError: it has others; the first is named.
    """
    for number, (word, other) in enumerate(zip_longest(gold, system), start=1):
        if word != other:
            found, expected = (
                "no more words" if w is None else f"the word {quote(w)}" for w in (other, word)
            )
            raise InputError(
                f"{path}, document {quote(name)}, word {number}: found {found}, expected "
                f"{expected}, as in gold"
            )


def _pair(
    gold: Path,
    system: Path,
    gold_documents: Mapping[str, ConllDocument],
    system_documents: Mapping[str, ConllDocument],
) -> DocumentPair:
    """Pair the documents of two files.

    Raises:
        ConllError: more mentions of gold are repeated in the system's file than the official scorer
            takes.
    """
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
    return DocumentPair(gold_chains, system_chains, gold_documents, notes)


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


def _chains(documents: Mapping[str, ConllDocument]) -> DocumentChains:
    return {name: list(map(list, document.chains)) for name, document in documents.items()}


def _mentions(documents: DocumentChains) -> int:
    return sum(len(chain) for chains in documents.values() for chain in chains)


def _document_name(lines: DocumentLines) -> str:
    """Return the name of a document and, where it is one of several parts, the part."""
    return f"({lines.name})" + ("" if lines.part is None else f"; part {lines.part}")
