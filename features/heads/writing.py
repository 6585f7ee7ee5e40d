"""Write the heads of videos as region files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from data.files import BadRecord
from data.regions.head_files import CROPS, LABEL, PixelBox, Track
from data.regions.shards import Shard
from data.regions.writer import ImageRegions, write_region_store
from utils.files import replaced_when_whole

if TYPE_CHECKING:
    # What reads heads needs nothing that reads videos.
    from data.media.videos import Video


_JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True, eq=False)
class DescribedHead:
    """A head to write as a region.

    Attributes:
        frame: number of the frame that it is described in.
        box_xyxy: [4] float32, pixels of that frame.
        feature: [feature size] float32.
        crop: [height, width, 3] uint8, what the box cuts out; None where no frame was seen.
        tracks: where the person's head is, in as many tracks as were joined.
    """

    frame: int
    box_xyxy: np.ndarray
    feature: np.ndarray
    crop: np.ndarray | None
    tracks: tuple[Track, ...]


@dataclass(frozen=True, slots=True, eq=False)
class DescribedVideo:
    """The heads of a video to write.

    Attributes:
        size: (width, height) of the frames in pixels.
        looked_at: numbers of the frames that were looked at, ascending.
        feature_size: of the heads; known where there are none too.
    """

    size: tuple[int, int]
    looked_at: tuple[int, ...]
    heads: Sequence[DescribedHead]
    feature_size: int


def write_heads(
    folder: Path,
    shard: Shard[Video],
    find_heads: Callable[[Video], DescribedVideo],
    *,
    done: Callable[[], object],
    refuse: Callable[[BadRecord], None],
) -> None:
    """Write the heads of a shard's videos, whole or not at all, and their images.

    Args:
        find_heads: finds and describes the heads of a video.
        done: is called after each video.
        refuse: is told of each video that cannot be read, which is left out if that returns.

    Raises:
        BadRecord: a video cannot be read, and `refuse` raises it.
        DataError: none can be read.
    """

    def regions() -> Iterator[ImageRegions]:
        for video in shard.images:
            try:
                described = find_heads(video)
            except BadRecord as problem:
                refuse(problem)
            else:
                yield _regions_of(folder / CROPS, video.image_id, described)
            done()

    write_region_store(folder, shard.name, regions())


def _regions_of(folder: Path, video_id: str, video: DescribedVideo) -> ImageRegions:
    """Write the crops of a video's heads into a folder, and return its regions."""
    crops: list[str | None] = []
    for number, head in enumerate(video.heads, start=1):
        if head.crop is None:
            crops.append(None)
            continue
        name = f"{video_id}_{head.frame}_{number}.jpg"
        crops.append(name)
        with replaced_when_whole(folder / name) as temporary:
            Image.fromarray(head.crop).save(temporary, format="JPEG", quality=_JPEG_QUALITY)
    count = len(video.heads)
    about = {
        "size": list(video.size),
        "looked_at": list(video.looked_at),
        "frames": [head.frame for head in video.heads],
        "crops": crops,
        "tracks": [
            [[[frame, *_rounded(box)] for frame, box in track] for track in head.tracks]
            for head in video.heads
        ],
    }
    return ImageRegions(
        video_id,
        np.array([head.box_xyxy for head in video.heads], dtype=np.float64).reshape(count, 4),
        [LABEL] * count,
        None,
        np.array([head.feature for head in video.heads]).reshape(count, video.feature_size),
        about,
    )


def _rounded(box: PixelBox) -> list[float]:
    return [round(value, 1) for value in box]
