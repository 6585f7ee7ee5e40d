"""Score chains: `python tools/score.py GOLD SYSTEM`, two folders or two files.

Folders hold one chain file a document (what scorch reads) and are paired by file name. Two files
are two chain files (`.json`), two CorefUD files (`.conllu`) or two CoNLL-2012 files.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from metrics.chain_files import (
    ids_scorch_confuses,
    read_chain_file,
    read_chain_folder,
)
from metrics.chains import Chains
from metrics.conll_files import read_conll_pair
from metrics.coreference_scores import (
    format_scores,
    score_chains,
)
from metrics.corefud.documents import check_same_words, read_corefud
from metrics.corefud.matching import MATCHINGS, ZERO_MATCHINGS
from metrics.corefud.scores import format_corefud, score_corefud
from utils.distributed.command import run_command
from utils.errors import InputError
from utils.files import write_text
from utils.options import command_parser
from utils.text.conllu_files import ENDINGS as CONLLU_ENDINGS


def main(arguments: Sequence[str] | None = None) -> None:
    """Score what the command line names."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if any(path.name.endswith(CONLLU_ENDINGS) for path in (options.gold, options.system)):
        _score_corefud(options)
        return
    if options.match or options.match_zeros:
        parser.error("--match and --match-zeros are for CorefUD files (.conllu)")
    gold, system = _read_pair(options.gold, options.system)
    scores = score_chains(
        gold,
        system,
        also_without_singletons=options.without_singletons,
        repeated_mentions=True,
    )
    if options.json:
        write_text(options.json, json.dumps(scores.to_json(), indent=2) + "\n")
    print(format_scores(scores))
    if confused := ids_scorch_confuses(gold):
        print(
            f"note: scorch itself may score {len(confused)} documents ({confused[0]!r} first) "
            "against the gold of others, as their names are patterns or begin other names",
            file=sys.stderr,
        )


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "MUC, B3, CEAFm, CEAFe, BLANC, LEA and CoNLL, pooled over documents as the "
        "official scorer does and averaged as scorch does.",
        prog="score.py",
    )
    parser.add_argument("gold", type=Path, help="a folder of chain files, or a file")
    parser.add_argument("system", type=Path, help="the same for the system")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the scores, in percent")
    parser.add_argument(
        "--without-singletons",
        action="store_true",
        help="score a second time without the chains of one mention",
    )
    parser.add_argument(
        "--match",
        choices=MATCHINGS,
        help="how mentions of CorefUD files are matched (default: head)",
    )
    parser.add_argument(
        "--match-zeros",
        choices=ZERO_MATCHINGS,
        help="how their zero mentions are: by what they depend on, or by where they stand "
        "(default: dependent)",
    )
    return parser


def _score_corefud(options: argparse.Namespace) -> None:
    """Score two CorefUD files.

    Raises:
        InputError: only one of them is such a file, or their words differ.
    """
    files = options.gold, options.system
    if not all(path.name.endswith(CONLLU_ENDINGS) for path in files):
        found = "one is a CorefUD file (.conllu) and the other is not"
        raise InputError(f"{files[0]} and {files[1]}: {found}")
    gold, system = map(read_corefud, files)
    check_same_words(gold, system)
    scores = score_corefud(
        gold,
        system,
        options.match or "head",
        options.match_zeros or "dependent",
        also_without_singletons=options.without_singletons,
    )
    if options.json:
        write_text(options.json, json.dumps(scores.to_json(), indent=2) + "\n")
    print(format_corefud(scores))
    for side, documents in (("gold", gold), ("system", system)):
        headless = sum(document.headless for document in documents)
        if headless and scores.matching != "exact":
            print(
                f"note: {headless} mentions of {side} have no head, in the file or in the tree: "
                "they are matched only with mentions of the same words",
                file=sys.stderr,
            )


def _read_pair(
    gold: Path, system: Path
) -> tuple[Mapping[str, Chains[Hashable]], Mapping[str, Chains[Hashable]]]:
    """Read the chains of both sides by document; say what is scored otherwise than it stands.

    Raises:
        InputError: one path is a folder and the other is not, or only one is a chain file.
    """
    for path in (gold, system):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
    if gold.is_dir() != system.is_dir():
        raise InputError(f"{gold} and {system}: one is a folder and the other is not")
    if gold.is_dir():
        return read_chain_folder(gold), read_chain_folder(system)
    if (gold.suffix == ".json") != (system.suffix == ".json"):
        raise InputError(f"{gold} and {system}: one is a chain file (.json) and the other is not")
    if gold.suffix == ".json":
        return {gold.stem: read_chain_file(gold)}, {gold.stem: read_chain_file(system)}
    pair = read_conll_pair(gold, system)
    for note in pair.notes:
        print(f"note: {note}", file=sys.stderr)
    return pair.gold, pair.system


if __name__ == "__main__":
    run_command(main)
