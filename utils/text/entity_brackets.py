"""The coreference of CorefUD in the last column of CoNLL-U: Entity=, SplitAnte= and Bridge=.

`Entity=(e1-person-2-` opens a mention of the entity e1, `e1)` closes the one that opened last, and
`(e1-person-1-)` is a mention of one node; several stand beside each other. The values of a bracket
are those of the fields of `global.Entity`, in which `eid` (or `GRP`) is the id; empty ones at the
end may be left out. A discontinuous mention has a bracket for each of its parts: `(e1[1/2]-person`,
`e1[1/2])`, `(e1[2/2]-person)`. A mention holds all nodes between its brackets, empty ones too, and
stays within a sentence. `SplitAnte=e1<e3,e2<e3` and `Bridge=e1<e4:part` link entities.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise

from utils.printable import quote
from utils.text.conllu import (
    ConlluDocument,
    ConlluError,
    ConlluLink,
    ConlluMention,
    ConlluRow,
    ConlluSentence,
)

DEFAULT_FIELDS = ("eid", "etype", "head", "other")
ATTRIBUTES = ("Entity", "SplitAnte", "Bridge")
_ID_FIELDS = ("eid", "GRP")
_BRACKET = re.compile(r"\([^()]+\)?|[^()]+\)")
_PART = re.compile(r"(?P<entity>.+)\[(?P<part>\d{1,4})/(?P<parts>\d{1,4})\]")
_LINK = re.compile(r"(?P<antecedent>[^<:,]+)<(?P<anaphor>[^<:,]+)(?::(?P<relation>[^,]*))?")
_ENTITY = re.compile(r"[^-\s()\[\]|,<:]+")
_VALUE = re.compile(r"[^\t\n()|]*")


@dataclass(slots=True)
class _Opened:
    """A mention while it is read.

    Attributes:
        place: of its first bracket.
        parts: how many of its parts have been closed.
    """

    place: str
    entity: str
    attributes: tuple[tuple[str, str], ...]
    nodes: list[int] = field(default_factory=list)
    parts: int = 0


def read_coreference(document: ConlluDocument, places: Sequence[str]) -> ConlluDocument:
    """Read mentions and links from the last columns of a document.

    Args:
        document: without any.
        places: file and line of each of its nodes, for errors.

    Raises:
        ConlluError: a bracket or a link is wrong.
    """
    reading = _Reading(document.fields)
    links: dict[str, list[ConlluLink]] = {"SplitAnte": [], "Bridge": []}
    node = 0
    for sentence in document.sentences:
        for row in sentence.rows:
            if row.is_multiword:
                _check_range(row, places[node])
                continue
            if (brackets := row.value("Entity")) is not None:
                reading.read(brackets, node, places[node])
            for name, of_name in links.items():
                if (written := row.value(name)) is not None:
                    of_name += _links(written, node, f"{places[node]}: {name}={quote(written)}")
            node += 1
        reading.end_sentence()
    return replace(
        document,
        mentions=tuple(
            ConlluMention(mention.entity, tuple(mention.nodes), mention.attributes)
            for mention in reading.mentions
        ),
        split_antecedents=tuple(links["SplitAnte"]),
        bridges=tuple(links["Bridge"]),
    )


class _Reading:
    """The mentions of a document while they are read.

    Attributes:
        mentions: in the order in which they open.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        self.mentions: list[_Opened] = []
        self._fields = tuple(fields)
        self._id = next((i for i, name in enumerate(fields) if name in _ID_FIELDS), None)
        # By its id as written, the first nodes of what is open, and the mentions they belong to.
        self._open: dict[str, list[tuple[int, _Opened]]] = {}
        # By entity and number of parts, the mentions that have parts to come.
        self._unfinished: dict[tuple[str, int], list[_Opened]] = {}

    def read(self, brackets: str, node: int, place: str) -> None:
        """Add what opens and closes at a node."""
        if self._id is None:
            fields = "-".join(self._fields) or "none"
            raise ConlluError(
                f"{place}: found Entity= after the fields {quote(fields)}, expected a comment "
                '"# global.Entity = " with eid or GRP among them before it'
            )
        found = _BRACKET.findall(brackets)
        if "".join(found) != brackets or not found:
            raise ConlluError(f"{place}: found Entity={quote(brackets)}, expected brackets")
        for bracket in found:
            content = bracket.strip("()")
            if not bracket.startswith("("):
                self._close(content, node, place)
            else:
                written = self._open_mention(content, node, place)
                if bracket.endswith(")"):
                    self._close(written, node, place)

    def end_sentence(self) -> None:
        """Refuse a mention that is not closed, or that parts are missing of."""
        for written, opened in self._open.items():
            if opened:
                place = opened[-1][1].place
                raise ConlluError(f"{place}: {quote(written)} is not closed in its sentence")
        for (entity, parts), mentions in self._unfinished.items():
            for mention in mentions:
                found = f"{mention.parts} of {parts} parts of {quote(entity)} in its sentence"
                raise ConlluError(f"{mention.place}: found {found}")
        self._open.clear()
        self._unfinished.clear()

    def _open_mention(self, content: str, node: int, place: str) -> str:
        """Open a mention, or a further part of one, and return its id as written."""
        assert self._id is not None
        values = content.split("-", len(self._fields) - 1)
        written = values[self._id] if self._id < len(values) else ""
        part = _PART.fullmatch(written)
        entity = part["entity"] if part else written
        if not _ENTITY.fullmatch(entity):
            raise ConlluError(
                f"{place}: found {quote(f'({content}')}, expected the id of an entity"
            )
        if part and int(part["part"]) != 1:
            opened = self._unfinished_mention(part, place)
        else:
            pairs = tuple(zip(self._fields, values, strict=False))
            opened = _Opened(place, entity, (*pairs[: self._id], *pairs[self._id + 1 :]))
            self.mentions.append(opened)
            if part:
                self._unfinished.setdefault((entity, int(part["parts"])), []).append(opened)
        self._open.setdefault(written, []).append((node, opened))
        return written

    def _unfinished_mention(self, part: re.Match[str], place: str) -> _Opened:
        """Return the mention of a part: the last one that this part is next of."""
        unfinished = self._unfinished.get((part["entity"], int(part["parts"])), [])
        for mention in reversed(unfinished):
            if mention.parts == int(part["part"]) - 1:
                return mention
        raise ConlluError(f"{place}: found {quote(part[0])}, expected the part before it before it")

    def _close(self, content: str, node: int, place: str) -> None:
        """Close what opened last of an id."""
        assert self._id is not None
        if not self._open.get(content) and "-" in content:
            # Old files close with the fields up to the id: (person-3-new ... person-3).
            content = content.split("-")[min(self._id, content.count("-"))]
        if not self._open.get(content):
            raise ConlluError(f"{place}: {quote(f'{content})')} closes what is not open")
        first, mention = self._open[content].pop()
        mention.nodes += range(first, node + 1)
        mention.parts += 1
        part = _PART.fullmatch(content)
        if part and mention.parts == int(part["parts"]):
            self._unfinished[mention.entity, mention.parts].remove(mention)


