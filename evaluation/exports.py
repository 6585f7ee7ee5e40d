"""Writing the chains of a split: chain files of both sides, and CoNLL-2012 files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from data.narration import Narration, keep_mentions
from data.writers.conll import cuts_words, document_of
from evaluation.gold_and_system import GoldAndSystem
from metrics.chain_files import ids_scorch_confuses, write_chains, write_gold
from metrics.chains import Chains, restrict
from utils.text.conll import ConllDocument, crossing_pairs, write_documents


def write_system_chains(folder: Path, sides: GoldAndSystem) -> None:
    """Write a chain file of each narration, and say what scorch would get wrong about them."""
    for document, chains in sides.named(sides.system).items():
        write_chains(folder, document, chains)
    print(f"wrote {len(sides.system)} chain files to {folder}")
    _warn_of_scorch(folder, sides.system.keys())


def write_gold_chains(folder: Path, sides: GoldAndSystem) -> None:
    """Write the gold chain files that are not there yet; say where existing ones differ."""
    named = sides.named(sides.gold)
    files = [write_gold(folder, document, chains) for document, chains in named.items()]
    written = sum(file.status == "written" for file in files)
    different = [file for file in files if file.status == "differs"]
    print(f"gold in {folder}: {written} files written, {len(files) - written} there already")
    for file in different[:5]:
        print(f"warning: {file.describe()}")
    if different:
        print(
            f"warning: {len(different)} gold files differ from the annotations and were left as "
            "they are; the scores below are against the annotations, and scorch will give others; "
            "--output names a new folder"
        )


def write_conll_files(
    folder: Path,
    narrations: Sequence[Narration],
    chains: Mapping[str, Mapping[str, Chains[int]]],
) -> None:
    """Write CoNLL-2012 files; say what the format cannot hold of their chains.

    Args:
        chains: those of every narration, by the name of the file that they are written to.
    """
    for name, of_documents in chains.items():
        path = folder / f"{name}.conll"
        own = [_with_mentions_of(of_documents[n.id], n) for n in narrations]
        documents = [document_of(narration, of_narration) for narration, of_narration in own]
        write_documents(path, documents)
        print(f"wrote {len(documents)} documents to {path}")
        for what, count in conll_losses([n for n, _ in own], documents).items():
            if count:
                print(f"warning: {path}: {count} {what}")


def conll_losses(
    narrations: Sequence[Narration], documents: Sequence[ConllDocument]
) -> dict[str, int]:
    """Count how often a file of the documents says something else than the narrations' chains."""
    spans = [[span for chain in document.chains for span in chain] for document in documents]
    mentions, touching = sum(len(n.mentions) for n in narrations), sum(map(len, spans))
    distinct = sum(len(set(of_document)) for of_document in spans)
    return {
        "mentions begin or end within a word and got all of it": sum(map(cuts_words, narrations)),
        "mentions touch no word and are left out": mentions - touching,
        "mentions have the words of an earlier one; they are scored as repeated mentions, and the "
        "official scorer refuses more than 10 in the response": touching - distinct,
        "pairs of mentions of a chain cross and are read as nested": sum(
            map(crossing_pairs, documents)
        ),
    }


def _with_mentions_of(chains: Chains[int], narration: Narration) -> tuple[Narration, Chains[int]]:
    """Return the narration with no mentions but those of its chains, and the chains over these."""
    kept = sorted(mention for chain in chains for mention in chain)
    return keep_mentions(narration, kept), restrict(chains, kept)


def _warn_of_scorch(folder: Path, written: Collection[str]) -> None:
    """Say what scorch would get wrong about a folder of chain files."""
    strangers = {path.stem for path in folder.glob("*.json")} - set(written)
    if strangers:
        print(
            f"warning: {len(strangers)} chain files of other narrations lie in {folder}: what "
            "scores the folder as a whole, as scorch does, is wrong; --output names a new one"
        )
    confused = ids_scorch_confuses(list(written))
    if confused:
        print(
            f"warning: scorch finds gold files by the beginning of their name and may take that of "
            f"another narration for {len(confused)} ids ({confused[0]!r} is one)"
        )
