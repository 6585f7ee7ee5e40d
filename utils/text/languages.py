"""What is known of the words of a language: its pronouns, and where a noun phrase has its head."""

from __future__ import annotations

import difflib
import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from utils.errors import InputError
from utils.json_files import read_json
from utils.printable import quote

# What a pronoun may say of what it stands for. The place of a kind is its number in `kind_of`.
PRONOUN_KINDS = (
    "none",  # not a pronoun
    "speaker",
    "speakers",
    "addressee",
    "masculine",
    "feminine",
    "neuter",
    "plural",
    "demonstrative",
    "relative",
    "reflexive",
)
# Pronouns of these kinds mean someone who takes part in the talk, whatever was mentioned before.
_TAKING_PART = ("speaker", "speakers", "addressee")


@dataclass(frozen=True)
class Language:
    """The words of a language that rules and pair features look at; all in lower case.

    Attributes:
        pronouns: each with its kind.
        articles: words that begin a noun phrase and say nothing of what it means.
        modifier_starts: words after which a noun phrase only says more about its head.
        head_starts: endings of what stands before the head, where it stands last ("的" in Chinese).
        possessive_endings: what is cut off the end of a word.
    """

    pronouns: Mapping[str, str]
    articles: frozenset[str] = frozenset()
    modifier_starts: frozenset[str] = frozenset()
    head_starts: tuple[str, ...] = ()
    possessive_endings: tuple[str, ...] = ()

    @functools.cached_property
    def referring_pronouns(self) -> frozenset[str]:
        """The pronouns that refer back to something said before."""
        return frozenset(p for p, kind in self.pronouns.items() if kind not in _TAKING_PART)

    def kind_of(self, phrase: str) -> int:
        """Return the number of a phrase's kind of pronoun; 0 where it is none."""
        return PRONOUN_KINDS.index(self.pronouns.get(phrase.strip().lower(), "none"))

    def head_word(self, phrase: str) -> str:
        """Return the head of a noun phrase: its last word before any modifier.

        "a man in a red shirt" is about a man, and so is "the man's"; "the man's shirt" about a
        shirt. A phrase without any word is its own head.
        """
        words = self._words(phrase)
        modifiers = [i for i, word in enumerate(words) if i and word in self.modifier_starts]
        end = modifiers[0] if modifiers else len(words)
        head = words[end - 1] if words else phrase.lower()
        for start in self.head_starts:
            head = head.rpartition(start)[2] or head
        return head

    def without_articles(self, phrase: str) -> str:
        """Return the words of a phrase after its articles; all where there is nothing else."""
        words = self._words(phrase)
        first = next((i for i, word in enumerate(words) if word not in self.articles), 0)
        return " ".join(words[first:]) or phrase.lower()

    def _words(self, phrase: str) -> list[str]:
        return [word for word in map(self._bare, phrase.lower().split()) if word]

    def _bare(self, word: str) -> str:
        """Strip a word of the punctuation around it and of a possessive ending."""
        word = word.strip('.,;:!?"()[]。，；：！？“”（）')
        for ending in self.possessive_endings:
            if word.endswith(ending):
                return word.removesuffix(ending)
        return word


def _kinds(**words: str) -> Mapping[str, str]:
    return MappingProxyType({w: kind for kind, of_kind in words.items() for w in of_kind.split()})


ENGLISH = Language(
    pronouns=_kinds(
        speaker="i me my mine myself",
        speakers="we us our ours ourselves",
        addressee="you your yours yourself yourselves",
        masculine="he him his himself",
        feminine="she her hers herself",
        neuter="it its itself",
        plural="they them their theirs themselves",
        demonstrative="this that these those",
        relative="who whom whose which",
    ),
    articles=frozenset("a an the this that these those some another other".split()),
    modifier_starts=frozenset(
        "about above across against along among around at before behind below beneath beside "
        "between by down for from in inside into like near of off on onto out outside over past "
        "through to toward towards under underneath up upon with within without "
        "that which who whom whose where".split()
    ),
    possessive_endings=("'s", "’s", "'", "’"),
)
CHINESE = Language(
    pronouns=_kinds(
        speaker="我 俺 咱",
        speakers="我们 咱们",
        addressee="你 您 你们",
        masculine="他",
        feminine="她",
        neuter="它",
        plural="他们 她们 它们",
        demonstrative="这 那 这个 那个 这些 那些 这位 那位 这里 那里",
        relative="谁",
        reflexive="自己 本人",
    ),
    head_starts=("的", "这个", "那个", "一个", "这位", "那位", "一位"),
)
LANGUAGES: Mapping[str, Language] = {"en": ENGLISH, "zh": CHINESE}


@functools.cache
def read_language(name: str) -> Language:
    """Return a language by its name, or read one that a JSON file describes.

    Args:
        name: a key of `LANGUAGES`, or a file with the fields of `Language`: `pronouns` is an object
            of kinds (`PRONOUN_KINDS`) and lists of pronouns, the others are lists of words.

    Raises:
        InputError: there is no such language, or the file does not describe one.
    """
    if name in LANGUAGES:
        return LANGUAGES[name]
    path = Path(name)
    known = ", ".join(LANGUAGES)
    if not os.path.isfile(path):  # which takes a name that is too long for a file, too
        raise InputError(f"language: found {quote(name)}, expected {known} or a JSON file")
    fields = read_json(path)
    try:
        return _from_json(fields)
    except (ValueError, AttributeError) as error:
        raise InputError(f"{path} does not describe a language: {error}") from error


def _from_json(fields: Any) -> Language:
    lists = {"articles", "modifier_starts", "head_starts", "possessive_endings"}
    if not isinstance(fields, dict) or not {"pronouns"} <= set(fields) <= lists | {"pronouns"}:
        raise ValueError(f"expected pronouns and any of {', '.join(sorted(lists))}")
    words = {name: fields.get(name, []) for name in lists}
    for name, of_name in [*words.items(), *fields["pronouns"].items()]:
        if not isinstance(of_name, list) or not all(isinstance(w, str) and w for w in of_name):
            raise ValueError(f"{quote(name)}: expected a list of words")
    for kind in fields["pronouns"]:
        if kind not in PRONOUN_KINDS[1:]:
            near = difflib.get_close_matches(kind, PRONOUN_KINDS[1:], n=1, cutoff=0)
            raise ValueError(f"unknown kind of pronoun {quote(kind)}; did you mean {near[0]!r}?")
    return Language(
        pronouns={w.lower(): kind for kind, ws in fields["pronouns"].items() for w in ws},
        articles=frozenset(map(str.lower, words["articles"])),
        modifier_starts=frozenset(map(str.lower, words["modifier_starts"])),
        head_starts=tuple(map(str.lower, words["head_starts"])),
        possessive_endings=tuple(map(str.lower, words["possessive_endings"])),
    )
