"""A cache of splits that were read, checked and cut into word-pieces once, and open at once then.

A cached split is a folder of its own in the cache:

- `about.json`: what it was made from, and what the reading said;
- `narrations`: each narration as JSON;
- `word_pieces` and `mentions`: each text as the encoder reads it;
- `regions/`: where the images' regions stand, their boxes and labels; the features stay in the
  files that they were read from.

Its name is a hash of what it was made from: where a file, the tokenizer or a setting is another
one, it is not found, and made anew. Folders that are no longer used may be deleted.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from tqdm import tqdm

from data.encoding.text import EncodedText
from data.files import DataError
from data.loading.dataset import SplitData
from data.loading.mapped_rows import MappedRows, write_rows
from data.narration import Mention, Narration, Sentence
from data.regions.index import RegionIndex
from data.regions.store import RegionStore
from utils.distributed.ranks import broadcast_object, is_main
from utils.errors import InputError
from utils.files import folder_when_whole
from utils.json_files import is_text, read_json
from utils.printable import escape_unprintable, quote

FORMAT = 2  # of the files; another number finds none of the folders that were made before

# The types of what `about.json` says beside what it was made from; lists are of texts.
_ABOUT = {
    "said": list,
    "traced": int,
    "features": list,
    "feature_size": int,
    "skip_bad_records": bool,
}


def cached_split(
    cache: Path,
    name: str,
    made_from: Mapping[str, Any],
    read: Callable[[Callable[[str], None]], SplitData],
    encode: Callable[[Narration], EncodedText],
) -> SplitData:
    """Open a split from the cache, or read it and write it there first.

    Where there are several ranks the first one makes it, so the cache has to be a folder that all
    of them see.

    Args:
        cache: the folder of all cached splits.
        name: begins the name of the split's folder.
        made_from: plain values, all that decides what is cached.
        read: reads the split from its own files, and hands what is to be said to its argument.
        encode: cuts a narration into word-pieces.

    Raises:
        InputError: the split cannot be read.
        DataError: the cached split is broken.
    """
    identity = json.dumps({"format": FORMAT, **made_from}, sort_keys=True)
    folder = cache / f"{name}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    problem = None
    made = is_main() and not folder.exists()
    if made:
        try:
            _write(folder, made_from, read, encode)
        except InputError as error:
            problem = error
    # The others would look in vain for what could not be made.
    problem = broadcast_object(problem)
    if problem is not None:
        raise problem
    return _open(folder, say=_nothing if made else print)


def file_states(paths: Iterable[Path]) -> list[list[Any]]:
    """Return what tells whether files were changed: path, size and time of the last change.

    Of a folder it is what it lists, not what is in its files; None stands for what is not there.
    """
    states: list[list[Any]] = []
    for path in sorted(paths):
        try:
            found = path.stat()
        except FileNotFoundError:
            states.append([str(path.resolve()), None])
        else:
            size = found.st_size if path.is_file() else 0
            states.append([str(path.resolve()), size, found.st_mtime_ns])
    return states


def _write(
    folder: Path,
    made_from: Mapping[str, Any],
    read: Callable[[Callable[[str], None]], SplitData],
    encode: Callable[[Narration], EncodedText],
) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        print(line)
        said.append(line)

    source = read(say)
    store = source.store
    about = {
        "made_from": made_from,
        "said": said,
        "traced": source.traced,
        "features": [] if store is None else [str(p.resolve()) for p in store.features_paths],
        "feature_size": 0 if store is None else store.feature_size,
        "skip_bad_records": store is not None and store.skip_bad_records,
    }
    try:
        with folder_when_whole(folder) as unfinished:
            unfinished.mkdir()
            progress = tqdm(source.narrations, desc=f"preparing {folder.name}", leave=False)
            write_examples(unfinished, ((n, encode(n)) for n in progress))
            if store is not None:
                (unfinished / "regions").mkdir()
                store.index.save(unfinished / "regions")
            (unfinished / "about.json").write_text(json.dumps(about, indent=2), encoding="utf-8")
    except (InputError, OSError):
        # Another run may have made the same meanwhile.
        if not (folder / "about.json").exists():
            raise


def write_examples(folder: Path, examples: Iterable[tuple[Narration, EncodedText]]) -> None:
    """Write narrations and their texts into a folder that is there."""
    with (
        write_rows(folder, "narrations") as narrations,
        write_rows(folder, "word_pieces") as word_pieces,
        write_rows(folder, "mentions") as mentions,
    ):
        for narration, text in examples:
            content = json.dumps(_without_defaults(narration), default=_plain).encode()
            narrations.append(np.frombuffer(content, np.uint8))
            columns = (text.token_ids, *text.offsets.T, text.special)
            word_pieces.append(np.stack(columns, axis=1).astype(np.int32))
            indices = np.asarray(text.mention_indices, dtype=np.int32)
            mentions.append(np.column_stack([indices, text.mention_spans]).astype(np.int32))


def _open(folder: Path, say: Callable[[str], None]) -> SplitData:
    about = _read_about(folder / "about.json")
    for line in about["said"]:
        say(escape_unprintable(line, keep="\n"))
    say(f"read from {folder}")
    store = None
    if about["features"]:
        index = RegionIndex.open(folder / "regions")
        store = RegionStore(
            list(map(Path, about["features"])),
            index,
            about["feature_size"],
            skip_bad_records=about["skip_bad_records"],
        )
    narrations, texts = CachedNarrations(folder), CachedTexts(folder)
    if len(narrations) != len(texts):
        raise DataError(f"{folder} holds {len(narrations)} narrations and {len(texts)} texts")
    return SplitData(narrations, store, texts, about["traced"])


def _read_about(path: Path) -> dict[str, Any]:
    """Read what a cached split was made from, and how; every key is of the right type."""
    about = read_json(path, DataError)
    if not isinstance(about, dict):
        raise DataError(f"{path} holds {quote(about)}, expected an object")
    for key, kind in _ABOUT.items():
        found = about.get(key)
        if type(found) is not kind or (isinstance(found, list) and not all(map(is_text, found))):
            raise DataError(f"{path}: {key} is {quote(found)}, expected {kind.__name__}")
    for file in about["features"]:
        if not os.path.isfile(file):
            raise DataError(f"{path}: features: there is no file {quote(file)}")
    return about


class CachedNarrations(Sequence[Narration]):
    """The narrations of a cached split, each read when it is asked for.

    Args:
        folder: of the cached split.
    """

    def __init__(self, folder: Path) -> None:
        self._rows = MappedRows(folder, "narrations", np.uint8)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> Narration: ...
    @overload
    def __getitem__(self, place: slice) -> list[Narration]: ...
    def __getitem__(self, place: int | slice) -> Narration | list[Narration]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        if not 0 <= place < len(self):
            raise IndexError(f"narration {place} of {len(self)}")
        return _narration(json.loads(self._rows[place].tobytes()))


class CachedTexts(Sequence[EncodedText]):
    """The narrations of a cached split as the encoder reads them.

    Args:
        folder: of the cached split.
    """

    def __init__(self, folder: Path) -> None:
        self._word_pieces = MappedRows(folder, "word_pieces", np.int32, width=4)
        self._mentions = MappedRows(folder, "mentions", np.int32, width=3)
        if len(self._word_pieces) != len(self._mentions):
            raise DataError(f"{folder} holds word-pieces and mentions of different texts")

    def __len__(self) -> int:
        return len(self._word_pieces)

    def __getitem__(self, place: int) -> EncodedText:  # type: ignore[override]
        word_pieces = self._word_pieces[place].astype(np.int64)
        mentions = self._mentions[place]
        return EncodedText(
            token_ids=word_pieces[:, 0],
            offsets=word_pieces[:, 1:3],
            special=word_pieces[:, 3].astype(bool),
            mention_indices=tuple(mentions[:, 0].tolist()),
            mention_spans=mentions[:, 1:].astype(np.int64),
        )


def _nothing(line: str) -> None:
    """Say nothing: it was said when it was made."""


def _without_defaults(value: Narration | Mention | Sentence) -> dict[str, Any]:
    """Return the fields that differ from their defaults."""
    named = ((f.name, f.default, getattr(value, f.name)) for f in dataclasses.fields(value))
    return {name: found for name, default, found in named if found != default}


def _plain(value: Path | Mention | Sentence) -> Any:
    return str(value) if isinstance(value, Path) else _without_defaults(value)


def _narration(fields: dict[str, Any]) -> Narration:
    for name in ("image_path", "trace_path"):
        if name in fields:
            fields[name] = Path(fields[name])
    if "image_size" in fields:
        fields["image_size"] = tuple(fields["image_size"])
    fields["people"] = tuple(fields.get("people", ()))
    fields["words"] = tuple(fields.get("words", ()))
    fields["sentences"] = tuple(Sentence(**s) for s in fields.get("sentences", ()))
    fields["mentions"] = tuple(map(_mention, fields.get("mentions", ())))
    return Narration(**fields)


def _mention(fields: dict[str, Any]) -> Mention:
    if "boxes_xyxy" in fields:
        fields["boxes_xyxy"] = tuple(map(tuple, fields["boxes_xyxy"]))
    return Mention(**fields)
