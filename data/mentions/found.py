"""Mentions that a pipeline found, kept beside the data in `<data root>/mentions/<split>.json`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from data.files import DataError, bad_record
from data.mention_spans import with_spans
from data.mentions.spacy_pipeline import find_spans
from data.narration import Narration
from utils.distributed.ranks import (
    broadcast_object,
    gather_objects,
    interleave,
    is_main,
    share_of,
)
from utils.errors import InputError
from utils.files import write_text
from utils.json_files import read_json
from utils.printable import quote
from utils.text.spans import Span

if TYPE_CHECKING:
    from spacy.language import Language


_REMEDY = "run `prepare.py mentions` for this folder"

_CHARACTERS_PER_PROCESS = 100_000  # for less, starting a process takes longer than it saves


def cache_path(data_root: Path, split: str) -> Path:
    """Return the file of the mentions that were found in a split."""
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
    """Replace the mentions of narrations by those that were found in them.

    Args:
        narrations: exactly those that the mentions were found in.
        path: as `cache_path` gives it.

    Raises:
        DataError: the file is missing or broken, or was made for other narrations or texts.
    """
    if not path.exists():
        raise DataError(f"{path} is missing; {_REMEDY}")
    try:
        content = read_json(path, DataError)
    except DataError as error:
        raise DataError(f"{error}; {_REMEDY} again") from error
    mentions = content.get("mentions") if isinstance(content, dict) else None
    if not isinstance(mentions, dict):
        raise DataError(f"{path} holds {quote(content)}, expected texts and mentions; {_REMEDY}")
    for narration in narrations:
        if narration.id not in mentions:
            found = f"no mentions of narration {narration.id}"
            raise DataError(f"{path}: {found}, expected those of every one; {_REMEDY} again")
    if content.get("texts") != fingerprint(narrations):
        raise DataError(f"{path} was made for other narrations or texts; {_REMEDY} again")
    return [
        _with_spans_of_file(path, narration, mentions[narration.id]) for narration in narrations
    ]


def fingerprint(narrations: Iterable[Narration]) -> str:
    """Return a hash of the ids and texts, in their order."""
    content = json.dumps([(narration.id, narration.text) for narration in narrations])
    return hashlib.sha256(content.encode()).hexdigest()


def _identity(pipeline: Language) -> dict[str, str]:
    """Return what tells a pipeline from another one, also from one that is trained again."""
    # The strings of the vocabulary grow with every new word that the pipeline reads.
    content = pipeline.to_bytes(exclude=["strings"])
    return {
        "name": pipeline.meta["name"],
        "version": pipeline.meta["version"],
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _is_up_to_date(path: Path, narrations: Sequence[Narration], made_by: dict[str, str]) -> bool:
    """Return whether the file can be read for these narrations and is by the same pipeline."""
    try:
        with_found_mentions(narrations, path)
        return bool(read_json(path, DataError).get("pipeline") == made_by)
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
            raise bad_record(path, f"narration {narration.id}", quote(span), expected)
        previous = span[0]
        found.append(tuple(span))
    return with_spans(narration, found)
