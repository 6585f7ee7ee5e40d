"""Find the heads of a split's mentions and chains with a trained model, and score both.

The chains with their heads go into `<output>/heads/<split>.json`.

    python test_alignment.py --save_name saved/RUN/models.pt --data-root datasets/tiktalkcoref/celeb
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

from data.loading.loader import workers_explained
from evaluation.head_alignment import (
    ChainFinder,
    each_alone,
    gold_chains_of,
    gold_headed_chains,
    headed_chains,
    predicted_chains,
    searches_in_dialogues,
    searches_in_split,
    with_heads,
)
from inference.resolution import Resolution
from inference.resolver import Resolver
from inference.split_predictions import (
    ResolvedSplit,
    resolve_split,
    resolver_for_test,
)
from metrics.alignment_scores import (
    HeadedChain,
    format_joint,
    format_retrieval,
    score_joint,
    score_retrieval,
)
from utils.device import choose_device
from utils.distributed.command import run_command
from utils.distributed.ranks import process_group
from utils.errors import InputError
from utils.files import write_text
from utils.options import add_data_options, add_test_options, command_parser
from visualization.heads_page import write_heads_page

SEARCHES = {
    "the heads of the dialogue": searches_in_dialogues,
    "all heads of the split": searches_in_split,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Align and score."""
    parser = command_parser("Alignment with heads by a trained model.")
    add_data_options(parser)
    add_test_options(parser)
    options = parser.parse_args(arguments)
    device = choose_device(options.device)
    with process_group(device), workers_explained():
        resolver = resolver_for_test(options, device)
        if resolver.config.alignment == "off":
            raise InputError(f"{options.save_name} was trained without --align: it finds no heads")
        split = resolve_split(resolver, options)
        if split is not None:
            write_and_score(split, resolver, options)


def write_and_score(split: ResolvedSplit, resolver: Resolver, options: argparse.Namespace) -> None:
    """Write the chains of a resolved split with their heads, and print and write their scores.

    Raises:
        InputError: the split has no heads.
    """
    resolutions = with_heads(split.resolutions)
    if not resolutions:
        raise InputError(f"{split.name} has no heads: prepare.py heads makes them")
    by_chain = resolver.config.alignment == "chain"
    chains_of = predicted_chains(resolver.thresholds.link)
    scores: dict[str, Any] = {}
    if split.mentions == "gold":
        scores["retrieval"] = retrieval(resolutions, chains_of, by_chain=by_chain)
    if resolver.thresholds.head is None:
        print(
            f"\nno joint score: {options.save_name} was trained with --held-out 0, so it is not "
            "known above which cosine a chain has a head"
        )
    else:
        scores["joint"] = joint(split, resolutions, resolver, options)
    if options.json is not None:
        write_text(options.json, json.dumps(scores, indent=2) + "\n")
        print(f"\nwrote the scores to {options.json}")


def joint(
    split: ResolvedSplit,
    resolutions: Sequence[Resolution],
    resolver: Resolver,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Write predicted chains with their heads, and their page where it is asked for; print how many
    are right in both, and give it.
    """
    system = headed_chains(
        resolutions,
        predicted_chains(resolver.thresholds.link),
        by_chain=resolver.config.alignment == "chain",
        threshold=resolver.thresholds.head,
    )
    path = options.output / "heads" / f"{split.folder}.json"
    write_text(path, json.dumps(describe(resolutions, system), indent=1, ensure_ascii=False) + "\n")
    print(f"\nwrote the chains and heads of {len(resolutions)} dialogues to {path}")
    known = {resolution.narration.id for resolution in resolutions}
    gold = gold_headed_chains([n for n in split.narrations if n.id in known])
    found = score_joint(gold, system)
    print(
        f"\nchains with exactly their mentions and their head, {split.mentions} mentions; a head "
        f"above a cosine of {resolver.thresholds.head:.2f}\n"
    )
    print(format_joint(found))
    if options.page is not None:
        f1 = {"chains and heads": found.overall.f1, "those with a head": found.headed.f1}
        shown = {**f1, "chains alone": found.mentions_alone.f1}
        percent = {name: 100 * part for name, part in shown.items()}
        write_heads_page(options, split, resolutions, gold, system, percent)
    return found.to_json()


def retrieval(
    resolutions: Sequence[Resolution], chains_of: ChainFinder, *, by_chain: bool
) -> dict[str, Any]:
    """Print how well the heads of gold mentions are found, and give it in percent."""
    compared: dict[str, ChainFinder] = {"its own vector": each_alone}
    if by_chain:
        compared = {"its gold chain": gold_chains_of, "its predicted chain": chains_of}
    scores: dict[str, Any] = {}
    for candidates, search in SEARCHES.items():
        for vector, of_vector in compared.items():
            found = score_retrieval(search(resolutions, of_vector))
            print(f"\nheads of gold mentions, in percent, by {vector}; of {candidates}\n")
            print(format_retrieval(found))
            scores.setdefault(candidates, {})[vector] = found.to_json()
    return scores


def describe(
    resolutions: Sequence[Resolution], system: Mapping[str, Sequence[HeadedChain]]
) -> list[dict[str, Any]]:
    """The chains of each dialogue with the boxes of their heads, relative to the frame."""
    described = []
    for resolution in resolutions:
        narration, boxes = resolution.narration, resolution.regions_xyxy.tolist()
        chains = [
            {
                "mentions": [
                    {"start": start, "end": end, "text": narration.text[start:end]}
                    for start, end in sorted(chain.mentions)
                ],
                "head": chain.head,
                "box_xyxy": None
                if chain.head is None
                else [round(x, 5) for x in boxes[chain.head]],
            }
            for chain in system[narration.id]
        ]
        described.append({"id": narration.id, "chains": chains})
    return described


if __name__ == "__main__":
    run_command(main)
