"""Coreference between formats: documents of any of them as those of CoNLL-2012, and back.

A CoNLL-2012 document (`utils/text/conll.py`) has what all formats share: words in sentences, a
speaker, chains of spans of words. What a format holds beyond that is lost on the way, and counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from operator import itemgetter
from pathlib import Path

from utils.errors import InputError
from utils.printable import quote
from utils.text.conll import ConllDocument, ConllSentence, WordSpan
from utils.text.conllu import ConlluDocument, ConlluMention, ConlluRow, ConlluSentence
from utils.text.entity_brackets import ATTRIBUTES, with_coreference
from utils.text.spans import Span

# Comments of CoNLL-U whose content is kept, or follows from what is.
_KEPT_COMMENTS = ("newdoc", "global.Entity", "speaker", "text ", "text=")
_PIECE = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Converted:
    """Documents, and what of the format that they come from or go to they do not hold.

    Attributes:
        documents: in the order of the file.
        lost: how many there are of what is named.
    """

    documents: list[ConllDocument]
    lost: Counter[str] = field(default_factory=Counter)


def document_name(document: ConllDocument) -> str:
    """Return the name of a document, and "_" and the number of its part where that is not 0."""
    return f"{document.name}_{document.part}" if document.part else document.name


def conllu_name(document: ConllDocument) -> str:
    """Return the name that a document has in a CoNLL-U file, whose comments end in no space."""
    return document_name(document).strip()


def checked_name(value: object, place: str) -> str:
    """Return the name of a document, which stands in a line of files and in messages.

    Raises:
        InputError: it is no printable text.
    """
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise InputError(f"{place}: found the name {quote(value)}, expected a printable text")
    return value


def check_names(path: Path, names: Iterable[Hashable]) -> None:
    """Check that the documents to be written into a file have names of their own in it.

    Raises:
        InputError: two of them would have one name.
    """
    name, times = max(Counter(names).items(), key=itemgetter(1), default=("", 0))
    if times > 1:
        raise InputError(
            f"{path}: found {times} documents that would have the name {quote(name)} in this file, "
            "expected one; nothing is written"
        )


def one_speaker(speakers: Iterable[str | None], lost: Counter[str]) -> str | None:
    """Return the speaker of all words of a sentence; None where there is none or several."""
    found = {None if speaker in ("-", "_", "") else speaker for speaker in speakers}
    if len(found) > 1:
        lost["sentences of several speakers"] += 1
    return found.pop() if len(found) == 1 else None


def document_of_text(
    name: str, text: str, chains: Sequence[Sequence[Span]], lost: Counter[str]
) -> ConllDocument:
    """Split a text into words, so that mentions begin and end at their borders.

    Args:
        chains: spans of characters, the end exclusive.
        lost: counts the mentions without a word.
    """
    borders = {border for chain in chains for span in chain for border in span}
    pieces: list[Span] = []
    for match in _PIECE.finditer(text):
        cuts = [cut for cut in range(match.start() + 1, match.end()) if cut in borders]
        pieces += zip([match.start(), *cuts], [*cuts, match.end()], strict=True)
    of_words = []
    for chain in chains:
        spans = []
        for start, end in chain:
            inside = [i for i, (first, last) in enumerate(pieces) if start <= first and last <= end]
            if inside:
                spans.append((inside[0], inside[-1]))
            else:
                lost["mentions without a word"] += 1
        of_words.append(tuple(spans))
    words = tuple(text[start:end] for start, end in pieces)
    if " ".join(words) != text:
        lost["texts whose white space is not one space between words"] += 1
    sentences = (ConllSentence(words),) if words else ()
    return ConllDocument(name, None, sentences, tuple(filter(None, of_words)))


def from_conllu(document: ConlluDocument, name: str, lost: Counter[str]) -> ConllDocument:
    """Return the words and chains of a CoNLL-U document.

    Args:
        name: of the document.
        lost: counts what it does not hold.
    """
    place = [-1, *accumulate(not node.is_empty for node in document.nodes)]
    chains = []
    for mentions in document.entities.values():
        spans = []
        for mention in mentions:
            words = [
                place[node + 1] - 1 for node in mention.nodes if not document.nodes[node].is_empty
            ]
            if not words:
                lost["zero mentions"] += 1
            elif words[-1] - words[0] >= len(words):
                lost["discontinuous mentions"] += 1
            else:
                spans.append((words[0], words[-1]))
        chains.append(tuple(spans))
    lost["empty nodes"] += sum(node.is_empty for node in document.nodes)
    lost["multiword tokens"] += sum(r.is_multiword for s in document.sentences for r in s.rows)
    lost["split antecedents"] += len(document.split_antecedents)
    lost["bridges"] += len(document.bridges)
    lost["mentions with a type, a head or other fields"] += sum(
        any(value for _, value in mention.attributes) for mention in document.mentions
    )
    lost["comments, such as genres and ids of sentences"] += sum(
        not comment.lstrip("# ").startswith(_KEPT_COMMENTS)
        for sentence in document.sentences
        for comment in sentence.comments
    )
    lost["words with lemmas, features, enhanced dependencies or notes"] += sum(
        any(word.columns[column] != "_" for column in (2, 5, 8))
        or any(item.partition("=")[0] not in ATTRIBUTES for item in word.misc)
        for word in document.nodes
    )
    lost["words with a second part of speech"] += sum(
        "_" not in (word.upos, word.xpos) for word in document.nodes
    )
    sentences = tuple(map(_sentence, document.sentences))
    lost["sentences with a tree that is not whole"] += sum(
        not sentence.heads and any(word.columns[6:8] != ("_", "_") for word in of_file.words)
        for sentence, of_file in zip(sentences, document.sentences, strict=True)
    )
    return ConllDocument(name, None, sentences, tuple(filter(None, chains)))


def _sentence(sentence: ConlluSentence) -> ConllSentence:
    """Return the words of a sentence, with the tree where every word has its head."""
    words = sentence.words
    tags = tuple(word.upos if word.xpos == "_" else word.xpos for word in words)
    heads = tuple(word.head for word in words)
    has_tree = None not in heads
    return ConllSentence(
        tuple(word.form for word in words),
        sentence.comment("speaker") or None,
        () if all(tag == "_" for tag in tags) else tags,
        tuple(head - 1 if head else None for head in heads) if has_tree else (),
        tuple(word.deprel for word in words) if has_tree else (),
    )


def to_conllu(document: ConllDocument, lost: Counter[str]) -> ConlluDocument:
    """Return a document as one of CoNLL-U, with a word a line.

    Args:
        document: with a word.
        lost: counts what is not kept: what the format cannot hold, and trees.
    """
    sentences = []
    for sentence in document.sentences:
        lost["sentences with trees"] += bool(sentence.heads)
        tags = sentence.parts_of_speech or ["_"] * len(sentence.words)
        rows = tuple(
            ConlluRow((str(number), _column(word, lost), "_", "_", tag or "_", *["_"] * 5))
            for number, (word, tag) in enumerate(zip(sentence.words, tags, strict=True), start=1)
        )
        comments: tuple[str, ...] = ()
        if sentence.speaker is not None:
            comments = (f"# speaker = {_one_line(sentence.speaker, lost)}",)
        sentences.append(ConlluSentence(comments, rows))
    lost["split antecedents"] += len(document.split_antecedents)
    name = conllu_name(document)
    lost["names with spaces at their ends, which are cut off"] += name != document_name(document)
    heading = (f"# newdoc id = {name}",)
    sentences[0] = ConlluSentence((*heading, *sentences[0].comments), sentences[0].rows)
    bare = ConlluDocument(name, (), tuple(sentences))
    return with_coreference(bare, mentions_of(document.chains, bare.sentence_of, lost))


def mentions_of(
    chains: Iterable[Iterable[tuple[int, int]]], sentence_of: Sequence[int], lost: Counter[str]
) -> list[ConlluMention]:
    """Return chains as the mentions of entities e1, e2 and so on.

    Args:
        chains: (first, last) nodes of each mention.
        sentence_of: the sentence of each node.
        lost: counts the mentions that CoNLL-U cannot hold: those that reach over the end of a
            sentence, and of mentions of one chain that cross or are the same all but the first.
    """
    mentions: list[ConlluMention] = []
    entity = 0
    for chain in chains:
        kept: list[WordSpan] = []
        for first, last in chain:
            if sentence_of[first] != sentence_of[last]:
                lost["mentions over the end of a sentence"] += 1
            elif (first, last) in kept:
                lost["mentions there twice in a chain"] += 1
            elif any(a < first <= b < last or first < a <= last < b for a, b in kept):
                lost["mentions that cross others of their chain"] += 1
            else:
                kept.append((first, last))
        entity += bool(kept)
        mentions += [ConlluMention(f"e{entity}", tuple(range(a, b + 1))) for a, b in kept]
    return mentions


def sentences_of(
    words: Sequence[str],
    numbers: Sequence[object],
    speakers: Sequence[str | None],
    lost: Counter[str],
) -> tuple[ConllSentence, ...]:
    """Group words into sentences.

    Args:
        numbers: the sentence of each word.
        speakers: the speaker of each word; or none at all.
    """
    said = speakers or [None] * len(words)
    groups = groupby(zip(numbers, words, said, strict=True), key=lambda item: item[0])
    rows = [list(group) for _, group in groups]
    return tuple(
        ConllSentence(
            tuple(word for _, word, _ in group), one_speaker((s for *_, s in group), lost)
        )
        for group in rows
    )


def _column(word: str, lost: Counter[str]) -> str:
    """Return a word as a column."""
    written = re.sub(r"[\t\n\r]", "_", word)
    if written != word:
        lost["words with tabs or line ends, which become _"] += 1
    return written


def _one_line(speaker: str, lost: Counter[str]) -> str:
    """Return a speaker as a comment."""
    written = re.sub(r"[\r\n]", "_", speaker)
    lost["speakers with line ends, which become _"] += written != speaker
    lost["speakers with spaces at their ends, which are cut off"] += written != written.strip()
    return written.strip()
