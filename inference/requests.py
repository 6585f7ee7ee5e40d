"""The texts, mentions and images that predict.py is asked to resolve."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from data.files import BadRecord
from data.media.images import open_image
from data.mention_spans import checked_spans
from data.mentions.spacy_pipeline import find_spans
from data.readers.json_lines import read_json_lines
from data.readers.report import ReadReport, Record
from utils.errors import InputError
from utils.files import decode_text
from utils.json_files import is_text
from utils.printable import quote
from utils.text.spans import Span

if TYPE_CHECKING:
    from spacy.language import Language


@dataclass(frozen=True)
class Request:
    """A text to resolve.

    Attributes:
        place: where it stands, for errors.
        text: what is said.
        image: the image's file; None for a text alone.
        spans: its mentions as characters, the end exclusive; None where they are to be found.
        repeated: fields that the answer repeats, which say to which request it belongs.
    """

    place: str
    text: str
    image: Path | None = None
    spans: Sequence[Span] | None = None
    repeated: dict[str, Any] = field(default_factory=dict)


def read_text_request(text: str, image: Path | None) -> Request:
    """Make a request of the options `--text` and `--image`.

    Args:
        text: the text itself, @FILE for that of a file, or - for that of standard input.

    Raises:
        InputError: the text cannot be read, or the image is no file.
    """
    if image is not None and not image.is_file():
        raise InputError(f"--image: {image} is no file")
    repeated = {} if image is None else {"image": str(image)}
    return Request("--text", _read_text(text), image, repeated=repeated)


def read_requests(path: Path, report: ReadReport) -> list[Request]:
    """Read a file of requests, one JSON object a line.

    Raises:
        DataError: the file cannot be read.
        BadRecord: a line is wrong, and the report does not skip such.
    """
    requests = []
    for record in read_json_lines(path, report):
        try:
            requests.append(_request(record))
        except BadRecord as problem:
            report.refuse(problem)
    return requests


def with_spacy_mentions(requests: Sequence[Request], pipeline: Language) -> list[Request]:
    """Return the requests with the mentions that a spaCy pipeline finds where none are given."""
    texts = [request.text for request in requests if request.spans is None]
    found = find_spans(pipeline, texts)
    return [
        replace(request, spans=next(found)) if request.spans is None else request
        for request in requests
    ]


def open_images(
    requests: Sequence[Request], report: ReadReport
) -> list[tuple[Request, Image.Image | None]]:
    """Return requests with their images in RGB, without those whose image cannot be read.

    Raises:
        BadRecord: an image cannot be read, and the report does not skip such.
    """
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


def _read_text(text: str) -> str:
    """Return the text itself, or that of the file or standard input that it names."""
    if text != "-" and not text.startswith("@"):
        return text
    name = "standard input" if text == "-" else text[1:]
    try:
        content = sys.stdin.buffer.read() if text == "-" else Path(name).read_bytes()
        return decode_text(content).rstrip("\r\n")
    except OSError as error:
        raise InputError(f"--text: {name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"--text: {name} is not UTF-8: {error}") from error


def _request(record: Record) -> Request:
    text = record.take("text", str, "a text")
    if not is_text(text):
        raise record.bad(f"text {quote(text)}", "one that can be written as UTF-8")
    place = f"{record.path}: {record.name}"
    repeated: dict[str, Any] = {"line": int(record.name.removeprefix("line "))}
    image = spans = None
    if record.fields.get("image") is not None:
        repeated["image"] = record.take("image", str, "the path of a picture")
        image = record.path.parent / repeated["image"]
        if not image.is_file():
            raise record.bad(f"no file {image}", "a picture")
    if record.fields.get("mentions") is not None:
        try:
            spans = checked_spans(text, record.fields["mentions"])
        except InputError as error:
            raise BadRecord(f"{place}: {error}") from error
    return Request(place, text, image, spans, repeated)
