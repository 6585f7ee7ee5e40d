"""VD-Ref: dialogues about images, with the chains of their noun phrases and pronouns.

`<split>.jsonlines` in the data root, one dialogue a line: `id`, `dialog` (turns of an `author` and
a `text` of tokens), `text_ref` (mentions: `sentence_id`, `cluster_id`, `span`, and `start` and
`end` in tokens of the turn, the end inclusive) and `clusters` (the indices into `text_ref` of each
chain).

A narration is the tokens of all turns, joined by single spaces; its sentences are the turns that
are not empty, the authors their speakers ("Caption:" is Caption). Where a span is there more than
once, the first mention is kept. The boxes are not read: they are in pixels of images whose sizes
do not come with the data.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import accumulate
from operator import attrgetter
from pathlib import Path
from typing import Any

from data.files import read_id
from data.narration import Mention, Narration, Sentence
from data.readers.dataset_reader import DatasetReader
from data.readers.expected_files import ExpectedFiles, expected_texts
from data.readers.json_lines import read_json_lines
from data.readers.report import ReadReport, Record, same_words
from utils.json_files import is_text
from utils.printable import quote


class VDRefReader(DatasetReader):
    """Read the dialogues of VD-Ref, as narrations without regions."""

    name = "vd_ref"

    def read(self, data_root: Path, split: str, report: ReadReport) -> list[Narration]:
        """Read the dialogues of a split."""
        narrations: list[Narration] = []
        seen: set[str] = set()
        repeats = _Repeats()
        for record in read_json_lines(_file_of(data_root, split), report):
            with report.skipping():
                narration = _narration(record, seen, repeats)
                seen.add(narration.id)
                narrations.append(narration)
        chains = [{mention.chain for mention in narration.mentions} for narration in narrations]
        report.count("narrations", len(narrations))
        report.count("mentions", sum(len(narration.mentions) for narration in narrations))
        report.count("chains", sum(map(len, chains)))
        report.count("narrations without mentions", sum(not chain_names for chain_names in chains))
        report.count("spans repeated in one chain", repeats.in_one_chain)
        report.count("spans repeated in several chains", repeats.in_several_chains)
        report.count("mentions dropped as repeats", repeats.dropped)
        report.notes.append("boxes are not read: no picture sizes come with them")
        return narrations

    def expected_files(self, data_root: Path) -> list[ExpectedFiles]:
        """List the file of each split, there or not."""
        paths = {split: _file_of(data_root, split) for split in self.splits}
        return expected_texts(paths, "VD-Ref: its authors' repository")


def _file_of(data_root: Path, split: str) -> Path:
    return data_root / f"{split}.jsonlines"


class _Repeats:
    """Counts the spans that several mentions share, and the mentions dropped for it."""

    def __init__(self) -> None:
        self.in_one_chain = 0
        self.in_several_chains = 0
        self.dropped = 0

    def keep_first(self, mentions: list[Mention]) -> list[Mention]:
        """Return the first mention of each span, in the given order."""
        by_span: dict[tuple[int, int], list[Mention]] = defaultdict(list)
        for mention in mentions:
            by_span[mention.start, mention.end].append(mention)
        for same in by_span.values():
            if len(same) > 1:
                self.dropped += len(same) - 1
                in_one = len({mention.chain for mention in same}) == 1
                self.in_one_chain += in_one
                self.in_several_chains += not in_one
        return [same[0] for same in by_span.values()]


def _narration(record: Record, seen: set[str], repeats: _Repeats) -> Narration:
    dialogue_id = read_id(record.fields.get("id"))
    if dialogue_id is None:
        raise record.bad(f"id {quote(record.fields.get('id'))}", "a number or text fit for an id")
    record = Record(record.path, f"{record.name} (id {dialogue_id})", record.fields)
    if dialogue_id in seen:
        raise record.bad("its id in an earlier line too", "every id once")
    turns = _turns(record)
    words = [token for turn in turns for token in turn]
    if not words:
        raise record.bad("a dialogue without words", "some")
    mentions = repeats.keep_first(_mentions(record, turns))
    return Narration(
        id=dialogue_id,
        text=" ".join(words),
        mentions=tuple(sorted(mentions, key=attrgetter("start"))),
        words=tuple(words),
        sentences=_sentences(record, turns),
    )


def _turns(record: Record) -> list[list[str]]:
    """Return the tokens of each turn."""
    turns = []
    for turn in record.take("dialog", list, "a list of turns"):
        tokens = turn.get("text") if isinstance(turn, dict) else None
        if not isinstance(tokens, list) or not all(is_text(t) and t.strip() for t in tokens):
            raise record.bad(f"the turn {quote(turn)}", "a text of tokens, none of them blank")
        turns.append(tokens)
    return turns


def _sentences(record: Record, turns: list[list[str]]) -> tuple[Sentence, ...]:
    """Return the turns that are not empty, with their authors."""
    sentences = []
    start = 0
    for turn, tokens in zip(record.fields["dialog"], turns, strict=True):
        author = turn.get("author")
        if author is not None and not is_text(author):
            raise record.bad(f"the author {quote(author)}", "text")
        if tokens:
            end = start + len(" ".join(tokens))
            sentences.append(Sentence(start, end, author and author.removesuffix(":")))
            start = end + 1  # the space between turns
    return tuple(sentences)


def _mentions(record: Record, turns: list[list[str]]) -> list[Mention]:
    """Return all mentions, in the order of the record."""
    first_words = [0, *accumulate(len(turn) for turn in turns)]
    # Each word is followed by one space.
    starts = [0, *accumulate(len(token) + 1 for turn in turns for token in turn)]
    mentions = []
    members: dict[str, list[int]] = defaultdict(list)
    for index, fields in enumerate(record.take("text_ref", list, "a list of mentions")):
        turn, start, end, chain, phrase = _reference(record, index, fields, turns)
        words = " ".join(turns[turn][start : end + 1])
        if not same_words(words, phrase):
            raise record.bad(
                f"text_ref {index}: {quote(words)} where it points to",
                f"its span {quote(phrase)}",
            )
        members[chain].append(index)
        first = starts[first_words[turn] + start]
        mentions.append(Mention(first, first + len(words), phrase, chain))
    _check_chains(record, members)
    return mentions


def _reference(
    record: Record, index: int, fields: Any, turns: list[list[str]]
) -> tuple[int, int, int, str, str]:
    """Return turn, first token, last token, chain and phrase of a mention."""
    if not isinstance(fields, dict):
        raise record.bad(f"text_ref {index}: {quote(fields)}", "an object")
    reference = Record(record.path, f"{record.name}, text_ref {index}", fields)
    turn = reference.take("sentence_id", int, "the index of a turn")
    start = reference.take("start", int, "the index of a token")
    end = reference.take("end", int, "the index of a token")
    chain = reference.take("cluster_id", int, "the number of a chain")
    phrase = reference.take("span", str, "the words of the mention")
    if not 0 <= turn < len(turns):
        raise reference.bad(f"sentence_id {turn}", f"one of {len(turns)} turns")
    if not 0 <= start <= end < len(turns[turn]):
        raise reference.bad(f"tokens {start} to {end}", f"a span of {len(turns[turn])} tokens")
    return turn, start, end, str(chain), phrase


def _check_chains(record: Record, members: dict[str, list[int]]) -> None:
    """Check that the chains by `cluster_id` are those that `clusters` lists."""
    clusters = record.take("clusters", list, "a list of chains")
    if not all(isinstance(c, list) and all(type(i) is int for i in c) for c in clusters):
        raise record.bad(f"clusters {quote(clusters)}", "lists of indices into text_ref")
    if sorted(map(sorted, clusters)) != sorted(members.values()):
        raise record.bad(
            f"clusters {quote(clusters)}", f"by cluster_id {quote(sorted(members.values()))}"
        )
