"""Pictures from files or from memory, as they are to be looked at."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps

from utils.errors import InputError


def open_picture(source: Path | str | Image.Image) -> Image.Image:
    """A picture in RGB, turned upright where a camera noted that it lies.

    Raises:
        InputError: it cannot be read.
    """
    try:
        if isinstance(source, Image.Image):
            return _upright(source)
        with Image.open(source) as opened:
            return _upright(opened)
    # A broken picture ends in nearly any kind of error.
    except Exception as error:
        name = "the picture" if isinstance(source, Image.Image) else source
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{name} cannot be read as a picture: {reason}") from error


def _upright(picture: Image.Image) -> Image.Image:
    if not all(picture.size):
        raise ValueError("it has {} x {} pixels".format(*picture.size))
    return ImageOps.exif_transpose(picture).convert("RGB")
