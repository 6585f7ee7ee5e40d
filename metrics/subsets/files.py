"""Scores of subsets of files of documents: by genre, distance and length."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from itertools import accumulate

from metrics.chains import Chains
from metrics.coreference.counts import count_documents
from metrics.coreference.scores import count_chains
from metrics.corefud.documents import CorefudDocument
from metrics.corefud.matching import Matching, Mention, ZeroMatching, shared_identities
from metrics.corefud.matching import without_repeats as distinct_mentions
from metrics.document_pairs import DocumentPair
from metrics.subsets.mentions import Place
from metrics.subsets.scores import Criterion, ScoredDocument, SubsetScores, score_subsets
from utils.text.conll import without_repeats
from utils.text.genres import genre_of_name

# The kinds of mentions need the language of the words.
FILE_CRITERIA: tuple[Criterion, ...] = ("genre", "distance", "length")


def score_pair_subsets(
    pair: DocumentPair, by: Iterable[Criterion], *, also_without_singletons: bool = False
) -> SubsetScores:
    """Score the subsets of two files of words and chains, such as CoNLL-2012 files.

    Subsets of documents take repeated mentions as the pooled scores do; those of mentions take each
    mention once, in the chain that opened first.

    Args:
        pair: the files.
        by: what to split by.
        also_without_singletons: as `score_chains` takes it.

    Raises:
        ChainsError: as `score_chains`.
        InputError: as `score_subsets`.
    """
    counts = {
        way: count_chains(
            pair.gold, pair.system, without_singletons=without, repeated_mentions=True
        )
        for way, without in (("pooled", False), ("pooled_without_singletons", True))
        if also_without_singletons or not without
    }
    documents = []
    for name, document in pair.documents.items():
        gold, system = without_repeats(pair.gold[name]), without_repeats(pair.system[name])
        documents.append(
            ScoredDocument(
                gold=gold,
                system=system,
                places={span: span for chain in (*gold, *system) for span in chain},
                words=len(document.words),
                genre=genre_of_name(document.name),
            )
        )
    return score_subsets(by, documents, counts)


def score_corefud_subsets(
    gold: Sequence[CorefudDocument],
    system: Sequence[CorefudDocument],
    by: Iterable[Criterion],
    matching: Matching,
    zero_matching: ZeroMatching = "dependent",
    *,
    also_without_singletons: bool = False,
) -> SubsetScores:
    """Score the subsets of the documents of CorefUD files.

    A matched mention is where the gold one is. Where mentions are split, one of several entities is
    in the first of them.

    Args:
        gold, system, matching, zero_matching, also_without_singletons: as `score_corefud` takes
            them.
        by: what to split by.

    Raises:
        InputError: as `score_subsets`.
    """
    sides = [
        (
            [distinct_mentions(chain, matching) for chain in first.chains],
            [distinct_mentions(chain, matching) for chain in second.chains],
        )
        for first, second in zip(gold, system, strict=True)
    ]
    numbered = [
        shared_identities(first, second, matching, zero_matching) for first, second in sides
    ]
    counts = {"pooled": count_documents(numbered, repeats="corefud")}
    if also_without_singletons:
        linked = [
            shared_identities(_linked(first), _linked(second), matching, zero_matching)
            for first, second in sides
        ]
        counts["pooled_without_singletons"] = count_documents(linked, repeats="corefud")
    documents = [
        ScoredDocument(
            gold=without_repeats(numbers[0]),
            system=without_repeats(numbers[1]),
            places=_places(document, pair, numbers),
            words=sum(map(len, document.words)),
            genre=document.genre,
        )
        for document, pair, numbers in zip(gold, sides, numbered, strict=True)
    ]
    return score_subsets(by, documents, counts, blanc_kinds="either")


def _linked(chains: Chains[Mention]) -> Chains[Mention]:
    return [chain for chain in chains if len(chain) > 1]


def _places(
    document: CorefudDocument,
    sides: Sequence[Chains[Mention]],
    numbers: Sequence[Chains[int]],
) -> dict[Hashable, Place]:
    """Return where the mentions with each number are; a word's place is that in the document.

    Args:
        sides: the chains of gold and system.
        numbers: the same with numbers for the mentions.
    """
    firsts = [0, *accumulate(map(len, document.words))]  # the first word of each sentence
    places: dict[Hashable, Place] = {}
    for chains, of_chains in zip(sides, numbers, strict=True):
        for chain, of_chain in zip(chains, of_chains, strict=True):
            for mention, number in zip(chain, of_chain, strict=True):
                (sentence, word, empty), last = mention.words[0], mention.words[-1]
                place = (firsts[sentence] + word, empty, *last, len(mention.words))
                places.setdefault(number, place)
    return places
