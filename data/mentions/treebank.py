"""Universal Dependencies treebanks of English, in the scheme that spaCy's noun chunks are made for.

spaCy's noun chunks of English reach from the left edge of a noun's subtree to the noun, and ask for
the labels of the scheme of CLEAR. Most of these are plain renamings, but in Universal Dependencies
prepositions, copulas and conjunctions hang below the noun, where the left edge would take them in,
and the head of a name is its first word.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from pathlib import Path

from data.files import DataError, bad_record
from utils.files import decode_text, split_lines
from utils.printable import quote

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
        packed = path.read_bytes()
        content = decode_text(lzma.decompress(packed) if path.suffix == ".xz" else packed)
    except (OSError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    blocks = groupby(split_lines(content), key=bool)
    for number, block in enumerate((lines for is_block, lines in blocks if is_block), start=1):
        lines = [line for line in block if not line.startswith("#")]
        if lines:
            yield to_spacy_scheme(_parse(path, f"sentence {number}", lines))


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


def _parse(path: Path, name: str, lines: list[str]) -> ParsedSentence:
    """Parse the tokens of a sentence; empty nodes and unsplit contractions are none."""
    tokens: list[Token] = []
    numbers = {str(number) for number in range(1, len(lines) + 1)}
    spaceless_ends: dict[int, bool] = {}  # by the number of a contracted word's last part
    inside: set[int] = set()  # numbers of parts that another part follows without a space
    for line in lines:
        columns = line.split("\t")
        if len(columns) != 10:
            raise bad_record(path, name, f"{len(columns)} columns", "10 columns in each line")
        number, text, _, part_of_speech, _, _, head, label, _, notes = columns
        space_after = "SpaceAfter=No" not in notes.split("|")
        if "-" in number:
            ends = number.split("-")
            if len(ends) != 2 or not all(end in numbers for end in ends):
                expected = f"a range of two of {len(lines)} numbers"
                raise bad_record(path, name, quote(line), expected)
            first, last = map(int, ends)
            spaceless_ends[last] = space_after
            inside.update(range(first, last))
            continue
        if "." in number:
            continue
        place = len(tokens)
        if number != str(place + 1) or not (head == "0" or head in numbers):
            raise bad_record(
                path, name, quote(line), f"word {place + 1} and the number of its head"
            )
        if part_of_speech not in PARTS_OF_SPEECH:
            raise bad_record(path, name, f"part of speech {quote(part_of_speech)}", "one of UD's")
        tokens.append(
            Token(
                text=text,
                part_of_speech=part_of_speech,
                head=int(head) - 1 if int(head) else place,
                label=label,
                space_after=spaceless_ends.get(place + 1, space_after) and place + 1 not in inside,
            )
        )
    if any(token.head >= len(tokens) for token in tokens):
        raise bad_record(path, name, "a head that is not there", f"one of {len(tokens)} words")
    return tuple(tokens)
