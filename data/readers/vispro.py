"""VisPro 1.1: visual dialogues whose pronouns are resolved (Yu et al., EMNLP 2019).

`<split>.vispro.1.1.jsonlines` in the data root, one dialogue a line: `doc_key`, `sentences` (the
tokens of the caption, then of questions and answers in turn), `speakers` (one a token),
`pronoun_info` and `clusters`. Spans are [first, last] token of the dialogue, the last one
inclusive. A pronoun has its span, `candidate_NPs` (noun phrases before it), those of them that it
refers to (`correct_NPs`), `reference_type` (0: it refers to noun phrases; else to none of the text)
and `not_discussed` (the questions and answers do not name what it refers to, the caption does).
`clusters` are the chains of the pronouns that refer to noun phrases.

A narration is the tokens, joined by single spaces; its sentences are those of the file. Its
mentions are all pronouns and candidates, nested ones too. Nobody asked which of the noun phrases
corefer that no pronoun refers to: each is a chain of its own, and so is a pronoun that refers to
nothing. The scores that were made for these annotations are of pronouns
(`metrics/pronoun_scores.py`). Detected objects are not read: there are no boxes in the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from data.files import read_id
from data.narration import Mention, Narration, Sentence
from data.readers.dataset_reader import DatasetReader
from data.readers.expected_files import ExpectedFiles, expected_texts
from data.readers.json_lines import read_json_lines
from data.readers.report import ReadReport, Record
from utils.json_files import is_text
from utils.printable import quote
from utils.text.annotated_pronouns import AnnotatedPronoun
from utils.text.spans import Span


class VisProReader(DatasetReader):
    """Read the dialogues of VisPro and their annotated pronouns, as narrations without regions."""

    name = "vispro"

    def read(self, data_root: Path, split: str, report: ReadReport) -> list[Narration]:
        """Read the dialogues of a split."""
        dialogues = list(_read_dialogues(data_root, split, report))
        narrations = [dialogue.narration for dialogue in dialogues]
        pronouns = [pronoun for dialogue in dialogues for pronoun in dialogue.pronouns]
        mentions = sum(len(narration.mentions) for narration in narrations)
        chains = sum(len({m.chain for m in narration.mentions}) for narration in narrations)
        clusters = sum(dialogue.clusters for dialogue in dialogues)
        report.count("narrations", len(narrations))
        report.count("mentions", mentions)
        report.count("chains of pronouns and noun phrases", clusters)
        report.count("mentions in none of these, chains of their own", chains - clusters)
        report.count("pronouns", len(pronouns))
        report.count("pronouns that refer to no noun phrase", sum(not p.refers for p in pronouns))
        report.count("pronouns of what is not discussed", sum(not p.discussed for p in pronouns))
        return narrations

    def expected_files(self, data_root: Path) -> list[ExpectedFiles]:
        """List the file of each split, there or not."""
        paths = {split: _file_of(data_root, split) for split in self.splits}
        return expected_texts(paths, "VisPro 1.1: its authors' repository")

    def read_pronouns(
        self, data_root: Path, split: str, *, skip_bad_records: bool = False
    ) -> dict[str, tuple[AnnotatedPronoun, ...]]:
        """Read the pronouns of every dialogue, by the narration's id."""
        report = ReadReport(self.name, split, skip_bad_records)
        dialogues = _read_dialogues(data_root, split, report)
        return {dialogue.narration.id: dialogue.pronouns for dialogue in dialogues}


@dataclass(frozen=True, slots=True)
class _Dialogue:
    """One line of a file; `clusters` is how many chains it names."""

    narration: Narration
    pronouns: tuple[AnnotatedPronoun, ...]
    clusters: int


def _file_of(data_root: Path, split: str) -> Path:
    return data_root / f"{split}.vispro.1.1.jsonlines"


def _read_dialogues(data_root: Path, split: str, report: ReadReport) -> Iterator[_Dialogue]:
    seen: set[str] = set()
    for record in read_json_lines(_file_of(data_root, split), report):
        with report.skipping():
            dialogue = _dialogue(record, seen)
            seen.add(dialogue.narration.id)
            yield dialogue


