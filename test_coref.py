"""Resolve the coreference of a split with a trained model: chain files and scores.

The published command:

    python test_coref.py --bbox-reg --use-phrase-mask --model_config configs/mcr_config.json
        --save_name saved/final_model/models_17.pt
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace

from evaluation.command import run_test_command
from evaluation.coreference_report import CoreferenceReport, score_coreference
from evaluation.corefud import check_matching, write_conllu_files
from evaluation.exports import write_conll_files, write_gold_chains, write_system_chains
from evaluation.gold_and_system import GoldAndSystem, gold_and_system
from evaluation.marked_texts import examples_of_errors, print_texts
from inference.resolver import Resolver
from inference.split_predictions import SplitPredictions
from metrics.corefud.matching import MATCHINGS
from metrics.subsets.scores import CRITERIA
from utils.distributed.command import run_command
from utils.errors import InputError
from utils.files import write_text
from utils.options import add_subset_option, folder_to_write, whole_number_from
from visualization.split_page import write_coreference_page


def main(arguments: Sequence[str] | None = None) -> None:
    """Resolve, write chain files, score."""
    description = "Coreference of a split with a trained model."
    run_test_command(
        arguments, description, write_and_score_chains, add_options=add_options, check=check_match
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this command alone takes."""
    parser.add_argument(
        "--conll",
        type=folder_to_write,
        default=None,
        metavar="FOLDER",
        help="write key.conll and response.conll, for the official scorers, and the predictions "
        "for files of CorefUD in files of the same names",
    )
    parser.add_argument(
        "--errors",
        type=whole_number_from(0),
        nargs="?",
        const=5,
        metavar="N",
        help="count what is wrong by sorts, with N examples of each (5 where N is not given)",
    )
    parser.add_argument(
        "--texts",
        type=whole_number_from(1),
        nargs="?",
        const=10,
        metavar="N",
        help="print the first N texts (10 where N is not given) with their chains marked",
    )
    parser.add_argument(
        "--singletons",
        choices=("keep", "drop"),
        default="keep",
        help="drop: chains of one mention are neither written nor scored, gold or predicted",
    )
    add_subset_option(parser, CRITERIA)
    parser.add_argument(
        "--match",
        choices=MATCHINGS,
        help="score a second time with mentions matched as CorefUD does; partial and head need "
        "the trees of --dataset corefud",
    )


def check_match(resolver: Resolver, options: argparse.Namespace) -> None:
    """Refuse a way to match mentions that the data set has no trees for."""
    check_matching(getattr(options, "dataset", resolver.config.dataset), options.match)


def write_and_score_chains(
    split: SplitPredictions, resolver: Resolver, options: argparse.Namespace
) -> None:
    """Write the chains of a split, and print and write their scores.

    Raises:
        InputError: scores are to be written, and the split has no gold chains.
    """
    sides, folder = gold_and_system(split, resolver.thresholds.link), split.folder
    lacking = "gold chains"
    if options.singletons == "drop":
        if any(sides.gold.values()):
            lacking = "gold chains of two mentions or more"
        sides, folder = sides.without_singletons(), f"{folder}-without-singletons"
    write_system_chains(options.output / "modelrefs" / folder, sides)
    if options.texts is not None:
        print_texts(sides, options.texts)
    report = None
    if any(sides.gold.values()):
        write_gold_chains(options.output / "gold_count" / folder, sides)
        report = score(split, sides, resolver.thresholds.link, options)
    else:
        sides = replace(sides, gold={})
        for name in ("json", "errors", "match"):
            if getattr(options, name) is not None:
                raise InputError(f"--{name}: {split.name} has no {lacking} to compare with")
        if options.conll is not None:
            write_conll_files(options.conll, sides.narrations, {"response": sides.system})
    if options.conll is not None:
        write_conllu_files(options.conll, split, sides)
    if options.page is not None:
        has_boxes = resolver.config.trains_grounding and split.has_boxes
        write_coreference_page(options.page, split, sides, report, has_boxes=has_boxes)
    if report is None:
        print(f"{split.name} has no {lacking}: nothing to score")


def score(
    split: SplitPredictions, sides: GoldAndSystem, threshold: float, options: argparse.Namespace
) -> CoreferenceReport:
    """Print and write how well the chains of a split are found, and return it."""
    labelled = sides.labelled
    if options.conll is not None:
        both = {"key": labelled.gold, "response": labelled.system}
        write_conll_files(options.conll, labelled.narrations, both)
    sorts, by, matching = options.errors is not None, options.by, options.match
    report = score_coreference(split, sides, threshold, with_errors=sorts, by=by, matching=matching)
    print(f"\n{report.format()}")
    if report.errors is not None and report.errors.found and options.errors:
        print(f"\n{examples_of_errors(labelled, report.errors, options.errors)}")
    if options.json is not None:
        write_text(options.json, json.dumps(report.to_json(), indent=2) + "\n")
        print(f"\nwrote the scores to {options.json}")
    return report


if __name__ == "__main__":
    run_command(main)
