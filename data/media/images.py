"""Pictures: which a folder has, how large they are, and what is in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageOps

from data.files import BadRecord, DataError, bad_record, read_id
from utils.errors import InputError
from utils.json_files import read_json
from utils.printable import quote

_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
# Of an image's sides; of one that is longer nothing would be left at the size a detector sees.
_MOST_TIMES_AS_LONG = 50


class ImageFile(NamedTuple):
    """An image's file, and the id that it is known by."""

    image_id: str
    path: Path


def find_images(folder: Path) -> list[ImageFile]:
    """List the images in a folder in the order of their ids, their names without ending.

    Raises:
        DataError: there are none, a name is not fit to be an id, or two have one id.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _ENDINGS)
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}") from error
    images: dict[str, ImageFile] = {}
    for path in paths:
        image_id = read_id(path.stem)
        if image_id is None:
            raise DataError(f"{folder}: {quote(path.name)} is not fit to be an image id")
        if image_id in images:
            raise DataError(f"{folder}: {path.name} and {images[image_id].path.name} have one id")
        images[image_id] = ImageFile(image_id, path)
    if not images:
        raise DataError(f"{folder} has no pictures, expected files {', '.join(_ENDINGS)}")
    return [images[image_id] for image_id in sorted(images)]


def listed_images(
    images: Sequence[ImageFile], path: Path, skip: Callable[[BadRecord], None] | None = None
) -> list[ImageFile]:
    """Return those of the images whose ids a JSON list holds, as numbers or as text.

    Args:
        skip: is told of each id without an image, which is then left out.

    Raises:
        DataError: the file cannot be read or is no list of ids, or none has an image.
        BadRecord: an id has no image, and such are not skipped.
    """
    content = read_json(path, DataError)
    listed_ids = list(map(read_id, content)) if isinstance(content, list) else [None]
    if None in listed_ids:
        raise DataError(f"{path} holds {quote(content)}, expected a list of image ids")
    ids = {image_id for image_id in listed_ids if image_id is not None}
    by_id = {image.image_id: image for image in images}
    for image_id in sorted(ids - set(by_id)):
        problem = bad_record(path, image_id, "no picture of this name", "one")
        if skip is None:
            raise problem
        skip(problem)
    listed = [by_id[image_id] for image_id in sorted(ids & set(by_id))]
    if not listed:
        raise DataError(f"{path} lists no picture that is there")
    return listed


def read_image(image: ImageFile) -> Image.Image:
    """Read an image in RGB, as it is stored.

    Raises:
        BadRecord: it cannot be read.
    """
    image_id, path = image
    try:
        with Image.open(path) as opened:
            return _checked(opened).convert("RGB")
    except Exception as error:
        # A broken image ends in nearly any kind of error.
        raise bad_record(path, image_id, f"what cannot be read ({error})", "a picture") from error


def size_of(image: ImageFile) -> tuple[int, int]:
    """Return (width, height) as the header says; zeros where it cannot be read."""
    try:
        with Image.open(image.path) as opened:
            return opened.size
    except Exception:
        # What is wrong with it is said where it is read.
        return 0, 0


def open_image(source: Path | str | Image.Image) -> Image.Image:
    """Open an image in RGB, turned upright where a camera noted that it lies.

    Raises:
        InputError: it cannot be read.
    """
    try:
        if isinstance(source, Image.Image):
            return _upright(source)
        with Image.open(source) as opened:
            return _upright(opened)
    # A broken image ends in nearly any kind of error.
    except Exception as error:
        name = "the picture" if isinstance(source, Image.Image) else source
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{name} cannot be read as a picture: {reason}") from error


def _upright(image: Image.Image) -> Image.Image:
    return ImageOps.exif_transpose(_checked(image)).convert("RGB")


def _checked(image: Image.Image) -> Image.Image:
    shorter, longer = sorted(image.size)
    if not 0 < longer <= _MOST_TIMES_AS_LONG * shorter:
        raise ValueError(
            "it has {} x {} pixels, expected sides of at most {} times each other".format(
                *image.size, _MOST_TIMES_AS_LONG
            )
        )
    return image
