"""Which heads a model finds for mentions and chains, as the alignment scores read it.

A mention is compared with heads by its own vector, or by the mean of its chain's, whichever the
model was trained with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from data.mention_spans import gold_spans
from data.narration import NO_REGION, Narration
from inference.resolution import AlignedVectors, Resolution
from metrics.alignment_scores import (
    NO_CANDIDATE,
    HeadedChain,
    Search,
)
from metrics.chains import Chains, chains_from_labels
from utils.vectors import normalize_rows

ChainFinder = Callable[[Resolution], Chains[int]]


def gold_chains_of(resolution: Resolution) -> Chains[int]:
    """Return the gold chains of what was resolved."""
    return chains_from_labels([mention.chain for mention in resolution.mentions])


def system_chains_at(threshold: float) -> ChainFinder:
    """Return what gives the system's chains of a resolution, linked above a similarity."""
    return lambda resolution: resolution.chains_above(threshold)


def resolutions_with_heads(resolutions: Sequence[Resolution]) -> list[Resolution]:
    """Return the resolutions of narrations whose heads were read."""
    return [r for r in resolutions if r.narration.image_id is not None]


def singleton_chains_of(resolution: Resolution) -> Chains[int]:
    """Return each mention as a chain of its own: it is then compared by its own vector."""
    return [[index] for index in range(len(resolution.mentions))]


def searches_in_dialogues(
    resolutions: Sequence[Resolution], chains_of: ChainFinder
) -> Iterator[Search]:
    """Search the head of each gold mention that has one among the heads of its dialogue.

    A head that shows the same person as the right one is no candidate.
    """
    for resolution in resolutions:
        yield from searches_in_split([resolution], chains_of)


def searches_in_split(
    resolutions: Sequence[Resolution], chains_of: ChainFinder
) -> Iterator[Search]:
    """Search the head of each gold mention that has one among the heads of all dialogues.

    A head that shows the same person as the right one is no candidate.
    """
    heads = np.concatenate([_aligned(resolution).regions for resolution in resolutions])
    names = [_names(resolution) for resolution in resolutions]
    people = np.array([name for of_one in names for name in of_one], dtype=np.str_)
    first = 0
    for resolution, of_one in zip(resolutions, names, strict=True):
        scores = head_scores(resolution, chains_of(resolution), heads)
        for index, own in _mentions_with_head(resolution):
            kind, document = resolution.mentions[index].kind, resolution.narration.id
            if own is None:
                yield Search(scores[index], None, kind, document)
                continue
            candidates = (people != of_one[own]) | (people == "")
            candidates[first + own] = True
            place = int(candidates[: first + own].sum())
            yield Search(scores[index][candidates], place, kind, document)
        first += len(of_one)


def head_scores(resolution: Resolution, chains: Chains[int], heads: np.ndarray) -> np.ndarray:
    """Return how well heads fit each mention: their cosine with the mean of its chain.

    Args:
        chains: over all mentions of the narration.
        heads: [C, A], aligned vectors of the candidates.

    Returns:
        [M, C].
    """
    mentions = _aligned(resolution).mentions
    vectors = mentions.copy()
    for chain in chains:
        vectors[chain] = mentions[chain].mean(axis=0)
    return normalize_rows(vectors) @ normalize_rows(heads).T


def gold_headed_chains(narrations: Sequence[Narration]) -> dict[str, list[HeadedChain]]:
    """Return the gold chains of each narration with their heads."""
    heads = {NO_REGION: None, None: NO_CANDIDATE}
    headed = {}
    for narration in narrations:
        spans = gold_spans(narration)
        headed[narration.id] = [
            HeadedChain(
                frozenset(spans[index] for index in chain),
                heads.get(region := narration.mentions[chain[0]].region, region),
            )
            for chain in chains_from_labels([mention.chain for mention in narration.mentions])
        ]
    return headed


def headed_chains(
    resolutions: Sequence[Resolution], chains_of: ChainFinder, *, by_chain: bool, threshold: float
) -> dict[str, list[HeadedChain]]:
    """Return the predicted chains of each narration with the head that fits each best.

    Args:
        by_chain: whether a chain is compared by its mean, or by the mean of its mentions' cosines.
        threshold: a chain whose best cosine is not above it has no head.
    """
    headed: dict[str, list[HeadedChain]] = {}
    for resolution in resolutions:
        spans = gold_spans(resolution.narration)
        chains = chains_of(resolution)
        compared = chains if by_chain else singleton_chains_of(resolution)
        scores = head_scores(resolution, compared, _aligned(resolution).regions)
        of_one = headed[resolution.narration.id] = []
        for chain in chains:
            fit = scores[chain].mean(axis=0)
            best = int(fit.argmax()) if len(fit) else None
            # A mention that the model did not read has no direction, and fits nothing.
            read = _aligned(resolution).mentions[chain].any()
            head = best if best is not None and read and fit[best] > threshold else None
            of_one.append(HeadedChain(frozenset(spans[index] for index in chain), head))
    return headed


def _aligned(resolution: Resolution) -> AlignedVectors:
    if resolution.aligned is None:
        raise ValueError(f"narration {resolution.narration.id}: the model aligns nothing")
    return resolution.aligned


def _mentions_with_head(resolution: Resolution) -> Iterator[tuple[int, int | None]]:
    """Yield the indices of the mentions that have a head, and its region, None if none shows it."""
    for index, mention in enumerate(resolution.mentions):
        if mention.region != NO_REGION:
            yield index, _if_read(mention.region, resolution)


def _if_read(region: int | None, resolution: Resolution) -> int | None:
    """Return the region, None where the model read only those before it."""
    is_read = region is not None and region < len(_aligned(resolution).regions)
    return region if is_read else None


def _names(resolution: Resolution) -> list[str]:
    """Return whom each head that was read shows; empty where nobody knows."""
    count = len(_aligned(resolution).regions)
    return [name or "" for name in (*resolution.narration.people, *[None] * count)[:count]]
