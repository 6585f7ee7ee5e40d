"""Mentions of texts that nobody has marked: found by a spaCy pipeline once, kept in a file.

A pipeline with a span categorizer gives the spans of its group, which may be nested; any other its
noun chunks, without those that only name a place in the picture. Training never runs a pipeline: it
reads the file that `prepare.py mentions` writes, `<data root>/mentions/<split>.json`.

spaCy is imported where it is needed, so that all else works without it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from data.files import DataError, bad_record, read_json
from data.narration import Mention, Narration
from utils.distributed import broadcast_object, gather_objects, interleave, is_main, share_of
from utils.errors import InputError
from utils.files import write_text
from utils.spans import MentionScores, Span, score_spans
from utils.visible import shown

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

DEFAULT_PIPELINE = "en_core_web_sm"

# Noun chunks that name the picture or a place in it, not a thing that is seen: as they are here or
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

_REMEDY = "run `prepare.py mentions` for this folder"
_SPAN_CATEGORIZERS = ("spancat", "spancat_singlelabel")
_TEXTS_PER_BATCH = 64
_CHARACTERS_PER_PROCESS = 100_000  # for less, starting a process takes longer than it saves


def load_spacy(name: str) -> Language:
    """Any spaCy pipeline.

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
    """A spaCy pipeline that finds mentions.

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
    """The group that the pipeline's last span categorizer writes to; None where it has none."""
    for name in reversed(pipeline.pipe_names):
        if pipeline.get_pipe_meta(name).factory in _SPAN_CATEGORIZERS:
            return str(pipeline.get_pipe(name).key)
    return None


def find_spans(
    pipeline: Language, texts: Iterable[str], processes: int = 1
) -> Iterator[tuple[Span, ...]]:
    """The mentions of each text.

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


def score_pipeline(pipeline: Language, narrations: Sequence[Narration]) -> MentionScores:
    """How well a pipeline finds the gold mentions of narrations."""
    found = find_spans(pipeline, (narration.text for narration in narrations))
    return score_spans(found, map(gold_spans, narrations))


def gold_spans(narration: Narration) -> list[Span]:
    """Where the narration's mentions stand, without white space at their ends."""
    return [trimmed(narration.text, m.start, m.end) for m in narration.mentions]


def trimmed(text: str, start: int, end: int) -> Span:
    """A stretch of a text without the white space at its ends; empty where it is nothing else."""
    stretch = text[start:end]
    first = start + len(stretch) - len(stretch.lstrip())
    return first, first + len(stretch.strip())


def cache_path(data_root: Path, split: str) -> Path:
    """The file of the mentions that were found in a split."""
    return data_root / "mentions" / f"{split}.json"


def write_found_mentions(
    path: Path, narrations: Sequence[Narration], pipeline: Language, processes: int
) -> int | None:
    """Find the mentions of narrations and write them, unless the file has them already.

    The ranks share the narrations, and the first one writes.

    Args:
        path: as `cache_path` gives it.
        pipeline: as `load_pipeline` gives it, not used before.
        processes: the most that work side by side on each rank.

    Returns:
        How many were written; 0 where nothing had to be done, None on every rank but the first.

    Raises:
        InputError: the pipeline finds nothing at all.
    """
    made_by = _identity(pipeline)
    # Asked once: by the time that another rank looks the file may be a new one.
    if broadcast_object(is_main() and _is_up_to_date(path, narrations, made_by)):
        return 0
    texts = [narration.text for narration in share_of(narrations)]
    needed = 1 + sum(map(len, texts)) // _CHARACTERS_PER_PROCESS
    found = find_spans(pipeline, texts, min(processes, needed))
    progress = tqdm(found, desc="finding mentions", total=len(texts), disable=not is_main())
    shares = gather_objects(list(progress))
    if shares is None:
        return None
    mentions = {n.id: spans for n, spans in zip(narrations, interleave(shares), strict=True)}
    count = sum(map(len, mentions.values()))
    if not count:
        raise InputError(
            f"--spacy-model: {made_by['name']} finds no mention in {len(narrations)} narrations, "
            f"so {path} is not written"
        )
    content = {"texts": fingerprint(narrations), "pipeline": made_by, "mentions": mentions}
    write_text(path, json.dumps(content) + "\n")
    return count


