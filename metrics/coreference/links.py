"""Scores of the links of some mentions, such as the pronouns."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass

import numpy as np

from metrics.chains import Chains
from metrics.coreference.pairs import ChainsError, chain_of_mention, listed, paired_documents
from metrics.coreference.ratios import ratios_of
from metrics.coreference.scores import Score


@dataclass(frozen=True, slots=True)
class LinkScores:
    """How well some mentions are linked to all others.

    Attributes:
        mentions: the number of chosen mentions.
        gold_links, system_links: links of these mentions in the gold and in the system's chains.
        correct_links: links in both.
    """

    mentions: int
    gold_links: int
    system_links: int
    correct_links: int

    @property
    def score(self) -> Score | None:
        """The score; None where neither side has a link, so that there is nothing to score."""
        if self.gold_links == self.system_links == 0:
            return None
        counts = (self.correct_links, self.gold_links, self.correct_links, self.system_links)
        return Score(*ratios_of(np.array(counts)).tolist())

    def to_json(self) -> dict[str, float | None]:
        """Return the numbers of mentions and of gold links, and the score in percent."""
        score = self.score
        rates = score.to_json() if score else dict.fromkeys(("recall", "precision", "f1"))
        return {"mentions": self.mentions, "gold_links": self.gold_links, **rates}


def link_scores(
    gold: Mapping[str, Chains[Hashable]],
    system: Mapping[str, Chains[Hashable]],
    mentions: Mapping[str, Collection[Hashable]],
) -> LinkScores:
    """Score the links of some mentions, such as the pronouns, pooled over documents.

    Every chosen mention counts once for each other mention in its chain, so a link between two
    chosen mentions counts for both. VisPro (Yu et al., EMNLP 2019) counts the links of a pronoun
    in this way; there only noun phrases stand at the other end.

    Args:
        gold, system: as `score_chains` takes them.
        mentions: the chosen mentions of a document; a document without any may be absent.

    Raises:
        ChainsError: as `score_chains`, or a chosen mention or its document is on neither side.
    """
    documents = paired_documents(gold, system)
    unknown = mentions.keys() - set(documents)
    if unknown:
        raise ChainsError(f"mentions are chosen in {listed(unknown)}, not among the documents")
    totals = np.zeros(4, dtype=int)
    for document in documents:
        gold_of = chain_of_mention(gold[document], f"gold document {document!r}")
        system_of = chain_of_mention(system[document], f"system document {document!r}")
        for mention in set(mentions.get(document, ())):
            if mention not in gold_of and mention not in system_of:
                raise ChainsError(f"document {document!r}: no chain holds mention {mention!r}")
            gold_chain = gold[document][gold_of[mention]] if mention in gold_of else ()
            system_chain = system[document][system_of[mention]] if mention in system_of else ()
            in_gold, in_system = set(gold_chain) - {mention}, set(system_chain) - {mention}
            totals += (1, len(in_gold), len(in_system), len(in_gold & in_system))
    return LinkScores(*totals.tolist())
