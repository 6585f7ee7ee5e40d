"""Frames of videos: of files that ffmpeg reads, or of folders of images.

Frames of a file are counted from 0; `data/media/frame_files.py` says how those of a folder are
named.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from data.files import BadRecord, DataError, bad_record, read_id
from data.media.frame_files import frame_files
from data.media.images import ImageFile, read_image
from utils.printable import quote

_ENDINGS = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".flv")
# Some files say a few frames more than they have.
_LEAST_SHARE = 0.9


class Video(NamedTuple):
    """A video, a file or a folder of frames, and the id of the dialogue about it."""

    image_id: str
    path: Path


class Frame(NamedTuple):
    """A frame: its number in the video, and its pixels [height, width, 3] uint8."""

    number: int
    pixels: np.ndarray


def find_videos(folder: Path) -> dict[str, Video]:
    """Return the videos in a folder by their ids, their names without ending.

    Raises:
        DataError: there are none, a name is not fit to be an id, or two have one id.
    """
    try:
        paths = sorted(
            path for path in folder.iterdir() if path.is_dir() or path.suffix.lower() in _ENDINGS
        )
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}") from error
    videos: dict[str, Video] = {}
    for path in paths:
        video_id = read_id(path.name if path.is_dir() else path.stem)
        if video_id is None:
            raise DataError(f"{folder}: {quote(path.name)} is not fit to be the id of a video")
        if video_id in videos:
            raise DataError(f"{folder}: {path.name} and {videos[video_id].path.name} have one id")
        videos[video_id] = Video(video_id, path)
    if not videos:
        raise DataError(
            f"{folder} has no videos, expected files {', '.join(_ENDINGS)} or folders of frames"
        )
    return videos


def every_nth(video: Video, step: int) -> Iterator[Frame]:
    """Yield the first frame that a video has and every `step`-th after it.

    Raises:
        BadRecord: the video cannot be read, or has no frames; its frames differ in size.
    """
    if video.path.is_dir():
        numbers = sorted(_frame_files(video))[::step]
        frames = _imaged(video, numbers)
    else:
        frames = _decoded(video, step)
    return _of_one_size(video, frames)


def frames_of(video: Video, numbers: Collection[int]) -> Iterator[Frame]:
    """Yield the frames of a video that have the given numbers, in ascending order.

    Raises:
        BadRecord: the video cannot be read, or has no such frame; its frames differ in size.
    """
    wanted = sorted(set(numbers))
    if video.path.is_dir():
        frames = _imaged(video, wanted)
    else:
        frames = _numbered(video, wanted)
    return _of_one_size(video, frames)


def _of_one_size(video: Video, frames: Iterator[Frame]) -> Iterator[Frame]:
    size = None
    for frame in frames:
        height, width, _ = frame.pixels.shape
        size = size or (width, height)
        if (width, height) != size:
            raise bad_record(
                video.path,
                f"frame {frame.number}",
                f"{width} x {height} pixels",
                "{} x {}, as before it".format(*size),
            )
        yield frame


def _numbered(video: Video, wanted: list[int]) -> Iterator[Frame]:
    missing = set(wanted)
    last = max(wanted, default=-1)
    for frame in _decoded(video, 1, last + 1):
        if frame.number in missing:
            missing.remove(frame.number)
            yield frame
    if missing:
        raise bad_record(video.path, video.image_id, f"no frame {min(missing)}", "it")


def _decoded(video: Video, step: int, end: int | None = None) -> Iterator[Frame]:
    """Yield every `step`-th frame of a file, up to the frame `end` where that is given."""
    expected = "a video with frames"
    count = 0
    try:
        with av.open(str(video.path), metadata_errors="replace") as container:
            if not container.streams.video:
                raise bad_record(video.path, video.image_id, "no pictures", expected)
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                if end is not None and count >= end:
                    return
                if count % step == 0:
                    yield Frame(count, _upright(frame))
                count += 1
            stated = stream.frames
    except BadRecord:
        raise
    except Exception as error:
        # A broken video ends in nearly any kind of error.
        reason = getattr(error, "strerror", None) or error
        found = f"what cannot be read after {count} frames ({reason})"
        raise bad_record(video.path, video.image_id, found, expected) from error
    if not count:
        raise bad_record(video.path, video.image_id, "no frames", expected)
    if count < _LEAST_SHARE * stated:
        raise bad_record(video.path, video.image_id, f"{count} frames", f"{stated}, as it says")


def _upright(frame: av.VideoFrame) -> np.ndarray:
    """Return the pixels of a frame, turned as its file says that it is to be shown."""
    quarters = round(frame.rotation / 90)  # counterclockwise
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), quarters))


def _imaged(video: Video, numbers: list[int]) -> Iterator[Frame]:
    """Yield the frames of a folder that have the given numbers."""
    files = _frame_files(video)
    for number in numbers:
        if number not in files:
            raise bad_record(video.path, video.image_id, f"no frame {number}", "it")
        image = read_image(ImageFile(f"frame {number}", files[number]))
        yield Frame(number, np.array(image))


def _frame_files(video: Video) -> dict[int, Path]:
    try:
        found = frame_files(video.path, video.image_id)
    except DataError as error:
        raise BadRecord(str(error)) from error
    if not found:
        expected = f"pictures {video.image_id}_FRAME_N.jpg"
        raise bad_record(video.path, video.image_id, "no frames", expected)
    return found
