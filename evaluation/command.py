"""What the commands share that test a checkpoint on a split."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import fields

from data.loading.loader import worker_errors_explained
from inference.resolver import Resolver
from inference.split_predictions import (
    SplitPredictions,
    TestOptions,
    predict_split,
    resolver_for_test,
)
from utils.device import choose_device
from utils.distributed.ranks import process_group
from utils.options import add_data_options, add_test_options, command_parser

Score = Callable[[SplitPredictions, Resolver, argparse.Namespace], None]


def run_test_command(
    arguments: Sequence[str] | None,
    description: str,
    score: Score,
    *,
    add_options: Callable[[argparse.ArgumentParser], None] | None = None,
    check: Callable[[Resolver, argparse.Namespace], None] | None = None,
) -> None:
    """Run a test command: load the checkpoint, resolve the split, score what it predicts.

    Args:
        arguments: of the command line; None for those of the process.
        description: what `--help` says of the command.
        score: writes and scores the predictions, on the first rank alone.
        add_options: adds the options that this command alone has.
        check: refuses a checkpoint that the command cannot test, before the split is read.

    Raises:
        InputError: the checkpoint or the split cannot be used.
    """
    parser = command_parser(description)
    add_data_options(parser)
    add_test_options(parser)
    if add_options is not None:
        add_options(parser)
    options = parser.parse_args(arguments)
    device = choose_device(options.device)
    with process_group(device), worker_errors_explained():
        of_test = _options_of_test(options)
        resolver = resolver_for_test(of_test, device)
        if check is not None:
            check(resolver, options)
        split = predict_split(resolver, of_test)
        if split is not None:
            score(split, resolver, options)


def _options_of_test(options: argparse.Namespace) -> TestOptions:
    """Take what was given; options of the configuration are absent where they were not."""
    names = {field.name for field in fields(TestOptions)}
    return TestOptions(**{name: value for name, value in vars(options).items() if name in names})
