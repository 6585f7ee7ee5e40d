"""Genres of documents by their names."""

from __future__ import annotations

import pytest

from utils.text.genres import genre_of_name


@pytest.mark.parametrize(
    ("name", "genre"),
    [
        ("nw/wsj/00/wsj_0001", "nw"),
        ("bc/cctv", "bc"),
        ("GUM_academic_art", "academic"),
        ("GUM_whow_", None),
        ("GUM_", None),
        ("105_persuasion", None),
        ("/nw", None),
        ("nw/", None),
        ("", None),
    ],
)
def test_a_name_tells_the_genre_or_none(name: str, genre: str | None) -> None:
    assert genre_of_name(name) == genre
