"""Label narrations in Label Studio, and train on what was labelled there.

python tools/label_studio.py export --jsonl answers.jsonl --out project
python tools/label_studio.py import --val export.json --out saved/labelled

docs/label_studio.md goes through it step by step.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.label_studio.annotations import read_annotations
from data.label_studio.predictions import read_answers
from data.label_studio.tasks import has_images, labelling_config, task_of
from data.narration import Narration
from data.readers import DATASETS, read_narrations
from data.readers.report import ReadReport
from data.writers.cin import write_labelled
from utils.distributed.command import run_command
from utils.errors import InputError
from utils.files import write_text
from utils.options import command_parser

_LOCAL_FILES = "/data/local-files/?d="


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line asks."""
    options = _parser().parse_args(arguments)
    options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("Label narrations in Label Studio.")
    commands = parser.add_subparsers(
        title="commands", required=True, help="COMMAND --help lists its options"
    )
    export = commands.add_parser("export", help="narrations as tasks that Label Studio imports")
    export.set_defaults(run=_export)
    source = export.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--jsonl",
        type=Path,
        metavar="FILE",
        help='answers of predict.py, or texts: an object a line, {"text": ..., "image": PATH}',
    )
    source.add_argument("--dataset", choices=tuple(DATASETS), help="narrations of a data set")
    export.add_argument("--data-root", type=Path, default=Path("datasets"), help="of --dataset")
    export.add_argument("--split", help="of --dataset")
    export.add_argument(
        "--address",
        default=_LOCAL_FILES,
        metavar="PREFIX",
        help="what comes before the names of the pictures' files in their addresses (%(default)s)",
    )
    export.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="of tasks.json and config.xml"
    )
    import_ = commands.add_parser("import", help="what Label Studio exports, in the files of CIN")
    import_.set_defaults(run=_import)
    import_.add_argument("--val", type=Path, metavar="FILE", help="its JSON, to train on")
    import_.add_argument("--test", type=Path, metavar="FILE", help="its JSON, to test on")
    import_.add_argument(
        "--annotator", metavar="NAME", help="whose annotations count: a number or an address"
    )
    import_.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="a --data-root for main.py"
    )
    for command in (export, import_):
        command.add_argument(
            "--skip-bad-records", action="store_true", help="count bad records and go on"
        )
    return parser


def _export(options: argparse.Namespace) -> None:
    narrations, made_by = _read(options)
    if not narrations:
        raise InputError("found no narration to label")
    imaged = has_images(narrations)
    tasks = [task_of(narration, options.address, made_by) for narration in narrations]
    write_text(options.out / "config.xml", labelling_config(imaged=imaged))
    write_text(options.out / "tasks.json", json.dumps(tasks, ensure_ascii=False) + "\n")
    print(f"{len(tasks)} tasks {'with' if imaged else 'without'} pictures in {options.out}")


def _read(options: argparse.Namespace) -> tuple[Sequence[Narration], str]:
    """Read the narrations to label; say what made the predictions."""
    if options.jsonl is not None:
        if options.split is not None:
            raise InputError("--split: only --dataset has splits")
        report = ReadReport("answers", str(options.jsonl), options.skip_bad_records)
        narrations: Sequence[Narration] = read_answers(options.jsonl, report)
        made_by = "predict.py"
    else:
        if options.split is None:
            raise InputError(f"--dataset {options.dataset} takes a --split")
        reading = read_narrations(
            options.dataset,
            options.data_root,
            options.split,
            skip_bad_records=options.skip_bad_records,
        )
        narrations, report = reading.narrations, reading.report
        made_by = f"{options.dataset} {options.split}"
    print("\n".join(report.lines()))
    return narrations, made_by


def _import(options: argparse.Namespace) -> None:
    exports = {split: getattr(options, split) for split in ("val", "test")}
    if all(path is None for path in exports.values()):
        raise InputError("nothing to read: expected --val, --test or both")
    narrations_of = {}
    for split, path in exports.items():
        if path is not None:
            report = ReadReport("label_studio", split, options.skip_bad_records)
            narrations_of[split] = read_annotations(path, report, options.annotator)
            print("\n".join(report.lines()))
            if not narrations_of[split]:
                raise InputError(f"{path}: found no annotated task, expected some")
    write_labelled(options.out, narrations_of)
    print(f"labelled narrations in {options.out}: --dataset cin --data-root {options.out}")


if __name__ == "__main__":
    run_command(main)
