"""Texts with marked mentions: what is read back from them, and what a terminal gets."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.error_analysis.marked_text import (
    labelled_lines,
    marked_text,
    numbered,
    numbered_alike,
    uses_colour,
    windows_around,
)
from utils.printable import escape_unprintable

TEXT = "a man holds his dog and his hat"
MAN, HIS, DOG, LATER_HIS = (0, 5), (12, 15), (12, 19), (24, 27)

_spans = st.tuples(st.integers(0, len(TEXT) - 1), st.integers(1, 12)).map(
    lambda pair: (pair[0], min(pair[0] + pair[1], len(TEXT)))
)
chains = st.dictionaries(st.integers(1, 30), st.lists(_spans, min_size=1, max_size=4), max_size=5)


def test_mentions_are_in_brackets_with_the_number_of_their_chain() -> None:
    marked = marked_text(TEXT, {1: [MAN, HIS, LATER_HIS], 2: [DOG]})
    assert marked == "[a man]1 holds [[his]1 dog]2 and [his]1 hat"


def test_mentions_that_cross_are_marked_in_pieces() -> None:
    assert marked_text("an old man's dog", {2: [(0, 10)], 1: [(7, 16)]}) == (
        "[an old [man…]1]2[…'s dog]1"
    )


def test_mentions_of_the_same_words_are_nested() -> None:
    assert marked_text("it is", {1: [(0, 2)], 2: [(0, 2)]}) == "[[it]2]1 is"


@settings(max_examples=100, deadline=None)
@given(chains, st.booleans())
def test_without_its_marks_the_text_is_as_it_was(chains, colour: bool) -> None:
    marked = marked_text(TEXT, chains, colour=colour, pointed_at=[(0, 5)])
    plain = re.sub(r"\033\[[0-9;]*m", "", marked)
    assert plain == marked_text(TEXT, chains, pointed_at=[(0, 5)])
    assert re.sub(r"\[…?|…?\]\d+\*?", "", plain) == TEXT


@settings(max_examples=100, deadline=None)
@given(chains)
def test_every_mention_is_read_back_from_its_brackets(chains) -> None:
    """A bracket closes the last one that is open; where there are dots, the mention goes on."""
    opened, starts, ends, place = 0, [], [], 0
    for mark in re.finditer(r"(\[…?)|(…?)\](\d+)|[^\[\]…]", marked_text(TEXT, chains)):
        opening, goes_on, number = mark.groups()
        if opening:
            opened += 1
            starts += [place] if opening == "[" else []
        elif number:
            opened -= 1
            ends += [] if goes_on else [(int(number), place)]
        else:
            place += 1
        assert opened >= 0
    assert opened == 0 and place == len(TEXT)
    assert sorted(starts) == sorted(start for spans in chains.values() for start, _ in spans)
    assert sorted(ends) == sorted((n, end) for n, spans in chains.items() for _, end in spans)


def test_the_star_is_for_what_is_pointed_at() -> None:
    marked = marked_text(TEXT, {1: [MAN, HIS]}, pointed_at=[HIS])
    assert marked == "[a man]1 holds [his]1* dog and his hat"


def test_colours_tell_chains_apart_and_end_with_them() -> None:
    marked = marked_text(TEXT, {1: [MAN, HIS], 2: [DOG]}, colour=True)
    first, second = "\033[92m", "\033[93m"
    assert marked == (
        f"{first}[a man]1\033[0m holds {second}[{first}[his]1\033[0m{second} dog]2\033[0m"
        " and his hat"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\033[2Jb", "a\\x1b[2Jb"),
        ("a\r\nb\tc\0", "a\\r\\nb\\tc\\x00"),
        ("\x9b31m", "\\x9b31m"),  # the same as escape and bracket, for some terminals
        ("\u202eback", "\\u202eback"),  # turns the direction of writing
        ("\udc80", "\\udc80"),
        ("the café’s 一个\u3000男人\xa0😀", "the café’s 一个\u3000男人\xa0😀"),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text: str, shown: str) -> None:
    assert escape_unprintable(text) == marked_text(text, {}) == shown
    assert marked_text(text, {1: [(0, len(text))]}) == f"[{shown}]1"


def test_windows_show_whole_words_and_what_is_left_out() -> None:
    text = "one two three four five six seven eight nine ten eleven"
    (first, last) = windows_around(text, [(4, 7), (40, 44)], 5)
    assert (text[slice(*first)], text[slice(*last)]) == ("one two three", "eight nine ten eleven")
    marked = marked_text(text, {1: [(4, 7)], 2: [(19, 23)]}, windows=[first, last])
    assert marked == "one [two]1 three … eight nine ten eleven"
    assert windows_around(text, [(4, 7), (19, 23)], 5) == [(0, text.index(" eight"))]


def test_a_mention_that_reaches_out_of_the_window_goes_on() -> None:
    text = "one two three four five"
    assert marked_text(text, {1: [(4, 18)]}, windows=[(8, 13)]) == "… […three…]1 …"
    assert marked_text(text, {1: [(4, 18)]}, windows=[(0, 7), (14, 23)]) == (
        "one [two … four]1 five"
    )
    assert marked_text(text, {1: [(4, 7)]}, windows=[(8, 13)]) == "… three …"


def test_chains_are_numbered_in_text_order() -> None:
    assert numbered([[DOG], [LATER_HIS, MAN]]) == {1: [MAN, LATER_HIS], 2: [DOG]}


def test_chains_have_the_numbers_of_those_they_share_most_with() -> None:
    a, b, c, d, e, f = ((i, i + 1) for i in range(6))
    others = {1: [a, b], 2: [c, d, e]}
    assert numbered_alike([[e, d, c], [b, a]], others) == {1: [a, b], 2: [c, d, e]}
    # Two chains cannot have one number; one without a partner is counted on.
    assert numbered_alike([[a], [c], [d, e, b], [f]], others) == {
        1: [a],
        2: [b, d, e],
        3: [c],
        4: [f],
    }
    assert numbered_alike([[a]], {}) == {1: [a]}


def test_lines_are_broken_beside_their_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "41")
    text = " ".join(["\033[91m[word]1\033[0m"] * 7)
    lines = labelled_lines({"a label": text, "b": "short"}, indent=3).split("\n")
    plain = [re.sub(r"\033\[[0-9;]*m", "", line) for line in lines]
    assert plain == [
        "   a label  [word]1 [word]1 [word]1",
        "            [word]1 [word]1 [word]1",
        "            [word]1",
        "   b        short",
    ]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_only_terminals_have_colours_and_only_if_they_are_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert uses_colour(_Terminal()) and not uses_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not uses_colour(_Terminal())
    monkeypatch.setenv("NO_COLOR", "")  # no-color.org: an empty value asks for nothing
    assert uses_colour(_Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert not uses_colour(_Terminal())
