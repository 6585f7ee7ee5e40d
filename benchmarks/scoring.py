"""Time all coreference scores of many documents and their intervals, beside scorch on some.

    python benchmarks/scoring.py

The documents are generated.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import scorch.scores

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.figures import add_json_option, write_figures
from metrics.certainty import SAMPLES, estimate
from metrics.chains import Chains, chains_from_labels
from metrics.coreference.scores import score_chains, tally_chains
from utils.distributed.command import run_command
from utils.options import command_parser, whole_number_from

SCORCH_DOCUMENTS = 200
DRAWN_DOCUMENTS = 1000
_SCORCH_SCORES = ("muc", "b_cubed", "ceaf_m", "ceaf_e", "blanc")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line says."""
    number = whole_number_from(1)
    parser = command_parser("Time coreference scores.", prog="scoring.py")
    parser.add_argument("--documents", type=number, default=10_000, help="how many")
    parser.add_argument("--mentions", type=number, default=20, help="of a document")
    add_json_option(parser)
    options = parser.parse_args(arguments)
    gold, system = make_chains(options.documents, options.mentions)
    seconds = seconds_of(lambda: score_chains(gold, system, also_without_singletons=True))
    drawn = list(gold)[:DRAWN_DOCUMENTS]
    tally = tally_chains({d: gold[d] for d in drawn}, {d: system[d] for d in drawn})
    drawing = seconds_of(lambda: estimate([tally]))
    some = list(gold)[:SCORCH_DOCUMENTS]
    ours = seconds_of(
        lambda: score_chains({d: gold[d] for d in some}, {d: system[d] for d in some})
    )

    def scorch_all() -> None:
        for document in some:
            score_with_scorch(gold[document], system[document])

    scorchs = seconds_of(scorch_all)
    print(
        f"{options.documents} documents of {options.mentions} mentions, all scores with and "
        f"without singletons: {seconds:.2f} s\n"
        f"{SAMPLES} samples of {len(drawn)} of them, the intervals of all scores with singletons: "
        f"{drawing:.2f} s\n"
        f"{len(some)} of them, with singletons alone: scorch takes {scorchs / ours:.2f} times as "
        "long, without LEA and the pooled scores"
    )
    figures = {
        "seconds": seconds,
        "interval_seconds": drawing,
        "scorch_ratio": scorchs / ours,
        "documents": options.documents,
        "mentions": options.mentions,
    }
    write_figures(options.json, figures)


def make_chains(
    documents: int, mentions: int
) -> tuple[dict[str, list[list[int]]], dict[str, list[list[int]]]]:
    """Make gold chains, and system chains that have a fifth of the mentions elsewhere."""
    random = np.random.default_rng(0)
    gold, system = {}, {}
    for document in map(str, range(documents)):
        labels = random.integers(0, mentions // 2 + 1, mentions)
        gold[document] = chains_from_labels(labels.tolist())
        moved = random.random(mentions) < 0.2
        labels[moved] = random.integers(0, mentions // 2 + 1, moved.sum())
        system[document] = chains_from_labels(labels.tolist())
    return gold, system


def score_with_scorch(gold: Chains[int], system: Chains[int]) -> None:
    """Compute all scores that scorch has, of one document."""
    clusters = [set(chain) for chain in gold], [set(chain) for chain in system]
    for name in _SCORCH_SCORES:
        getattr(scorch.scores, name)(*clusters)


def seconds_of(run: Callable[[], object]) -> float:
    """Measure the seconds of one run."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    run_command(main)
