"""Ground the mentions of a split with a trained model: boxes and narrative grounding accuracy.

The boxes go into `<output>/grounding/<split>.json`.

The published command:

    python test_grounding.py --bbox-reg --use-phrase-mask --model_config configs/mcr_config.json
        --save_name saved/final_model/models_17.pt
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from itertools import chain

from data.narration import are_boxes_known
from evaluation.command import run_test_command
from evaluation.gold_and_system import gold_and_system
from evaluation.grounding import boxes_to_json, grounded_by_span, with_gold_boxes
from inference.resolver import Resolver
from inference.split_predictions import SplitPredictions
from metrics.certainty import estimate, format_certainty
from metrics.grounding_scores import (
    SHOWN_SCORES,
    format_grounding,
    pronouns_of,
    score_grounding,
    tally_grounding,
)
from utils.distributed.command import run_command
from utils.errors import InputError
from utils.files import write_text
from visualization.split_page import write_grounding_page


def main(arguments: Sequence[str] | None = None) -> None:
    """Ground and score."""
    description = "Narrative grounding with a trained model."
    run_test_command(arguments, description, write_and_score_boxes, check=check_regions)


def check_regions(resolver: Resolver, options: argparse.Namespace) -> None:
    """Refuse a model that reads no regions."""
    if not resolver.config.use_regions:
        raise InputError(f"{options.save_name} reads texts alone: there is nothing to ground in")


def write_and_score_boxes(
    split: SplitPredictions, resolver: Resolver, options: argparse.Namespace
) -> None:
    """Write the boxes of a split, and print and write their scores.

    Raises:
        InputError: the split has no boxes or no regions, or an image cannot be read.
    """
    if not resolver.config.trains_grounding:
        print(f"warning: {options.save_name} was trained without --grounding and --traces")
    if not are_boxes_known(split.narrations):
        raise InputError(f"{split.name} has no mention with a box: there is nothing to ground")
    if not split.has_boxes:
        raise InputError(f"{split.name} has no regions: there is nothing to ground in")
    boxes = options.output / "grounding" / f"{split.folder}.json"
    found = [boxes_to_json(resolution) for resolution in with_gold_boxes(split)]
    write_text(boxes, json.dumps(found, indent=1) + "\n")
    print(f"wrote the boxes of {len(split.resolutions)} narrations to {boxes}")
    grounded = grounded_by_span(split).values()
    mentions = [[mention for _, mention in of_narration] for of_narration in grounded]
    pronouns = pronouns_of(split.language)
    scores = score_grounding(list(chain.from_iterable(mentions)), pronouns)
    certainty = estimate([tally_grounding(mentions, pronouns)])
    missed = "" if split.mentions == "gold" else "; what was not found is wrong"
    print(f"\ngold mentions that have a box; percent right at an IoU of at least 0.5{missed}\n")
    print(format_grounding(scores))
    print(f"\n{format_certainty('right boxes', certainty, SHOWN_SCORES)}")
    if options.json is not None:
        content = {**scores.to_json(), "certainty": certainty.to_json()}
        write_text(options.json, json.dumps(content, indent=2) + "\n")
        print(f"\nwrote the scores to {options.json}")
    if options.page is not None:
        sides = gold_and_system(split, resolver.thresholds.link)
        write_grounding_page(options.page, split, sides, scores, certainty)


if __name__ == "__main__":
    run_command(main)
