"""Find the chains of mentions in texts of one's own, and their boxes in images.

    python predict.py --save_name saved/RUN/models.pt --text "A man holds a dog. He pets it."
    python predict.py --save_name saved/RUN/models.pt --jsonl texts.jsonl --page chains.html

The answer is a JSON object a line on standard output; docs/formats.md says what is in it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from PIL import Image

from data.encoding.word_vectors import WordVectors, look_up_words
from data.files import BadRecord, is_text
from data.media.images import open_image
from data.mention_spans import checked_spans
from data.mentions.spacy_pipeline import (
    DEFAULT_PIPELINE,
    find_spans,
    load_pipeline,
)
from data.narration import Narration
from data.readers.json_lines import read_json_lines
from data.readers.report import ReadReport, Record
from features.detector_options import (
    PUBLISHED_DETECTOR,
    PUBLISHED_TRUNK_WEIGHTS,
    add_detector_options,
)
from features.region_settings import RegionSettings
from inference.inputs import ImagesToRegions
from inference.resolution import Resolution
from inference.resolver import Resolver
from utils.device import choose_device
from utils.distributed.command import run_command
from utils.errors import InputError
from utils.files import write_text
from utils.options import command_parser, whole_number_from
from utils.printable import quote
from utils.text.spans import Span
from visualization.page import page_html
from visualization.page_content import (
    PageAnnotation,
    PageImage,
    PageText,
    image_uri,
)
from visualization.split_page import boxes_by_span


@dataclass(frozen=True)
class Request:
    """A text to resolve.

    Attributes:
        place: where it stands, for errors.
        text: what is said.
        image: the image's file; None for a text alone.
        spans: its mentions; None where they are to be found.
        named: what the answer repeats, so that it is known to which request it belongs.
    """

    place: str
    text: str
    image: Path | None = None
    spans: Sequence[Span] | None = None
    named: dict[str, Any] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read what is asked, resolve it, print the answers."""
    options = _parser().parse_args(arguments)
    _check_options(options)
    resolver = Resolver.from_checkpoint(options.save_name, options.device)
    report = ReadReport("requests", str(options.jsonl), options.skip_bad_records)
    requests = _with_mentions(read_requests(options, report), resolver, options)
    if any(request.image is not None for request in requests):
        resolver.region_extractor = make_extractor(options, resolver.regions_made_of)
    word_vectors = _look_up_words(requests, resolver, options)
    of_page: list[PageText] = []
    for start in range(0, len(requests), options.batch):
        opened = _with_images(requests[start : start + options.batch], report)
        resolutions = resolver(
            [image for _, image in opened],
            [request.text for request, _ in opened],
            [request.spans for request, _ in opened],
            word_vectors=word_vectors,
            batch=options.batch,
        )
        for (request, image), resolution in zip(opened, resolutions, strict=True):
            print(json.dumps({**request.named, **resolution.to_dict()}), flush=True)
            if options.page is not None:
                of_page.append(_page_text(request, image, resolution))
    if options.page is not None:
        write_text(options.page, page_html(of_page))
    if report.skipped:
        print("\n".join(report.lines()), file=sys.stderr)


def make_extractor(
    options: argparse.Namespace, made_of: Mapping[str, object] | None
) -> ImagesToRegions:
    """What finds the regions of images: what the options say, and else what made the regions that
    the model was trained on.

    Args:
        made_of: what is known of the latter.

    Raises:
        InputError: both are known and differ, neither says which weights the detector has, or they
            cannot be had.
    """
    names = (field.name for field in fields(RegionSettings))
    settings = RegionSettings(**{name: getattr(options, name, None) for name in names})
    device = choose_device(options.device)
    if made_of is not None:
        return settings.completed_by(made_of).load(device).regions_of
    if settings.detector_weights is None:
        raise InputError(
            "a picture takes a detector, and no --detector-weights are given; expected those that "
            "the regions of the training were made with"
        )
    print(
        f"warning: {options.save_name} does not say what made the regions that it was trained on; "
        "boxes and chains are right only where that was this detector",
        file=sys.stderr,
    )
    settings = replace(
        settings,
        detector=settings.detector or PUBLISHED_DETECTOR,
        trunk_weights=settings.trunk_weights or PUBLISHED_TRUNK_WEIGHTS,
    )
    return settings.load(device).regions_of


