"""Mentions that stand twice on a side score as the official CoNLL scorer 8.01 and coval define."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations, product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.coreference.counts import count_documents
from metrics.coreference.repeated_mentions import (
    count_repeated,
    count_repeats,
    without_known_repeats,
)
from metrics.coreference.scores import score_chains
from tools.score import main
from utils.text.conll import ConllDocument, ConllSentence, write_documents

TITLES = ("MUC", "B3", "CEAFm", "CEAFe", "BLANC", "LEA")
METRICS = ("muc", "b3", "ceafm", "ceafe", "lea")
# Up to four chains of up to five of seven mentions, so that many stand twice, in one chain or two.
side = st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=5), max_size=4)


def ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else 0.0


def last_holding(mention: int, chains: Sequence[Sequence[int]]) -> Sequence[int] | None:
    """The chain of a mention on the other side."""
    return next((chain for chain in reversed(chains) if mention in chain), None)


def taken(gold: list[list[int]], system: list[list[int]]) -> list[list[int]]:
    """The system's chains without what the scorer takes out, one place after the other."""
    known, seen = {m for chain in gold for m in chain}, set()
    left = []
    for chain in system:
        places = []
        for mention in chain:
            if mention in known and mention in seen:
                continue
            seen.add(mention)
            places.append(mention)
        left.append(places)
    return [chain for chain in left if chain]


def b3(gold: list[list[int]], system: list[list[int]]) -> tuple[float, float]:
    """Each place of the system's counts by its chain and the last of gold's."""
    recall = precision = 0.0
    for chain in system:
        for mention in chain:
            other = last_holding(mention, gold)
            if other is not None:
                common = sum(each in other for each in chain)
                recall += common / len(other)
                precision += common / len(chain)
    return ratio(recall, sum(map(len, gold))), ratio(precision, sum(map(len, system)))


def muc(gold: list[list[int]], system: list[list[int]]) -> tuple[float, float]:
    """A place of the system's is a right link where one behind it is of the same gold chain."""
    right = 0
    for chain in system:
        of_gold = [last_holding(mention, gold) for mention in chain]
        right += sum(
            other is not None and any(other is later for later in of_gold[place + 1 :])
            for place, other in enumerate(of_gold)
        )
    all_links = [sum(len(chain) - 1 for chain in chains) for chains in (gold, system)]
    return ratio(right, all_links[0]), ratio(right, all_links[1])


def ceaf(gold: list[list[int]], system: list[list[int]], *, entity: bool) -> tuple[float, float]:
    """The best of all alignments; what two chains share are the places of gold's."""

    def similarity(chain: list[int], other: list[int]) -> float:
        common = sum(mention in other for mention in chain)
        return 2 * common / (len(chain) + len(other)) if entity else common

    padded = [*system, *[[]] * (len(gold) - len(system))]
    best = max(sum(map(similarity, gold, chosen)) for chosen in permutations(padded, len(gold)))
    sizes = [len(chains) if entity else sum(map(len, chains)) for chains in (gold, system)]
    return ratio(best, sizes[0]), ratio(best, sizes[1])


def lea(chains: list[list[int]], others: list[list[int]]) -> float:
    """Recall as coval counts it: by the last chain that holds a mention, over all places."""
    total = 0.0
    for chain in chains:
        other = [last_holding(mention, others) for mention in chain]
        if len(chain) == 1:
            total += other[0] is not None and len(other[0]) == 1
        else:
            pairs = list(combinations(other, 2))
            total += len(chain) * sum(a is not None and a is b for a, b in pairs) / len(pairs)
    return ratio(total, sum(map(len, chains)))


def links(chains: list[list[int]]) -> tuple[set, set]:
    """Links within and between chains, each once, however often it stands."""
    within = {tuple(sorted(pair)) for chain in chains for pair in combinations(chain, 2)}
    between = {tuple(sorted(pair)) for a, b in combinations(chains, 2) for pair in product(a, b)}
    return within, between


@settings(max_examples=200, deadline=None)
@given(side, side)
def test_scores_are_those_of_the_official_definition(gold, system) -> None:
    pooled = score_chains({"x": gold}, {"x": system}, repeated_mentions=True).pooled
    left = taken(gold, system)
    expected = {
        "muc": muc(gold, left),
        "b3": b3(gold, left),
        "ceafm": ceaf(gold, left, entity=False),
        "ceafe": ceaf(gold, left, entity=True),
        "lea": (lea(gold, left), lea(left, gold)),
    }
    for metric, values in expected.items():
        found = getattr(pooled, metric)
        assert (found.recall, found.precision) == pytest.approx(values), metric
    kinds = [
        (ratio(len(ours & theirs), len(ours)), ratio(len(ours & theirs), len(theirs)))
        for ours, theirs in zip(links(gold), links(left), strict=True)
        if ours
    ]
    mean = [sum(column) / len(kinds) for column in zip(*kinds, strict=True)] or [0, 0]
    assert [pooled.blanc.recall, pooled.blanc.precision] == pytest.approx(mean)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=8))
