"""Find the chains of mentions in texts of one's own, and their boxes in images.

    python predict.py --save_name saved/RUN/models.pt --text "A man holds a dog. He pets it."
    python predict.py --save_name saved/RUN/models.pt --jsonl texts.jsonl --page chains.html

The answer is a JSON object a line on standard output; docs/formats.md says what is in it.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

from data.encoding.left_out import LeftOut, left_out_lines
from data.encoding.word_vectors import WordVectors, look_up_words
from data.mentions.spacy_pipeline import DEFAULT_PIPELINE, load_pipeline
from data.narration import Narration
from data.readers.report import ReadReport
from features.detector_options import add_detector_options
from features.region_settings import RegionSettings, load_extractor
from inference.requests import (
    Request,
    open_images,
    read_requests,
    read_text_request,
    with_spacy_mentions,
)
from inference.resolver import LeftOutWarning, Resolver
from utils.device import choose_device
from utils.distributed.command import run_command
from utils.errors import InputError
from utils.files import write_text
from utils.options import command_parser, file_to_write, whole_number_from
from visualization.page import page_html
from visualization.page_content import PageText
from visualization.split_page import resolved_text


def main(arguments: Sequence[str] | None = None) -> None:
    """Read what is asked, resolve it, print the answers."""
    options = _parser().parse_args(arguments)
    _check_options(options)
    resolver = Resolver.from_checkpoint(options.save_name, options.device)
    report = ReadReport("requests", str(options.jsonl), options.skip_bad_records)
    if options.text is not None:
        requests = [read_text_request(options.text, options.image)]
    else:
        requests = read_requests(options.jsonl, report)
    requests = _with_mentions(requests, resolver, options)
    if any(request.image is not None for request in requests):
        extractor = load_extractor(
            _region_settings(options),
            resolver.regions_made_of,
            options.save_name,
            choose_device(options.device),
        )
        resolver.region_extractor = extractor.regions_of
    word_vectors = _look_up_words(requests, resolver, options)
    shown: list[PageText] = []
    counted: list[LeftOut] = []
    for start in range(0, len(requests), options.batch):
        opened = open_images(requests[start : start + options.batch], report)
        with warnings.catch_warnings():
            # It is said once, of all texts.
            warnings.simplefilter("ignore", LeftOutWarning)
            resolutions = resolver(
                [image for _, image in opened],
                [request.text for request, _ in opened],
                [request.spans for request, _ in opened],
                word_vectors=word_vectors,
                batch=options.batch,
            )
        for (request, image), resolution in zip(opened, resolutions, strict=True):
            counted.append(replace(resolution.left_out, narration=request.place))
            answer = resolution.to_dict(similarity=options.similarity)
            print(json.dumps({**request.repeated, **answer}), flush=True)
            if options.page is not None:
                title = ", ".join(f"{name} {value}" for name, value in request.repeated.items())
                shown.append(resolved_text(title or "text", resolution, image))
    if options.page is not None:
        write_text(options.page, page_html(shown))
    for line in left_out_lines(counted, resolver.config.mention_reach):
        print(f"warning: {line}", file=sys.stderr)
    if report.skipped:
        print("\n".join(report.lines()), file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("Chains of mentions in your own texts, and their boxes in pictures.")
    parser.add_argument(
        "--save_name", type=Path, required=True, metavar="CHECKPOINT", help="saved/RUN/models.pt"
    )
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--text", help="a text, @FILE, or - for standard input")
    asked.add_argument(
        "--jsonl",
        type=Path,
        metavar="FILE",
        help='an object a line: {"text": ..., "image": PATH, "mentions": [[start, end], ...]}, of '
        "which the last two may be missing; paths are seen from the file's folder",
    )
    parser.add_argument("--image", type=Path, metavar="FILE", help="the picture of --text")
    parser.add_argument(
        "--mentions",
        choices=("predicted", "spacy"),
        default="predicted",
        help="what finds the mentions where none are given: the model (main.py --detect-mentions), "
        "or a spaCy pipeline",
    )
    parser.add_argument(
        "--spacy-model",
        metavar="NAME_OR_PATH",
        help="the spaCy pipeline of --mentions spacy: an installed one or a folder",
    )
    parser.add_argument(
        "--similarity",
        action="store_true",
        help="put the scores of all pairs of mentions into the answers, not those of the best "
        "links alone; they grow with the square of the mentions",
    )
    parser.add_argument(
        "--page", type=file_to_write, metavar="FILE", help="write an HTML page of the answers too"
    )
    add_detector_options(
        parser.add_argument_group(
            "options of pictures",
            "the networks that made the regions of the training; they need not be given where the "
            "model says which",
        ),
        detector=None,
        trunk_weights=None,
    )
    parser.add_argument(
        "--sense2vec",
        metavar="FOLDER",
        help="the folder of the word vectors of the training, if it had some",
    )
    parser.add_argument(
        "--skip-bad-records",
        action="store_true",
        help="count the bad lines of --jsonl and go on without them",
    )
    parser.add_argument(
        "--batch",
        type=whole_number_from(1),
        default=32,
        help="texts that go through the model together (%(default)s)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    return parser


def _check_options(options: argparse.Namespace) -> None:
    if options.image is not None and options.jsonl is not None:
        raise InputError('--image: the pictures of --jsonl are in its lines, as "image"')
    if options.skip_bad_records and options.jsonl is None:
        raise InputError("--skip-bad-records: only --jsonl has records to skip")
    if options.spacy_model is not None and options.mentions != "spacy":
        raise InputError(f"--spacy-model finds nothing with --mentions {options.mentions}")


def _region_settings(options: argparse.Namespace) -> RegionSettings:
    return RegionSettings(
        detector=options.detector,
        detector_weights=options.detector_weights,
        trunk_weights=options.trunk_weights,
        size=options.size,
    )


def _with_mentions(
    requests: list[Request], resolver: Resolver, options: argparse.Namespace
) -> list[Request]:
    """Return the requests with the mentions that spaCy finds, where it is to find some.

    Raises:
        InputError: the model is to find mentions, and was not trained to.
    """
    unmarked = [request for request in requests if request.spans is None]
    if not unmarked:
        return requests
    if options.mentions == "spacy":
        pipeline = load_pipeline(options.spacy_model or DEFAULT_PIPELINE)
        return with_spacy_mentions(requests, pipeline)
    if not resolver.config.mention_detection:
        raise InputError(
            f"{unmarked[0].place}: no mentions are given, and {options.save_name} was not trained "
            "to find them (main.py --detect-mentions); --mentions spacy takes them from a spaCy "
            "pipeline"
        )
    return requests


def _look_up_words(
    requests: Sequence[Request], resolver: Resolver, options: argparse.Namespace
) -> WordVectors | None:
    config = resolver.config
    texts = [Narration(request.place, request.text) for request in requests]
    # Standard output is for the answers alone.
    with redirect_stdout(sys.stderr):
        return look_up_words(config, options.sense2vec or config.sense2vec, texts)


if __name__ == "__main__":
    run_command(main)
