"""Draw the training curves of runs: `python tools/curves.py saved/RUN [saved/OTHER] --out FILE`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from utils.distributed.command import run_command
from utils.errors import InputError
from utils.files import replaced_when_whole
from utils.options import command_parser, file_to_write
from visualization.curves import curves_png, read_curves


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw what the command line names."""
    parser = command_parser("Losses, held-out scores and pseudo-labels after each epoch, as a PNG.")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder below saved/")
    parser.add_argument("--out", type=file_to_write, required=True, metavar="FILE", help="the PNG")
    options = parser.parse_args(arguments)
    if options.out.suffix.lower() != ".png":
        raise InputError(f"--out {options.out}: expected a name that ends in .png")
    image = curves_png({str(run): read_curves(run) for run in options.runs})
    with replaced_when_whole(options.out) as temporary:
        temporary.write_bytes(image)


if __name__ == "__main__":
    run_command(main)
