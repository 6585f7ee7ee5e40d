"""Command-line options that several commands share."""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

from utils.config import PRECISIONS, SETTINGS, Config
from utils.printable import quote

MENTION_SOURCES = ("gold", "predicted", "spacy")


def command_parser(description: str, *, prog: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of a command, which has `--help` and `--version` as every command has.

    Args:
        description: what the command does, in one sentence.
        prog: what the command is called; its file's name where this is not given.
    """
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument(
        "--version", action=_PrintVersion, nargs=0, help="show the version and exit"
    )
    return parser


class _PrintVersion(argparse.Action):
    """Print the name and the version of this software, and exit."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        pyproject = Path(__file__).resolve().parent.parent / "pyproject.toml"
        project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
        print(f"{project['name']} {project['version']}")
        parser.exit()


def default_processes() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def whole_number_from(least: int) -> Callable[[str], int]:
    """Return a type of options: whole numbers that are not below the least one."""

    def whole_number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"found {text!r}, expected a number from {least}")
        return int(text)

    return whole_number


def file_to_write(text: str) -> Path:
    """Return the path of a file to write, for an option; one that is there can be replaced.

    Raises:
        argparse.ArgumentTypeError: no file can be there, so that a command ends before its work.
    """
    path = _below_folders(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"found the folder {quote(text)}, expected a file")
    return path


def folder_to_write(text: str) -> Path:
    """Return the path of a folder to write into, for an option; it may be there or not.

    Raises:
        argparse.ArgumentTypeError: no folder can be there, so that a command ends before its work.
    """
    path = _below_folders(text)
    if os.path.lexists(path) and not path.is_dir():
        raise argparse.ArgumentTypeError(f"found the file {quote(text)}, expected a folder")
    return path


def _below_folders(text: str) -> Path:
    path = Path(text)
    above = next(filter(os.path.lexists, path.parents), None)
    if above is not None and not above.is_dir():
        raise argparse.ArgumentTypeError(
            f"found {quote(text)} below the file {quote(str(above))}, expected a folder there"
        )
    return path


def add_subset_option(parser: argparse.ArgumentParser, criteria: Sequence[str]) -> None:
    """Add what scores are split by.

    Args:
        criteria: what the command knows.
    """
    parser.add_argument(
        "--by",
        nargs="+",
        choices=criteria,
        default=(),
        help="split the scores, too: by genre or length of the documents, by kind of the mentions "
        "or their distance to the nearest antecedent",
    )


def add_config_options(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup, *names: str
) -> None:
    """Add the options of fields of the configuration.

    An option that is not given is absent, so that the configuration file or the checkpoint speaks
    for it.

    Args:
        names: of fields that have an option, in the order of `--help`.
    """
    kinds = get_type_hints(Config)
    defaults = {field.name: field.default for field in fields(Config)}
    for name in names:
        setting = SETTINGS[name]
        assert setting.option is not None
        if kinds[name] is bool:
            parser.add_argument(
                setting.option,
                action="store_false" if defaults[name] else "store_true",
                dest=name,
                default=argparse.SUPPRESS,
                help=setting.help,
            )
        else:
            parser.add_argument(
                setting.option,
                type=kinds[name],
                choices=setting.choices or None,
                dest=name,
                metavar=setting.metavar,
                default=argparse.SUPPRESS,
                help=setting.help,
            )


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add what to read and how to run."""
    add_config_options(parser, "dataset", "data_root", "sense2vec", "language")
    parser.add_argument(
        "--skip-bad-records",
        action="store_true",
        default=False,
        help="count bad records and go on without them",
    )
    parser.add_argument(
        "--batch",
        type=whole_number_from(1),
        default=argparse.SUPPRESS,
        help="narrations that go through the model together",
    )
    parser.add_argument(
        "--workers", type=whole_number_from(0), default=0, help="processes that read data ahead"
    )
    parser.add_argument(
        "--device", default="auto", help="device to compute on: auto, cpu, cuda or cuda:N"
    )
    parser.add_argument(
        "--model_config",
        type=Path,
        default=None,
        help="configuration file, such as those in configs/",
    )
    parser.add_argument(
        "--use-phrase-mask",
        action="store_true",
        default=False,
        help="has no effect: padding of mentions is always masked (the published command has it)",
    )


def add_test_options(parser: argparse.ArgumentParser) -> None:
    """Add what the test commands take beside the data options."""
    parser.add_argument(
        "--save_name",
        type=Path,
        required=True,
        metavar="CHECKPOINT",
        help="checkpoint to test: saved/RUN/models.pt",
    )
    parser.add_argument(
        "--split", default=None, help="split to test; by default the data set's test split"
    )
    parser.add_argument(
        "--mentions",
        choices=MENTION_SOURCES,
        default="gold",
        help="mentions to resolve: the gold ones, those that the model finds in the texts "
        "(main.py --detect-mentions), or those that a spaCy pipeline finds",
    )
    parser.add_argument(
        "--spacy-model",
        metavar="NAME_OR_PATH",
        help="spaCy pipeline of --mentions spacy: an installed one or a folder",
    )
    parser.add_argument(
        "--output", type=folder_to_write, default="coref", help="folder of the predictions"
    )
    parser.add_argument(
        "--json",
        type=file_to_write,
        default=None,
        metavar="FILE",
        help="file to write the scores to, in percent",
    )
    parser.add_argument(
        "--page",
        type=file_to_write,
        default=None,
        metavar="FILE",
        help="file to write an HTML page of the predictions to",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="precision of matrix products; auto: bfloat16 where the device multiplies it faster",
    )
    parser.add_argument(
        "--bbox-reg",
        action="store_true",
        default=False,
        dest="box_regression",
        help="insist that the checkpoint's box head was trained; the checkpoint decides its use",
    )
