"""The gold and the system's chains of a split, over the same mentions."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from data.narration import Narration, keep_mentions
from evaluation.mention_matching import match_mentions
from inference.resolution import Resolution
from inference.split_predictions import SplitPredictions
from metrics.chain_files import mention_names
from metrics.chains import Chains, chains_from_labels, restrict
from metrics.error_analysis.errors import Errors, find_errors
from utils.text.languages import Language
from utils.text.spans import Span


@dataclass(frozen=True)
class GoldAndSystem:
    """The two sides of a score: the gold chains of a split, and those that a system predicts.

    Chains are over the indices of a narration's mentions.

    Attributes:
        narrations: all of the split; their mentions are those that count, of either side.
        language: of their texts.
        names: what chain files call the mentions of each narration.
        gold: the gold chains of each labelled narration; a mention that the system alone has is in
            none.
        system: the predicted chains of every narration; a mention that was not found is in none.
        resolved: the mentions of each narration that the system links, also where the chains of one
            mention are left out.
        singletons: whether chains of one mention are among them.
    """

    narrations: Sequence[Narration]
    language: Language
    names: Mapping[str, Sequence[str]]
    gold: Mapping[str, Chains[int]]
    system: Mapping[str, Chains[int]]
    resolved: Mapping[str, Sequence[int]]
    singletons: bool = True

    def without_singletons(self) -> GoldAndSystem:
        """Return both sides without the chains of one mention."""
        gold, system = without_singletons(self.gold), without_singletons(self.system)
        return replace(self, gold=gold, system=system, singletons=False)

    @cached_property
    def labelled(self) -> GoldAndSystem:
        """Both sides of the labelled narrations, which alone can be scored."""
        narrations = [narration for narration in self.narrations if narration.id in self.gold]
        system = {document: self.system[document] for document in self.gold}
        return replace(self, narrations=narrations, system=system)

    @cached_property
    def texts(self) -> dict[str, str]:
        """The text of each narration."""
        return {narration.id: narration.text for narration in self.narrations}

    @cached_property
    def phrases(self) -> dict[str, list[str]]:
        """The words of each narration's mentions."""
        return {n.id: [mention.phrase for mention in n.mentions] for n in self.narrations}

    @cached_property
    def spans(self) -> dict[str, list[Span]]:
        """The characters of each narration's mentions."""
        return {n.id: [(m.start, m.end) for m in n.mentions] for n in self.narrations}

    @cached_property
    def gold_span_chains(self) -> dict[str, list[list[Span]]]:
        """The gold chains over characters; of mentions with the same ones the first alone."""
        return self._over_spans(self.gold)

    @cached_property
    def system_span_chains(self) -> dict[str, list[list[Span]]]:
        """The system's chains over characters; of mentions with the same ones the first alone."""
        return self._over_spans(self.system)

    def _over_spans(self, side: Mapping[str, Chains[int]]) -> dict[str, list[list[Span]]]:
        over_spans = {}
        for document, chains in side.items():
            spans = self.spans[document]
            first = {span: mention for mention, span in reversed(list(enumerate(spans)))}
            kept = ([spans[m] for m in chain if first[spans[m]] == m] for chain in chains)
            over_spans[document] = [chain for chain in kept if chain]
        return over_spans

    def named(self, side: Mapping[str, Chains[int]]) -> dict[str, list[list[str]]]:
        """Return the chains of one side over the names of their mentions."""
        return {
            document: [[self.names[document][mention] for mention in chain] for chain in chains]
            for document, chains in side.items()
        }

    @cached_property
    def errors(self) -> Errors:
        """What the system's chains of the labelled narrations get wrong."""
        sides = self.labelled.gold_span_chains, self.labelled.system_span_chains
        return find_errors(self.labelled.texts, *sides, self.language)


def gold_and_system(split: SplitPredictions, threshold: float) -> GoldAndSystem:
    """Compare a split's predictions with its labels, over gold mentions or those of both sides.

    Args:
        threshold: the similarity above which the system links two mentions.
    """
    # One without mentions counts too; and scorch wants a gold file beside each of the system's.
    labelled = {narration.id for narration in split.narrations if narration.is_labelled}
    if split.mentions == "gold":
        narrations = list(map(keep_mentions, split.narrations, split.counted))
        names = {n.id: mention_names([m.phrase for m in n.mentions]) for n in narrations}
        gold = gold_chains(narrations)
        system = system_chains(split.resolutions, split.counted, threshold)
    else:
        matches = [
            match_mentions(
                narration,
                resolution.narration,
                resolution.chains_above(threshold),
                counted,
            )
            for narration, resolution, counted in zip(
                split.narrations, split.resolutions, split.counted, strict=True
            )
        ]
        narrations = [match.narration for match in matches]
        names = {match.narration.id: match.names for match in matches}
        gold = {match.narration.id: match.gold for match in matches}
        system = {match.narration.id: match.system for match in matches}
    return GoldAndSystem(
        narrations,
        split.language,
        names,
        gold={document: chains for document, chains in gold.items() if document in labelled},
        system=system,
        resolved={
            document: sorted(itertools.chain(*chains)) for document, chains in system.items()
        },
    )


def gold_chains(narrations: Iterable[Narration]) -> dict[str, list[list[int]]]:
    """Return the gold chains of each narration, over the indices of its mentions."""
    return {n.id: chains_from_labels([mention.chain for mention in n.mentions]) for n in narrations}


def system_chains(
    resolutions: Sequence[Resolution], counted: Sequence[Sequence[int]], threshold: float
) -> dict[str, list[list[int]]]:
    """Return the predicted chains of each narration, over its counted mentions, numbered from 0.

    Chains are found over all mentions of a narration and then left with those that count.

    Args:
        counted: the indices of the mentions of each narration that count.
        threshold: the similarity above which two mentions are linked.
    """
    return {
        resolution.narration.id: restrict(resolution.chains_above(threshold), of_narration)
        for resolution, of_narration in zip(resolutions, counted, strict=True)
    }


def without_singletons(side: Mapping[str, Chains[int]]) -> dict[str, Chains[int]]:
    """Return the chains of each document that have two mentions or more."""
    return {
        document: [chain for chain in chains if len(chain) > 1] for document, chains in side.items()
    }