def read_requests(options: argparse.Namespace, report: ReadReport) -> list[Request]:
    """What the options ask to resolve.

    Raises:
        InputError: it cannot be read.
        BadRecord: a line is wrong, and such are not skipped.
    """
    if options.text is not None:
        named = {} if options.image is None else {"image": str(options.image)}
        if options.image is not None and not options.image.is_file():
            raise InputError(f"--image: {options.image} is no file")
        return [Request("--text", _read_text(options.text), options.image, named=named)]
    requests = []
    for record in read_json_lines(options.jsonl, report):
        try:
            requests.append(_request(record))
        except BadRecord as problem:
            report.refuse(problem)
    return requests


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
        help="of --mentions spacy: an installed spaCy pipeline or a folder",
    )
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="write an HTML page of the answers too"
    )
    add_detector_options(
        parser.add_argument_group(
            "of pictures",
            "what made the regions of the training, where the model says it; else to be given",
        ),
        detector=None,
        trunk_weights=None,
    )
    parser.add_argument(
        "--sense2vec",
        metavar="FOLDER",
        help="where the word vectors of the training lie now, if it had some",
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


def _read_text(text: str) -> str:
    """The text itself, or that of the file or standard input that it names."""
    if text != "-" and not text.startswith("@"):
        return text
    name = "standard input" if text == "-" else text[1:]
    try:
        content = sys.stdin.buffer.read() if text == "-" else Path(name).read_bytes()
        return content.decode("utf-8").rstrip("\r\n")
    except OSError as error:
        raise InputError(f"--text: {name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"--text: {name} is not UTF-8: {error}") from error


def _request(record: Record) -> Request:
    text = record.take("text", str, "a text")
    if not is_text(text):
        raise record.bad(f"text {quote(text)}", "one that can be written as UTF-8")
    place = f"{record.path}: {record.name}"
    named: dict[str, Any] = {"line": int(record.name.removeprefix("line "))}
    image = spans = None
    if record.fields.get("image") is not None:
        named["image"] = record.take("image", str, "the path of a picture")
        image = record.path.parent / named["image"]
        if not image.is_file():
            raise record.bad(f"no file {image}", "a picture")
    if record.fields.get("mentions") is not None:
        try:
            spans = checked_spans(text, record.fields["mentions"])
        except InputError as error:
            raise BadRecord(f"{place}: {error}") from error
    return Request(place, text, image, spans, named)


def _with_mentions(
    requests: Sequence[Request], resolver: Resolver, options: argparse.Namespace
) -> list[Request]:
    """The requests with the mentions that spaCy finds, where it is to find some."""
    unmarked = [request for request in requests if request.spans is None]
    if unmarked and options.mentions == "predicted" and not resolver.config.mention_detection:
        raise InputError(
            f"{unmarked[0].place}: no mentions are given, and {options.save_name} was not trained "
            "to find them (main.py --detect-mentions); --mentions spacy takes them from a spaCy "
            "pipeline"
        )
    if not unmarked or options.mentions == "predicted":
        return list(requests)
    texts = [request.text for request in unmarked]
    found = find_spans(load_pipeline(options.spacy_model or DEFAULT_PIPELINE), texts)
    return [
        replace(request, spans=next(found)) if request.spans is None else request
        for request in requests
    ]


def _look_up_words(
    requests: Sequence[Request], resolver: Resolver, options: argparse.Namespace
) -> WordVectors | None:
    config = resolver.config
    texts = [Narration(request.place, request.text) for request in requests]
    # Standard output is for the answers alone.
    with redirect_stdout(sys.stderr):
        return look_up_words(config, options.sense2vec or config.sense2vec, texts)


def _with_images(
    requests: Sequence[Request], report: ReadReport
) -> list[tuple[Request, Image.Image | None]]:
    """The requests with their images, without those whose image cannot be read."""
    opened = []
    for request in requests:
        image = None
        if request.image is not None:
            try:
                image = open_image(request.image)
            except InputError as error:
                report.refuse(BadRecord(f"{request.place}: {error}"))
                continue
        opened.append((request, image))
    return opened


def _page_text(request: Request, image: Image.Image | None, resolution: Resolution) -> PageText:
    spans = [(mention.start, mention.end) for mention in resolution.mentions]
    chains = [[spans[index] for index in chain] for chain in resolution.chains]
    return PageText(
        title=", ".join(f"{name} {value}" for name, value in request.named.items()) or "text",
        text=resolution.narration.text,
        system=PageAnnotation(chains, boxes_by_span(resolution)),
        images=() if image is None else (PageImage(image.size, image_uri(image)),),
    )


if __name__ == "__main__":
    run_command(main)
