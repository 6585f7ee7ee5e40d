"""Score chains: `python tools/score.py GOLD SYSTEM [SYSTEM ...]`, folders or files.

Folders hold one chain file a document (what scorch reads) and are paired by file name. Files are
chain files (`.json`), CorefUD files (`.conllu`), JSON lines, GAP, or else CoNLL-2012 files. With a
CorefUD file as gold they are scored as the CorefUD scorer does, and so are others with `--match`.
Of several systems the differences to the first are tested.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from evaluation.scored_files import is_corefud, read_corefud_sides, read_sides
from metrics.chain_files import ids_scorch_confuses
from metrics.coreference.certainty import (
    RunScores,
    SystemScores,
    compare_systems,
    format_comparisons,
    score_run,
    score_system,
)
from metrics.coreference.pairs import ChainsError
from metrics.corefud.documents import check_same_words, headless_note
from metrics.corefud.matching import MATCHINGS, ZERO_MATCHINGS, Matching, ZeroMatching
from metrics.corefud.scores import score_corefud
from metrics.subsets.files import (
    FILE_CRITERIA,
    score_corefud_subsets,
    score_pair_subsets,
)
from metrics.subsets.scores import SubsetScores
from utils.distributed.command import run_command
from utils.errors import InputError
from utils.files import write_text
from utils.options import add_subset_option, command_parser, file_to_write, whole_number_from
from utils.printable import escape_unprintable
from utils.text.conllu import ConlluError


def main(arguments: Sequence[str] | None = None) -> None:
    """Score what the command line names."""
    parser = _parser()
    options = parser.parse_args(arguments)
    names = _names_of_runs(options.systems, options.runs)
    if options.match_zeros and not is_corefud(options.gold):
        parser.error("--match-zeros: only CorefUD files (.conllu) have zero mentions")
    if options.match or is_corefud(options.gold):
        runs = _score_corefud(options)
    else:
        runs = _score_chains(options)
    systems = [score_system({name: runs[name] for name in of_system}) for of_system in names]
    if len(systems) == 1:
        content = systems[0].to_json()
        print(systems[0].format())
    else:
        content = compare_with_first(systems)
    if options.json:
        write_text(options.json, json.dumps(content, indent=2) + "\n")


def compare_with_first(systems: Sequence[SystemScores]) -> dict[str, Any]:
    """Print each system and the differences of the others to the first one, and return both."""
    for system in systems:
        print(f"{escape_unprintable(system.name)}\n\n{system.format()}\n")
    first, *others = systems
    differences = []
    for other in others:
        found = compare_systems(first, other)
        names = (escape_unprintable(system.name) for system in (other, first))
        print("{} less {}\n\n{}\n".format(*names, format_comparisons(found)))
        differences.append({way: comparison.to_json() for way, comparison in found.items()})
    return {
        "systems": [{"name": system.name, **system.to_json()} for system in systems],
        "differences": [
            {"name": other.name, "less": first.name, **difference}
            for other, difference in zip(others, differences, strict=True)
        ],
    }


def _names_of_runs(paths: Sequence[Path], runs: int) -> list[list[str]]:
    """Return the paths of each system's runs.

    Raises:
        InputError: a path stands there twice, or the paths are not so many times the runs.
    """
    names = [str(path) for path in paths]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"{twice[0]} is given twice, expected each system once")
    if len(names) % runs:
        raise InputError(f"--runs {runs}: {len(names)} paths are not so many runs of each system")
    return [names[first : first + runs] for first in range(0, len(names), runs)]


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "MUC, B3, CEAFm, CEAFe, BLANC, LEA and CoNLL, pooled over documents as the official scorer "
        "does and averaged as scorch does; with gold in a CorefUD file (.conllu) pooled as its "
        "scorer does, with MOR and the score of zeros. Files of words and chains (.conllu, "
        ".conll, .jsonl, .jsonlines, .tsv) can be of one format or of two.",
        prog="score.py",
    )
    parser.add_argument("gold", type=Path, help="a folder of chain files, or a file")
    parser.add_argument(
        "systems",
        type=Path,
        nargs="+",
        metavar="system",
        help="the same for the system; of several, differences to the first are tested",
    )
    parser.add_argument(
        "--runs",
        type=whole_number_from(1),
        default=1,
        metavar="N",
        help="every N paths are runs of one system, such as other seeds (1)",
    )
    parser.add_argument(
        "--json", type=file_to_write, metavar="FILE", help="write the scores, in percent"
    )
    parser.add_argument(
        "--without-singletons",
        action="store_true",
        help="score a second time without the chains of one mention",
    )
    add_subset_option(parser, FILE_CRITERIA)
    parser.add_argument(
        "--match",
        choices=MATCHINGS,
        help="match mentions as CorefUD does (with gold in a CorefUD file by default: head); "
        "without trees only exact",
    )
    parser.add_argument(
        "--match-zeros",
        choices=ZERO_MATCHINGS,
        help="how their zero mentions are: by what they depend on, or by where they stand "
        "(default: dependent)",
    )
    return parser


def _score_chains(options: argparse.Namespace) -> dict[str, RunScores]:
    """Score folders of chain files, chain files or files of documents, each by its path.

    Raises:
        InputError: a path is of another kind than gold's, or its documents are others.
    """
    runs = {}
    without = options.without_singletons
    for path in options.systems:
        (gold, system), pair = read_sides(options.gold, path)
        for note in pair.notes if pair else ():
            _note(note)
        try:
            run = score_run(gold, system, also_without_singletons=without, repeated_mentions=True)
        except ChainsError as error:
            raise ChainsError(f"{path}: {error}") from error
        if options.by:
            if pair is None:
                raise InputError(f"--by: {path} holds no words, expected a file that holds some")
            subsets = score_pair_subsets(pair, options.by, also_without_singletons=without)
            run = _with_subsets(run, subsets)
        runs[str(path)] = run
    if confused := ids_scorch_confuses(gold):
        _note(
            f"scorch itself may score {len(confused)} documents ({confused[0]!r} first) "
            "against the gold of others, as their names are patterns or begin other names"
        )
    return runs


def _score_corefud(options: argparse.Namespace) -> dict[str, RunScores]:
    """Score files as the CorefUD scorer does, each by its path.

    Raises:
        InputError: as `read_corefud_sides`, or the words of a file are others than gold's.
    """
    matching: Matching = options.match or "head"
    zero_matching: ZeroMatching = options.match_zeros or "dependent"
    without = options.without_singletons
    runs = {}
    told: list[str | None] = []
    sides = read_corefud_sides(options.gold, options.systems, matching)
    for path, (gold, system, notes) in zip(options.systems, sides, strict=True):
        try:
            check_same_words(gold, system)
        except ConlluError as error:
            raise ConlluError(f"{path}: {error}") from error
        run = score_corefud(
            gold, system, matching, zero_matching, also_without_singletons=without
        ).run
        if options.by:
            subsets = score_corefud_subsets(
                gold, system, options.by, matching, zero_matching, also_without_singletons=without
            )
            run = _with_subsets(run, subsets)
        runs[str(path)] = run
        told += notes
        if matching != "exact":
            told += [headless_note(str(options.gold), gold), headless_note(str(path), system)]
    for note in dict.fromkeys(filter(None, told)):
        _note(note)
    return runs


def _with_subsets(run: RunScores, subsets: SubsetScores) -> RunScores:
    """Return the scores of a run with those of its subsets."""
    content = {**run.content, "subsets": subsets.to_json()}
    return replace(run, content=content, table=f"{run.table}\n\n{subsets.format()}")


def _note(note: str) -> None:
    print(f"note: {note}", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
