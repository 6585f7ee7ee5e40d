"""Label narrations in Label Studio, train on what was labelled there, compare annotators.

python tools/label_studio.py export --jsonl answers.jsonl --out project
python tools/label_studio.py import --val export.json --out saved/labelled
python tools/label_studio.py agreement export.json

docs/label_studio.md goes through it step by step.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.label_studio.annotations import read_annotations, read_annotators
from data.label_studio.predictions import read_answers
from data.label_studio.tasks import has_images, labelling_config, task_of
from data.narration import Narration
from data.readers import DATASETS, read_narrations
from data.readers.report import ReadReport
from data.writers.cin import write_labelled
from evaluation.annotator_agreement import Annotations, measure_agreement
from utils.distributed.command import run_command
from utils.errors import InputError
from utils.files import write_text
from utils.options import command_parser, file_to_write, folder_to_write
from utils.printable import escape_unprintable, quote

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
        "--out",
        type=folder_to_write,
        required=True,
        metavar="FOLDER",
        help="of tasks.json and config.xml",
    )
    import_ = commands.add_parser("import", help="what Label Studio exports, in the files of CIN")
    import_.set_defaults(run=_import)
    import_.add_argument("--val", type=Path, metavar="FILE", help="its JSON, to train on")
    import_.add_argument("--test", type=Path, metavar="FILE", help="its JSON, to test on")
    import_.add_argument(
        "--annotator", metavar="NAME", help="whose annotations count: a number or an address"
    )
    import_.add_argument(
        "--out",
        type=folder_to_write,
        required=True,
        metavar="FOLDER",
        help="a --data-root for main.py",
    )
    agreement = commands.add_parser("agreement", help="how well annotators agree")
    agreement.set_defaults(run=_agreement)
    agreement.add_argument(
        "exports",
        type=Path,
        nargs="+",
        metavar="EXPORT",
        help="JSON of Label Studio: one whose tasks several people have annotated, or one of each",
    )
    agreement.add_argument(
        "--annotators",
        nargs=2,
        metavar="NAME",
        help="two people, by numbers or addresses, of two exports one in each (default: of one "
        "export every two people, of two exports whoever has annotated a task)",
    )
    agreement.add_argument(
        "--json", type=file_to_write, metavar="FILE", help="write the scores, in percent"
    )
    for command in (export, import_, agreement):
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


def _agreement(options: argparse.Namespace) -> None:
    exports, annotators = options.exports, options.annotators
    if len(exports) > 2 or len(set(exports)) < len(exports):
        found = ", ".join(map(str, exports))
        raise InputError(f"found the exports {found}, expected one, or two that differ")
    if len(exports) == 1:
        sides = _annotators_of(exports[0], annotators, skip_bad_records=options.skip_bad_records)
    else:
        names = annotators or (None, None)
        sides = {
            str(path): _annotations_of(path, name, skip_bad_records=options.skip_bad_records)
            for path, name in zip(exports, names, strict=True)
        }
    agreements = []
    for first, second in itertools.combinations(sides, 2):
        agreement = measure_agreement(sides[first], sides[second], (first, second))
        if agreement is None:
            names = map(escape_unprintable, (first, second))
            print("\n{} and {}: no text annotated by both".format(*names))
        else:
            print(f"\n{agreement.format()}")
            agreements.append(agreement.to_json())
    if not agreements:
        raise InputError("found no text that two people have annotated, expected some to compare")
    if options.json is not None:
        write_text(options.json, json.dumps({"pairs": agreements}, indent=2) + "\n")


def _annotators_of(
    path: Path, names: Sequence[str] | None, *, skip_bad_records: bool
) -> dict[str, Annotations]:
    """Read what each annotator of an export has labelled, all of them or those with the names."""
    if names is not None and len(set(names)) < len(names):
        raise InputError(f"--annotators: found {quote(names[0])} twice, expected two people")
    report = ReadReport("label_studio", str(path), skip_bad_records)
    found: dict[str, Annotations] = dict(read_annotators(path, report, names or ()))
    print("\n".join(report.lines()))
    for name in names or ():
        if name not in found:
            known = ", ".join(map(quote, found)) or "nobody"
            raise InputError(f"--annotators: {path} has annotations by {known}, not {quote(name)}")
    return {name: found[name] for name in names or found}


def _annotations_of(path: Path, name: str | None, *, skip_bad_records: bool) -> Annotations:
    """Read what an annotator of an export has labelled; of None whoever has annotated a task."""
    report = ReadReport("label_studio", str(path), skip_bad_records)
    narrations = read_annotations(path, report, name)
    print("\n".join(report.lines()))
    return {narration.id: narration for narration in narrations}


if __name__ == "__main__":
    run_command(main)
