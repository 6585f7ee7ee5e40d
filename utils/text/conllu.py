"""Documents of CoNLL-U files with the coreference of CorefUD: sentences, trees and entities.

`utils/text/conllu_files.py` reads and writes the files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from utils.errors import InputError

_NUMBER = re.compile(r"[0-9]{1,6}")


class ConlluError(InputError):
    """A file that is not CoNLL-U; the message names the file and the line."""


@dataclass(frozen=True, slots=True)
class ConlluRow:
    """A line of a sentence: a word, an empty node or the range of a multiword token.

    Attributes:
        columns: the ten of them, as written.
    """

    columns: tuple[str, ...]

    @property
    def id(self) -> str:
        """The number of the word, as "3"; of an empty node "3.1", of a multiword token "3-4"."""
        return self.columns[0]

    @property
    def form(self) -> str:
        """What stands in the text; of an empty node "_", or what would."""
        return self.columns[1]

    @property
    def upos(self) -> str:
        """The universal part of speech, "_" where there is none."""
        return self.columns[3]

    @property
    def xpos(self) -> str:
        """The part of speech in the tags of its language, "_" where there is none."""
        return self.columns[4]

    @property
    def head(self) -> int | None:
        """The number of the word that it depends on, 0 at the root; None where there is none."""
        return int(self.columns[6]) if self.columns[6].isdecimal() else None

    @property
    def deprel(self) -> str:
        """The label of that dependency, "_" where there is none."""
        return self.columns[7]

    @property
    def deps(self) -> str:
        """The enhanced dependencies, as "4:nsubj|6.1:nsubj"; "_" where there are none."""
        return self.columns[8]

    @property
    def misc(self) -> tuple[str, ...]:
        """The attributes of the last column, as "SpaceAfter=No"; empty where there is none."""
        return () if self.columns[9] == "_" else tuple(self.columns[9].split("|"))

    @property
    def is_empty(self) -> bool:
        """Whether it is an empty node."""
        return "." in self.id

    @property
    def is_multiword(self) -> bool:
        """Whether it is the range of a multiword token."""
        return "-" in self.id

    def value(self, name: str) -> str | None:
        """Return the value of an attribute of the last column, None where it is not there."""
        start = f"{name}="
        if start not in self.columns[9]:  # most lines have none; splitting them takes its time
            return None
        return next((item[len(start) :] for item in self.misc if item.startswith(start)), None)

    def with_misc(self, misc: Sequence[str]) -> ConlluRow:
        """Return the line with other attributes in its last column."""
        return ConlluRow((*self.columns[:9], "|".join(misc) or "_"))


@dataclass(frozen=True)
class ConlluSentence:
    """A sentence of a document.

    Attributes:
        comments: the lines before its words, as written.
        rows: in the order of the file.
    """

    comments: tuple[str, ...]
    rows: tuple[ConlluRow, ...]

    @cached_property
    def nodes(self) -> tuple[ConlluRow, ...]:
        """The words and empty nodes, in the order of the file."""
        return tuple(row for row in self.rows if not row.is_multiword)

    @cached_property
    def words(self) -> tuple[ConlluRow, ...]:
        """The words alone."""
        return tuple(node for node in self.nodes if not node.is_empty)

    def comment(self, key: str) -> str | None:
        """Return the value of a comment "# key = value", None where it is not there."""
        pattern = re.compile(rf"#\s*{re.escape(key)}\s*=\s*(.*?)\s*$")
        return next((match[1] for match in map(pattern.match, self.comments) if match), None)


@dataclass(frozen=True)
class ConlluMention:
    """A mention of an entity.

    Attributes:
        entity: the id of its entity, as the file writes it.
        nodes: indices into the nodes of its document, in order; empty nodes are among them.
        attributes: (field, value) of the fields of `global.Entity` but the id, as the file writes
            them: as many as its bracket holds.
    """

    entity: str
    nodes: tuple[int, ...]
    attributes: tuple[tuple[str, str], ...] = ()

    @property
    def head(self) -> int | None:
        """The index of the node that the file names as its head; None where it names none."""
        written = dict(self.attributes).get("head", "")
        number = int(written) if _NUMBER.fullmatch(written) else 0
        return self.nodes[number - 1] if 1 <= number <= len(self.nodes) else None

    @property
    def is_discontinuous(self) -> bool:
        """Whether nodes are left out between its first and last."""
        return self.nodes[-1] - self.nodes[0] >= len(self.nodes)

    def attribute(self, name: str) -> str | None:
        """Return the value of a field, or of a "name:value" in the field "other"; None without."""
        fields = dict(self.attributes)
        if name in fields:
            return fields[name] or None
        others = (pair.partition(":") for pair in fields.get("other", "").split(","))
        return next((value for key, _, value in others if key == name), None)


@dataclass(frozen=True, slots=True)
class ConlluLink:
    """A split antecedent or a bridge: `antecedent<anaphor:relation`.

    Attributes:
        node: index of the node of the document that it is written at.
        antecedent: the id of an entity; a split antecedent has one such link for each of its parts.
        anaphor: the id of the entity that it is an antecedent of.
        relation: of a bridge, where the file names it; else empty.
    """

    node: int
    antecedent: str
    anaphor: str
    relation: str = ""


@dataclass(frozen=True)
class ConlluDocument:
    """A document and its coreference.

    The last columns of the nodes hold the coreference as the file writes it, the other attributes
    as it is read; `utils.text.entity_brackets.with_coreference` makes a document of another one.

    Attributes:
        name: as the file writes it; None where it has none.
        fields: of `global.Entity`; empty where the file has no such comment.
        sentences: in the order of the file.
        mentions: in the order in which they open.
        split_antecedents: in the order of the file.
        bridges: in the order of the file.
    """

    name: str | None
    fields: tuple[str, ...]
    sentences: tuple[ConlluSentence, ...]
    mentions: tuple[ConlluMention, ...] = ()
    split_antecedents: tuple[ConlluLink, ...] = ()
    bridges: tuple[ConlluLink, ...] = ()

    @cached_property
    def nodes(self) -> tuple[ConlluRow, ...]:
        """The words and empty nodes of all sentences."""
        return tuple(node for sentence in self.sentences for node in sentence.nodes)

    @cached_property
    def sentence_of(self) -> tuple[int, ...]:
        """The index of the sentence of each node."""
        return tuple(index for index, sentence in enumerate(self.sentences) for _ in sentence.nodes)

    @cached_property
    def entities(self) -> dict[str, tuple[ConlluMention, ...]]:
        """The mentions of each entity by its id, in the order in which the entities open."""
        entities: dict[str, list[ConlluMention]] = {}
        for mention in self.mentions:
            entities.setdefault(mention.entity, []).append(mention)
        return {entity: tuple(mentions) for entity, mentions in entities.items()}

    def is_zero(self, mention: ConlluMention) -> bool:
        """Return whether a mention is of empty nodes alone."""
        return all(self.nodes[node].is_empty for node in mention.nodes)