def with_coreference(
    document: ConlluDocument,
    mentions: Iterable[ConlluMention],
    split_antecedents: Iterable[ConlluLink] = (),
    bridges: Iterable[ConlluLink] = (),
) -> ConlluDocument:
    """Return a document with other coreference in place of its own.

    Its fields are those of `global.Entity`, or the ones of CorefUD where it has none.

    Raises:
        ConlluError: the format cannot hold it: mentions of one entity cross or reach over the end
            of a sentence, an id or a value has characters that it is written with, or a field is
            not one of the document's.
    """
    fields = document.fields or DEFAULT_FIELDS
    if not set(fields) & set(_ID_FIELDS):
        found = f"the fields {quote('-'.join(fields))}"
        raise ConlluError(f"document {quote(document.name)}: found {found}, expected eid or GRP")
    filled = [_with_all_fields(mention, fields) for mention in mentions]
    ordered = sorted(filled, key=lambda mention: _outer_first(_parts(mention.nodes)[0]))
    values = _values(ordered, {"SplitAnte": split_antecedents, "Bridge": bridges}, fields)
    sentences = []
    node = 0
    for sentence in document.sentences:
        rows = []
        for row in sentence.rows:
            if not row.is_multiword:
                row = _with_values(row, values.get(node, {}))
                node += 1
            rows.append(row)
        sentences.append(ConlluSentence(sentence.comments, tuple(rows)))
    if not document.fields:
        sentences[0] = _with_fields(sentences[0], fields)
    written = read_coreference(
        ConlluDocument(document.name, fields, tuple(sentences)),
        [f"document {quote(document.name)}, node {index}" for index in range(node)],
    )
    for before, after in zip(ordered, written.mentions, strict=True):
        if before != after:
            raise ConlluError(
                f"document {quote(document.name)}: mentions of {quote(before.entity)} cross, "
                "which CoNLL-U cannot hold"
            )
    return written


def _check_range(row: ConlluRow, place: str) -> None:
    for name in ATTRIBUTES:
        if row.value(name) is not None:
            raise ConlluError(
                f"{place}: found {name}= at the multiword token before it, expected it at a word"
            )


def _links(written: str, node: int, place: str) -> list[ConlluLink]:
    """Read what stands in SplitAnte= or Bridge=."""
    links = []
    for item in written.split(","):
        match = _LINK.fullmatch(item)
        if not match:
            raise ConlluError(f"{place}: found {quote(item)}, expected antecedent<anaphor")
        links.append(
            ConlluLink(node, match["antecedent"], match["anaphor"], match["relation"] or "")
        )
    return links


