"""The head of a mention that its file names no head of, read off the tree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from metrics.corefud.matching import Position
from utils.printable import quote
from utils.text.conllu import ConlluDocument, ConlluError

# As long as the numbers that a file can have.
_PARENT = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")


class Trees:
    """The dependencies between the nodes of a document.

    A word depends on the word of its column HEAD; an empty node, which is in no tree, on the nodes
    of its column DEPS.
    """

    def __init__(self, document: ConlluDocument) -> None:
        self._document = document

    @cached_property
    def positions(self) -> list[Position]:
        """The position of each node of the document."""
        document = self._document
        nodes = zip(document.sentence_of, document.nodes, strict=True)
        return [_position(sentence, node.id) for sentence, node in nodes]

    def dependencies(self, node: int) -> frozenset[tuple[Position, str]]:
        """Return what a node depends on by its column DEPS, with the labels.

        Raises:
            ConlluError: the column is not "number:label" for each of them.
        """
        sentence, deps = self._document.sentence_of[node], self._document.nodes[node].deps
        if deps == "_":
            return frozenset()
        pairs = [dependency.partition(":") for dependency in deps.split("|")]
        if not all(_PARENT.fullmatch(parent) and label for parent, _, label in pairs):
            raise ConlluError(f"found {quote(deps)} in the column DEPS, expected number:label|...")
        return frozenset((_position(sentence, parent), label) for parent, _, label in pairs)

    def head(self, nodes: Sequence[int]) -> int | None:
        """Return the node that all other nodes of a mention depend on.

        Where several depend on nothing inside of the mention, it is the one that the others depend
        on by way of words outside of it.

        Returns:
            A node of the mention; None where there is no such node or tree.
        """
        inside = set(nodes)
        tops = [node for node in nodes if not inside & set(self._parents[node])]
        above_all = [
            top
            for top in tops
            if all(top in self._ancestors(other) for other in tops if other != top)
        ]
        return above_all[0] if len(above_all) == 1 else None

    @cached_property
    def _parents(self) -> list[list[int]]:
        """The nodes that each node depends on; the root is none."""
        node_at = {position: node for node, position in enumerate(self.positions)}
        parents = []
        for node, (position, row) in enumerate(
            zip(self.positions, self._document.nodes, strict=True)
        ):
            if row.is_empty:
                places = [place for place, _ in sorted(self.dependencies(node))]
            else:
                places = [] if row.head is None else [(position[0], row.head, 0)]
            parents.append([node_at[place] for place in places if place in node_at])
        return parents

    def _ancestors(self, node: int) -> set[int]:
        ancestors: set[int] = set()
        waiting = list(self._parents[node])
        while waiting:
            parent = waiting.pop()
            if parent not in ancestors:
                ancestors.add(parent)
                waiting += self._parents[parent]
        return ancestors


def _position(sentence: int, number: str) -> Position:
    """Return the position of a word "3" or an empty node "3.1"."""
    word, _, empty = number.partition(".")
    return sentence, int(word), int(empty or 0)
