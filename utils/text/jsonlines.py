"""Files of a coreference document a line in JSON, as several systems read and write them.

- e2e-coref and Maverick: `sentences`, lists of words; `clusters`, or where these are empty
  `predicted_clusters`, of first and last words.
- fastcoref: `tokens`; `clusters` of first and last words. What it predicts has a `text` alone, and
  `clusters` of its characters, the end exclusive.
- What Maverick predicts: `tokens`; `clusters_token_offsets` of first and last words.
- wl-coref: `cased_words` and `sent_id`; `span_clusters` or `clusters` of words, the end exclusive.

The name is `doc_key` or `document_id`, and the number of the line where it has none. Speakers are a
name for each word. All else is not read.

A `doc_key` that ends in "_" and a number is the name of a document and the number of its part. So
that a name that ends so itself, as `doc_0`, is not taken for one, it is written with part 0, as
`doc_0_0`.

A prediction of wl-coref needs no more. Its `convert_to_heads.py`, which prepares a training, needs
`head`: for each word the index of the word that it depends on, null of a root. Its files also have
`deprel`, the label of this dependency, and `pos`, the part of speech, which nothing of it reads.
The three are written where every sentence of a document has them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

from utils.errors import InputError
from utils.files import decode_text, split_lines, write_text
from utils.json_files import is_text, without_repeated_keys
from utils.printable import quote
from utils.text.conll import ConllDocument, ConllSentence, WordSpan
from utils.text.documents import (
    Converted,
    check_names,
    checked_name,
    document_of_text,
    sentences_of,
)
from utils.text.spans import Span

_NAMES = ("doc_key", "document_id")
_SPEAKERS = ("speakers", "speaker")
# By what the words are named: the keys of chains, the first that is there and not empty is read.
_CLUSTERS = {
    "cased_words": ("span_clusters", "clusters"),
    "sentences": ("clusters", "predicted_clusters"),
    "tokens": ("clusters", "clusters_token_offsets"),
    "text": ("clusters",),
}
_KEY_WITH_PART = re.compile(r"(?P<name>.+)_(?P<part>0|[1-9][0-9]{0,8})")
_PARTS = range(10**9)


def read_jsonlines(path: Path) -> Converted:
    """Read the document of each line, whichever system's it is.

    Raises:
        InputError: the file cannot be read, or a line holds anything else.
    """
    try:
        lines = split_lines(decode_text(path.read_bytes()))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8: {error}") from error
    converted = Converted([])
    for number, line in enumerate(lines, start=1):
        if line.strip():
            place = f"{path}, line {number}"
            converted.documents.append(
                _document(_fields(line, place), number, converted.lost, place)
            )
    if not converted.documents:
        raise InputError(f"{path}: no document, expected one a line")
    return converted


def write_jsonlines(path: Path, documents: Iterable[ConllDocument], system: str) -> Counter[str]:
    """Write documents for a system, one of `SYSTEMS`, and return what they do not hold.

    Raises:
        InputError: two documents would have one name. Nothing is written then.
    """
    written = list(documents)
    check_names(path, map(_name_and_part if system == "wl-coref" else _key, written))
    lines = (json.dumps(SYSTEMS[system](document), ensure_ascii=False) for document in written)
    write_text(path, "".join(f"{line}\n" for line in lines))
    lost = Counter({"split antecedents": sum(len(d.split_antecedents) for d in written)})
    if system == "fastcoref":
        lost["ends of sentences"] = sum(max(0, len(d.sentences) - 1) for d in written)
    if system == "wl-coref":
        bare = sum(not _has_trees(document) for document in written)
        lost["documents without trees, which a training of wl-coref needs"] = bare
        sentences = [s for d in written if not _has_trees(d) for s in d.sentences]
        lost["sentences with trees in documents where others have none"] = sum(
            bool(s.heads) for s in sentences
        )
        sentences = [s for d in written if not _has_tags(d) for s in d.sentences]
        lost["sentences with parts of speech in documents where others have none"] = sum(
            bool(s.parts_of_speech) for s in sentences
        )
    else:
        sentences = [sentence for document in written for sentence in document.sentences]
        lost["sentences with trees"] = sum(bool(s.heads) for s in sentences)
        lost["sentences with parts of speech"] = sum(bool(s.parts_of_speech) for s in sentences)
    return lost


def _key(document: ConllDocument) -> str:
    """Return the `doc_key` that is read as the name and the part of a document again."""
    if document.part is None and not _KEY_WITH_PART.fullmatch(document.name):
        return document.name
    return f"{document.name}_{document.part or 0}"


def _name_and_part(document: ConllDocument) -> str:
    return f"{document.name}, part {document.part or 0}"


def _e2e(document: ConllDocument) -> dict[str, Any]:
    return {
        "doc_key": _key(document),
        "sentences": [list(sentence.words) for sentence in document.sentences],
        "speakers": [[s.speaker or "-"] * len(s.words) for s in document.sentences],
        "clusters": [[list(span) for span in chain] for chain in document.chains],
    }


def _fastcoref(document: ConllDocument) -> dict[str, Any]:
    return {
        "doc_key": _key(document),
        "tokens": list(document.words),
        "speakers": [[s.speaker or "-"] * len(s.words) for s in document.sentences],
        "clusters": [[list(span) for span in chain] for chain in document.chains],
    }


def _wl(document: ConllDocument) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "document_id": document.name,
        "part_id": document.part or 0,
        "cased_words": list(document.words),
        "sent_id": [i for i, sentence in enumerate(document.sentences) for _ in sentence.words],
        "speaker": [s.speaker or "-" for s in document.sentences for _ in s.words],
    }
    if _has_tags(document):
        fields["pos"] = [tag for s in document.sentences for tag in s.parts_of_speech]
    if _has_trees(document):
        starts = accumulate((len(s.words) for s in document.sentences), initial=0)
        fields["deprel"] = [label for s in document.sentences for label in s.relations]
        fields["head"] = [
            None if head is None else start + head
            for start, sentence in zip(starts, document.sentences, strict=False)
            for head in sentence.heads
        ]
    clusters = [[[first, last + 1] for first, last in chain] for chain in document.chains]
    return {**fields, "clusters": clusters}


def _has_trees(document: ConllDocument) -> bool:
    return bool(document.sentences) and all(sentence.heads for sentence in document.sentences)


def _has_tags(document: ConllDocument) -> bool:
    return bool(document.sentences) and all(s.parts_of_speech for s in document.sentences)


SYSTEMS: Mapping[str, Callable[[ConllDocument], dict[str, Any]]] = {
    "e2e-coref": _e2e,
    "maverick": _e2e,
    "fastcoref": _fastcoref,
    "wl-coref": _wl,
}


def _fields(line: str, place: str) -> dict[str, Any]:
    try:
        fields = json.loads(line, object_pairs_hook=without_repeated_keys)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: found no JSON ({error}), expected an object") from error
    if not isinstance(fields, dict):
        raise InputError(f"{place}: found {quote(fields)}, expected an object")
    return fields


def _document(fields: dict[str, Any], number: int, lost: Counter[str], place: str) -> ConllDocument:
    """Return the document of a line."""
    words_key = next((key for key in _CLUSTERS if key in fields), None)
    if words_key is None:
        expected = ", ".join(_CLUSTERS)
        raise InputError(
            f"{place}: found the keys {quote(list(fields))}, expected one of {expected}"
        )
    chains_key = next((key for key in _CLUSTERS[words_key] if not _is_missing(fields, key)), None)
    name_key = next((key for key in _NAMES if key in fields), None)
    read = {words_key, chains_key, name_key, *_SPEAKERS, "sent_id", "part_id"}
    for key in fields.keys() - read:
        if fields[key]:
            lost[f"documents with {quote(key)}, which is not read"] += 1
    name = str(number) if name_key is None else checked_name(fields[name_key], place)
    exclusive = words_key in ("cased_words", "text")
    clusters = [] if chains_key is None else fields[chains_key]
    if words_key == "text":
        text = fields[words_key]
        if not is_text(text):
            raise InputError(f"{place}: text: found {quote(text)}, expected a text")
        return document_of_text(name, text, _clusters(clusters, len(text), True, place), lost)
    sentences = _sentences(fields, words_key, lost, place)
    words = sum(len(sentence.words) for sentence in sentences)
    spans = _clusters(clusters, words, exclusive, place)
    chains = tuple(tuple((a, b - exclusive) for a, b in chain) for chain in spans)
    part = fields.get("part_id")
    if part is not None and (type(part) is not int or part not in _PARTS):
        expected = f"a number below {len(_PARTS):,}"
        raise InputError(f"{place}: part_id: found {quote(part)}, expected {expected}")
    if words_key != "cased_words" and (match := _KEY_WITH_PART.fullmatch(name)):
        name, part = match["name"], int(match["part"])
    return ConllDocument(name, part, sentences, chains)


def _sentences(
    fields: dict[str, Any], words_key: str, lost: Counter[str], place: str
) -> tuple[ConllSentence, ...]:
    """Return the words and speakers in sentences; `tokens` are one."""
    value = fields[words_key]
    if words_key == "sentences":
        lists = [
            _texts(sentence, f"{place}: sentences") for sentence in _checked(value, list, place)
        ]
        words = [word for sentence in lists for word in sentence]
        numbers: list[object] = [i for i, sentence in enumerate(lists) for _ in sentence]
    else:
        words = _texts(value, f"{place}: {words_key}")
        numbers = _checked(fields.get("sent_id", [0] * len(words)), list, f"{place}: sent_id")
        if not all(type(number) is int for number in numbers):
            raise InputError(f"{place}: sent_id: found {quote(numbers)}, expected whole numbers")
    key = next((key for key in _SPEAKERS if not _is_missing(fields, key)), None)
    said = [] if key is None else _checked(fields[key], list, f"{place}: speakers")
    if all(isinstance(item, list) for item in said):
        said = [speaker for sentence in said for speaker in sentence]
    speakers = _texts(said, f"{place}: speakers", can_be_empty=True)
    for what, found in (("sent_id", numbers), ("speakers", speakers)):
        if len(found) not in ({0, len(words)} if what == "speakers" else {len(words)}):
            raise InputError(f"{place}: found {len(found)} {what} for {len(words)} words")
    return sentences_of(words, numbers, speakers, lost)


def _clusters(
    clusters: Any, length: int, exclusive: bool, place: str
) -> list[list[WordSpan | Span]]:
    """Return chains after a check of their spans.

    Args:
        length: how many words or characters there are.
        exclusive: whether a span ends before its second number.
    """
    chains = []
    for cluster in _checked(clusters, list, f"{place}: clusters"):
        chain = []
        for span in _checked(cluster, list, f"{place}: clusters"):
            is_pair = (
                isinstance(span, list) and len(span) == 2 and all(type(n) is int for n in span)
            )
            if not is_pair or not 0 <= span[0] <= span[1] - exclusive < length:
                end = "exclusive" if exclusive else "inclusive"
                expected = f"[first, last] of {length}, the end {end}"
                raise InputError(f"{place}: found the span {quote(span)}, expected {expected}")
            chain.append((span[0], span[1]))
        chains.append(chain)
    return [chain for chain in chains if chain]


def _checked(value: Any, kind: type, place: str) -> Any:
    if not isinstance(value, kind):
        raise InputError(f"{place}: found {quote(value)}, expected a {kind.__name__}")
    return value


def _is_missing(fields: dict[str, Any], key: str) -> bool:
    return fields.get(key) in (None, [])


def _texts(value: Any, place: str, *, can_be_empty: bool = False) -> list[str]:
    """Return a list of texts."""
    if not isinstance(value, list) or not all(
        is_text(item) and (item or can_be_empty) for item in value
    ):
        raise InputError(f"{place}: found {quote(value)}, expected texts")
    return value
