"""Convert coreference from one format into another: `python tools/convert.py IN OUT`.

The formats are told by the endings of the names. What is lost is said on standard error.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.writers.corefud import read_predictions
from metrics.chain_files import ChainFileError, chain_file_name, write_chains
from utils.distributed.command import run_command
from utils.errors import InputError
from utils.options import command_parser
from utils.text import conllu_files
from utils.text.conll import ConllDocument, without_repeats
from utils.text.document_files import CONLL, CONLLU, read_document_file, write_document_file
from utils.text.documents import document_name
from utils.text.jsonlines import SYSTEMS


def main(arguments: Sequence[str] | None = None) -> None:
    """Convert what the command line names."""
    options = _parser().parse_args(arguments)
    source, target = options.source, options.target
    if source.is_dir():
        raise InputError(f"{source}: chain files hold no texts, so nothing can be written of them")
    try:
        if options.into is not None:
            written = _write_into(source, target, options.into)
        else:
            written = _convert(source, target, options.system)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror}") from error
    print(f"wrote {written:,} documents to {target}")


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "Convert coreference between CoNLL-U (.conllu, .conllu.xz), CoNLL-2012 (.conll, _conll) "
        "and JSON lines of e2e-coref, wl-coref, fastcoref and Maverick (.jsonl, .jsonlines). GAP "
        "(.tsv) is read, folders of chain files (a name without an ending) are written.",
        prog="convert.py",
    )
    parser.add_argument("source", type=Path, metavar="IN", help="a file to read")
    parser.add_argument("target", type=Path, metavar="OUT", help="a file or a folder to write")
    parser.add_argument(
        "--system",
        choices=sorted(SYSTEMS),
        default="e2e-coref",
        help="whose JSON lines are written",
    )
    parser.add_argument(
        "--into",
        type=Path,
        metavar="GOLD",
        help="write the chains of IN as predictions into the documents of this .conllu file, "
        "without any of its own coreference",
    )
    return parser


def _convert(source: Path, target: Path, system: str) -> int:
    """Write the documents of a file in another format, and say what is lost."""
    if source.name.endswith(CONLLU) and target.name.endswith(CONLLU):
        documents = conllu_files.read_documents(source)
        conllu_files.write_documents(target, documents)
        return len(documents)
    converted = read_document_file(source)
    if target.name.endswith(CONLLU) and not any(d.sentences for d in converted.documents):
        raise InputError(f"{source}: no document has a word, which CoNLL-U needs")
    if target.suffix or target.name.endswith(CONLL):
        lost = write_document_file(target, converted.documents, system)
    else:
        try:
            lost = _write_chain_files(target, converted.documents)
        except ChainFileError as error:
            raise InputError(f"{source}: {error}") from error
    _say("lost", converted.lost + lost)
    return len(converted.documents) - lost["documents without a word"]


def _write_into(source: Path, target: Path, gold: Path) -> int:
    """Write predictions into the documents of a CoNLL-U file, and say what is not in them."""
    for path in (target, gold):
        if not path.name.endswith(CONLLU):
            raise InputError(f"{path}: --into needs .conllu or .conllu.xz")
    counts: Counter[str] = Counter()
    written = read_predictions(source, gold, conllu_files.read_documents(gold), counts)
    conllu_files.write_documents(target, written)
    _say(f"{target} does not have", counts)
    return len(written)


def _file_name(document: ConllDocument) -> str:
    """Return the name that a document has where names are of files, as narrations' ids are."""
    return document_name(document).replace("/", "_")


def _write_chain_files(folder: Path, documents: Sequence[ConllDocument]) -> Counter[str]:
    """Write a chain file of each document, its mentions named by their words and places."""
    lost: Counter[str] = Counter()
    names: set[str] = set()
    # Before any is written, so that none is where one cannot be.
    for document in documents:
        name = chain_file_name(_file_name(document))
        if name in names:
            raise ChainFileError(f"found two documents for {name}, expected one")
        names.add(name)
    for document in documents:
        words = document.words
        chains = [
            [f"{' '.join(words[first : last + 1])}@{first}-{last}" for first, last in chain]
            for chain in without_repeats(document.chains)
        ]
        kept = sum(map(len, chains))
        lost["mentions there twice"] += sum(map(len, document.chains)) - kept
        lost["split antecedents"] += len(document.split_antecedents)
        lost["words of no mention, sentences and speakers"] += len(words)
        write_chains(folder, _file_name(document), chains)
    return lost


def _say(what: str, counts: Counter[str]) -> None:
    """Say on standard error how many there are of what is not 0."""
    found = [f"{count:,} {name}" for name, count in counts.items() if count]
    if found:
        print(f"{what}: {', '.join(found)}", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
