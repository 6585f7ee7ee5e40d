"""What the coreference scores count: mentions, links and aligned chains, document by document.

Gold chains are written K, system chains R, and |K ∩ R| is the number of mentions that two of them
share. Recall divides as below; precision is the same with both sides exchanged.

- MUC (Vilain et al. 1995): sum over K of |K| - p(K), over sum of |K| - 1, where p(K) is the number
  of pieces that the system cuts K into; a mention that the system lacks is a piece.
- B3 (Bagga and Baldwin 1998): sum over K and R of |K ∩ R|^2 / |K|, over the mentions.
- CEAF (Luo 2005): the similarity of the best one-to-one alignment of chains. CEAFm: phi3 =
  |K ∩ R|, over the mentions. CEAFe: phi4 = 2 |K ∩ R| / (|K| + |R|), over the chains.
- BLANC (Recasens and Hovy 2011; Luo et al. 2014 for system mentions): links within a chain and
  links between chains, each kind for itself.
- LEA (Moosavi and Strube 2016): sum over K of |K| times the share of its links that is in the
  system's chains, over the mentions; a singleton has one link, to itself.

`metrics/coreference/scores.py` makes the scores of these counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from metrics.chains import Chains
from metrics.coreference.repeated_mentions import count_repeated, count_repeats


@dataclass(frozen=True, slots=True)
class DocumentCounts:
    """Numerators and denominators of the scores, a row for each document.

    Attributes:
        fractions: [documents, 4] for each score but BLANC, by its name: numerator and denominator
            of recall, then of precision.
        links: [documents, 2, 3], for BLANC: of the links within chains, then of those between
            chains, how many are on both sides, in gold and in the system.
        mentions: [documents, 2], how many in gold and in the system.
    """

    fractions: dict[str, np.ndarray]
    links: np.ndarray
    mentions: np.ndarray

    def of(self, documents: Sequence[int]) -> DocumentCounts:
        """Return the counts of some of the documents, by their rows."""
        rows = list(documents)
        fractions = {name: counts[rows] for name, counts in self.fractions.items()}
        return DocumentCounts(fractions, self.links[rows], self.mentions[rows])


@dataclass(frozen=True, slots=True)
class _Cells:
    """How many mentions gold and system chains share: the cells of a sparse table.

    Attributes:
        rows, columns: [cells] the gold and the system chain of each cell.
        shared: [cells] how many mentions the two share, at least 1.
    """

    rows: np.ndarray
    columns: np.ndarray
    shared: np.ndarray


@dataclass(frozen=True, slots=True)
class _Overlaps:
    """The chains of all documents and what they share.

    Attributes:
        documents: their number.
        gold_sizes, gold_documents: [gold chains] mentions of each, and the document it is in.
        system_sizes, system_documents: [system chains] likewise.
        of_gold: the mentions of gold chains, each in the last system chain that holds it.
        of_system: the mentions of system chains, each in the last gold chain that holds it.
        of_both: mentions in all chains of both sides that hold them. The three differ only where a
            mention is in several chains of a side.
    """

    documents: int
    gold_sizes: np.ndarray
    gold_documents: np.ndarray
    system_sizes: np.ndarray
    system_documents: np.ndarray
    of_gold: _Cells
    of_system: _Cells
    of_both: _Cells

    def over_gold(self, values: np.ndarray) -> np.ndarray:
        """Sum values of gold chains [gold chains] over each document [documents]."""
        return np.bincount(self.gold_documents, values, self.documents)

    def over_system(self, values: np.ndarray) -> np.ndarray:
        """Sum values of system chains [system chains] over each document [documents]."""
        return np.bincount(self.system_documents, values, self.documents)

    def over_cells(self, cells: _Cells, values: np.ndarray) -> np.ndarray:
        """Sum values of cells [cells] over each document [documents]."""
        return np.bincount(self.gold_documents[cells.rows], values, self.documents)


def _tabulate(pairs: Sequence[tuple[Chains[Hashable], Chains[Hashable]]]) -> _Overlaps:
    gold_chains = [(i, chain) for i, (gold, _) in enumerate(pairs) for chain in gold]
    system_chains = [(i, chain) for i, (_, system) in enumerate(pairs) for chain in system]
    gold = [
        ((document, m), row) for row, (document, chain) in enumerate(gold_chains) for m in chain
    ]
    system = [
        ((document, m), column)
        for column, (document, chain) in enumerate(system_chains)
        for m in chain
    ]
    last_row, last_column = dict(gold), dict(system)
    of_system = _cells((last_row[m], column) for m, column in system if m in last_row)
    of_gold = of_both = of_system
    if len(last_row) < len(gold) or len(last_column) < len(system):
        of_gold = _cells((row, last_column[m]) for m, row in gold if m in last_column)
        rows_of: dict[tuple[int, Hashable], list[int]] = {}
        for mention, row in gold:
            rows_of.setdefault(mention, []).append(row)
        of_both = _cells((row, column) for m, column in system for row in rows_of.get(m, ()))
    return _Overlaps(
        documents=len(pairs),
        gold_sizes=np.array([len(chain) for _, chain in gold_chains], dtype=int),
        gold_documents=np.array([document for document, _ in gold_chains], dtype=int),
        system_sizes=np.array([len(chain) for _, chain in system_chains], dtype=int),
        system_documents=np.array([document for document, _ in system_chains], dtype=int),
        of_gold=of_gold,
        of_system=of_system,
        of_both=of_both,
    )


def _cells(places: Iterable[tuple[int, int]]) -> _Cells:
    """Count the mentions at each place of a table, which is a gold and a system chain."""
    counts = Counter(places)
    table = np.array(list(counts), dtype=int).reshape(-1, 2)
    return _Cells(table[:, 0], table[:, 1], np.array(list(counts.values()), dtype=int))


def count_documents(
    pairs: Sequence[tuple[Chains[Hashable], Chains[Hashable]]],
    repeats: Literal["conll", "corefud"] = "conll",
) -> DocumentCounts:
    """Count the numerators and denominators of the scores of documents.

    Args:
        pairs: gold and system chains of each document.
        repeats: which scorer is followed where a mention stands twice on a side: the official CoNLL
            scorer (`repeated_mentions.py`), or the CorefUD scorer, to which a mention
            counts in each of its chains, and the other side finds it in the last of them.
    """
    table = _tabulate(pairs)
    mentions = (table.over_gold(table.gold_sizes), table.over_system(table.system_sizes))
    fractions, links = _count_fractions(table), _count_links(table)
    for document, (gold, system) in enumerate(pairs) if repeats == "conll" else ():
        if count_repeats(gold) or count_repeats(system):
            counts = count_repeated(gold, system)
            links[document] = counts.links
            for name, row in counts.fractions.items():
                fractions[name][document] = row
    return DocumentCounts(fractions, links, np.stack(mentions, axis=-1))


def count_aligned(pairs: Sequence[tuple[Chains[Hashable], Chains[Hashable]]]) -> np.ndarray:
    """Count what the best one-to-one alignment of chains shares, as CEAFm does.

    Args:
        pairs: as `count_documents` takes them; what stands in several chains is shared by each.

    Returns:
        [documents, 4]: numerator and denominator of recall, then of precision.
    """
    return _count_aligned(_tabulate(pairs))


def _count_aligned(table: _Overlaps) -> np.ndarray:
    shared = _best_alignment(table, table.of_both.shared)
    columns = (shared, table.over_gold(table.gold_sizes))
    return np.stack((*columns, shared, table.over_system(table.system_sizes)), axis=-1)


def _count_fractions(table: _Overlaps) -> dict[str, np.ndarray]:
    """Return `DocumentCounts.fractions` of a table."""
    gold_mentions = table.over_gold(table.gold_sizes)
    gold_chains = table.over_gold(np.ones_like(table.gold_sizes))
    system_mentions = table.over_system(table.system_sizes)
    system_chains = table.over_system(np.ones_like(table.system_sizes))

    of_gold, of_system, of_both = table.of_gold, table.of_system, table.of_both
    gold_size, system_size = table.gold_sizes[of_both.rows], table.system_sizes[of_both.columns]
    aligned_chains = _best_alignment(table, 2 * of_both.shared / (gold_size + system_size))
    # A chain that the other side cuts into n pieces keeps its size - n of its size - 1 links.
    muc_recall = table.over_cells(of_gold, of_gold.shared - 1)
    muc_precision = table.over_cells(of_system, of_system.shared - 1)
    gold_size, system_size = table.gold_sizes[of_gold.rows], table.system_sizes[of_gold.columns]
    b3_recall = table.over_cells(of_gold, of_gold.shared**2 / gold_size)
    lea_recall = table.over_cells(of_gold, _lea_credit(of_gold.shared, gold_size, system_size))
    gold_size, system_size = table.gold_sizes[of_system.rows], table.system_sizes[of_system.columns]
    b3_precision = table.over_cells(of_system, of_system.shared**2 / system_size)
    lea_precision = table.over_cells(
        of_system, _lea_credit(of_system.shared, system_size, gold_size)
    )

    gold_links, system_links = gold_mentions - gold_chains, system_mentions - system_chains
    fractions = {
        "muc": (muc_recall, gold_links, muc_precision, system_links),
        "b3": (b3_recall, gold_mentions, b3_precision, system_mentions),
        "ceafe": (aligned_chains, gold_chains, aligned_chains, system_chains),
        "lea": (lea_recall, gold_mentions, lea_precision, system_mentions),
    }
    stacked = {name: np.stack(columns, axis=-1) for name, columns in fractions.items()}
    return {**stacked, "ceafm": _count_aligned(table)}


def _count_links(table: _Overlaps) -> np.ndarray:
    """Return `DocumentCounts.links` of a table."""
    cells = table.of_gold
    within = (
        table.over_cells(cells, _pairs(cells.shared)),
        table.over_gold(_pairs(table.gold_sizes)),
        table.over_system(_pairs(table.system_sizes)),
    )
    shared_in_gold = np.bincount(cells.rows, cells.shared, len(table.gold_sizes))
    shared_in_system = np.bincount(cells.columns, cells.shared, len(table.system_sizes))
    # Of all pairs of shared mentions, those that neither side has in one chain.
    between_both = (
        _pairs(table.over_cells(cells, cells.shared))
        - table.over_gold(_pairs(shared_in_gold))
        - table.over_system(_pairs(shared_in_system))
        + within[0]
    )
    between = (
        between_both,
        _pairs(table.over_gold(table.gold_sizes)) - within[1],
        _pairs(table.over_system(table.system_sizes)) - within[2],
    )
    return np.stack((np.stack(within, axis=-1), np.stack(between, axis=-1)), axis=1)


def _pairs(sizes: np.ndarray) -> np.ndarray:
    """Return the number of pairs among so many mentions."""
    pairs: np.ndarray = sizes * (sizes - 1) / 2
    return pairs


def _lea_credit(shared: np.ndarray, size: np.ndarray, other_size: np.ndarray) -> np.ndarray:
    """Return the size of a chain times the share of its links that one other chain resolves (LEA).

    A singleton is resolved where it is one on the other side too.

    Args:
        shared: [cells], how many mentions the two chains share.
        size: [cells], of the first chain.
        other_size: [cells], of the other one.

    Returns:
        [cells], from 0 to `size`.
    """
    resolved_links = shared * (shared - 1) / np.maximum(size - 1, 1)
    credit: np.ndarray = np.where(size > 1, resolved_links, other_size == 1)
    return credit


def _best_alignment(table: _Overlaps, similarity: np.ndarray) -> np.ndarray:
    """Return the total similarity of the best one-to-one alignment of chains (Luo 2005).

    Chains that no overlap connects, directly or through others, do not compete: each connected
    component is aligned alone, and one that has a single chain on a side takes its best cell.

    Args:
        similarity: [cells] of `of_both`, above 0; chains that share no mention have similarity 0.

    Returns:
        [documents].
    """
    rows, columns = table.of_both.rows, table.of_both.columns
    gold_count = len(table.gold_sizes)
    nodes = gold_count + len(table.system_sizes)
    edges = csr_array(
        (np.ones(len(similarity)), (rows, gold_count + columns)), shape=(nodes, nodes)
    )
    components, component_of = connected_components(edges, directed=False)
    component_of_cell = component_of[rows]

    best = np.zeros(components)
    np.maximum.at(best, component_of_cell, similarity)
    gold_in = np.bincount(component_of[:gold_count], minlength=components)
    system_in = np.bincount(component_of[gold_count:], minlength=components)
    order = np.argsort(component_of_cell, kind="stable")
    cells_in = np.bincount(component_of_cell, minlength=components)
    starts = np.cumsum(cells_in) - cells_in
    for component in np.flatnonzero((gold_in > 1) & (system_in > 1)):
        cells = order[starts[component] : starts[component] + cells_in[component]]
        best[component] = _assign(rows[cells], columns[cells], similarity[cells])

    document_of = np.zeros(components, dtype=int)
    document_of[component_of[:gold_count]] = table.gold_documents
    return np.bincount(document_of, best, table.documents)


def _assign(rows: np.ndarray, columns: np.ndarray, similarity: np.ndarray) -> float:
    """Return the total of the best one-to-one assignment of rows and columns, all [cells]."""
    row_names, row = np.unique(rows, return_inverse=True)
    column_names, column = np.unique(columns, return_inverse=True)
    matrix = np.zeros((len(row_names), len(column_names)))
    matrix[row, column] = similarity
    return float(matrix[linear_sum_assignment(matrix, maximize=True)].sum())
