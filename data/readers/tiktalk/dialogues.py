"""The dialogues of TikTalkCoref with their chains.

`<split>.textual.jsonl` in the data root, one dialogue a line, as `tools/data_split.py` writes it:
`doc_key`, `sentences` (the characters of each turn), `speaker_ids` (one a character), `clusters`
(spans of each chain, [first, last] character of the dialogue, the last one inclusive),
`clusters_str` (their texts) and `entity_labels` (what the head box of each chain is called, or
"none"). The released file calls the last one `entity_label`; both are read. `genre`,
`sentence_map` and `subtoken_map` say nothing further and are not read.

A narration is the turns, joined by a space, their characters not. A chain is named by its label,
which its head box bears too, or by its number where the label is "none".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.files import read_id
from data.narration import Mention, Narration, Sentence
from data.readers.json_lines import read_json_lines
from data.readers.report import ReadReport, Record
from utils.json_files import is_text
from utils.printable import quote

# Of the persons in one box: one person, or several.
LABEL = re.compile(r"(C[0-9]+)+")
NO_LABEL = "none"
LABEL_KEYS = ("entity_labels", "entity_label")
_KEYS = (
    "doc_key", "genre", "sentences", "clusters", "clusters_str", "speaker_ids", "sentence_map",
    "subtoken_map", *LABEL_KEYS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One line of a file of texts.

    Attributes:
        narration: the dialogue with its chains.
        labels: of its chains, in the order of the file.
        differing: what to say of each span whose text is not what `clusters_str` has.
    """

    narration: Narration
    labels: tuple[str, ...]
    differing: tuple[str, ...]


def text_file(data_root: Path, split: str) -> Path:
    """Return the file of a split's dialogues."""
    return data_root / f"{split}.textual.jsonl"


def read_dialogues(data_root: Path, split: str, report: ReadReport) -> Iterator[Dialogue]:
    """Read the dialogues of a split.

    Raises:
        DataError: the file is missing or cannot be read.
        BadRecord: a line is wrong, and the report does not skip such.
    """
    seen: set[str] = set()
    for record in read_json_lines(text_file(data_root, split), report):
        with report.skipping():
            dialogue = parse_dialogue(record, seen)
            seen.add(dialogue.narration.id)
            yield dialogue


def parse_dialogue(record: Record, seen: Collection[str]) -> Dialogue:
    """Parse the dialogue of one line.

    Args:
        seen: the ids of the lines before it.

    Raises:
        BadRecord: something about it is wrong.
    """
    record = named_by_key(record, seen, _KEYS)
    turns, sentences = _turns(record)
    tokens = [token for turn in turns for token in turn]
    text = " ".join("".join(turn) for turn in turns)
    starts = _starts(turns)
    labels = _labels(record)
    mentions, differing = [], []
    for chain, (label, spans) in enumerate(zip(labels, _spans(record, len(tokens)), strict=True)):
        name = str(chain) if label == NO_LABEL else label
        for (first, last), phrase in spans:
            start, end = starts[first], starts[last] + len(tokens[last])
            mentions.append(Mention(start, end, text[start:end], name))
            words = "".join(tokens[first : last + 1])
            if words != phrase:
                differing.append(
                    f"{record.name}: {quote(words)} at {first} to {last}, where clusters_str has "
                    f"{quote(phrase)}"
                )
    mentions.sort(key=lambda mention: (mention.start, -mention.end))
    narration = Narration(
        id=record.fields["doc_key"],
        text=text,
        mentions=tuple(mentions),
        words=tuple(tokens),
        sentences=sentences,
    )
    return Dialogue(narration, labels, tuple(differing))


def named_by_key(record: Record, seen: Collection[str], keys: Collection[str]) -> Record:
    """Return the record, named by its dialogue too.

    Args:
        seen: the ids of the lines before it.
        keys: those that it may have.

    Raises:
        BadRecord: its `doc_key` is not fit for an id or was there before; it has another key.
    """
    doc_key = record.fields.get("doc_key")
    if not isinstance(doc_key, str) or read_id(doc_key) is None:
        raise record.bad(f"doc_key {quote(doc_key)}", "text fit for an id")
    record = Record(record.path, f"{record.name} (doc_key {doc_key})", record.fields)
    if doc_key in seen:
        raise record.bad("its doc_key in an earlier line too", "every doc_key once")
    check_keys(record, keys)
    return record


