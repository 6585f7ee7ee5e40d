"""Pictures as one file of base64, which Chinese-CLIP reads:

    python tools/image_convert_base64.py --pictures FOLDER --out image_base64.tsv

A line is the picture's id, a tab, and the bytes of its file in base64, as they are: nothing is
compressed anew. Ids are the names of the files without their endings.
"""

from __future__ import annotations

import argparse
import base64
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.media.images import (
    Picture,
    find_pictures,
    read_picture,
)
from utils.distributed.command import run_command
from utils.files import replaced_when_whole


def main(arguments: Sequence[str] | None = None) -> None:
    """Convert the pictures of a folder."""
    parser = argparse.ArgumentParser(
        prog="image_convert_base64.py", description="Pictures as base64, for Chinese-CLIP."
    )
    parser.add_argument(
        "--pictures", type=Path, required=True, metavar="FOLDER", help="named by ids"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a TSV file")
    options = parser.parse_args(arguments)
    pictures = find_pictures(options.pictures)
    write_base64(options.out, pictures)
    print(f"wrote {len(pictures)} pictures to {options.out}")


def write_base64(path: Path, pictures: Iterable[Picture]) -> None:
    """Write a line for each picture.

    Raises:
        BadRecord: one cannot be read.
    """
    with replaced_when_whole(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for picture in pictures:
            read_picture(picture)  # what is no picture is said here
            content = base64.b64encode(picture.path.read_bytes()).decode()
            file.write(f"{picture.image_id}\t{content}\n")


if __name__ == "__main__":
    run_command(main)