def with_found_mentions(narrations: Sequence[Narration], path: Path) -> list[Narration]:
    """The narrations with the mentions that were found in them, instead of any they have.

    Args:
        narrations: exactly those that the mentions were found in.
        path: as `cache_path` gives it.

    Raises:
        DataError: the file is missing or broken, or was made for other narrations or texts.
    """
    if not path.exists():
        raise DataError(f"{path} is missing; {_REMEDY}")
    try:
        content = read_json(path)
    except DataError as error:
        raise DataError(f"{error}; {_REMEDY} again") from error
    mentions = content.get("mentions") if isinstance(content, dict) else None
    if not isinstance(mentions, dict):
        raise DataError(f"{path} holds {shown(content)}, expected texts and mentions; {_REMEDY}")
    for narration in narrations:
        if narration.id not in mentions:
            found = f"no mentions of narration {narration.id}"
            raise DataError(f"{path}: {found}, expected those of every one; {_REMEDY} again")
    if content.get("texts") != fingerprint(narrations):
        raise DataError(f"{path} was made for other narrations or texts; {_REMEDY} again")
    return [
        _with_spans_of_file(path, narration, mentions[narration.id]) for narration in narrations
    ]


def checked_spans(text: str, spans: object) -> list[Span]:
    """Places of mentions as somebody gives them, sorted by their start.

    Args:
        spans: pairs of characters (start, end), the end exclusive, in any order.

    Raises:
        InputError: they are anything else, or one is empty or reaches over the text.
    """
    characters = len(text)
    expected = f"(start, end) within the {characters} characters of the text"
    if not isinstance(spans, list | tuple):
        raise InputError(f"mentions: found {shown(spans)}, expected a list of {expected}")
    for span in spans:
        is_pair = isinstance(span, list | tuple) and len(span) == 2
        is_pair = is_pair and all(type(place) is int for place in span)
        if not is_pair or not 0 <= span[0] < span[1] <= characters:
            raise InputError(f"mentions: found {shown(span)}, expected {expected}")
    return sorted(((start, end) for start, end in spans), key=lambda span: span[0])


def with_spans(narration: Narration, spans: Iterable[Span]) -> Narration:
    """The narration with mentions of which only the places are known, instead of any it has.

    Args:
        spans: characters (start, end), the end exclusive, sorted by their start.
    """
    mentions = (Mention(start, end, narration.text[start:end]) for start, end in spans)
    return replace(narration, mentions=tuple(mentions))


def fingerprint(narrations: Iterable[Narration]) -> str:
    """A hash of the ids and texts, in their order."""
    content = json.dumps([(narration.id, narration.text) for narration in narrations])
    return hashlib.sha256(content.encode()).hexdigest()


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


def _identity(pipeline: Language) -> dict[str, str]:
    """What tells a pipeline from another one, also from one that is trained again."""
    # The strings of the vocabulary grow with every new word that the pipeline reads.
    content = pipeline.to_bytes(exclude=["strings"])
    return {
        "name": pipeline.meta["name"],
        "version": pipeline.meta["version"],
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _is_up_to_date(path: Path, narrations: Sequence[Narration], made_by: dict[str, str]) -> bool:
    """Whether the file can be read for these narrations and is by the same pipeline."""
    try:
        with_found_mentions(narrations, path)
        return bool(read_json(path).get("pipeline") == made_by)
    except DataError:
        return False


def _with_spans_of_file(path: Path, narration: Narration, spans: Any) -> Narration:
    characters = len(narration.text)
    expected = f"[start, end] within its {characters} characters, sorted by start; {_REMEDY} again"
    found: list[Span] = []
    previous = 0
    for span in spans if isinstance(spans, list) else [spans]:
        pair = isinstance(span, list) and len(span) == 2 and all(type(x) is int for x in span)
        if not pair or not previous <= span[0] < span[1] <= len(narration.text):
            raise bad_record(path, f"narration {narration.id}", shown(span), expected)
        previous = span[0]
        found.append(tuple(span))
    return with_spans(narration, found)
