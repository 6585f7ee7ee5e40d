"""Universal Dependencies treebanks of English, in the scheme that spaCy's noun chunks are made for.

spaCy's noun chunks of English reach from the left edge of a noun's subtree to the noun, and ask for
the labels of the scheme of CLEAR. Most of these are plain renamings, but in Universal Dependencies
prepositions, copulas and conjunctions hang below the noun, where the left edge would take them in,
and the head of a name is its first word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from data.files import BadRecord, DataError, bad_record
from utils.printable import quote
from utils.text.conllu import ConlluError, ConlluRow
from utils.text.conllu_files import read_blocks, read_row

_RENAMED = {
    "nsubj:pass": "nsubjpass",
    "nsubj:outer": "nsubj",
    "obj": "dobj",
    "iobj": "dative",
    "nmod:poss": "poss",
    "root": "ROOT",
}
PARTS_OF_SPEECH = (
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM"),
    *("PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"),
)
_NOMINAL = ("NOUN", "PROPN", "PRON", "NUM", "DET", "SYM", "X")
# What says something of a noun that a copula makes the predicate, and so stays below it.
_OF_THE_NOUN = (
    "det",
    "amod",
    "nummod",
    "compound",
    "nmod",
    "case",
    "flat",
    "acl",
    "appos",
    "fixed",
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a sentence.

    Attributes:
        text: as written.
        part_of_speech: one of the universal tags.
        head: index of the token it depends on; its own where it is the root.
        label: of that dependency.
        space_after: whether a space follows.
    """

    text: str
    part_of_speech: str
    head: int
    label: str
    space_after: bool


ParsedSentence = tuple[Token, ...]


def find_part(folder: Path, part: str) -> Path:
    """Find the file of a part of a treebank, `*-ud-<part>*.conllu` or `.conllu.xz`.

    Args:
        part: train, dev or test.

    Raises:
        DataError: there is none or there are several.
    """
    found = sorted(
        path
        for ending in (".conllu", ".conllu.xz")
        for path in folder.glob(f"*-ud-{part}*{ending}")
    )
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise DataError(f"{folder}: found {names}, expected one *-ud-{part}*.conllu or .conllu.xz")
    return found[0]


def read_treebank(path: Path) -> Iterator[ParsedSentence]:
    """Read the sentences of a CoNLL-U file, which may be packed by xz, in the scheme of spaCy.

    Contracted words stand in their parts, as the treebank has them.

    Raises:
        DataError: the file is missing or cannot be read.
        BadRecord: a sentence is wrong.
    """
    try:
        blocks = read_blocks(path)
    except ConlluError as error:
        raise DataError(str(error)) from error
    for number, (first, lines) in enumerate(blocks, start=1):
        if rows := _rows(path, number, first, lines):
            yield to_spacy_scheme(_parse(path, f"sentence {number}", rows))


def to_spacy_scheme(sentence: ParsedSentence) -> ParsedSentence:
    """Return a sentence with the labels and heads that spaCy's English noun chunks expect."""
    tokens = list(sentence)
    for index in range(len(tokens)):
        _lift_last_name(tokens, index)
    for index in range(len(tokens)):
        _lift_copula(tokens, index)
    for index in range(len(tokens)):
        _lift_prepositions(tokens, index)
    for index in range(len(tokens)):
        _lift_conjunction(tokens, index)
    return tuple(replace(t, label=_RENAMED.get(t.label, t.label.split(":")[0])) for t in tokens)


def _lift_last_name(tokens: list[Token], index: int) -> None:
    """Make the last word of a name its head, as of other compounds: "Frank Sinatra"."""
    names = [child for child in _children(tokens, index, "flat") if child > index]
    if not names:
        return
    last = names[-1]
    _take_place(tokens, index, last)
    tokens[index] = replace(tokens[index], head=last, label="compound")
    for child in _children(tokens, index):
        label = "compound" if child in names else tokens[child].label
        tokens[child] = replace(tokens[child], head=last, label=label)


