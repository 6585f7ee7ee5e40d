"""Files of coreference documents, read and written by the endings of their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from utils.errors import InputError
from utils.printable import quote
from utils.text import conll, conllu_files
from utils.text.conll import ConllDocument, crossing_pairs
from utils.text.documents import (
    Converted,
    check_names,
    checked_name,
    conllu_name,
    from_conllu,
    to_conllu,
)
from utils.text.gap import read_gap
from utils.text.jsonlines import read_jsonlines, write_jsonlines

CONLLU = conllu_files.ENDINGS
CONLL = (".conll", "_conll")
JSONLINES = (".jsonl", ".jsonlines")
GAP = (".tsv",)


def read_document_file(path: Path) -> Converted:
    """Read the documents of a file.

    Raises:
        InputError: its ending is that of no format, it cannot be read, or a document is wrong.
    """
    readers: Mapping[tuple[str, ...], Callable[[Path], Converted]] = {
        CONLLU: _read_conllu,
        CONLL: _read_conll,
        JSONLINES: read_jsonlines,
        GAP: read_gap,
    }
    for endings, reader in readers.items():
        if path.name.endswith(endings):
            return reader(path)
    expected = ", ".join(ending for endings in readers for ending in endings)
    raise InputError(f"{path}: expected a file that ends in one of {expected}")


def write_document_file(
    path: Path, documents: Sequence[ConllDocument], system: str
) -> Counter[str]:
    """Write documents, and count what the format does not hold.

    Args:
        system: whose JSON lines are written where the file's ending is that of such.

    Raises:
        InputError: its ending is that of no format that can be written, or two documents would have
            one name in it. Nothing is written then.
    """
    if path.name.endswith(JSONLINES):
        return write_jsonlines(path, documents, system)
    lost: Counter[str] = Counter()
    if path.name.endswith(CONLLU):
        held = [document for document in documents if document.sentences]
        lost["documents without a word"] = len(documents) - len(held)
        check_names(path, map(conllu_name, held))
        conllu_files.write_documents(path, [to_conllu(document, lost) for document in held])
        return lost
    if path.name.endswith(CONLL):
        check_names(path, (f"({d.name}); part {d.part or 0:03}" for d in documents))
        sentences = [sentence for document in documents for sentence in document.sentences]
        cells = {
            "words": (word for sentence in sentences for word in sentence.words),
            "parts of speech": (tag for sentence in sentences for tag in sentence.parts_of_speech),
            "speakers of sentences": (sentence.speaker or "" for sentence in sentences),
        }
        for what, values in cells.items():
            lost[f"{what} with white space, which becomes _"] = sum(
                any(blank in value for blank in " \t\r\n") for value in values
            )
        lost["sentences with trees"] = sum(bool(sentence.heads) for sentence in sentences)
        lost["pairs of mentions of a chain that cross and are read as nested"] = sum(
            map(crossing_pairs, documents)
        )
        conll.write_documents(path, documents)
        return lost
    expected = ", ".join((*CONLLU, *CONLL, *JSONLINES))
    raise InputError(
        f"{path}: expected a file to write that ends in one of {expected}, or a folder"
    )


def _read_conllu(path: Path) -> Converted:
    converted = Converted([])
    for number, document in enumerate(conllu_files.read_documents(path), start=1):
        name = f"{path.name.split('.')[0]}-{number}" if document.name is None else document.name
        checked_name(name, str(path))
        converted.documents.append(from_conllu(document, name, converted.lost))
    return converted


def _read_conll(path: Path) -> Converted:
    converted = Converted([lines.parse() for lines in conll.split_documents(path)])
    for document in converted.documents:
        name = checked_name(document.name, str(path))
        if not all(document.words):
            raise InputError(f"{path}: document {quote(name)} has a line without a word")
    converted.lost["columns of parses and the like"] = len(converted.documents)
    return converted
