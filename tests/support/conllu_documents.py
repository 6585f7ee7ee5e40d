"""Small CoNLL-U documents: of given lines, and drawn at random with every kind of mention."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from utils.text.conllu import (
    ConlluDocument,
    ConlluError,
    ConlluLink,
    ConlluMention,
    ConlluRow,
    ConlluSentence,
)
from utils.text.entity_brackets import with_coreference

FIELDS = ("eid", "etype", "head", "other")


def row(number: str, form: str, misc: str = "_", head: str = "_") -> ConlluRow:
    """A line of ten columns."""
    return ConlluRow((number, form, form, "NOUN", "_", "_", head, "dep", "_", misc))


def sentence_lines(*rows: ConlluRow) -> str:
    """A sentence as it stands in a file."""
    return "".join("\t".join(line.columns) + "\n" for line in rows) + "\n"


def add_writable(
    document: ConlluDocument, mentions: Sequence[ConlluMention]
) -> tuple[ConlluMention, ...]:
    """Keep those of some mentions that the format can hold beside those before them."""
    kept: list[ConlluMention] = []
    for mention in mentions:
        try:
            with_coreference(document, [*kept, mention])
        except ConlluError:
            continue
        kept.append(mention)
    return tuple(kept)


@st.composite
def sentences(draw: st.DrawFn) -> ConlluSentence:
    """Sentences of words, empty nodes and multiword tokens, with trees."""
    words = draw(st.integers(1, 5))
    empty = draw(st.lists(st.integers(0, words), max_size=2))
    split = draw(st.integers(0, words))  # the first word of a multiword token, 0 for none
    rows = [row(f"0.{i + 1}", "_") for i in range(empty.count(0))]
    for number in range(1, words + 1):
        if number == split and number < words:
            rows.append(row(f"{number}-{number + 1}", "ab", "SpaceAfter=No"))
        head = str(draw(st.integers(1, number - 1))) if number > 1 else "0"
        rows.append(row(str(number), draw(st.sampled_from("abcd")), "Note=x", head))
        rows += [row(f"{number}.{i + 1}", "_") for i in range(empty.count(number))]
    return ConlluSentence(("# text = any",), tuple(rows))


@st.composite
def documents(draw: st.DrawFn) -> ConlluDocument:
    """Documents with nested, crossing, discontinuous and zero mentions, and links."""
    of_document = draw(st.lists(sentences(), min_size=1, max_size=3))
    first = of_document[0]
    heading = ("# newdoc id = d", f"# global.Entity = {'-'.join(FIELDS)}", *first.comments)
    of_document[0] = ConlluSentence(heading, first.rows)
    document = ConlluDocument("d", FIELDS, tuple(of_document))
    drawn = []
    for index in range(len(document.sentences)):
        nodes = [node for node, at in enumerate(document.sentence_of) if at == index]
        chosen = st.lists(st.sampled_from(nodes), min_size=1, unique=True).map(sorted)
        for mention in draw(st.lists(chosen, max_size=4)):
            attributes = (("etype", draw(st.sampled_from(["", "person"]))), ("head", "1"))
            drawn.append(
                ConlluMention(draw(st.sampled_from(["e1", "e2", "e3"])), tuple(mention), attributes)
            )
    node = st.integers(0, len(document.nodes) - 1)
    links = draw(
        st.lists(
            st.builds(ConlluLink, node, st.just("e1"), st.sampled_from(["e2", "e3"])), max_size=3
        )
    )
    return with_coreference(
        document,
        add_writable(document, drawn),
        sorted(links, key=lambda link: link.node),
        [ConlluLink(0, "e1", "e2", "part")],
    )
