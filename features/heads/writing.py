"""Write the heads of videos as region files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from data.files import BadRecord
from data.regions.head_files import CROPS, LABEL, Box, Track
from data.regions.shards import Shard
from data.regions.writer import ImageRegions, write_region_store
from utils.files import replaced_when_whole

if TYPE_CHECKING:
    # What reads heads needs nothing that reads videos.
    from data.media.videos import Video


_JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True, eq=False)
class SeenHead:
    """A head to write: its region, where it comes from, and what is seen of it.

    Attributes:
        box_xyxy: [4], pixels of its frame.
        feature: [feature size] float32.
        pixels: [height, width, 3] uint8, what the box cuts out; None where nothing was seen.
    """

    frame: int
    box_xyxy: np.ndarray
    feature: np.ndarray
    pixels: np.ndarray | None
    tracks: tuple[Track, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SeenVideo:
    """What was seen in a video; `feature_size` holds without heads too."""

    size: tuple[int, int]
    looked_at: tuple[int, ...]
    heads: Sequence[SeenHead]
    feature_size: int


def write_heads(
    folder: Path,
    shard: Shard[Video],
    look: Callable[[Video], SeenVideo],
    *,
    done: Callable[[], None],
    refuse: Callable[[BadRecord], None],
) -> None:
    """Write the heads of a shard's videos, whole or not at all, and their images.

    Args:
        look: finds the heads of a video.
        done: is called after each video.
        refuse: is told of each video that cannot be read, which is left out if that returns.

    Raises:
        BadRecord: a video cannot be read, and `refuse` raises it.
        DataError: none can be read.
    """

    def regions() -> Iterator[ImageRegions]:
        for video in shard.images:
            try:
                seen = look(video)
            except BadRecord as problem:
                refuse(problem)
            else:
                yield _regions_of(folder / CROPS, video.image_id, seen)
            done()

    write_region_store(folder, shard.name, regions())


def _regions_of(folder: Path, video_id: str, seen: SeenVideo) -> ImageRegions:
    count = len(seen.heads)
    crops = [
        None if head.pixels is None else f"{video_id}_{head.frame}_{n}.jpg"
        for n, head in enumerate(seen.heads, start=1)
    ]
    for name, head in zip(crops, seen.heads, strict=True):
        if name is not None:
            with replaced_when_whole(folder / name) as temporary:
                Image.fromarray(head.pixels).save(temporary, format="JPEG", quality=_JPEG_QUALITY)
    about = {
        "size": list(seen.size),
        "looked_at": list(seen.looked_at),
        "frames": [head.frame for head in seen.heads],
        "crops": crops,
        "tracks": [
            [[[frame, *_rounded(box)] for frame, box in track] for track in head.tracks]
            for head in seen.heads
        ],
    }
    return ImageRegions(
        video_id,
        np.array([head.box_xyxy for head in seen.heads], dtype=np.float64).reshape(count, 4),
        [LABEL] * count,
        None,
        np.array([head.feature for head in seen.heads]).reshape(count, seen.feature_size),
        about,
    )


def _rounded(box: Box) -> list[float]:
    return [round(value, 1) for value in box]