def check_keys(record: Record, keys: Collection[str]) -> None:
    """Refuse a record with a key that is not known.

    Raises:
        BadRecord: it has one.
    """
    if unknown := [key for key in record.fields if key not in keys]:
        raise record.bad(f"the key {quote(unknown[0])}", f"some of {', '.join(keys)}")


def _turns(record: Record) -> tuple[list[list[str]], tuple[Sentence, ...]]:
    """Return the tokens of the turns, and the turns as sentences with their speakers."""
    turns = record.take("sentences", list, "a list of turns")
    speakers = record.take("speaker_ids", list, "the speakers of each turn")
    if not turns or None in (lengths := list(map(_length, turns))):
        raise record.bad(f"sentences {quote(turns)}", "lists of characters")
    if list(map(_length, speakers)) != lengths:
        raise record.bad(f"speaker_ids {quote(speakers)}", "one for each character of each turn")
    sentences = []
    start = 0
    for turn, of_turn in zip(turns, speakers, strict=True):
        if not turn or not all(is_text(token) and token.strip() for token in turn):
            raise record.bad(f"the turn {quote(turn)}", "characters, none of them blank")
        if not all(is_text(speaker) and speaker == of_turn[0] for speaker in of_turn):
            raise record.bad(f"the speakers {quote(of_turn)}", "one speaker in a turn")
        end = start + len("".join(turn))
        sentences.append(Sentence(start, end, of_turn[0]))
        start = end + 1  # the space between turns
    return turns, tuple(sentences)


def _length(value: Any) -> int | None:
    return len(value) if isinstance(value, list) else None


def _starts(turns: Sequence[Sequence[str]]) -> list[int]:
    """Return the first character of each token in the text."""
    starts = []
    place = 0
    for turn in turns:
        for token in turn:
            starts.append(place)
            place += len(token)
        place += 1  # the space between turns
    return starts


def _labels(record: Record) -> tuple[str, ...]:
    """Return the label of each chain."""
    keys = [key for key in LABEL_KEYS if key in record.fields]
    if len(keys) != 1:
        raise record.bad(" and ".join(keys) or "no entity_labels", "one list of labels")
    labels = record.take(keys[0], list, "the label of each chain")
    clusters = record.take("clusters", list, "a list of chains")
    if len(labels) != len(clusters):
        raise record.bad(f"{len(labels)} labels for {len(clusters)} chains", "one for each")
    for label in labels:
        if not is_text(label) or not (label == NO_LABEL or LABEL.fullmatch(label)):
            raise record.bad(f"the label {quote(label)}", f'"{NO_LABEL}", or such as C1 or C1C2')
        if label != NO_LABEL and labels.count(label) > 1:
            raise record.bad(f"the label {label} of several chains", "every label once")
    return tuple(labels)


def _spans(record: Record, tokens: int) -> list[list[tuple[tuple[int, int], str]]]:
    """Return the first and last token of each chain's mentions, and their `clusters_str`."""
    clusters, phrases = record.fields["clusters"], record.take("clusters_str", list, "lists")
    if not all(isinstance(spans, list) and spans for spans in clusters):
        raise record.bad(f"clusters {quote(clusters)}", "lists of spans, none of them empty")
    if list(map(_length, clusters)) != list(map(_length, phrases)):
        raise record.bad(f"clusters_str {quote(phrases)}", "a text for each span of each chain")
    seen = set()
    chains = []
    for spans, texts in zip(clusters, phrases, strict=True):
        for span, phrase in zip(spans, texts, strict=True):
            if not isinstance(span, list) or [type(number) for number in span] != [int, int]:
                raise record.bad(f"the span {quote(span)}", "[first, last] character")
            if not 0 <= span[0] <= span[1] < tokens:
                raise record.bad(f"the span {quote(span)}", f"one of {tokens} characters")
            if tuple(span) in seen:
                raise record.bad(f"the span {quote(span)} a second time", "every span once")
            if not is_text(phrase):
                raise record.bad(f"clusters_str {quote(phrase)}", "text")
            seen.add(tuple(span))
        chains.append([(tuple(span), text) for span, text in zip(spans, texts, strict=True)])
    return chains
