"""The errors of a system by their sorts: of links, of mentions and of whole chains.

Mentions are known by their characters; gold and system have the same mention where its span is
exactly the same. Either side may have mentions that the other lacks. The mentions of a chain are
in text order, (start, end), and those before a mention in its chain are its antecedents; a mention
that has any is an anaphor. Every sort of error comes with what it is counted among.

Links: recall errors over spanning trees (Martschat and Strube, EMNLP 2014), which are as many as
MUC counts: the anaphors without an error, by all of them, are MUC's recall and its precision.
    missed_links: gold anaphors that are in no chain of the system with a gold antecedent; among
        all gold anaphors.
    wrong_links: anaphors of the system that are in no gold chain with one of their antecedents
        there; among all of them. It is the same with gold and system exchanged.
    Both count apart, as undetected, those that no other link could have mended: the other side
    lacks the anaphor, or all of its antecedents.
    Their kinds are by the words of the anaphor and of one of its antecedents. For a pronoun that
    is the nearest one. For any other anaphor it is the nearest one with the same head word, where
    there is one, else the nearest that is no pronoun, else the nearest: a name is rather
    understood by the name before it than by the pronoun between them (the paper's accessibility).

Mentions and chains: after Kummerfeld and Klein (EMNLP 2013).
    wrong_boundaries: a gold mention and a mention of the system that the other side lacks, which
        overlap and have the same head word, and neither does so with any third (their span error;
        they look for the head in a parse). Among the gold mentions.
    missed_mentions: other gold mentions that the system lacks, among the gold mentions.
    extra_mentions: other mentions of the system that gold lacks, among the system's mentions.
    split_chains: gold chains with mentions in several chains of the system (divided entity), by
        how many these are. Mentions that the system lacks make no part.
    merged_chains: chains of the system with mentions of several gold chains (conflated entities).
    missed_chains: gold chains of which the system has no mention (missing entity).
    extra_chains: chains of the system of which gold has no mention (extra entity).
    The last four are about chains of two mentions or more, and counted among these.
    Unlike there, sorts do not exclude each other: a wrong link makes a merged chain, and the
    mentions of a missed chain are missed mentions. Spans are not mended before chains are compared.

A pronoun is a mention whose head word is one; the language tells both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metrics.chains import Chains
from metrics.coreference.pairs import ChainsError
from utils.text.languages import ENGLISH, Language
from utils.text.spans import Span

_LINK_KINDS = ("pronouns", "same head word", "other words")
_MENTION_KINDS = ("pronouns", "nouns")
_PART_KINDS = ("2 parts", "3 parts", "4 or more parts")

# The kinds of each sort of error; none where it has no kinds.
SORTS: dict[str, tuple[str, ...]] = {
    "missed_links": _LINK_KINDS,
    "wrong_links": _LINK_KINDS,
    "missed_mentions": _MENTION_KINDS,
    "extra_mentions": _MENTION_KINDS,
    "wrong_boundaries": (),
    "split_chains": _PART_KINDS,
    "merged_chains": _PART_KINDS,
    "missed_chains": (),
    "extra_chains": (),
}
LINK_SORTS = ("missed_links", "wrong_links")
# Mentions whose box is wrong, of the kinds of mentions; box_errors.py finds them.
WRONG_BOXES = "wrong_boxes"


@dataclass(frozen=True, slots=True)
class Error:
    """One error.

    Attributes:
        document: the id of its document.
        sort, kind: one of `SORTS` or `WRONG_BOXES`, and its kind; empty where the sort has none.
        spans: the mentions that it is about. Of a link the anaphor and its antecedent, of wrong
            boundaries the gold mention and the system's, of a split or merged chain the first
            mention of every part, of a missed or extra chain all mentions.
        undetected: whether no other link could have mended it.
    """

    document: str
    sort: str
    kind: str
    spans: tuple[Span, ...]
    undetected: bool = False


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """The number of errors of one sort or kind.

    Attributes:
        of: how many links, mentions or chains could have been wrong.
        wrong: how many are.
        undetected: how many of these no other link could have mended; 0 of sorts that are no links.
    """

    of: int
    wrong: int
    undetected: int


@dataclass(frozen=True, slots=True)
class Errors:
    """All errors of a system.

    Attributes:
        found: document by document, sort by sort, in text order.
        totals: how many could have been wrong, by sort and kind; kind "" is the whole sort.
    """

    found: tuple[Error, ...]
    totals: Mapping[tuple[str, str], int]

    def of(self, sort: str, kind: str = "") -> list[Error]:
        """Return the errors of a sort, of all kinds or of one."""
        return [error for error in self.found if error.sort == sort and kind in ("", error.kind)]

    def count(self, sort: str, kind: str = "") -> ErrorCount:
        """Count the errors of a sort, of all kinds or of one."""
        errors = self.of(sort, kind)
        undetected = sum(error.undetected for error in errors)
        return ErrorCount(self.totals.get((sort, kind), 0), len(errors), undetected)

    def to_json(self) -> dict[str, Any]:
        """Return `{sort: {"of": n, "wrong": n, "kinds": {kind: {"of", "wrong"}}}}`; links have
        "undetected" too, and sorts without kinds no "kinds".
        """
        content = {}
        for sort, kinds in SORTS.items():
            content[sort] = self._count_to_json(sort)
            if kinds:
                content[sort]["kinds"] = {kind: self._count_to_json(sort, kind) for kind in kinds}
        return content

    def _count_to_json(self, sort: str, kind: str = "") -> dict[str, Any]:
        count = self.count(sort, kind)
        undetected = {"undetected": count.undetected} if sort in LINK_SORTS else {}
        return {"of": count.of, "wrong": count.wrong, **undetected}


def find_errors(
    texts: Mapping[str, str],
    gold: Mapping[str, Chains[Span]],
    system: Mapping[str, Chains[Span]],
    language: Language = ENGLISH,
) -> Errors:
    """Find the errors of a system's chains.

    Args:
        texts: of the documents, by id.
        gold: the chains of the same documents: spans of characters, the end exclusive.
        system: likewise.
        language: of the texts; its pronouns and the head words of phrases tell the kinds.

    Raises:
        ChainsError: a side has a span twice in one document.
    """
    found: list[Error] = []
    totals: Counter[tuple[str, str]] = Counter()
    for document, text in texts.items():
        finder = _Finder(document, text, gold[document], system[document], language)
        found += finder.errors
        totals.update(finder.totals)
    return Errors(tuple(found), totals)


class _Finder:
    """The search for the errors of one document.

    Attributes:
        errors, totals: `Errors.found` and `Errors.totals` of the document.
    """

    def __init__(
        self, document: str, text: str, gold: Chains[Span], system: Chains[Span], language: Language
    ) -> None:
        self.errors: list[Error] = []
        self.totals: Counter[tuple[str, str]] = Counter()
        self._document = document
        gold, system = ([sorted(chain) for chain in sorted(map(sorted, s))] for s in (gold, system))
        gold_of, system_of = self._chain_of(gold, "gold"), self._chain_of(system, "system")
        self._pronouns = language.pronouns
        self._heads = {
            span: language.head_word(text[slice(*span)]) for span in (*gold_of, *system_of)
        }
        # Recall looks at the gold chains by the system's, precision the other way round.
        self._find_links("missed_links", gold, system_of)
        self._find_links("wrong_links", system, gold_of)
        self._find_mentions(gold_of, system_of)
        self._find_chains("split_chains", "missed_chains", gold, system_of)
        self._find_chains("merged_chains", "extra_chains", system, gold_of)

    def _chain_of(self, chains: Chains[Span], side: str) -> dict[Span, int]:
        """Map each mention, in text order, to the index of its chain.

        Raises:
            ChainsError: a span is there twice.
        """
        chain_of = sorted((span, index) for index, chain in enumerate(chains) for span in chain)
        if len(dict(chain_of)) < len(chain_of):
            raise ChainsError(f"{side} document {self._document!r}: a mention is there twice")
        return dict(chain_of)

    def _count(self, sort: str, kind: str) -> None:
        """Count one more that could be wrong."""
        self.totals.update({(sort, ""), (sort, kind)})

    def _add(self, sort: str, kind: str, spans: Sequence[Span], undetected: bool = False) -> None:
        self.errors.append(Error(self._document, sort, kind, tuple(spans), undetected))

    def _find_links(self, sort: str, chains: Chains[Span], other_of: Mapping[Span, int]) -> None:
        for chain in chains:
            reached: set[int] = set()  # the other side's chains of the antecedents
            for place, anaphor in enumerate(chain):
                other = other_of.get(anaphor)
                if place:
                    kind, antecedent = self._explain(anaphor, chain[:place])
                    self._count(sort, kind)
                    if other not in reached:
                        undetected = other is None or not reached
                        self._add(sort, kind, (anaphor, antecedent), undetected)
                if other is not None:
                    reached.add(other)

    def _explain(self, anaphor: Span, antecedents: Sequence[Span]) -> tuple[str, Span]:
        """Return the kind of an anaphor's link, and the antecedent that decides it."""
        head, nearest_first = self._heads[anaphor], antecedents[::-1]
        if head in self._pronouns:
            return "pronouns", nearest_first[0]
        for antecedent in nearest_first:
            if self._heads[antecedent] == head:
                return "same head word", antecedent
        nouns = (span for span in nearest_first if self._heads[span] not in self._pronouns)
        return "other words", next(nouns, nearest_first[0])

    def _find_mentions(self, gold_of: Mapping[Span, int], system_of: Mapping[Span, int]) -> None:
        missed = [span for span in gold_of if span not in system_of]
        extra = [span for span in system_of if span not in gold_of]
        pairs = self._pairs(missed, extra)
        mended = {span for pair in pairs for span in pair}
        for sort, mentions, lacking in (
            ("missed_mentions", gold_of, missed),
            ("extra_mentions", system_of, extra),
        ):
            for span in mentions:
                self._count(sort, self._mention_kind(span))
            for span in lacking:
                if span not in mended:
                    self._add(sort, self._mention_kind(span), (span,))
        self.totals["wrong_boundaries", ""] += len(gold_of)
        for pair in pairs:
            self._add("wrong_boundaries", "", pair)

    def _mention_kind(self, span: Span) -> str:
        return "pronouns" if self._heads[span] in self._pronouns else "nouns"

    def _pairs(self, missed: Sequence[Span], extra: Sequence[Span]) -> list[tuple[Span, Span]]:
        """Pair the spans that overlap and have the same head word, each with one other alone."""
        alike = [
            (first, second)
            for first in missed
            for second in extra
            if first[0] < second[1] and second[0] < first[1]
            if self._heads[first] == self._heads[second]
        ]
        times = Counter(("missed", first) for first, _ in alike)
        times.update(("extra", second) for _, second in alike)
        return [p for p in alike if times["missed", p[0]] == times["extra", p[1]] == 1]

    def _find_chains(
        self,
        broken: str,
        lost: str,
        chains: Chains[Span],
        other_of: Mapping[Span, int],
    ) -> None:
        """Find the chains in several parts on the other side, and those without any part there.

        Args:
            broken: the sort of the former.
            lost: the sort of the latter.
            chains: of one side.
            other_of: the index of the chain of each mention on the other side.
        """
        for chain in chains:
            if len(chain) < 2:
                continue
            # As many chains could be in two parts as in three.
            self.totals.update(
                [(lost, ""), (broken, ""), *((broken, kind) for kind in _PART_KINDS)]
            )
            parts: dict[int, Span] = {}
            for span in chain:
                if span in other_of:
                    parts.setdefault(other_of[span], span)
            if not parts:
                self._add(lost, "", chain)
            elif len(parts) > 1:
                self._add(broken, _PART_KINDS[min(len(parts), 4) - 2], tuple(parts.values()))
