"""Predicted chains in the documents of CoNLL-U files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from data.conllu_text import rebuild_text
from utils.errors import InputError
from utils.printable import quote
from utils.text.conll import ConllDocument
from utils.text.conllu import ConlluDocument
from utils.text.document_files import read_document_file
from utils.text.documents import document_name, mentions_of
from utils.text.entity_brackets import with_coreference

# What a file of predictions may have that is in no chain of words.
_NO_SPANS = (
    *("zero mentions", "discontinuous mentions", "mentions without a word"),
    *("split antecedents", "bridges"),
)


def read_predictions(
    source: Path, gold: Path, documents: Sequence[ConlluDocument], counts: Counter[str]
) -> list[ConlluDocument]:
    """Return the documents of a CoNLL-U file with the chains that a file of any format predicts.

    Documents are the same where their names are, with "_" for "/", as the ids of narrations have.

    Args:
        source: the file of predictions (`utils/text/document_files.py`).
        gold: the CoNLL-U file, for errors.
        documents: of the CoNLL-U file.
        counts: as `with_predictions` takes it; adds what the predictions have and no chain of words
            can hold, as zero mentions.

    Raises:
        InputError: a file cannot be read, a document is there twice or in one file alone, or its
            characters are others.
    """
    converted = read_document_file(source)
    for what in _NO_SPANS:
        counts[f"predicted {what}"] += converted.lost[what]
    by_name: dict[str, ConllDocument] = {}
    for document in converted.documents:
        counts["predicted split antecedents"] += len(document.split_antecedents)
        name = document_name(document)
        if by_name.setdefault(name.replace("/", "_"), document) is not document:
            raise InputError(f"{source}: the document {quote(name)} is there twice")
    predicted = []
    seen: set[str] = set()
    for number, of_gold in enumerate(documents, start=1):
        name = of_gold.name or f"{gold.name.split('.')[0]}-{number}"
        id_ = name.replace("/", "_")
        if id_ in seen:
            raise InputError(f"{gold}: the document {quote(name)} is there twice")
        if id_ not in by_name:
            raise InputError(f"{source}: found no document {quote(name)}, which {gold} has")
        seen.add(id_)
        try:
            predicted.append(with_predictions(of_gold, by_name[id_], counts))
        except InputError as error:
            raise InputError(f"{source}: {error}") from error
    if others := by_name.keys() - seen:
        raise InputError(f"{source}: {gold} has no document {quote(min(others))}")
    return predicted


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
    counts.update(_count_not_predicted(gold))
    counts["split antecedents"] += len(gold.split_antecedents)
    counts["bridges"] += len(gold.bridges)
    return with_coreference(gold, mentions_of(chains, gold.sentence_of, counts))


def _count_not_predicted(gold: ConlluDocument) -> Counter[str]:
    """Count the gold mentions that no prediction over the text can be, each for one reason."""
    rebuilt = rebuild_text(gold)
    zero, discontinuous, repeated, cut = (
        "zero mentions",
        "discontinuous mentions",
        "mentions with the words of another one",
        "mentions of parts of words, or with other empty nodes",
    )
    counts: Counter[str] = Counter(dict.fromkeys((zero, discontinuous, repeated, cut), 0))
    seen: set[tuple[int, int]] = set()
    for mention in gold.mentions:
        words = rebuilt.words_of(mention)
        if not words:
            counts[zero] += 1
            continue
        first, last = words[0], words[-1]
        held = set(words)
        nodes = [node for node, word in enumerate(rebuilt.word_of) if word in held]
        if last - first >= len(words):
            counts[discontinuous] += 1
            continue
        if (first, last) in seen:
            counts[repeated] += 1
        elif mention.nodes != tuple(range(nodes[0], nodes[-1] + 1)):
            counts[cut] += 1
        seen.add((first, last))
    return counts


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