def _lift_copula(tokens: list[Token], index: int) -> None:
    """Make the copula of a predicate the head of its clause: "he is a man"."""
    copulas = _children(tokens, index, "cop")
    if not copulas:
        return
    copula = copulas[0]
    _take_place(tokens, index, copula)
    nominal = tokens[index].part_of_speech in _NOMINAL
    tokens[index] = replace(tokens[index], head=copula, label="attr" if nominal else "acomp")
    for child in _children(tokens, index):
        if tokens[child].label.split(":")[0] not in _OF_THE_NOUN:
            label = "aux" if tokens[child].label == "cop" else tokens[child].label
            tokens[child] = replace(tokens[child], head=copula, label=label)


def _lift_prepositions(tokens: list[Token], index: int) -> None:
    """Put the prepositions before a noun above it: "in the park", "out of the house"."""
    prepositions = [child for child in _children(tokens, index, "case") if child < index]
    if not prepositions:
        return
    first, last = prepositions[0], prepositions[-1]
    _take_place(tokens, index, first)
    if tokens[first].head != first:
        tokens[first] = replace(tokens[first], label="prep")
    for above, below in pairwise(prepositions):
        tokens[below] = replace(tokens[below], head=above, label="prep")
    tokens[index] = replace(tokens[index], head=last, label="pobj")
    for child in _children(tokens, index):
        if child < last:
            tokens[child] = replace(tokens[child], head=first)


def _lift_conjunction(tokens: list[Token], index: int) -> None:
    """Hang what joins two parts below the first of them: "a man and a woman"."""
    if tokens[index].label.split(":")[0] != "conj":
        return
    for child in _children(tokens, index):
        if child < index and tokens[child].label.split(":")[0] in ("cc", "punct"):
            tokens[child] = replace(tokens[child], head=tokens[index].head)


def _children(tokens: list[Token], index: int, label: str | None = None) -> list[int]:
    """Return the tokens that depend on one, those with a label or all."""
    return [
        child
        for child, token in enumerate(tokens)
        if token.head == index != child and label in (None, token.label.split(":")[0])
    ]


def _take_place(tokens: list[Token], index: int, child: int) -> None:
    """Give a child the head and the label of the token it depends on."""
    head = child if tokens[index].head == index else tokens[index].head
    tokens[child] = replace(tokens[child], head=head, label=tokens[index].label)


def _rows(path: Path, number: int, first: int, lines: list[str]) -> list[ConlluRow]:
    """Split the lines of a sentence, given by its number and first line; comments are none."""
    try:
        return [
            read_row(line, f"sentence {number} of {path}, line {place}")
            for place, line in enumerate(lines, start=first)
            if not line.startswith("#")
        ]
    except ConlluError as error:
        raise BadRecord(str(error)) from error


def _parse(path: Path, name: str, rows: Sequence[ConlluRow]) -> ParsedSentence:
    """Return the words of a sentence; empty nodes and unsplit contractions are none."""
    tokens: list[Token] = []
    numbers = {str(number) for number in range(1, len(rows) + 1)}
    spaceless_ends: dict[int, bool] = {}  # by the number of a contracted word's last part
    inside: set[int] = set()  # numbers of parts that another part follows without a space
    for row in rows:
        written = quote("\t".join(row.columns))
        space_after = "SpaceAfter=No" not in row.misc
        if row.is_multiword:
            ends = row.id.split("-")
            if len(ends) != 2 or not all(end in numbers for end in ends):
                raise bad_record(path, name, written, f"a range of two of {len(rows)} numbers")
            first, last = map(int, ends)
            spaceless_ends[last] = space_after
            inside.update(range(first, last))
            continue
        if row.is_empty:
            continue
        place = len(tokens)
        head = row.columns[6]
        if row.id != str(place + 1) or not (head == "0" or head in numbers):
            raise bad_record(path, name, written, f"word {place + 1} and the number of its head")
        if row.upos not in PARTS_OF_SPEECH:
            raise bad_record(path, name, f"part of speech {quote(row.upos)}", "one of UD's")
        tokens.append(
            Token(
                text=row.form,
                part_of_speech=row.upos,
                head=int(head) - 1 if int(head) else place,
                label=row.deprel,
                space_after=spaceless_ends.get(place + 1, space_after) and place + 1 not in inside,
            )
        )
    if any(token.head >= len(tokens) for token in tokens):
        raise bad_record(path, name, "a head that is not there", f"one of {len(tokens)} words")
    return tuple(tokens)