def _with_all_fields(mention: ConlluMention, fields: Sequence[str]) -> ConlluMention:
    """Return a mention with a value for each field up to its last one and to the id."""
    names = [name for name in fields if name not in _ID_FIELDS]
    values = dict(mention.attributes)
    problem = ""
    if not mention.nodes or any(a >= b for a, b in pairwise(mention.nodes)):
        problem = f"the nodes {mention.nodes}, expected some in their order"
    elif not _ENTITY.fullmatch(mention.entity):
        problem = f"the id {quote(mention.entity)}, expected one without the format's own signs"
    elif not values.keys() <= set(names):
        problem = f"the fields {', '.join(values)}, expected some of {', '.join(names)}"
    elif not all(
        _VALUE.fullmatch(value) and ("-" not in value or name == fields[-1])
        for name, value in values.items()
    ):
        problem = f"{quote(values)}, expected values without the format's own signs"
    if problem:
        raise ConlluError(f"a mention of {quote(mention.entity)}: found {problem}")
    before_id = next(index for index, name in enumerate(fields) if name in _ID_FIELDS)
    last = max([before_id, *(names.index(name) + 1 for name in values)])
    return replace(mention, attributes=tuple((name, values.get(name, "")) for name in names[:last]))


def _parts(nodes: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and last node of each part of a mention."""
    groups = groupby(enumerate(nodes), key=lambda item: item[1] - item[0])
    parts = [[node for _, node in group] for _, group in groups]
    return [(part[0], part[-1]) for part in parts]


def _outer_first(part: tuple[int, int]) -> tuple[int, int]:
    first, last = part
    return first, -last


def _values(
    mentions: Sequence[ConlluMention],
    links: Mapping[str, Iterable[ConlluLink]],
    fields: Sequence[str],
) -> dict[int, dict[str, str]]:
    """Write the attributes of each node.

    Args:
        mentions: in the order in which they open.
        links: by the name of their attribute.
        fields: of `global.Entity`.
    """
    values: dict[int, dict[str, str]] = {}
    for node, brackets in _brackets(mentions, fields).items():
        values.setdefault(node, {})["Entity"] = brackets
    for name, of_name in links.items():
        for link in of_name:
            written = f"{link.antecedent}<{link.anaphor}"
            written += f":{link.relation}" if link.relation else ""
            of_node = values.setdefault(link.node, {})
            of_node[name] = f"{of_node[name]},{written}" if name in of_node else written
    return values


def _brackets(mentions: Sequence[ConlluMention], fields: Sequence[str]) -> dict[int, str]:
    """Write the brackets of each node, as CorefUD orders them.

    What opened last closes first, before anything opens; mentions of one node follow what opens,
    and precede what closes where nothing opens.
    """
    parts = []
    for mention in mentions:
        spans = _parts(mention.nodes)
        for number, span in enumerate(spans, start=1):
            suffix = f"[{number}/{len(spans)}]" if len(spans) > 1 else ""
            parts.append((span, mention.entity + suffix, mention.attributes))
    closed: dict[int, str] = {}
    opened: dict[int, str] = {}
    single: dict[int, str] = {}
    for (first, last), written, attributes in sorted(parts, key=lambda p: _outer_first(p[0])):
        values = iter(value for _, value in attributes)
        pairs = [written if name in _ID_FIELDS else next(values, None) for name in fields]
        bracket = "(" + "-".join(value for value in pairs if value is not None)
        if first == last:
            single[first] = f"{single.get(first, '')}{bracket})"
        else:
            opened[first] = opened.get(first, "") + bracket
            closed[last] = f"{written}){closed.get(last, '')}"
    return {
        node: closed.get(node, "") + opened[node] + single.get(node, "")
        if node in opened
        else single.get(node, "") + closed.get(node, "")
        for node in {*closed, *opened, *single}
    }


def _with_values(row: ConlluRow, values: Mapping[str, str]) -> ConlluRow:
    """Replace the coreference of a line, among its other attributes in the order of the alphabet.

    An attribute that it had already stays at its place.
    """
    misc = list(row.misc)
    for name in ATTRIBUTES:
        place = next((i for i, item in enumerate(misc) if item.startswith(f"{name}=")), None)
        if place is not None:
            misc[place : place + 1] = [f"{name}={values[name]}"] if name in values else []
        elif name in values:
            later = (i for i, item in enumerate(misc) if item.casefold() > name.casefold())
            misc.insert(next(later, len(misc)), f"{name}={values[name]}")
    return row.with_misc(misc)


def _with_fields(sentence: ConlluSentence, fields: Sequence[str]) -> ConlluSentence:
    """Add the comment that names the fields, after the one that begins the document."""
    comments = list(sentence.comments)
    place = next((i + 1 for i, line in enumerate(comments) if line.startswith("# newdoc")), 0)
    comments.insert(place, f"# global.Entity = {'-'.join(fields)}")
    return replace(sentence, comments=tuple(comments))
