"""Folders of frames as TikTalkCoref's makers named them: `<id>/<id>_<frame>_<n>.jpg`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from data.files import DataError

_ENDINGS = (".jpg", ".jpeg", ".png")


class RegionFrame(NamedTuple):
    """The frame of a video that a region is described in.

    Attributes:
        number: of the frame in its video.
        path: its image, where that is at hand.
    """

    number: int
    path: Path | None


def frame_files(folder: Path, video_id: str) -> dict[int, Path]:
    """Return the image of each frame of a video by the frame's number.

    Of several, which differ in their last number, it is the first.

    Args:
        folder: the video's own.

    Raises:
        DataError: it cannot be read.
    """
    name = re.compile(rf"{re.escape(video_id)}_([0-9]{{1,9}})_([0-9]{{1,9}})")
    found: dict[int, tuple[int, Path]] = {}
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _ENDINGS)
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}") from error
    for path in paths:
        match = name.fullmatch(path.stem)
        if match is not None:
            frame, which = int(match[1]), int(match[2])
            found[frame] = min(found.get(frame, (which, path)), (which, path))
    return {frame: path for frame, (_, path) in found.items()}