def _dialogue(record: Record, seen: set[str]) -> _Dialogue:
    dialogue_id = read_id(record.fields.get("doc_key"))
    if dialogue_id is None:
        raise record.bad(f"doc_key {quote(record.fields.get('doc_key'))}", "text fit for an id")
    record = Record(record.path, f"{record.name} (doc_key {dialogue_id})", record.fields)
    if dialogue_id in seen:
        raise record.bad("its doc_key in an earlier line too", "every doc_key once")
    tokens, sentences = _sentences(record)
    if not tokens:
        raise record.bad("a dialogue without words", "some")
    places = _Places(tokens)
    pronouns = tuple(
        _pronoun(record, index, fields, places)
        for index, fields in enumerate(record.take("pronoun_info", list, "a list of pronouns"))
    )
    clusters = [
        places.spans(record, f"cluster {index}", cluster)
        for index, cluster in enumerate(record.take("clusters", list, "a list of chains"))
    ]
    chain_of = {span: index for index, cluster in enumerate(clusters) for span in cluster}
    if not all(clusters):
        empty = list(map(bool, clusters)).index(False)
        raise record.bad(f"cluster {empty} without a span", "some")
    if len(chain_of) < sum(map(len, clusters)):
        raise record.bad(f"clusters {quote(record.fields['clusters'])}", "every span once")
    for pronoun in pronouns:
        linked = {chain_of.get(span, span) for span in (pronoun.span, *pronoun.correct)}
        if len(linked) > 1:
            raise record.bad(
                f"the pronoun {places.quote(pronoun.span)} and its correct_NPs in other chains",
                "them in one of the clusters",
            )
    asked = (span for pronoun in pronouns for span in (pronoun.span, *pronoun.candidates))
    for span in asked:
        chain_of.setdefault(span, len(chain_of))
    narration = Narration(
        id=dialogue_id,
        text=places.text,
        mentions=tuple(
            Mention(start, end, places.text[start:end], str(chain_of[start, end]))
            # The outer one of two that start together is first.
            for start, end in sorted(chain_of, key=lambda span: (span[0], -span[1]))
        ),
        words=tuple(tokens),
        sentences=sentences,
    )
    return _Dialogue(narration, pronouns, len(clusters))


class _Places:
    """Where the tokens of a dialogue are in its text, and spans in characters.

    Attributes:
        text: the tokens joined by single spaces.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self.text = " ".join(tokens)
        self._ends = [end - 1 for end in accumulate(len(token) + 1 for token in tokens)]
        self._starts = [0, *(end + 1 for end in self._ends)]

    def span(self, record: Record, where: str, value: Any) -> Span:
        """Return a span [first, last] of tokens in characters."""
        if not isinstance(value, list) or [type(number) for number in value] != [int, int]:
            raise record.bad(f"{where} {quote(value)}", "[first token, last token]")
        first, last = value
        if not 0 <= first <= last < len(self._ends):
            raise record.bad(f"{where} {quote(value)}", f"a span of {len(self._ends)} tokens")
        return self._starts[first], self._ends[last]

    def spans(self, record: Record, where: str, values: Any) -> tuple[Span, ...]:
        """Return a list of such spans in characters."""
        if not isinstance(values, list):
            raise record.bad(f"{where} {quote(values)}", "a list of spans")
        return tuple(self.span(record, where, value) for value in values)

    def quote(self, span: Span) -> str:
        """Return the words of a span as an error may print them."""
        return quote(self.text[span[0] : span[1]])


def _sentences(record: Record) -> tuple[list[str], tuple[Sentence, ...]]:
    """Return the tokens of the dialogue, and its non-empty sentences with their speakers."""
    said = record.take("sentences", list, "a list of sentences")
    speakers = record.take("speakers", list, "the speakers of each sentence")
    if list(map(_length, said)) != list(map(_length, speakers)):
        raise record.bad(f"speakers {quote(speakers)}", "one for each token of each sentence")
    tokens: list[str] = []
    sentences = []
    start = 0
    for sentence, of_sentence in zip(said, speakers, strict=True):
        if not isinstance(sentence, list) or not all(is_text(t) and t.strip() for t in sentence):
            raise record.bad(f"the sentence {quote(sentence)}", "tokens, none of them blank")
        if not all(is_text(speaker) and speaker == of_sentence[0] for speaker in of_sentence):
            raise record.bad(f"the speakers {quote(of_sentence)}", "one speaker in a sentence")
        if sentence:
            end = start + len(" ".join(sentence))
            sentences.append(Sentence(start, end, of_sentence[0]))
            start = end + 1  # the space between sentences
        tokens += sentence
    return tokens, tuple(sentences)


def _length(value: Any) -> int | None:
    return len(value) if isinstance(value, list) else None


def _pronoun(record: Record, index: int, fields: Any, places: _Places) -> AnnotatedPronoun:
    if not isinstance(fields, dict):
        raise record.bad(f"pronoun_info {index}: {quote(fields)}", "an object")
    info = Record(record.path, f"{record.name}, pronoun_info {index}", fields)
    of_list = {
        key: places.spans(info, key, info.take(key, list, "a list of spans"))
        for key in ("candidate_NPs", "correct_NPs")
    }
    if not set(of_list["correct_NPs"]) <= set(of_list["candidate_NPs"]):
        raise info.bad(f"correct_NPs {quote(fields['correct_NPs'])}", "some of the candidate_NPs")
    return AnnotatedPronoun(
        span=places.span(
            info, "current_pronoun", info.take("current_pronoun", list, "the span of a pronoun")
        ),
        candidates=of_list["candidate_NPs"],
        correct=of_list["correct_NPs"],
        refers=info.take("reference_type", int, "0 or another kind") == 0,
        discussed=not info.take("not_discussed", bool, "true or false"),
    )
