"""Chain files: the chains of one document as JSON, in the format that scorch reads.

A file is `{"name": document, "type": "clusters", "clusters": {"0": ["a man0", "he4"], ...}}`, named
after its document. The name of a mention is its phrase followed by its index among the counted
mentions of the document in text order; where mentions were found in the text, it is the phrase and
its characters, "a man@12-17". `{"type": "graph", "mentions": [...], "links": [[a, b], ...]}`, which
scorch reads too, is read here as the connected components of its links.

scorch 0.2.0 pairs the files of two folders by a glob pattern: the system's `123.json` may be scored
against the gold of `1234.json`. Everything here pairs by the exact name; `ids_scorch_confuses` says
whether the figures that scorch prints for some documents can be trusted.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from metrics.chains import Chains, chains_from_links
from utils.errors import InputError
from utils.files import write_text
from utils.json_files import read_json, without_repeated_keys
from utils.printable import quote

_SUFFIX = ".json"
_LONGEST_FILE_NAME = 255  # bytes, on every common file system


class ChainFileError(InputError):
    """A chain file that cannot be read or written; the message names the file or the id."""


@dataclass(frozen=True, slots=True)
class GoldFile:
    """What was done with the gold chains of one document.

    Attributes:
        path: the gold file.
        status: "written" where there was none, "same" or "differs" where one was there already,
            which is then left as it is.
        only_in_file, only_in_ours: the mentions that one side alone has.
        moved: the mentions of both sides that corefer with different ones of these.
    """

    path: Path
    status: Literal["written", "same", "differs"]
    only_in_file: tuple[str, ...] = ()
    only_in_ours: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()

    def describe(self) -> str:
        """Say in one line what differs, or that nothing does."""
        if self.status != "differs":
            return f"{self.path}: {self.status}"
        parts = (
            ("only in the file", self.only_in_file),
            ("only in ours", self.only_in_ours),
            ("in another chain", self.moved),
        )
        told = (f"{len(names)} {where} (first: {names[0]!r})" for where, names in parts if names)
        return f"{self.path}: gold differs from ours, mentions: {', '.join(told)}"


def mention_names(phrases: Sequence[str]) -> list[str]:
    """Return the names of a document's mentions in its chain files, all of them different.

    A name is the phrase followed by its index. Where two would be the same ("gate 1" as mention 2
    and "gate " as mention 12), the later one has spaces before its index.

    Args:
        phrases: of the counted mentions, in text order.
    """
    names: list[str] = []
    taken: set[str] = set()
    for index, phrase in enumerate(phrases):
        name = f"{phrase}{index}"
        while name in taken:
            phrase += " "
            name = f"{phrase}{index}"
        taken.add(name)
        names.append(name)
    return names


def chain_file_name(document: str) -> str:
    """Return the file name of a document's chains.

    Raises:
        ChainFileError: the id is empty, leads out of the folder, is too long for a file system, or
            holds what cannot be printed.
    """
    if not document or document in (".", ".."):
        raise ChainFileError(f"document id {document!r} cannot be a file name")
    if "/" in document or "\\" in document:
        raise ChainFileError(f"document id {document!r} holds a path separator")
    if not document.isprintable():
        raise ChainFileError(f"document id {document!r} holds a character that cannot be printed")
    name = document + _SUFFIX
    if len(name.encode()) > _LONGEST_FILE_NAME:
        raise ChainFileError(
            f"document id {document[:40]!r}... makes a file name of {len(name.encode())} bytes, "
            f"expected at most {_LONGEST_FILE_NAME}"
        )
    return name


def ids_scorch_confuses(documents: Collection[str]) -> list[str]:
    """Return the documents whose gold file scorch may mistake for that of another one.

    scorch takes the first gold file that matches the system file's name followed by anything, so
    an id that others begin with, or that is a pattern itself, may get the wrong gold.
    """
    ordered = sorted(documents)
    begins_next = {
        shorter for shorter, longer in itertools.pairwise(ordered) if longer.startswith(shorter)
    }
    return [
        document
        for document in ordered
        if document in begins_next or any(character in document for character in "*?[")
    ]


def write_chains(folder: Path, document: str, chains: Chains[str]) -> Path:
    """Write the chain file of a document; a file that is there already is replaced.

    The file appears whole or not at all.

    Args:
        folder: made where it does not exist.
        document: the id that names the file.
        chains: the names of their mentions, each in exactly one chain.

    Returns:
        The path of the file.

    Raises:
        ChainFileError: the id cannot name a file, or a mention is in two chains or twice in one.
    """
    path = folder / chain_file_name(document)
    names = [name for chain in chains for name in chain]
    if len(set(names)) < len(names):
        raise ChainFileError(f"document {document!r}: mention {_repeated(names)!r} stands twice")
    clusters = {str(index): list(chain) for index, chain in enumerate(chains)}
    content = json.dumps({"name": document, "type": "clusters", "clusters": clusters})
    write_text(path, content + "\n")
    return path


def write_gold(folder: Path, document: str, chains: Chains[str]) -> GoldFile:
    """Write the gold chains of a document, or compare them with the file that is there already.

    Arguments and errors are those of `write_chains`; an existing file is never changed.
    """
    path = folder / chain_file_name(document)
    if not path.exists():
        return GoldFile(write_chains(folder, document, chains), "written")
    return _compare(path, read_chain_file(path), chains)


def read_chain_file(path: Path) -> list[list[str]]:
    """Read the chains of a chain file, as names of mentions.

    Raises:
        ChainFileError: the file cannot be read, is not JSON of the expected shape, or holds a
            mention twice.
    """
    content = read_json(path, ChainFileError, without_repeated_keys)
    if not isinstance(content, dict):
        raise ChainFileError(f"{path}: found {_kind(content)}, expected an object")
    if content.get("type") == "clusters":
        chains = _read_clusters(path, content)
    elif content.get("type") == "graph":
        chains = _read_graph(path, content)
    else:
        found = quote(content["type"]) if "type" in content else "nothing"
        raise ChainFileError(f'{path}: type is {found}, expected "clusters" or "graph"')
    return chains


def read_chain_folder(folder: Path) -> dict[str, list[list[str]]]:
    """Read the chains of every chain file (`*.json`) of a folder, by document.

    The document is the file name without its ending; what the file says in "name" is not read,
    and neither does scorch.

    Raises:
        ChainFileError: there is no such folder, it holds no chain file, or one is not readable.
    """
    if not folder.is_dir():
        raise ChainFileError(f"{folder}: not a folder")
    paths = sorted(folder.glob(f"*{_SUFFIX}"))
    if not paths:
        raise ChainFileError(f"{folder}: no chain files (*{_SUFFIX}) in this folder")
    return {path.name.removesuffix(_SUFFIX): read_chain_file(path) for path in paths}


def _compare(path: Path, theirs: Chains[str], ours: Chains[str]) -> GoldFile:
    """Compare the chains of a file with ours, whatever the order."""
    their_chain = {mention: set(chain) for chain in theirs for mention in chain}
    our_chain = {mention: set(chain) for chain in ours for mention in chain}
    both = their_chain.keys() & our_chain.keys()
    differences = {
        "only_in_file": tuple(sorted(their_chain.keys() - both)),
        "only_in_ours": tuple(sorted(our_chain.keys() - both)),
        "moved": tuple(sorted(m for m in both if their_chain[m] & both != our_chain[m] & both)),
    }
    return GoldFile(path, "differs" if any(differences.values()) else "same", **differences)


def _repeated(names: Sequence[str]) -> str:
    """Return the first name that is there twice."""
    return next(name for index, name in enumerate(names) if name in names[:index])


def _kind(value: Any) -> str:
    """Name the JSON type of a value."""
    kinds = {dict: "an object", list: "an array", str: "a text", bool: "a truth value"}
    return "null" if value is None else kinds.get(type(value), "a number")


def _read_clusters(path: Path, content: dict[str, Any]) -> list[list[str]]:
    clusters = content.get("clusters")
    if not isinstance(clusters, dict):
        raise ChainFileError(f"{path}: clusters is {_kind(clusters)}, expected an object of chains")
    taken: dict[str, str] = {}
    for name, chain in clusters.items():
        where = f"cluster {quote(name)}"
        for mention in _read_names(path, where, chain):
            if mention in taken:
                other = taken[mention]
                again = "twice in it" if other == name else f"in {quote(other)} too"
                raise ChainFileError(f"{path}: {where}: mention {quote(mention)} is {again}")
            taken[mention] = name
        if not chain:
            raise ChainFileError(f"{path}: {where} is empty")
    return list(clusters.values())


def _read_graph(path: Path, content: dict[str, Any]) -> list[list[str]]:
    mentions = _read_names(path, "mentions", content.get("mentions"))
    index_of = {mention: index for index, mention in enumerate(mentions)}
    if len(index_of) != len(mentions):
        raise ChainFileError(f"{path}: mentions holds {quote(_repeated(mentions))} twice")
    links = content.get("links")
    if not isinstance(links, list):
        raise ChainFileError(f"{path}: links is {_kind(links)}, expected an array of pairs")
    for number, link in enumerate(links):
        ends = _read_names(path, f"link {number}", link)
        if len(ends) != 2:
            raise ChainFileError(f"{path}: link {number} has {len(ends)} ends, expected 2")
        unknown = [end for end in ends if end not in index_of]
        if unknown:
            raise ChainFileError(
                f"{path}: link {number}: {quote(unknown[0])} is not among the mentions"
            )
    indices = [(index_of[first], index_of[second]) for first, second in links]
    chains = chains_from_links(len(mentions), indices)
    return [[mentions[index] for index in chain] for chain in chains]


def _read_names(path: Path, where: str, names: Any) -> list[str]:
    """Return the value if it is a list of texts, and refuse it otherwise."""
    if not isinstance(names, list):
        raise ChainFileError(f"{path}: {where} is {_kind(names)}, expected an array of mentions")
    for name in names:
        if not isinstance(name, str):
            raise ChainFileError(
                f"{path}: {where} holds {quote(name)}, expected the name of a mention"
            )
    return names
