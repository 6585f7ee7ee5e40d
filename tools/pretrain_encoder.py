r"""Train a small text encoder of characters from nothing, for where no other can be had:

    python tools/pretrain_encoder.py --dataset tiktalk --data-root datasets/tiktalkcoref/all \
        --out saved/characters
    python main.py ... --text-encoder saved/characters

It learns to predict masked characters of the texts of the labelled split, and of those that come
with them, such as titles; no other split is read. More texts, one a line, come with `--texts`. The
folder is what transformers reads: a BERT with a tokenizer whose word-pieces are characters.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm
from transformers import (
    BertConfig,
    BertForMaskedLM,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from data.readers import DATASETS, get_reader, read_narrations
from utils.checkpointing.random_state import set_seeds
from utils.device import choose_device
from utils.distributed.command import run_command
from utils.errors import InputError
from utils.files import decode_text, folder_when_whole
from utils.options import command_parser, whole_number_from

PADDING, UNKNOWN, START, END, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIAL = (PADDING, UNKNOWN, START, END, MASK)
LONGEST_INPUT = 512
# Seen less often, a character is read as unknown, so that unknown ones are learned too.
_SEEN = 2
_MASKED = 0.15


def main(arguments: Sequence[str] | None = None) -> None:
    """Train an encoder and write its folder."""
    options = _parser().parse_args(arguments)
    if options.hidden % options.heads:
        raise InputError(f"--hidden {options.hidden}: expected a multiple of --heads")
    device = choose_device(options.device)
    set_seeds(options.seed)
    texts = read_texts(options.dataset, options.data_root, options.texts)
    with folder_when_whole(options.out) as unfinished:
        tokenizer = character_tokenizer(texts)
        print(f"{len(texts)} texts, {len(tokenizer)} characters that are known")
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=options.hidden,
            num_hidden_layers=options.layers,
            num_attention_heads=options.heads,
            intermediate_size=4 * options.hidden,
            max_position_embeddings=LONGEST_INPUT,
            pad_token_id=tokenizer.pad_token_id,
        )
        # transformers wraps the method in a way that hides its arguments.
        model = BertForMaskedLM(config).to(device)  # type: ignore[arg-type]
        pieces = [tokenizer.encode(text)[:LONGEST_INPUT] for text in texts]
        loss = train(model, tokenizer, pieces, options.steps, options.batch, options.lr)
        model.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
    print(f"saved {options.out}; loss of masked characters at the end {loss:.2f}")


def read_texts(dataset: str, data_root: Path, further: Sequence[Path]) -> list[str]:
    """Read the texts to learn from, each once.

    Args:
        further: files of more texts, one a line.

    Raises:
        InputError: a file is missing or broken.
    """
    reader = get_reader(dataset)
    split = reader.labelled_split
    narrations = read_narrations(dataset, data_root, split).narrations
    texts = [narration.text for narration in narrations]
    texts += reader.further_texts(data_root, split)
    for path in further:
        try:
            texts += decode_text(path.read_bytes()).splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"--texts {path} cannot be read: {error}") from error
    return list(dict.fromkeys(text for text in texts if text.strip()))


def character_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerBase:
    """Make a tokenizer whose word-pieces are single characters, in lower case."""
    counts = Counter(itertools.chain.from_iterable(text.lower() for text in texts))
    known = sorted(c for c, count in counts.items() if count >= _SEEN and not c.isspace())
    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *known))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("."), "isolated")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}",
        special_tokens=[(word, vocabulary[word]) for word in (START, END)],
    )
    # mypy sees the stand-in that transformers has where `tokenizers` is missing.
    return PreTrainedTokenizerFast(  # type: ignore[return-value]
        tokenizer_object=tokenizer,
        pad_token=PADDING,
        unk_token=UNKNOWN,
        cls_token=START,
        sep_token=END,
        mask_token=MASK,
    )


def train(
    model: BertForMaskedLM,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[Sequence[int]],
    steps: int,
    batch: int,
    lr: float,
) -> float:
    """Train on masked characters; the model is in evaluation mode afterwards.

    Args:
        texts: the word-pieces of each text.
        steps: of a batch each; the learning rate rises to `lr` and falls to nothing.

    Returns:
        The mean loss of the last tenth of the steps.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    # A batch is a stretch of these, so that little of it is padding.
    by_length = sorted(texts, key=len)
    losses = []
    model.train()
    with tqdm(range(steps), desc="training", mininterval=10) as bar:
        for _ in bar:
            first = int(torch.randint(max(1, len(by_length) - batch + 1), ()))
            loss = masked_loss(model, tokenizer, by_length[first : first + batch])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            bar.set_postfix(loss=f"{losses[-1]:.2f}", refresh=False)
    model.eval()
    last = losses[-max(1, steps // 10) :]
    return sum(last) / len(last)


def masked_loss(
    model: BertForMaskedLM, tokenizer: PreTrainedTokenizerBase, texts: Sequence[Sequence[int]]
) -> Tensor:
    """Compute the mean loss of some characters of each text, as BERT's (Devlin et al., 2019).

    Of them 80% are masked, 10% replaced by others, and 10% kept.
    """
    rows = [torch.tensor(text) for text in texts]
    token_ids = torch.nn.utils.rnn.pad_sequence(rows, True, tokenizer.pad_token_id)
    chosen = (torch.rand(token_ids.shape) < _MASKED) & (token_ids >= len(SPECIAL))
    chosen[:, 1] = True  # there is no loss without any
    fate = torch.rand(token_ids.shape)
    random_ids = torch.randint(len(SPECIAL), len(tokenizer), token_ids.shape)
    seen = token_ids.masked_fill(chosen & (fate < 0.8), tokenizer.mask_token_id)
    seen = torch.where(chosen & (fate >= 0.9), random_ids, seen).to(model.device)
    mask = (token_ids != tokenizer.pad_token_id).long().to(model.device)
    vectors = model.bert(input_ids=seen, attention_mask=mask).last_hidden_state
    # The vocabulary layer runs at the chosen places alone.
    logits = model.cls(vectors[chosen.to(model.device)])
    return functional.cross_entropy(logits, token_ids[chosen].to(model.device))


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "Train a small text encoder of characters from nothing.", prog="pretrain_encoder.py"
    )
    parser.add_argument("--dataset", choices=DATASETS, required=True, help="whose texts are read")
    parser.add_argument(
        "--data-root", type=Path, required=True, metavar="FOLDER", help="of its files"
    )
    parser.add_argument(
        "--texts", type=Path, nargs="+", default=[], metavar="FILE", help="more texts, one a line"
    )
    parser.add_argument("--out", type=Path, required=True, help="a folder that is new or empty")
    number = whole_number_from(1)
    parser.add_argument("--layers", type=number, default=4, help="(4)")
    parser.add_argument("--hidden", type=number, default=128, help="numbers of a vector (128)")
    parser.add_argument("--heads", type=number, default=4, help="of attention (4)")
    parser.add_argument("--steps", type=number, default=3000, help="of a batch each (3000)")
    parser.add_argument("--batch", type=number, default=16, help="texts of a step (16)")
    parser.add_argument("--lr", type=float, default=1e-3, help="the highest learning rate (0.001)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--seed", type=whole_number_from(0), default=0, help="of weights, masks")
    return parser


if __name__ == "__main__":
    run_command(main)
