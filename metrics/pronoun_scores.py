"""How well pronouns are resolved to noun phrases, as VisPro is scored (Yu et al., EMNLP 2019).

What counts are pairs of a pronoun and a noun phrase. The gold pairs are the pronoun with each of
its correct candidates. Of the system's chain of the pronoun, each mention makes a pair that covers
one of the candidates or is covered by it, the first in their order that no mention has matched yet;
mentions that are personal or possessive pronouns make none. The pair is correct where the mention
matches one of the correct candidates in the same way. Precision, recall and F1 are over the pairs
of all dialogues, and apart over pronouns of what is discussed and of what is not. Pairs of a
pronoun that is annotated to refer to no noun phrase are not counted against the system.

So the released code of VisPro and of VD-PCR (Yu et al., 2022) counts. It looks for the pronoun as
the first chain with a mention that starts at its word, which may be that of "his head" for "his";
here the mention is the pronoun itself. VisPro's own figures have a harder choice: its systems find
the mentions themselves, do not read the caption as text, and choose among noun phrases of other
captions too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from metrics.chains import Chains
from metrics.coreference.links import LinkScores
from utils.text.annotated_pronouns import AnnotatedPronoun
from utils.text.spans import Span

# The mentions that make no pair.
PRONOUNS = frozenset("she her hers he him his it its they them their theirs".split())


@dataclass(frozen=True, slots=True)
class PronounScores:
    """Scores of all pronouns that refer, of those to what is discussed, and of the others."""

    overall: LinkScores
    discussed: LinkScores
    not_discussed: LinkScores

    def rows(self) -> dict[str, LinkScores]:
        """Return the three scores by their titles."""
        return {
            "pronouns to candidates": self.overall,
            "  of what is discussed": self.discussed,
            "  of what is not discussed": self.not_discussed,
        }

    def to_json(self) -> dict[str, Any]:
        """Return the numbers of pronouns and of gold pairs, and the scores in percent."""
        return {
            "overall": self.overall.to_json(),
            "discussed": self.discussed.to_json(),
            "not_discussed": self.not_discussed.to_json(),
        }


def score_pronouns(
    pronouns: Mapping[str, Sequence[AnnotatedPronoun]],
    texts: Mapping[str, str],
    chains: Mapping[str, Chains[Span]],
) -> PronounScores:
    """Score the resolution of annotated pronouns.

    Args:
        pronouns: those of each document.
        texts: of the same documents.
        chains: the system's, of the same documents: spans of characters, the end exclusive.
    """
    discussed: Counter[str] = Counter()
    not_discussed: Counter[str] = Counter()
    for document, of_document in pronouns.items():
        for pronoun in filter(attrgetter("refers"), of_document):
            chain = next((c for c in chains[document] if pronoun.span in c), ())
            counts = discussed if pronoun.discussed else not_discussed
            counts.update(_count_pairs(pronoun, chain, texts[document]))
    return PronounScores(
        overall=_scores(discussed + not_discussed),
        discussed=_scores(discussed),
        not_discussed=_scores(not_discussed),
    )


def _scores(counts: Counter[str]) -> LinkScores:
    return LinkScores(counts["pronouns"], counts["gold"], counts["system"], counts["correct"])


def _count_pairs(pronoun: AnnotatedPronoun, chain: Sequence[Span], text: str) -> Counter[str]:
    """Count the pairs of one pronoun: gold ones, the system's, and those that are correct."""
    candidates, correct = list(pronoun.candidates), list(pronoun.correct)
    counts = Counter(pronouns=1, gold=len(correct))
    for start, end in sorted(chain):
        if text[start:end].lower() not in PRONOUNS and _take((start, end), candidates):
            counts["system"] += 1
            counts["correct"] += _take((start, end), correct)
    return counts


def _take(mention: Span, phrases: list[Span]) -> bool:
    """Remove the first phrase that covers the mention or is covered by it; tell if there is one."""
    start, end = mention
    for index, (first, last) in enumerate(phrases):
        if (first <= start and end <= last) or (start <= first and last <= end):
            del phrases[index]
            return True
    return False
