"""The two sides of a resolved split: what is gold and what is predicted, over the same mentions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data.mention_spans import gold_spans
from data.narration import Narration, counted_mentions
from evaluation.mention_matching import compare, grounded_gold_mentions
from inference.resolution import Resolution
from inference.split_predictions import ResolvedSplit
from metrics.chain_files import mention_names
from metrics.chains import (
    Chains,
    chains_from_labels,
    chains_from_similarity,
    restrict,
)
from metrics.grounding_scores import GroundedMention
from utils.text.spans import Span


@dataclass(frozen=True)
class Compared:
    """What is written and scored of a split.

    Attributes:
        narrations: their mentions are those of either side.
        boxes_known: whether of these mentions only those count that have a box.
        phrases, names: of the counted mentions of each narration, in text order; names are what
            chain files call them.
        gold: chains over the indices of the counted mentions, of each narration that is labelled;
            a mention that was found and is not gold is in none.
        system: predicted chains of every narration, likewise; a mention that was not found is in
            none.
    """

    narrations: Sequence[Narration]
    boxes_known: bool
    phrases: Mapping[str, Sequence[str]]
    names: Mapping[str, Sequence[str]]
    gold: Mapping[str, Chains[int]]
    system: Mapping[str, Chains[int]]

    def named(self, chains: Mapping[str, Chains[int]]) -> dict[str, list[list[str]]]:
        """Chains with the names of their mentions."""
        return {
            document: [
                [self.names[document][mention] for mention in chain] for chain in of_document
            ]
            for document, of_document in chains.items()
        }


def compared(split: ResolvedSplit, threshold: float) -> Compared:
    """Gold and predicted chains over gold mentions, or over the gold and the found ones."""
    # scorch wants a gold file beside each file of the system, so one without mentions counts too.
    labelled = {n.id for n in split.narrations if all(m.chain is not None for m in n.mentions)}
    if split.mentions == "gold":
        narrations, boxes_known = split.narrations, split.boxes_known
        phrases = {n.id: counted_phrases(n, boxes_known) for n in narrations}
        names = {document: mention_names(of_one) for document, of_one in phrases.items()}
        gold = gold_chains(narrations, boxes_known=boxes_known)
        system = system_chains(split.resolutions, boxes_known=boxes_known, threshold=threshold)
    else:
        joined = [
            compare(
                narration,
                resolution.narration,
                chains_from_similarity(resolution.similarity, threshold),
                boxes_known=split.boxes_known,
            )
            for narration, resolution in zip(split.narrations, split.resolutions, strict=True)
        ]
        narrations, boxes_known = [both.narration for both in joined], False
        phrases = {n.id: counted_phrases(n, boxes_known) for n in narrations}
        names = {both.narration.id: both.names for both in joined}
        gold = {both.narration.id: both.gold for both in joined}
        system = {both.narration.id: both.system for both in joined}
    gold = {document: chains for document, chains in gold.items() if document in labelled}
    return Compared(narrations, boxes_known, phrases, names, gold, system)


def span_chains(
    narrations: Sequence[Narration], chains: Mapping[str, Chains[int]], boxes_known: bool
) -> dict[str, list[list[Span]]]:
    """The chains of narrations over the characters of their counted mentions.

    Of mentions with the same characters the first one alone is there.
    """
    found = {}
    for narration in narrations:
        counted = counted_mentions(narration, boxes_known=boxes_known)
        spans = [(narration.mentions[i].start, narration.mentions[i].end) for i in counted]
        first = {span: place for place, span in reversed(list(enumerate(spans)))}
        kept = ([spans[m] for m in c if first[spans[m]] == m] for c in chains[narration.id])
        found[narration.id] = [chain for chain in kept if chain]
    return found


def grounded_by_span(split: ResolvedSplit) -> dict[str, list[tuple[Span, GroundedMention]]]:
    """What grounding is scored on, with its characters: of every narration the gold mentions that
    have a box, whether they were found or not.
    """
    grounded = {}
    for narration, resolution in zip(split.narrations, split.resolutions, strict=True):
        if split.mentions == "gold":
            spans = [(mention.start, mention.end) for mention in narration.mentions]
            mentions = grounded_mentions([resolution])
        else:
            spans = gold_spans(narration)
            mentions = grounded_gold_mentions(
                narration, resolution.narration, resolution.boxes_xyxy, resolution.regions_xyxy
            )
        with_box = (span for span, m in zip(spans, narration.mentions, strict=True) if m.boxes_xyxy)
        grounded[narration.id] = list(zip(with_box, mentions, strict=True))
    return grounded


def counted_phrases(narration: Narration, boxes_known: bool) -> list[str]:
    """The words of the mentions that count, in text order."""
    counted = counted_mentions(narration, boxes_known=boxes_known)
    return [narration.mentions[index].phrase for index in counted]


def gold_chains(
    narrations: Iterable[Narration], *, boxes_known: bool
) -> dict[str, list[list[int]]]:
    """Gold chains over the counted mentions of each narration, which are numbered from 0."""
    chains = {}
    for narration in narrations:
        counted = counted_mentions(narration, boxes_known=boxes_known)
        chains[narration.id] = chains_from_labels([narration.mentions[i].chain for i in counted])
    return chains


def system_chains(
    resolutions: Iterable[Resolution], *, boxes_known: bool, threshold: float
) -> dict[str, list[list[int]]]:
    """Predicted chains over the counted mentions of each narration, which are numbered from 0.

    Chains are found over all mentions of a narration and then left with those that count.
    """
    chains = {}
    for resolution in resolutions:
        counted = counted_mentions(resolution.narration, boxes_known=boxes_known)
        found = chains_from_similarity(resolution.similarity, threshold)
        chains[resolution.narration.id] = restrict(found, counted)
    return chains


def grounded_mentions(resolutions: Iterable[Resolution]) -> list[GroundedMention]:
    """What the grounding scores need of every mention that has a gold box."""
    return [
        GroundedMention(
            phrase=mention.phrase,
            gold_boxes_xyxy=np.asarray(mention.boxes_xyxy, dtype=np.float32),
            box_xyxy=None if resolution.boxes_xyxy is None else resolution.boxes_xyxy[index],
            regions_xyxy=resolution.regions_xyxy,
            kind=mention.kind,
        )
        for resolution in resolutions
        for index, mention in enumerate(resolution.narration.mentions)
        if mention.boxes_xyxy
    ]
