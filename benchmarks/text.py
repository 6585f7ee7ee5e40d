"""Time texts from their characters to the answer, with the mentions that the model finds.

    python benchmarks/text.py --save_name saved/RUN/models.pt
    python benchmarks/text.py --save_name saved/RUN/models.pt --characters 100000 1000000

The texts are those of the test split of the data set that the model was trained on. What they take
is compared with one pass of the whole published encoder over the same word-pieces in the same
windows. `--characters` adds texts of that many characters: the same ones joined, again and again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from transformers import AutoConfig

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.figures import add_json_option, write_figures
from benchmarks.measuring import add_device_options, peak_gb_of, set_up, time_of
from data.encoding.tokenizer import Tokenizer
from data.loading.collate import pad
from data.readers import get_reader, read_narrations
from inference.resolver import Resolver
from models.text_encoder import TextEncoder, text_encoder_from_pretrained
from models.windows import Texts
from utils.distributed.command import run_command
from utils.errors import InputError
from utils.options import command_parser, whole_number_from
from utils.pretrained import locate_encoder

_BATCH = 32


@dataclass(frozen=True)
class LongText:
    """What a text of many characters costs.

    Attributes:
        characters: of the text.
        mentions: that were found.
        seconds: from the text to the answer.
        peak_gb: memory of the process, or of the GPU, at most until then.
        answer_mb: of the answer as JSON.
    """

    characters: int
    mentions: int
    seconds: float
    peak_gb: float
    answer_mb: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line says."""
    options = _parser().parse_args(arguments)
    device, precision = set_up(options)
    resolver = Resolver.from_checkpoint(options.save_name, device, precision)
    dataset = get_reader(resolver.config.dataset)
    root = Path(options.data_root or resolver.config.data_root)
    reading = read_narrations(resolver.config.dataset, root, dataset.test_split)
    texts = [narration.text for narration in reading.narrations]
    if not any(texts):
        raise InputError(f"{root}: the test split has no text, expected some to time")
    encoder = _whole_encoder(resolver.config.text_encoder, device)

    def answer() -> None:
        for resolution in resolver(None, texts, batch=_BATCH):
            json.dumps(resolution.to_dict())

    def encode() -> None:
        _encode(encoder, resolver.tokenizer, texts, precision)

    # In turn, so that both meet the same machine; each runs once before it is timed.
    timed = [(time_of(answer, device), time_of(encode, device)) for _ in range(1 + options.repeats)]
    seconds, encoder_seconds = (median(of_one) for of_one in zip(*timed[1:], strict=True))
    ratio = seconds / encoder_seconds
    print(
        f"{len(texts)} texts of {sum(map(len, texts))} characters: {seconds:.2f} s, "
        f"{ratio:.2f} times the {encoder_seconds:.2f} s of the whole encoder"
    )
    long_texts = [_time_long(resolver, texts, size) for size in options.characters]
    for found in long_texts:
        print(
            f"a text of {found.characters} characters, {found.mentions} mentions: "
            f"{found.seconds:.1f} s, at most {found.peak_gb:.2f} GB, an answer of "
            f"{found.answer_mb:.2f} MB"
        )
    figures = {
        "encoder_ratio": ratio,
        "seconds": seconds,
        "encoder_seconds": encoder_seconds,
        "long_texts": [asdict(found) for found in long_texts],
    }
    write_figures(options.json, figures)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("Time texts, from characters to answers.", prog="text.py")
    number = whole_number_from(1)
    parser.add_argument(
        "--save_name",
        type=Path,
        required=True,
        metavar="CHECKPOINT",
        help="saved/RUN/models.pt, of a model that finds mentions",
    )
    parser.add_argument("--data-root", metavar="FOLDER", help="where its data set lies now")
    parser.add_argument(
        "--characters",
        type=number,
        nargs="+",
        default=[],
        metavar="N",
        help="time texts of so many characters too; memory is told right where they grow",
    )
    add_device_options(parser)
    parser.add_argument("--repeats", type=number, default=3, help="runs that are timed")
    add_json_option(parser)
    return parser


def _whole_encoder(name: str, device: torch.device) -> TextEncoder:
    """Load all layers of the encoder that a model was built of."""
    layers = AutoConfig.from_pretrained(locate_encoder(name)).num_hidden_layers
    encoder, _ = text_encoder_from_pretrained(name, layers, 0, 0.0, 0.0)
    return encoder.to(device).eval()


@torch.inference_mode()
def _encode(
    encoder: TextEncoder, tokenizer: Tokenizer, texts: Sequence[str], precision: torch.dtype
) -> None:
    """Let texts go through an encoder once, as many together as in a resolver, in windows."""
    device = next(encoder.parameters()).device
    with torch.autocast(device.type, precision, enabled=precision != torch.float32):
        for start in range(0, len(texts), _BATCH):
            encoded = [tokenizer.encode(text)[0] for text in texts[start : start + _BATCH]]
            ids, mask = pad(encoded, tokenizer.pad_id)
            encoder(Texts(ids.to(device), mask.to(device), tuple(map(len, encoded))))


def _time_long(resolver: Resolver, texts: Sequence[str], characters: int) -> LongText:
    """Time one long text, made of others, that was not warmed up for."""
    joined = "\n".join(texts)
    text = ("\n".join([joined] * (characters // len(joined) + 1)))[:characters]
    answers: list[str] = []
    mentions: list[int] = []

    def answer() -> None:
        for resolution in resolver(None, [text]):
            mentions.append(len(resolution.mentions))
            answers.append(json.dumps(resolution.to_dict()))

    seconds = time_of(answer, resolver.device)
    peak = peak_gb_of(resolver.device)
    return LongText(characters, sum(mentions), seconds, peak, sum(map(len, answers)) / 1e6)


if __name__ == "__main__":
    run_command(main)
