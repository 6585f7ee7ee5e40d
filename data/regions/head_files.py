"""Heads as region files: one image a dialogue, one region for each head of its video.

They are the published files of regions (`data/regions/writer.py`), so that whatever reads regions
reads heads. The detections of a dialogue say besides where its regions come from: `size`, [width,
height] of the frames in pixels; `looked_at`, the numbers of all frames that were looked at;
`frames`, the number of the frame of each region; `crops`, its image's file in the folder `crops`
beside the files, null where nothing was seen; and `tracks`, of each region the tracks it was joined
from, each a list of [frame, x1, y1, x2, y2].
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.files import DataError, bad_record, read_id
from data.regions.detections import LARGEST_COORDINATE
from data.regions.file_names import find_region_files
from utils.json_files import read_json
from utils.printable import quote

LABEL = "head"
CROPS = "crops"

PixelBox = tuple[float, float, float, float]  # (x1, y1, x2, y2)

# Where one head is: the number of each frame, and its box there.
Track = tuple[tuple[int, PixelBox], ...]


@dataclass(frozen=True, slots=True)
class HeadRegion:
    """Where a region of a dialogue comes from.

    Attributes:
        frame: number of the frame that it is described in.
        crop: the file of its image, in the folder `crops`; None where nothing was seen.
        tracks: what was seen of its person, in as many tracks as were joined.
    """

    frame: int
    crop: str | None
    tracks: tuple[Track, ...]


@dataclass(frozen=True, slots=True)
class VideoHeads:
    """The heads of a video, one for each of the regions of its dialogue, in their order.

    Attributes:
        size: (width, height) of the frames in pixels, which boxes are relative to.
        looked_at: numbers of the frames that were looked at.
    """

    size: tuple[int, int]
    looked_at: tuple[int, ...]
    heads: tuple[HeadRegion, ...]


def read_head_regions(folder: Path, split: str) -> dict[str, VideoHeads]:
    """Read where the regions of a split come from, by the ids of the dialogues.

    Raises:
        DataError: there are no region files of the split, or one cannot be read.
        BadRecord: a dialogue's fields are wrong.
    """
    files = find_region_files(folder, split)
    if not files:
        raise DataError(f"{folder} has no region files of {split}, expected those of heads")
    videos: dict[str, VideoHeads] = {}
    for of_shard in files:
        content = read_json(of_shard.detections, DataError)
        if not isinstance(content, dict):
            raise DataError(f"{of_shard.detections} holds {quote(content)}, expected an object")
        for video_id, fields in content.items():
            videos[video_id] = _parse(of_shard.detections, video_id, fields)
    return videos


def _parse(path: Path, video_id: str, fields: Any) -> VideoHeads:
    names = ("size", "looked_at", "frames", "crops", "tracks")
    if not isinstance(fields, dict) or not all(type(fields.get(name)) is list for name in names):
        raise bad_record(path, video_id, quote(fields), f"lists {', '.join(names)}, those of heads")
    size, looked_at, frames, crops, tracks = (fields[name] for name in names)
    if len(size) != 2 or not all(map(_is_number, [*size, *looked_at, *frames])) or 0 in size:
        found = f"size {quote(size)}, looked_at {quote(looked_at)}, frames {quote(frames)}"
        raise bad_record(path, video_id, found, "whole numbers, two of them sides of a frame")
    if not len(frames) == len(crops) == len(tracks) or not all(map(_is_name, crops)):
        found = f"{len(frames)} frames, {len(tracks)} tracks and crops {quote(crops)}"
        raise bad_record(path, video_id, found, "one of each for a region, crops as names of files")
    if not all(map(_are_tracks, tracks)):
        raise bad_record(path, video_id, f"tracks {quote(tracks)}", "[frame, x1, y1, x2, y2] each")
    heads = (
        HeadRegion(
            frame,
            crop,
            tuple(map(_parse_track, of_head)),
        )
        for frame, crop, of_head in zip(frames, crops, tracks, strict=True)
    )
    return VideoHeads((size[0], size[1]), tuple(looked_at), tuple(heads))


def _parse_track(places: list[list[Any]]) -> Track:
    return tuple(
        (frame, (float(x1), float(y1), float(x2), float(y2))) for frame, x1, y1, x2, y2 in places
    )


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31


def _is_name(value: Any) -> bool:
    return value is None or read_id(value) == value


def _are_tracks(value: Any) -> bool:
    """Return whether a value is the tracks of one head, at least one, none of them empty."""
    return (
        type(value) is list
        and bool(value)
        and all(type(track) is list and track and all(map(_is_place, track)) for track in value)
    )


def _is_place(value: Any) -> bool:
    return (
        type(value) is list
        and len(value) == 5
        and _is_number(value[0])
        and all(type(v) in (int, float) and abs(v) < LARGEST_COORDINATE for v in value[1:])
    )
