"""Generate videos and dialogues: `python tools/make_dialogues.py --out DIR --seed N`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from synthetic.dialogues import write_dialogues
from utils.distributed.command import run_command
from utils.files import folder_when_whole
from utils.options import command_parser, default_processes, whole_number_from


def main(arguments: Sequence[str] | None = None) -> None:
    """Generate what the command line says."""
    parser = command_parser(
        "Generate videos and Chinese dialogues about them in TikTalkCoref's files.",
        prog="make_dialogues.py",
    )
    parser.add_argument("--out", type=Path, required=True, help="a folder that is new or empty")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same bytes")
    number = whole_number_from(1)
    parser.add_argument("--dialogues", type=number, default=600, help="with a video each (600)")
    parser.add_argument(
        "--faces", type=number, default=300, help="videos of others, to train a detector on (300)"
    )
    parser.add_argument(
        "--processes", type=number, default=default_processes(), help="how many draw side by side"
    )
    options = parser.parse_args(arguments)
    with (
        folder_when_whole(options.out) as unfinished,
        tqdm(total=options.dialogues + options.faces, desc="drawing and telling") as bar,
    ):
        made = write_dialogues(
            unfinished, options.seed, options.dialogues, options.faces, options.processes
        )
        for _ in made:
            bar.update()
    print((options.out / "README").read_text(encoding="utf-8"))


if __name__ == "__main__":
    run_command(main)
