"""Mouse traces: where a narrator pointed during each word, and so during each mention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data.encoding.text import align_spans
from data.files import DataError
from data.narration import Narration
from data.readers.localized_narratives import FARTHEST, read_word_boxes
from utils.printable import quote


@dataclass(frozen=True)
class MentionTraces:
    """Where the mouse was during the mentions of an encoded text.

    Attributes:
        boxes_xyxy: [M, 4] float32, relative to the image and within it; zeros where not known.
        known: [M] bool.
    """

    boxes_xyxy: np.ndarray
    known: np.ndarray


def read_trace(narration: Narration) -> np.ndarray:
    """Read the mouse trace of a narration that has one.

    Returns:
        [words, 5] float32: for each word the box (x1, y1, x2, y2) the mouse went over, relative to
        the image, and its area.

    Raises:
        DataError: the file is not such an array, or does not fit the words of the narration.
    """
    path = narration.trace_path
    if path is None:
        raise DataError(f"narration {narration.id} has no trace")
    expected = f"finite numbers [{len(narration.words)} words, 5]"
    if narration.trace_offset is None:
        trace = _load_array(path, expected)
    else:
        trace = read_word_boxes(path, narration.trace_offset)
    if not isinstance(trace, np.ndarray) or trace.dtype.kind not in "fiu":
        raise DataError(f"{path} is not an array of {expected}")
    if trace.shape != (len(narration.words), 5):
        raise DataError(f"{path} has shape {trace.shape}, expected {expected}")
    with np.errstate(over="ignore", invalid="ignore"):
        boxes = np.array(trace, dtype=np.float32)
    if not np.isfinite(boxes).all():
        raise DataError(f"{path} holds numbers that are not finite, expected {expected}")
    corners = boxes[:, :4]
    far = (np.abs(corners - 0.5) > FARTHEST).any(axis=1)
    wrong = far | (corners[:, :2] > corners[:, 2:]).any(axis=1)
    if wrong.any():
        word = int(wrong.argmax())
        raise DataError(
            f"{path}, word {word}: found the box {quote(corners[word].tolist())}, expected x1, y1, "
            "x2, y2 relative to the picture, x1 and y1 the smaller ones"
        )
    return boxes


def mention_traces(
    narration: Narration, trace: np.ndarray, mention_indices: Sequence[int], lag: int = 0
) -> MentionTraces:
    """Find the box around the trace boxes of each mention's words.

    A mention's words are those that share a character with it. A box of zeros stands for a word
    without a trace; a mention of such words alone has none.

    Args:
        trace: [words, 5], as `read_trace` gives it.
        mention_indices: which mentions.
        lag: by how many words the mouse follows what is spoken of: a word has the trace box of the
            word that many places later, or of the last one.

    Raises:
        DataError: the words of the narration do not spell its text.
    """
    places = word_places(narration)
    mentions = [narration.mentions[index] for index in mention_indices]
    spans = align_spans(
        [(mention.start, mention.end) for mention in mentions], places, np.zeros(len(places), bool)
    )
    trace = trace[np.minimum(np.arange(len(trace)) + lag, len(trace) - 1)]
    pointed = np.asarray(trace.any(axis=1))
    boxes = np.zeros((len(spans), 4), dtype=np.float32)
    known = np.zeros(len(spans), dtype=bool)
    for row, (first, end) in enumerate(spans):
        of_words = trace[first:end, :4][pointed[first:end]]
        if len(of_words):
            boxes[row] = np.r_[of_words[:, :2].min(axis=0), of_words[:, 2:].max(axis=0)]
            known[row] = True
    # The mouse may leave the image.
    return MentionTraces(boxes.clip(0, 1), known)


def word_places(narration: Narration) -> np.ndarray:
    """Find the characters of each word, one word after the other.

    Returns:
        [words, 2] int64, first character of the text and the one after the last.

    Raises:
        DataError: the words, with blanks between them, are not the text.
    """
    text = narration.text
    places = []
    end = 0
    for number, word in enumerate(narration.words):
        start = _after_blanks(text, end)
        if not text.startswith(word, start):
            found = quote(text[start : start + len(word)])
            raise DataError(
                f"narration {narration.id}: found {found} at character {start} of its text, "
                f"expected its word {number}, {quote(word)}; its trace has a box for each word"
            )
        end = start + len(word)
        places.append((start, end))
    rest = _after_blanks(text, end)
    if rest < len(text):
        raise DataError(
            f"narration {narration.id}: found {quote(text[rest:])} at character {rest} of its "
            f"text, expected its end after {len(places)} words; its trace has a box for each word"
        )
    return np.asarray(places, dtype=np.int64).reshape(-1, 2)


def with_usable_traces(
    narrations: Sequence[Narration], *, skip_bad_records: bool
) -> tuple[list[Narration], list[DataError]]:
    """Read every trace once, so that a broken one is found before the training and not in it.

    Args:
        skip_bad_records: forget a trace that cannot be used, instead of ending at the first.

    Returns:
        The narrations in their order, and why each forgotten trace cannot be used.

    Raises:
        DataError: a trace cannot be used, and such are not skipped.
    """
    usable: list[Narration] = []
    problems: list[DataError] = []
    for narration in narrations:
        if narration.trace_path is not None:
            try:
                mention_traces(narration, read_trace(narration), range(len(narration.mentions)))
            except DataError as problem:
                if not skip_bad_records:
                    raise
                problems.append(problem)
                narration = replace(narration, trace_path=None)
        usable.append(narration)
    return usable, problems


def _load_array(path: Path, expected: str) -> np.ndarray:
    try:
        # Mapped, so that a header that promises too much takes no memory.
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        return array
    except Exception as error:
        # A broken header ends in nearly any kind of error.
        raise DataError(f"{path} is not an array of {expected}: {error}") from error


def _after_blanks(text: str, start: int) -> int:
    """Find the first character from `start` on that is not blank; the text's length without one."""
    while start < len(text) and text[start].isspace():
        start += 1
    return start
