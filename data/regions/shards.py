"""The parts that the regions of a split are made in, so that a stopped run goes on where it was."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from data.files import DataError
from data.regions.file_names import names_of_region_files, region_files, shard_name
from utils.distributed.ranks import (
    broadcast_object,
    is_main,
    share_of,
)
from utils.errors import InputError
from utils.files import write_text
from utils.json_files import read_json
from utils.printable import quote

IMAGES_PER_SHARD = 1000


class RegionSource(Protocol):
    """What regions are found in: an image, or a video, whose heads are those of one image."""

    @property
    def image_id(self) -> str:
        """Names it in the region files."""


AnySource = TypeVar("AnySource", bound=RegionSource)


class Shard(NamedTuple, Generic[AnySource]):
    """A part of a split: the name of its files, and its images."""

    name: str
    images: Sequence[AnySource]


def open_shards(
    folder: Path,
    split: str,
    images: Sequence[AnySource],
    shards: int | None,
    settings: dict[str, Any],
    per_shard: int = IMAGES_PER_SHARD,
) -> tuple[list[Shard[AnySource]], list[Shard[AnySource]]]:
    """Return all shards of a split, and those of them that are this rank's to write.

    A shard that is there already is not written again; ranks share the others.

    Args:
        shards: how many; None for as many as hold `per_shard` images each.
        settings: what the files depend on. They are kept beside the shards, so that what was begun
            with other ones is not gone on with.

    Raises:
        InputError: there are no images or fewer than shards, or the folder holds other regions of
            the split.
    """
    if not images:
        raise InputError(f"there is nothing to find regions of {split} in")
    count = shards or math.ceil(len(images) / per_shard)
    if count > len(images):
        raise InputError(f"--shards {count}: there are {len(images)} pictures")
    ids = hashlib.sha256(json.dumps([image.image_id for image in images]).encode())
    made_of = {**settings, "shards": count, "pictures": ids.hexdigest()}
    about = _about(folder, split)
    found = _read_about(about)
    if found is None and names_of_region_files(folder, split):
        raise InputError(
            f"{folder} holds regions of {split}, and not {about.name}, which says what they were "
            "made of; another --out is needed"
        )
    if found is not None and found != made_of:
        different = [
            f"{name} was {quote(found.get(name))} and is {quote(made_of.get(name))}"
            for name in {**found, **made_of}
            if found.get(name) != made_of.get(name)
        ]
        raise InputError(
            f"{folder} holds regions of {split} that were made otherwise: {'; '.join(different)}; "
            "another --out is needed"
        )
    bounds = [len(images) * number // count for number in range(count + 1)]
    names = [shard_name(split, number, count) if count > 1 else split for number in range(count)]
    every = [
        Shard(name, images[begin:end])
        for name, begin, end in zip(names, bounds[:-1], bounds[1:], strict=True)
    ]
    if is_main():
        # Of a run that was killed, before any rank writes.
        for left_over in folder.glob(f".{split}[_-]*.tmp"):
            left_over.unlink(missing_ok=True)
    # As the first rank sees it.
    to_write = broadcast_object(
        [number for number, shard in enumerate(every) if not _is_there(folder, shard.name)]
    )
    if found is None:
        write_text(about, json.dumps(made_of, indent=1) + "\n")
    return every, [every[number] for number in share_of(to_write)]


def read_made_of(folder: Path, split: str) -> dict[str, Any] | None:
    """Read the settings that the regions of a split were made with; None if not written down.

    Raises:
        DataError: the file of them is broken.
    """
    return _read_about(_about(folder, split))


def _about(folder: Path, split: str) -> Path:
    return folder / f"{split}_made_of.json"


def _read_about(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    content = read_json(path, DataError)
    if not isinstance(content, dict):
        raise DataError(f"{path} holds {quote(content)}, expected an object")
    return content


def _is_there(folder: Path, name: str) -> bool:
    return all(path.exists() for path in region_files(folder, name))
