"""The documents of CorefUD files, to score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from metrics.corefud.matching import Mention
from metrics.corefud.tree_heads import Trees
from utils.printable import quote
from utils.text.conll import ConllDocument
from utils.text.conllu import ConlluDocument, ConlluError, ConlluMention
from utils.text.conllu_files import read_documents
from utils.text.genres import genre_of_document


@dataclass(frozen=True, slots=True)
class CorefudDocument:
    """What of a document is scored.

    Attributes:
        name: as the file writes it; None where it has none.
        words: of each sentence, without empty nodes.
        chains: the mentions of each entity in text order; entities by their first mention, the
            longer ones first.
        genre: where its file or its name tells one.
    """

    name: str | None
    words: tuple[tuple[str, ...], ...]
    chains: tuple[tuple[Mention, ...], ...]
    genre: str | None = None

    @property
    def headless(self) -> int:
        """How many mentions have no head."""
        return sum(mention.head is None for chain in self.chains for mention in chain)


def read_corefud(path: Path) -> list[CorefudDocument]:
    """Read the documents of a CoNLL-U file.

    The head of a mention is the one that the file names, else the node of the mention that all its
    others depend on; a mention without such a node has no head.

    Raises:
        ConlluError: the file cannot be read, or a document or the head of a mention is wrong.
    """
    return scored_documents(path, read_documents(path))


def scored_documents(path: Path, documents: Iterable[ConlluDocument]) -> list[CorefudDocument]:
    """Return what of the documents of a CoNLL-U file is scored, as `read_corefud`.

    Args:
        path: of the file, for errors.
        documents: some of its documents.

    Raises:
        ConlluError: the head of a mention is wrong.
    """
    scored = []
    for document in documents:
        try:
            scored.append(_scored(document))
        except ConlluError as error:
            raise ConlluError(f"{path}, document {quote(document.name)}: {error}") from error
    return scored


def document_without_trees(document: ConllDocument) -> CorefudDocument:
    """Return what of a document of words and chains is scored; its mentions have no heads."""
    positions = [
        (sentence, word, 0)
        for sentence, words in enumerate(document.sentences)
        for word in range(1, len(words.words) + 1)
    ]
    chains = (
        [Mention(tuple(positions[first : last + 1]), head=None) for first, last in chain]
        for chain in document.chains
    )
    return CorefudDocument(
        name=document.name,
        words=tuple(sentence.words for sentence in document.sentences),
        chains=_in_order(dict(enumerate(filter(None, chains)))),
    )


def headless_note(side: str, documents: Sequence[CorefudDocument]) -> str | None:
    """Return what to say where mentions have no head and are matched by more than their words.

    Args:
        side: what the documents are called.
    """
    headless = sum(document.headless for document in documents)
    if not headless:
        return None
    return (
        f"{side}: {headless} mentions have no head, in the file or in the tree: they are matched "
        "only with mentions of the same words"
    )


def check_same_words(gold: Sequence[CorefudDocument], system: Sequence[CorefudDocument]) -> None:
    """Check that two files hold the same documents, sentences and words; empty nodes may differ.

    Raises:
        ConlluError: they do not; the first difference is named.
    """
    for index, (first, second) in enumerate(zip(gold, system, strict=False)):
        if first.name != second.name:
            found = f"gold is {quote(first.name)}, system {quote(second.name)}"
            raise ConlluError(f"document {index + 1} is not the same: {found}")
        place = f"document {quote(first.name)}"
        sentences = zip(first.words, second.words, strict=False)
        for number, (words, others) in enumerate(sentences, start=1):
            if words != others:
                raise ConlluError(f"{place}, sentence {number}: {_difference(words, others)}")
        if len(first.words) != len(second.words):
            found = f"gold has {len(first.words)} sentences, system {len(second.words)}"
            raise ConlluError(f"{place}: {found}")
    if len(gold) != len(system):
        raise ConlluError(f"gold has {len(gold)} documents, system {len(system)}")


def _difference(gold: Sequence[str], system: Sequence[str]) -> str:
    """Say where the words of a sentence differ first."""
    for number, (word, other) in enumerate(zip(gold, system, strict=False), start=1):
        if word != other:
            return f"word {number} is {quote(word)} in gold, {quote(other)} in system"
    return f"gold has {len(gold)} words, system {len(system)}"


def _scored(document: ConlluDocument) -> CorefudDocument:
    trees = Trees(document)
    entities = {
        entity: [_mention(document, trees, mention) for mention in mentions]
        for entity, mentions in document.entities.items()
    }
    return CorefudDocument(
        name=document.name,
        words=tuple(
            tuple(node.form for node in sentence.nodes if not node.is_empty)
            for sentence in document.sentences
        ),
        chains=_in_order(entities),
        genre=genre_of_document(document),
    )


def _in_order(
    entities: Mapping[str, Sequence[Mention]] | Mapping[int, Sequence[Mention]],
) -> tuple[tuple[Mention, ...], ...]:
    """Return `CorefudDocument.chains` of entities by their ids."""
    ordered = sorted(entities.items(), key=lambda item: (min(map(_longer_first, item[1])), item[0]))
    return tuple(tuple(sorted(chain, key=lambda mention: mention.order)) for _, chain in ordered)


def _longer_first(mention: Mention) -> tuple[object, ...]:
    return mention.words[0], -len(mention.words), mention.words[-1]


def _mention(document: ConlluDocument, trees: Trees, mention: ConlluMention) -> Mention:
    head = mention.head
    written = mention.attribute("head") if "head" in document.fields else None
    if head is None and written:
        raise ConlluError(
            f"a mention of {quote(mention.entity)} at {_ids(document, mention)}: found the head "
            f"{quote(written)}, expected a number from 1 to {len(mention.nodes)}"
        )
    if head is None:
        head = trees.head(mention.nodes)
    is_zero = head is not None and document.nodes[head].is_empty
    return Mention(
        words=tuple(trees.positions[node] for node in mention.nodes),
        head=None if head is None else trees.positions[head],
        is_zero=is_zero,
        dependencies=trees.dependencies(head) if head is not None and is_zero else frozenset(),
    )


def _ids(document: ConlluDocument, mention: ConlluMention) -> str:
    """Say where a mention begins and ends."""
    first, last = mention.nodes[0], mention.nodes[-1]
    sentence = document.sentence_of[first] + 1
    return f"sentence {sentence}, {document.nodes[first].id} to {document.nodes[last].id}"
