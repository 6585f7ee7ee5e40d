"""JSON files that come from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from utils.errors import InputError
from utils.printable import quote


def read_json(
    path: Path,
    error: type[InputError] = InputError,
    object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    """Read the value in a JSON file.

    Args:
        error: the kind of error to raise.
        object_pairs_hook: turns the keys and values of each object into what stands for it; dicts
            by default.

    Raises:
        InputError: of the kind asked for; the file is missing, cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_bytes(), object_pairs_hook=object_pairs_hook)
    except OSError as problem:
        raise error(f"{path} cannot be read: {problem.strerror}") from problem
    # Beside what is no JSON: bytes that are no text, numbers and nesting beyond what Python reads.
    except (ValueError, RecursionError) as problem:
        raise error(f"{path} is not JSON: {problem}") from problem


def is_text(value: object) -> bool:
    """Return whether a value is text that UTF-8 can hold (half a surrogate pair is not)."""
    if not isinstance(value, str):
        return False
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def without_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dict of an object's pairs; JSON itself would take the last of a repeated key.

    Raises:
        ValueError: a key stands twice.
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for place, key in enumerate(keys) if key in keys[:place])
        raise ValueError(f"key {quote(repeated)} stands twice in one object")
    return values
