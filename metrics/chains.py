"""From links between mentions to chains.

A chain is a list of mentions that refer to one thing. A mention's identity is its index among the
mentions of its narration, and every mention is in exactly one chain; one that corefers with
nothing is a chain of its own. Chains are ordered by their first mention, mentions by index.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

Mention = TypeVar("Mention", bound=Hashable)

# The chains of one document; a mention is whatever it is known by: its index, its span, its name.
Chains = Sequence[Sequence[Mention]]


def chains_from_links(
    mentions: int, links: np.ndarray | Sequence[tuple[int, int]]
) -> list[list[int]]:
    """Return the connected components of mentions and the links between them.

    Args:
        mentions: how many there are.
        links: [links, 2] pairs of mentions.

    Returns:
        Mention indices, every one in exactly one chain.

    Raises:
        ValueError: a link names a mention that there is not.
    """
    first, second = np.asarray(links, dtype=int).reshape(-1, 2).T
    graph = csr_array((np.ones(len(first)), (first, second)), shape=(mentions, mentions))
    _, components = connected_components(graph, directed=False)
    return chains_from_labels(components.tolist())


def chains_from_labels(labels: Sequence[Hashable | None]) -> list[list[int]]:
    """Put the mentions with the same label into one chain.

    Args:
        labels: what each mention refers to; None where it is a chain of its own.
    """
    chains: list[list[int]] = []
    chain_of_label: dict[Hashable, list[int]] = {}
    for mention, label in enumerate(labels):
        chain = None if label is None else chain_of_label.get(label)
        if chain is None:
            chain = []
            chains.append(chain)
            if label is not None:
                chain_of_label[label] = chain
        chain.append(mention)
    return chains


def restrict(chains: Chains[int], kept: Sequence[int]) -> list[list[int]]:
    """Return the chains of some of the mentions, which are numbered anew from 0.

    Args:
        chains: over all mentions of a narration.
        kept: the mentions to keep, each once; mention `kept[i]` becomes `i`.

    Raises:
        ValueError: a mention to keep is in no chain.
    """
    chain_of_mention = {mention: index for index, chain in enumerate(chains) for mention in chain}
    missing = [mention for mention in kept if mention not in chain_of_mention]
    if missing:
        raise ValueError(f"mention {missing[0]} is to be kept and is in no chain")
    return chains_from_labels([chain_of_mention[mention] for mention in kept])
