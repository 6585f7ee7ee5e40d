"""Counts of mentions that stand in several chains."""

from __future__ import annotations

import pytest

from metrics.coreference.counts import count_aligned, count_documents


def test_a_mention_of_several_chains_counts_in_each_and_is_found_in_the_last() -> None:
    gold, system = [["a", "b"], ["b", "c"]], [["a", "b"], ["c"]]
    counts = count_documents([(gold, system)], "corefud")
    # Worked out by hand: for recall all of gold is in one system chain each; for precision the
    # system's b is in the second chain of gold.
    expected = {
        "muc": (1, 2, 0, 1),
        "b3": (2 + 1 / 2 + 1 / 2, 4, 1 / 2 + 1 / 2 + 1, 3),
        "ceafm": (3, 4, 3, 3),
        "ceafe": (1 + 2 / 3, 2, 1 + 2 / 3, 2),
        "lea": (2, 4, 0, 3),
    }
    assert counts.fractions.keys() == expected.keys()
    for name, values in expected.items():
        assert counts.fractions[name][0].tolist() == pytest.approx(values), name
    # Within chains: a-b. Between: a-c and both b with c, but not b with b, which the system has in
    # one chain.
    assert counts.links[0].tolist() == [[1, 2, 1], [2, 4, 2]]
    assert counts.mentions.tolist() == [[4, 3]]


def test_documents_with_repeats_change_no_other_document() -> None:
    plain, repeated = ([["a", "b"], ["c"]], [["a"], ["b", "c"]]), ([["a"], ["a"]], [["a", "b"]])
    alone, together = (
        count_documents([plain], "corefud"),
        count_documents([plain, repeated], "corefud"),
    )
    for name, rows in alone.fractions.items():
        assert together.fractions[name][0].tolist() == pytest.approx(rows[0].tolist()), name
    assert together.links[0].tolist() == alone.links[0].tolist()


def test_what_is_aligned_is_ceafm() -> None:
    pairs = [([["a", "b"], ["b", "c"]], [["a", "b"], ["c"]]), ([["a"]], [])]
    assert (
        count_aligned(pairs).tolist()
        == count_documents(pairs, "corefud").fractions["ceafm"].tolist()
    )