def test_without_repeats_both_ways_to_count_are_one(labels) -> None:
    gold, system = (
        [[m for m, pair in enumerate(labels) if pair[side] == chain] for chain in (1, 2, 3)]
        for side in (0, 1)
    )
    gold, system = ([chain for chain in chains if chain] for chains in (gold, system))
    assert count_repeats(gold) == 0 and without_known_repeats(gold, system) == system
    table, counts = count_documents([(gold, system)]), count_repeated(gold, system)
    assert table.links[0] == pytest.approx(counts.links)
    for metric in METRICS:
        assert table.fractions[metric][0] == pytest.approx(counts.fractions[metric]), metric


@settings(max_examples=50, deadline=None)
@given(side, side)
def test_documents_without_repeats_are_not_touched_by_others(gold, system) -> None:
    plain = ([[1, 2], [3]], [[1], [2, 3]])
    alone, beside = count_documents([plain]), count_documents([(gold, system), plain])
    assert (alone.links[0] == beside.links[1]).all()
    for metric in METRICS:
        assert (alone.fractions[metric][0] == beside.fractions[metric][1]).all()


def write(path: Path, *chains: list[tuple[int, int]]) -> str:
    words = tuple(f"w{index}" for index in range(14))
    document = ConllDocument("d", 0, (ConllSentence(words),), tuple(map(tuple, chains)))
    write_documents(path, [document])
    return str(path)


def scores(capsys, *files: str) -> tuple[dict[str, list[float]], str]:
    """The pooled columns that are printed, by the name of their row, and standard error."""
    main(list(files))
    printed = capsys.readouterr()
    table = printed.out.split("\n\n")[0].splitlines()  # the first one; others may follow
    rows = [row for row in map(str.split, table) if row and row[0] in TITLES]
    return {row[0]: list(map(float, row[1:4])) for row in rows}, printed.err


def test_repeats_score_as_officially_and_are_said(tmp_path: Path, capsys) -> None:
    # The figures are those that the official scorer 8.01 prints for these files.
    same = write(tmp_path / "same", [(0, 0)], [(0, 0), (2, 2)])
    found, said = scores(capsys, same, same)
    assert found["MUC"] == [0, 0, 0]
    assert found["B3"] == [33.33, 100, 50]
    assert found["CEAFm"] == [66.67, 100, 80]
    assert found["CEAFe"] == [83.33, 83.33, 83.33]
    assert found["BLANC"] == [25, 50, 33.33]
    assert said == (
        f"note: {same}: repeated mentions, each counted as often as it stands: 1\n"
        f"note: {same}: repeated mentions that {same} has too, left out: 1\n"
    )
    key = write(tmp_path / "key", [(0, 0)])
    twinless = write(tmp_path / "twinless", [(0, 0)], [(5, 5), (5, 5)], [(5, 5)])
    found, said = scores(capsys, key, twinless)
    assert found["B3"][1] == found["CEAFm"][1] == 25
    assert f"{twinless}: other repeated mentions, each counted as often as it stands: 2" in said


def test_more_than_ten_repeats_of_the_system_are_refused(tmp_path: Path, capsys) -> None:
    spans = [(index, index) for index in range(12)]
    key = write(tmp_path / "key", spans)
    assert "left out: 10" in scores(capsys, key, write(tmp_path / "ten", spans, spans[:10]))[1]
    eleven = write(tmp_path / "eleven", spans, spans[:11])
    with pytest.raises(Exception, match=f"{eleven}: 11 repeated mentions .*expected at most 10"):
        main([key, eleven])
    assert "counted as often as it stands: 11" in scores(capsys, eleven, key)[1]


def test_a_split_antecedent_is_not_scored_and_is_said(tmp_path: Path, capsys) -> None:
    for name, last in (("key", "(0+1)"), ("response", "-")):
        lines = ["#begin document (d); part 000", "d\t0\tAnn\t(0)", "d\t1\tBo\t(1)"]
        lines += [f"d\t2\tThey\t{last}", "", "#end document", ""]
        (tmp_path / name).write_text("\n".join(lines))
    key, response = str(tmp_path / "key"), str(tmp_path / "response")
    found, said = scores(capsys, key, response)
    assert found["B3"] == [100, 100, 100]
    assert said == f"note: {key}: mentions with a split antecedent, in no chain: 1\n"
