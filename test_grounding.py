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
from dataclasses import replace
from typing import Any

from data.loading.loader import workers_explained
from data.narration import with_truth
from evaluation.gold_and_system import compared, grounded_by_span
from evaluation.mention_matching import with_distinct_mentions
from inference.resolution import Resolution
from inference.split_predictions import (
    ResolvedSplit,
    resolve_split,
    resolver_for_test,
)
from metrics.grounding_scores import (
    format_grounding,
    pronouns_of,
    score_grounding,
)
from utils.device import choose_device
from utils.distributed.command import run_command
from utils.distributed.ranks import process_group
from utils.errors import InputError
from utils.files import write_text
from utils.options import add_data_options, add_test_options, command_parser
from visualization.split_page import page_title, write_page


def main(arguments: Sequence[str] | None = None) -> None:
    """Ground and score."""
    parser = command_parser("Narrative grounding with a trained model.")
    add_data_options(parser)
    add_test_options(parser)
    options = parser.parse_args(arguments)
    device = choose_device(options.device)
    with process_group(device), workers_explained():
        resolver = resolver_for_test(options, device)
        if not resolver.config.use_regions:
            raise InputError(
                f"{options.save_name} reads texts alone: there is nothing to ground in"
            )
        split = resolve_split(resolver, options)
        if split is None:
            return
        if not (resolver.config.grounding or resolver.config.use_traces):
            print(f"warning: {options.save_name} was trained without --grounding and --traces")
        write_and_score(split, resolver.thresholds.link, options)


def write_and_score(split: ResolvedSplit, threshold: float, options: argparse.Namespace) -> None:
    """Write the boxes of a resolved split, and print and write their scores.

    Args:
        threshold: of the chains on the page.

    Raises:
        InputError: the split has no boxes or no regions, or an image cannot be read.
    """
    if not split.boxes_known:
        raise InputError(f"{split.name} has no mention with a box: there is nothing to ground")
    if all(resolution.boxes_xyxy is None for resolution in split.resolutions):
        raise InputError(f"{split.name} has no regions: there is nothing to ground in")
    boxes = options.output / "grounding" / f"{split.folder}.json"
    described = [describe(resolution) for resolution in with_gold_boxes(split)]
    write_text(boxes, json.dumps(described, indent=1) + "\n")
    print(f"wrote the boxes of {len(split.resolutions)} narrations to {boxes}")
    mentions = grounded_by_span(split)
    scores = score_grounding(
        [mention for of_narration in mentions.values() for _, mention in of_narration],
        pronouns_of(split.language),
    )
    missed = "" if split.mentions == "gold" else "; what was not found is wrong"
    print(f"\ngold mentions that have a box; percent right at an IoU of at least 0.5{missed}\n")
    print(format_grounding(scores))
    if options.json is not None:
        write_text(options.json, json.dumps(scores.to_json(), indent=2) + "\n")
        print(f"\nwrote the scores to {options.json}")
    if options.page is not None:
        shown = {"boxes": scores.any_box.overall, "of nouns": scores.any_box.nouns}
        shown |= {"of pronouns": scores.any_box.pronouns, "best region": scores.oracle}
        write_page(
            options,
            split,
            compared(split, threshold),
            title=page_title("Grounding", split, options),
            scores={name: 100 * part for name, part in shown.items() if part is not None},
            has_boxes=True,
        )


def with_gold_boxes(split: ResolvedSplit) -> Sequence[Resolution]:
    """The resolutions; mentions that were found with the boxes of the gold mentions there."""
    if split.mentions == "gold":
        return split.resolutions
    return [
        replace(
            resolution,
            narration=with_truth(
                resolution.narration, with_distinct_mentions(narration, boxes_known=True)
            ),
        )
        for resolution, narration in zip(split.resolutions, split.narrations, strict=True)
    ]


def describe(resolution: Resolution) -> dict[str, Any]:
    """The mentions of a narration with their boxes, predicted and gold, relative to the image."""
    mentions = [
        {
            "phrase": mention.phrase,
            "start": mention.start,
            "end": mention.end,
            "box_xyxy": None if resolution.boxes_xyxy is None else box_of(resolution, index),
            "gold_boxes_xyxy": [[round(x, 5) for x in box] for box in mention.boxes_xyxy],
        }
        for index, mention in enumerate(resolution.narration.mentions)
    ]
    return {"id": resolution.narration.id, "mentions": mentions}


def box_of(resolution: Resolution, index: int) -> list[float]:
    """The predicted box of a mention, rounded to less than a pixel."""
    return [round(x, 5) for x in resolution.boxes_xyxy[index].tolist()]


if __name__ == "__main__":
    run_command(main)
