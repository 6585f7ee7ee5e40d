"""Pictures as one file of base64, which Chinese-CLIP reads:

    python tools/image_convert_base64.py --pictures FOLDER --out image_base64.tsv

A line is the image's id, a tab, and the bytes of its file in base64, as they are: nothing is
compressed anew. Ids are the names of the files without their endings.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.media.images import (
    ImageFile,
    find_images,
    read_image,
)
from utils.distributed.command import run_command
from utils.files import replaced_when_whole
from utils.options import command_parser, file_to_write


def main(arguments: Sequence[str] | None = None) -> None:
    """Convert the images of a folder."""
    parser = command_parser("Pictures as base64, for Chinese-CLIP.", prog="image_convert_base64.py")
    parser.add_argument(
        "--pictures", type=Path, required=True, metavar="FOLDER", help="named by ids"
    )
    parser.add_argument(
        "--out", type=file_to_write, required=True, metavar="FILE", help="a TSV file"
    )
    options = parser.parse_args(arguments)
    images = find_images(options.pictures)
    write_base64(options.out, images)
    print(f"wrote {len(images)} pictures to {options.out}")


def write_base64(path: Path, images: Iterable[ImageFile]) -> None:
    """Write a line for each image.

    Raises:
        BadRecord: one cannot be read.
    """
    with replaced_when_whole(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for image in images:
            read_image(image)  # what is no image is said here
            content = base64.b64encode(image.path.read_bytes()).decode()
            file.write(f"{image.image_id}\t{content}\n")


if __name__ == "__main__":
    run_command(main)
