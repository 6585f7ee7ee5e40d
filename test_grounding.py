"""Ground the mentions of a split with a trained model: narrative grounding accuracy.

The published command:

    python test_grounding.py --bbox-reg --use-phrase-mask --model_config configs/mcr_config.json
        --save_name saved/final_model/models_17.pt
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from engine import grounded_mentions, resolve_split, resolver_for_test
from evaluation.grounding_scores import format_grounding, score_grounding
from utils.errors import InputError, run_command
from utils.files import write_text
from utils.options import add_data_options, add_test_options


def main(arguments: Sequence[str] | None = None) -> None:
    """Ground and score."""
    parser = argparse.ArgumentParser(description="Narrative grounding with a trained model.")
    add_data_options(parser)
    add_test_options(parser)
    options = parser.parse_args(arguments)
    resolver = resolver_for_test(options)
    split = resolve_split(resolver, options)
    if not split.boxes_known:
        raise InputError(f"{split.name} has no mention with a box: there is nothing to ground")
    scores = score_grounding(grounded_mentions(split.resolutions))
    print("\ngold mentions that have a box; percent right at an IoU of at least 0.5\n")
    print(format_grounding(scores))
    if options.json is not None:
        write_text(options.json, json.dumps(scores.to_json(), indent=2) + "\n")
        print(f"\nwrote the scores to {options.json}")


if __name__ == "__main__":
    run_command(main)
