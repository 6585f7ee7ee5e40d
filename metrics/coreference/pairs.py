"""Gold and system chains of the same documents, paired and checked."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping

from metrics.chains import Chains
from metrics.coreference.repeated_mentions import without_known_repeats
from utils.errors import InputError


class ChainsError(InputError):
    """Chains that cannot be scored; the message names the document."""


def paired_documents(
    gold: Mapping[str, Chains[Hashable]], system: Mapping[str, Chains[Hashable]]
) -> list[str]:
    """Return the documents of both sides, which must be the same."""
    missing = {"gold": system.keys() - gold.keys(), "system": gold.keys() - system.keys()}
    if any(missing.values()):
        sides = [f"{side} misses {listed(names)}" for side, names in missing.items() if names]
        raise ChainsError(f"gold and system hold different documents: {'; '.join(sides)}")
    if not gold:
        raise ChainsError("there is no document to score")
    return list(gold)


def checked_pairs(
    gold: Mapping[str, Chains[Hashable]],
    system: Mapping[str, Chains[Hashable]],
    *,
    repeated_mentions: bool,
) -> list[tuple[Chains[Hashable], Chains[Hashable]]]:
    """Return gold and system chains of each document, as they are to be counted.

    Raises:
        ChainsError: as `score_chains`.
    """
    documents = paired_documents(gold, system)
    pairs = [(gold[document], system[document]) for document in documents]
    if repeated_mentions:
        return [(first, without_known_repeats(first, second)) for first, second in pairs]
    for document in documents:
        chain_of_mention(gold[document], f"gold document {document!r}")
        chain_of_mention(system[document], f"system document {document!r}")
    return pairs


def listed(names: Collection[str], shown: int = 5) -> str:
    """Return the number of names and the first few of them."""
    more = ", ..." if len(names) > shown else ""
    return f"{len(names)} ({', '.join(map(repr, sorted(names)[:shown]))}{more})"


def chain_of_mention(chains: Chains[Hashable], place: str) -> dict[Hashable, int]:
    """Map each mention to the index of its chain.

    Raises:
        ChainsError: as `score_chains`; the place is named.
    """
    chain_of: dict[Hashable, int] = {}
    for index, chain in enumerate(chains):
        if not chain:
            raise ChainsError(f"{place}: chain {index} is empty")
        for mention in chain:
            if mention in chain_of:
                twice = "twice in one chain" if chain_of[mention] == index else "in two chains"
                raise ChainsError(f"{place}: mention {mention!r} is {twice}")
            chain_of[mention] = index
    return chain_of
