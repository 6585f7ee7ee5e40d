"""docs/commands.md: what every command says of its options.

    python -m tests.support.commands_page

writes the page anew; a test compares it with what the commands say.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator
from unittest import mock

from tests.conftest import REPOSITORY

PAGE = REPOSITORY / "docs" / "commands.md"

_COMMANDS = (
    "main.py", "test_coref.py", "test_grounding.py", "test_alignment.py", "predict.py",
    "prepare.py",
)  # fmt: skip
_INTRODUCTION = """\
# The options of every command

What `--help` says. [The configuration](configuration.md) lists what a `--model_config` file may
hold; an option of the command line wins over it.
"""


class _Parsing(Exception):
    """A command is about to read its options."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def command_files() -> list[str]:
    """The commands' files, from the repository's root."""
    rooms = ("tools", "benchmarks", "experiments")
    files = [path for room in rooms for path in sorted((REPOSITORY / room).glob("*.py"))]
    return [
        *_COMMANDS,
        *(
            path.relative_to(REPOSITORY).as_posix()
            for path in files
            if "\ndef main(" in path.read_text(encoding="utf-8")
        ),
    ]


def parser_of(name: str) -> argparse.ArgumentParser:
    """What reads the options of a command.

    Args:
        name: the command's file, from the repository's root.
    """
    module = importlib.import_module(name.removesuffix(".py").replace("/", "."))

    def stop(parser: argparse.ArgumentParser, *_: object) -> None:
        raise _Parsing(parser)

    # The name is what the parser calls the command, and the width that of the page's lines.
    with (
        mock.patch.object(sys, "argv", [name]),
        mock.patch.object(argparse.ArgumentParser, "parse_args", stop),
    ):
        try:
            module.main([])
        except _Parsing as parsing:
            # The path of a tool has its folder's name too.
            parsing.parser.prog = name
            return parsing.parser
    raise AssertionError(f"{name} reads no options")


def with_subcommands(
    parser: argparse.ArgumentParser,
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """A parser and those of its sub-commands, each with the words that the command begins with."""
    yield parser.prog, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, part in action.choices.items():
                part.prog = f"{parser.prog} {name}"
                yield part.prog, part


def page_text() -> str:
    """The whole page."""
    parts = [_INTRODUCTION]
    with mock.patch.dict("os.environ", COLUMNS="110"):
        for name in command_files():
            for words, parser in with_subcommands(parser_of(name)):
                parts.append(f"## {words}\n\n```text\n{parser.format_help().strip()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page_text(), encoding="utf-8")
