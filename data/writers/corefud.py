"""Predicted chains in the documents of CoNLL-U files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

from data.readers.corefud.text import rebuild_text
from utils.errors import InputError
from utils.printable import quote
from utils.text.conll import ConllDocument
from utils.text.conllu import ConlluDocument
from utils.text.documents import mentions_of
from utils.text.entity_brackets import with_coreference


def with_predictions(
    gold: ConlluDocument, predicted: ConllDocument, counts: Counter[str]
) -> ConlluDocument:
    """Return a document with predicted chains in place of its own.

    Nothing of the gold coreference is left: entities have new ids, and there is no split antecedent
    and no bridge. A mention holds the nodes from the first word that it touches to the last, the
    empty ones between them too.

    Args:
        predicted: of the same characters but for white space, whatever its words.
        counts: adds what is not predicted, and the mentions that CoNLL-U cannot hold.

    Raises:
        InputError: the characters are others.
    """
    owners = _owners(gold, "".join("".join(predicted.words).split()))
    ends = list(accumulate((len("".join(word.split())) for word in predicted.words), initial=0))
    chains = [
        [
            (min(of_mention), max(of_mention))
            for first, last in chain
            if (of_mention := [n for nodes in owners[ends[first] : ends[last + 1]] for n in nodes])
        ]
        for chain in predicted.chains
    ]
    for mention in gold.mentions:
        counts["zero mentions"] += gold.is_zero(mention)
        counts["discontinuous mentions"] += mention.is_discontinuous
    counts["split antecedents"] += len(gold.split_antecedents)
    counts["bridges"] += len(gold.bridges)
    return with_coreference(gold, mentions_of(chains, gold.sentence_of, counts))


def _owners(gold: ConlluDocument, characters: str) -> list[Sequence[int]]:
    """Return the nodes of each character of a text without its white space.

    The text is that of the document, or that of its words with multiword tokens in their parts.
    """
    rebuilt = rebuild_text(gold)
    nodes_of: list[list[int]] = [[] for _ in rebuilt.words]
    for node, word in enumerate(rebuilt.word_of):
        if word is not None:
            nodes_of[word].append(node)
    as_text = [(rebuilt.text[slice(*span)], nodes_of[i]) for i, span in enumerate(rebuilt.words)]
    as_words = [(row.form, [node]) for node, row in enumerate(gold.nodes) if not row.is_empty]
    for pieces in (as_text, as_words):
        owners = [(sign, nodes) for piece, nodes in pieces for sign in "".join(piece.split())]
        if "".join(sign for sign, _ in owners) == characters:
            return [nodes for _, nodes in owners]
    raise InputError(
        f"document {quote(gold.name)}: found predictions for {quote(characters)}, "
        f"expected {quote(''.join(rebuilt.text.split()))}"
    )
