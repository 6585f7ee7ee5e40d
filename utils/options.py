"""Command-line options that several commands share."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Callable
from pathlib import Path

from utils.config import PRECISIONS

MENTION_SOURCES = ("gold", "predicted", "spacy")


def command_parser(description: str, *, prog: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of a command, which has `--help` and `--version` as every command has.

    Args:
        description: what the command does, in one sentence.
        prog: what the command is called; its file's name where this is not given.
    """
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument(
        "--version", action="version", version=_version(), help="show the version and exit"
    )
    return parser


def _version() -> str:
    """Return the name and the version of this software."""
    pyproject = Path(__file__).resolve().parent.parent / "pyproject.toml"
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    return f"{project['name']} {project['version']}"


def whole_number_from(least: int) -> Callable[[str], int]:
    """A type of options: whole numbers that are not below the least one."""

    def whole_number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"found {text!r}, expected a number from {least}")
        return int(text)

    return whole_number


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """What to read and how to run.

    An option that is a field of the configuration is absent where it is not given, so that the
    configuration file or the checkpoint speaks for it.
    """
    parser.add_argument(
        "--dataset",
        default=argparse.SUPPRESS,
        help="cin, vd_ref, vispro, litbank, conll or tiktalk",
    )
    parser.add_argument("--data-root", default=argparse.SUPPRESS, help="the data set's folder")
    parser.add_argument(
        "--sense2vec",
        default=argparse.SUPPRESS,
        metavar="FOLDER",
        help="sense2vec vectors for the words; to test, where those of the training lie now",
    )
    parser.add_argument(
        "--language", default=argparse.SUPPRESS, help="of the texts: en, zh or a JSON file"
    )
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
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--model_config", type=Path, default=None, help="a configuration file (configs/)"
    )
    parser.add_argument(
        "--use-phrase-mask",
        action="store_true",
        default=False,
        help="taken for the published command; padding of mentions is always masked",
    )


def add_test_options(parser: argparse.ArgumentParser) -> None:
    """What the two test commands take beside the data options."""
    parser.add_argument(
        "--save_name", type=Path, required=True, metavar="CHECKPOINT", help="saved/RUN/models.pt"
    )
    parser.add_argument("--split", default=None, help="by default the data set's test split")
    parser.add_argument(
        "--mentions",
        choices=MENTION_SOURCES,
        default="gold",
        help="what is resolved: the gold mentions, those that the model finds in the texts "
        "(main.py --detect-mentions), or those that a spaCy pipeline finds",
    )
    parser.add_argument(
        "--spacy-model",
        metavar="NAME_OR_PATH",
        help="of --mentions spacy: an installed spaCy pipeline or a folder",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("coref"), help="folder of what is predicted"
    )
    parser.add_argument(
        "--json", type=Path, default=None, metavar="FILE", help="write the scores, in percent"
    )
    parser.add_argument(
        "--page", type=Path, default=None, metavar="FILE", help="write an HTML page to look at"
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="of matrix products; auto: bfloat16 where the device multiplies it faster",
    )
    parser.add_argument(
        "--bbox-reg",
        action="store_true",
        default=False,
        dest="box_regression",
        help="insist that the checkpoint's box head was trained; the checkpoint decides its use",
    )
