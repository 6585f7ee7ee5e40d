"""Files of chains and of documents, to score: two sides of any of the formats there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from data.writers.corefud import read_predictions
from metrics.chain_files import read_chain_file, read_chain_folder
from metrics.chains import Chains
from metrics.corefud.documents import (
    CorefudDocument,
    document_without_trees,
    read_corefud,
    scored_documents,
)
from metrics.corefud.matching import Matching
from metrics.document_pairs import (
    DocumentPair,
    read_conll_pair,
    read_document_pair,
    read_same_documents,
)
from utils.errors import InputError
from utils.text.conllu_files import read_documents
from utils.text.document_files import CONLLU, GAP, JSONLINES

# The chains of gold and system, by document.
Sides = tuple[Mapping[str, Chains[Hashable]], Mapping[str, Chains[Hashable]]]
# The documents of gold and system, and what of them is scored otherwise than it stands.
CorefudSides = tuple[Sequence[CorefudDocument], Sequence[CorefudDocument], Sequence[str]]


def is_corefud(path: Path) -> bool:
    """Return whether a file is one of CorefUD, by its name."""
    return path.name.endswith(CONLLU)


def read_sides(gold: Path, system: Path) -> tuple[Sides, DocumentPair | None]:
    """Read two folders of chain files, two chain files, or two files of documents.

    Returns:
        The chains of both sides by document, and the pair of files that hold words.

    Raises:
        InputError: a path cannot be read, one is a folder and the other is not, or only one is a
            chain file.
    """
    for path in (gold, system):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
    if gold.is_dir() != system.is_dir():
        raise InputError(f"{gold} and {system}: one is a folder and the other is not")
    if gold.is_dir():
        return (read_chain_folder(gold), read_chain_folder(system)), None
    if (gold.suffix == ".json") != (system.suffix == ".json"):
        raise InputError(f"{gold} and {system}: one is a chain file (.json) and the other is not")
    if gold.suffix == ".json":
        return ({gold.stem: read_chain_file(gold)}, {gold.stem: read_chain_file(system)}), None
    others = (*CONLLU, *JSONLINES, *GAP)
    is_other = gold.name.endswith(others) or system.name.endswith(others)
    pair = read_document_pair(gold, system) if is_other else read_conll_pair(gold, system)
    return (pair.gold, pair.system), pair


def read_corefud_sides(
    gold: Path, systems: Sequence[Path], matching: Matching
) -> Iterator[CorefudSides]:
    """Read gold and each system, to score as CorefUD does.

    Predictions that are not in a CorefUD file are put into the documents of gold, for the trees.

    Args:
        gold: a CorefUD file or, for exact matching, any file that holds words.
        systems: files that hold the same documents.
        matching: of mentions.

    Raises:
        InputError: a file cannot be read, its documents are others than gold's, or mentions are to
            be matched by heads that no tree tells.
    """
    for path in (gold, *systems):
        if path.is_dir() or path.suffix == ".json":
            raise InputError(f"{path}: chain files hold no words, expected a file that holds some")
    if not is_corefud(gold):
        if matching != "exact":
            raise InputError(
                f"--match {matching}: {gold} has no trees, so the heads of its mentions are not "
                "known; it can be scored with --match exact"
            )
        for system in systems:
            yield _read_without_trees(gold, system)
        return
    documents = read_documents(gold)
    of_gold = scored_documents(gold, documents)
    for system in systems:
        if is_corefud(system):
            yield of_gold, read_corefud(system), ()
            continue
        counts: Counter[str] = Counter()
        predicted = read_predictions(system, gold, documents, counts)
        notes = [
            f"{system}: {what}, not among the predictions that are scored: {count}"
            for what, count in counts.items()
            if count
        ]
        yield of_gold, scored_documents(system, predicted), notes


def _read_without_trees(gold: Path, system: Path) -> CorefudSides:
    of_gold, of_system, notes = read_same_documents(gold, system)
    # Formats differ in where sentences end, but not in what is said.
    same_sentences = [
        replace(of_system[name], name=document.name, sentences=document.sentences)
        for name, document in of_gold.items()
    ]
    sides = (map(document_without_trees, side) for side in (of_gold.values(), same_sentences))
    first, second = map(list, sides)
    return first, second, notes
