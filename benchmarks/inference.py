"""Time resolving narrations with the published configuration.

    python benchmarks/inference.py
    python benchmarks/inference.py --batch 1

The whole way from narrations to links and boxes, as the test commands go it: tokenising, padding,
the model, and what is made of its output. Weights and data are generated.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.generated_data import GeneratedData, as_released, published_config, published_model
from benchmarks.measuring import add_options, measure, set_up
from benchmarks.operations import Sizes, forward_operations
from inference.resolver import Resolver
from utils.batch import Batch
from utils.distributed.command import run_command
from utils.options import command_parser
from utils.thresholds import Thresholds

_BATCHES = 8
_LEAST_NARRATIONS = 64


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line says."""
    parser = command_parser("Time inference.", prog="inference.py")
    add_options(parser, batch=32)
    options = parser.parse_args(arguments)
    device, precision = set_up(options)
    config = published_config()
    model = published_model(config).to(device).eval()
    batches = max(_BATCHES, math.ceil(_LEAST_NARRATIONS / options.batch))
    count = batches * options.batch
    data = GeneratedData(count)
    resolver = Resolver(model, data.tokenizer, config, Thresholds(0.8), precision)

    def resolve() -> None:
        for _ in resolver.resolve(data.narrations, data.store, batch=options.batch):
            pass

    released = as_released(data.batch(range(options.batch), masking=None))
    # Labels are encoded once for all narrations.
    operations = forward_operations(data.batch(range(count), masking=None), Sizes.of(model))
    measure(
        resolve,
        lambda: run_padded(resolver, released),
        operations,
        options,
        device,
        precision,
        batches=batches,
    ).report("inference", options.json)


@torch.inference_mode()
def run_padded(resolver: Resolver, batch: Batch) -> None:
    """Run the model on a batch that is padded as the released code pads it."""
    resolver.model(batch.to(resolver.device), resolver.precision)


if __name__ == "__main__":
    run_command(main)
