"""Find the heads of a split's mentions and chains with a trained model, and score both.

The chains with their heads go into `<output>/heads/<split>.json`.

    python test_alignment.py --save_name saved/RUN/models.pt --data-root datasets/tiktalkcoref/celeb
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.command import run_test_command
from evaluation.head_alignment import (
    ChainFinder,
    gold_chains_of,
    gold_headed_chains,
    headed_chains,
    resolutions_with_heads,
    searches_in_dialogues,
    searches_in_split,
    singleton_chains_of,
    system_chains_at,
)
from inference.resolution import Resolution
from inference.resolver import Resolver
from inference.split_predictions import SplitPredictions
from metrics.alignment_scores import (
    SHOWN_JOINT_SCORES,
    SHOWN_RECALLS,
    HeadedChain,
    format_joint,
    format_retrieval,
    score_joint,
    score_retrieval,
    tally_joint,
    tally_retrieval,
)
from metrics.certainty import estimate, format_certainty
from utils.distributed.command import run_command
from utils.errors import InputError
from utils.files import write_text
from visualization.heads_page import write_heads_page

SEARCHES = {
    "the heads of the dialogue": searches_in_dialogues,
    "all heads of the split": searches_in_split,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Align and score."""
    description = "Alignment with heads by a trained model."
    run_test_command(arguments, description, write_and_score_heads, check=check_alignment)


def check_alignment(resolver: Resolver, options: argparse.Namespace) -> None:
    """Refuse a model that aligns nothing."""
    if resolver.config.alignment == "off":
        raise InputError(f"{options.save_name} was trained without --align: it finds no heads")


def write_and_score_heads(
    split: SplitPredictions, resolver: Resolver, options: argparse.Namespace
) -> None:
    """Write the chains of a split with their heads, and print and write their scores.

    Raises:
        InputError: the split has no heads.
    """
    resolutions = resolutions_with_heads(split.resolutions)
    if not resolutions:
        raise InputError(f"{split.name} has no heads: prepare.py heads makes them")
    by_chain = resolver.config.alignment == "chain"
    chains_of = system_chains_at(resolver.thresholds.link)
    scores: dict[str, Any] = {}
    certainty: dict[str, Any] = {}
    if split.mentions == "gold":
        scores["retrieval"], certainty["retrieval"] = retrieval(
            resolutions, chains_of, by_chain=by_chain
        )
    if resolver.thresholds.head is None:
        print(
            f"\nno joint score: {options.save_name} was trained with --held-out 0, so it is not "
            "known above which cosine a chain has a head"
        )
    else:
        system = headed_chains(
            resolutions, chains_of, by_chain=by_chain, threshold=resolver.thresholds.head
        )
        scores["joint"], certainty["joint"] = joint(
            split, resolutions, system, resolver.thresholds.head, options
        )
    if options.json is not None:
        write_text(options.json, json.dumps({**scores, "certainty": certainty}, indent=2) + "\n")
        print(f"\nwrote the scores to {options.json}")


def joint(
    split: SplitPredictions,
    resolutions: Sequence[Resolution],
    system: Mapping[str, Sequence[HeadedChain]],
    threshold: float,
    options: argparse.Namespace,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the predicted chains with their heads, and print how many are right in both.

    Args:
        resolutions: of the dialogues whose heads were read.
        system: their predicted chains.
        threshold: the cosine above which a chain has a head.

    Returns:
        The scores in percent, and their certainty.
    """
    path = options.output / "heads" / f"{split.folder}.json"
    content = [headed_chains_to_json(r, system[r.narration.id]) for r in resolutions]
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    print(f"\nwrote the chains and heads of {len(resolutions)} dialogues to {path}")
    known = {resolution.narration.id for resolution in resolutions}
    gold = gold_headed_chains([n for n in split.narrations if n.id in known])
    found = score_joint(gold, system)
    print(
        f"\nchains with exactly their mentions and their head, {split.mentions} mentions; a head "
        f"above a cosine of {threshold:.2f}\n"
    )
    print(format_joint(found))
    certainty = estimate([tally_joint(gold, system)])
    print(f"\n{format_certainty('F1', certainty, SHOWN_JOINT_SCORES)}")
    if options.page is not None:
        write_heads_page(options.page, split, resolutions, gold, system, found, certainty)
    return found.to_json(), certainty.to_json()


def retrieval(
    resolutions: Sequence[Resolution], chains_of: ChainFinder, *, by_chain: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Print how well the heads of gold mentions are found; return it in percent, and how surely."""
    compared: dict[str, ChainFinder] = {"its own vector": singleton_chains_of}
    if by_chain:
        compared = {"its gold chain": gold_chains_of, "its predicted chain": chains_of}
    scores: dict[str, Any] = {}
    certainty: dict[str, Any] = {}
    for candidates, search in SEARCHES.items():
        for vector, of_vector in compared.items():
            searches = list(search(resolutions, of_vector))
            found = score_retrieval(searches)
            print(f"\nheads of gold mentions, in percent, by {vector}; of {candidates}\n")
            print(format_retrieval(found))
            scores.setdefault(candidates, {})[vector] = found.to_json()
            if searches:
                of_all = estimate([tally_retrieval(searches)])
                print(f"\n{format_certainty('all', of_all, SHOWN_RECALLS)}")
                certainty.setdefault(candidates, {})[vector] = of_all.to_json()
    return scores, certainty


def headed_chains_to_json(resolution: Resolution, chains: Sequence[HeadedChain]) -> dict[str, Any]:
    """Return the chains of a dialogue with the boxes of their heads, relative to the frame."""
    narration, boxes = resolution.narration, resolution.regions_xyxy.tolist()
    content = [
        {
            "mentions": [
                {"start": start, "end": end, "text": narration.text[start:end]}
                for start, end in sorted(chain.mentions)
            ],
            "head": chain.head,
            "box_xyxy": None if chain.head is None else [round(x, 5) for x in boxes[chain.head]],
        }
        for chain in chains
    ]
    return {"id": narration.id, "chains": content}


if __name__ == "__main__":
    run_command(main)
