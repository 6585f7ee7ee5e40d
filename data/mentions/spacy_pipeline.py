"""Mentions of texts that nobody has marked: found by a spaCy pipeline once, kept in a file.

A pipeline with a span categorizer gives the spans of its group, which may be nested; any other its
noun chunks, without those that only name a place in the image. Training never runs a pipeline: it
reads the file that `prepare.py mentions` writes, `<data root>/mentions/<split>.json`.

spaCy is imported where it is needed, so that all else works without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from data.mention_spans import gold_spans, trimmed
from data.narration import Narration
from utils.errors import InputError
from utils.text.span_scores import MatchScores, score_spans
from utils.text.spans import Span

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc


DEFAULT_PIPELINE = "en_core_web_sm"

# Noun chunks that name the image or a place in it, not a thing that is seen: as they are here or
# after one of the determiners below. A span categorizer is not held to the list, as it has learned
# from its gold mentions what counts ("the photo" is a mention in VD-Ref).
PLACE_WORDS = frozenset(
    [
        *("image", "picture", "photo", "photograph", "pic", "frame", "scene", "shot", "view"),
        *("background", "foreground", "backdrop", "surroundings", "distance"),
        *("left", "right", "left side", "right side", "left hand side", "right hand side"),
        *("left-hand side", "right-hand side", "left corner", "right corner", "extreme left"),
        *("extreme right", "far left", "far right", "side", "sides", "both sides", "other side"),
        *("front", "front side", "back", "backside", "back side", "rear"),
        *("middle", "center", "centre", "corner", "edge"),
        *("top", "top left", "top right", "top left corner", "top right corner", "top side"),
        *("bottom", "bottom left", "bottom right", "bottom left corner", "bottom right corner"),
        *("bottom side", "upper part", "lower part", "here", "there"),
    ]
)

_DETERMINERS = ("the", "this", "that")

_SPAN_CATEGORIZERS = ("spancat", "spancat_singlelabel")

_TEXTS_PER_BATCH = 64


def load_spacy(name: str) -> Language:
    """Load any spaCy pipeline.

    Args:
        name: an installed pipeline, or the folder of one.

    Raises:
        InputError: it cannot be loaded.
    """
    try:
        import spacy

        return spacy.load(name)
    # A folder that holds something else ends in nearly any kind of error.
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"--spacy-model: {name} cannot be loaded ({reason}); expected an "
            f"installed pipeline (`python -m spacy download {DEFAULT_PIPELINE}` installs the "
            "default one) or a folder; `prepare.py mention-pipeline` trains one on labelled "
            "narrations"
        ) from error


def load_pipeline(name: str) -> Language:
    """Load a spaCy pipeline that finds mentions.

    Args:
        name: an installed pipeline, or the folder of one.

    Raises:
        InputError: it cannot be loaded, or gives neither spans nor noun chunks.
    """
    pipeline = load_spacy(name)
    if span_group(pipeline) is None and not _gives_noun_chunks(pipeline):
        raise InputError(
            f"the spaCy pipeline {name!r} has the components {', '.join(pipeline.pipe_names)}; "
            "--spacy-model needs one with a span categorizer, or with a parser for a language "
            "that has noun chunks"
        )
    return pipeline


def span_group(pipeline: Language) -> str | None:
    """Return the group that the last span categorizer writes to; None where there is none."""
    for name in reversed(pipeline.pipe_names):
        if pipeline.get_pipe_meta(name).factory in _SPAN_CATEGORIZERS:
            # spaCy types a component as nothing but a callable.
            component: Any = pipeline.get_pipe(name)
            return str(component.key)
    return None


def find_spans(
    pipeline: Language, texts: Iterable[str], processes: int = 1
) -> Iterator[tuple[Span, ...]]:
    """Find the mentions of each text.

    Args:
        pipeline: as `load_pipeline` gives it.
        processes: how many work side by side; what is found does not depend on it.

    Yields:
        For each text characters (start, end), the end exclusive: sorted by their start, the outer
        of those that start together first, none twice.
    """
    group = span_group(pipeline)
    documents = pipeline.pipe(texts, batch_size=_TEXTS_PER_BATCH, n_process=processes)
    for document in documents:
        yield _spans_of(document, group)


def score_pipeline(pipeline: Language, narrations: Sequence[Narration]) -> MatchScores:
    """Score how well a pipeline finds the gold mentions of narrations."""
    found = find_spans(pipeline, (narration.text for narration in narrations))
    return score_spans(found, map(gold_spans, narrations))


def _gives_noun_chunks(pipeline: Language) -> bool:
    metas = map(pipeline.get_pipe_meta, pipeline.pipe_names)
    parsed = any("token.dep" in meta.assigns for meta in metas)
    return parsed and pipeline.vocab.get_noun_chunks is not None


def _spans_of(document: Doc, group: str | None) -> tuple[Span, ...]:
    chunks = document.noun_chunks if group is None else document.spans.get(group, ())
    spans = {trimmed(document.text, chunk.start_char, chunk.end_char) for chunk in chunks}
    kept = (
        (start, end)
        for start, end in spans
        if start < end and not (group is None and _names_a_place(document.text[start:end]))
    )
    return tuple(sorted(kept, key=lambda span: (span[0], -span[1])))


def _names_a_place(chunk: str) -> bool:
    words = chunk.casefold().split()
    if words[0] in _DETERMINERS:
        words = words[1:]
    return " ".join(words) in PLACE_WORDS
