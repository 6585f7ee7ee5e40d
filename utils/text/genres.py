"""The genre of a document, where its name or its file tells it."""

from __future__ import annotations

import re

from utils.text.conllu import ConlluDocument

_COMMENTS = ("meta::genre", "genre")
_GUM = re.compile(r"GUM_(?P<genre>[^_]+)_.")
_FOLDER = re.compile(r"(?P<genre>[^/]+)/.")


def genre_of_name(name: str) -> str | None:
    """Return the genre that a document's name tells; None where it tells none.

    It is the first folder of names such as OntoNotes', `nw/wsj/00/wsj_0001`, and what follows
    "GUM_" in those of GUM, `GUM_academic_art`.
    """
    found = _GUM.match(name) or _FOLDER.match(name)
    return None if found is None else found["genre"]


def genre_of_comments(document: ConlluDocument) -> str | None:
    """Return the genre that a CoNLL-U document's comments name, `# meta::genre = ` or `# genre = `.

    None where they name none.
    """
    comments = (sentence.comment(key) for sentence in document.sentences for key in _COMMENTS)
    return next(filter(None, comments), None)


def genre_of_document(document: ConlluDocument) -> str | None:
    """Return the genre of a CoNLL-U document, by its comments or else by its name."""
    return genre_of_comments(document) or genre_of_name(document.name or "")
