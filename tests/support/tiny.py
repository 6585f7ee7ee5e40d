"""A tiny BERT with random weights, and batches to feed it."""

from __future__ import annotations

import dataclasses
import functools
import os
import string
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data.encoding.example import Example, ExampleEncoder
from data.encoding.mention_features import mention_features
from data.encoding.text import (
    chain_numbers,
    encode_text,
    mask_words,
    masking_generator,
    with_word_vectors,
)
from data.encoding.tokenizer import Tokenizer, load_tokenizer
from data.encoding.traces import mention_traces
from data.encoding.word_vectors import WordVectors
from data.loading.collate import Collate
from data.narration import NO_REGION, Mention, Narration, Regions
from inference.inputs import ImagesToRegions
from inference.resolver import Resolver
from models.coreference_model import CoreferenceModel
from models.factory import build_from_pretrained, encoder_config_of
from utils.batch import Batch
from utils.checkpointing.checkpoint import Checkpoint, save_checkpoint
from utils.config import Config
from utils.text.languages import ENGLISH
from utils.thresholds import Thresholds

FEATURE_SIZE = 12
WORD_VECTOR_SIZE = 5
_WORDS = "a the man woman dog ball he she it his red blue in on and shirt tree".split()


@functools.cache
def encoder_folder() -> str:
    """A folder that holds a BERT of five layers and 16 dimensions, as transformers saves it.

    Processes that a test starts find it under TINY_ENCODER.
    """
    from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

    if made := os.environ.get("TINY_ENCODER"):
        return made
    folder = Path(tempfile.mkdtemp(prefix="tiny-bert-"))
    letters = string.ascii_lowercase + string.digits
    vocabulary = [
        *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
        *_WORDS,
        *(c for c in letters + ".,;:!?'-" if c not in _WORDS),
        *("##" + c for c in letters),
    ]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=5,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=64,
        # Large enough that different words come out clearly different.
        initializer_range=0.3,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    return str(folder)


def tiny_config(**values: Any) -> Config:
    """A configuration of the tiny model that trains everything."""
    defaults: dict[str, Any] = {
        "text_encoder": encoder_folder(),
        "region_feature_size": FEATURE_SIZE,
        "region_feedforward_size": 32,
        "use_labelled": True,
        "grounding": True,
        "box_regression": True,
    }
    return Config(**{**defaults, **values})


def tiny_model(**values: Any) -> CoreferenceModel:
    """The same weights every time, in evaluation mode."""
    # Before the seed: the first one makes the encoder, which draws random numbers.
    config = tiny_config(**values)
    torch.manual_seed(1)
    model, _ = build_from_pretrained(config)
    for name, parameter in model.named_parameters():
        # What starts at zero or one would hide mistakes in what is multiplied with it.
        if "norm" in name.lower() or name.endswith("bias") or not parameter.any():
            torch.nn.init.normal_(parameter, mean=parameter.mean().item(), std=0.2)
    return model.eval()


def resolver(region_extractor: ImagesToRegions | None = None, **values: Any) -> Resolver:
    """The tiny model, with thresholds at which it links and finds some mentions."""
    return Resolver(
        tiny_model(**values),
        tokenizer(),
        tiny_config(**values),
        thresholds=Thresholds(link=0.5, mention=0.05, head=0.0),
        region_extractor=region_extractor,
    )


def write_checkpoint(path: Path, resolver: Resolver) -> None:
    """The checkpoint that the resolver could have been loaded from."""
    save_checkpoint(
        path,
        Checkpoint(
            resolver.config,
            encoder_config_of(resolver.model),
            resolver.tokenizer.to_json(),
            resolver.model.state_dict(),
            epoch=0,
            thresholds=resolver.thresholds,
            scores={},
        ),
    )


def word_vectors() -> WordVectors:
    """Random vectors of some words, among them such as have several word-pieces."""
    words = ["a", "man", "women", "dog", "he", "his", "tree", "two", ","]
    vectors = np.random.default_rng(0).normal(size=(len(words) + 1, WORD_VECTOR_SIZE))
    vectors[0] = 0
    rows = {word: row for row, word in enumerate(words, start=1)}
    return WordVectors(rows, vectors.astype(np.float32), looked_up=len(words), checksum=1)


@functools.cache
def tokenizer() -> Tokenizer:
    """The tiny model's tokenizer."""
    return load_tokenizer(encoder_folder())


def encoder(max_mentions: int = 128, **values: Any) -> ExampleEncoder:
    """Makes examples of what the tiny model reads.

    Args:
        values: further fields of `ExampleEncoder`.
    """
    return ExampleEncoder(tokenizer(), max_mentions, **values)


def narration(
    text: str, phrases: Sequence[tuple[str, str]], boxes: Sequence[Sequence] = (), name: str = "n"
) -> Narration:
    """A narration whose mentions are found from left to right.

    Args:
        phrases: (phrase, chain) of each mention, in text order.
        boxes: gold boxes of each mention.
    """
    mentions: list[Mention] = []
    for index, (phrase, chain) in enumerate(phrases):
        last = mentions[-1] if mentions else Mention(0, 1, "")
        start = text.index(phrase, last.start + (phrase == last.phrase))
        of_mention = tuple(boxes[index]) if boxes else ()
        mentions.append(Mention(start, start + len(phrase), phrase, chain, of_mention))
    words = tuple(text.split())
    return Narration(name, text, tuple(mentions), image_id=name, words=words)


def showing(
    narration: Narration, shown: Mapping[str, int], people: Sequence[str | None] = ()
) -> Narration:
    """The narration with the regions that show what its chains mean.

    Args:
        shown: the region of each chain; that of a chain that is not there is not known.
        people: whom each region shows.
    """
    mentions = (
        dataclasses.replace(
            mention, region=None if mention.chain is None else shown.get(mention.chain)
        )
        for mention in narration.mentions
    )
    return dataclasses.replace(narration, mentions=tuple(mentions), people=tuple(people))


def regions(count: int, seed: int) -> Regions:
    """Regions at random places with random features."""
    random = np.random.default_rng(seed)
    corners = np.sort(random.random((count, 2, 2)), axis=1).reshape(count, 4)
    labels = random.choice(["man", "red ball", "dog", "traffic light"], size=count)
    return Regions(
        corners.astype(np.float32),
        tuple(labels.tolist()),
        (),
        random.normal(size=(count, FEATURE_SIZE)).astype(np.float32),
    )


def trace(narration: Narration, seed: int) -> np.ndarray:
    """A box at a random place for each word, [words, 5]."""
    random = np.random.default_rng(seed)
    corners = np.sort(random.random((len(narration.words), 2, 2)), axis=1).reshape(-1, 4)
    x1, y1, x2, y2 = corners.T
    return np.column_stack([corners, (x2 - x1) * (y2 - y1)]).astype(np.float32)


def example(
    narration: Narration,
    regions: Regions | None,
    masked: bool = False,
    vectors: WordVectors | None = None,
    trace: np.ndarray | None = None,
) -> Example:
    """An encoded narration with its regions, and its trace where there is one."""
    text = encode_text(narration, tokenizer(), max_mentions=128)
    if vectors is not None:
        text = with_word_vectors(text, narration, vectors)
    words = None
    if masked:
        words = mask_words(text, tokenizer(), 0.3, masking_generator(0, 0, narration.id))
    traces = None
    if trace is not None:
        traces = mention_traces(narration, trace, text.mention_indices)
    chains = chain_numbers(narration, text.mention_indices)
    features = mention_features(narration, text.mention_indices, ENGLISH)
    return Example(narration, text, chains, regions, words, traces, features)


def examples(masked: bool = False, vectors: WordVectors | None = None) -> list[Example]:
    """Three narrations that differ in words, mentions, boxes, regions and traces.

    One has no regions; one mention of another has no trace. Two of the chains are shown by regions
    of the same person in two images, some by none, and of some it is not known.
    """
    a_man = narration(
        "a man in a red shirt and a dog; he has the dog on his ball.",
        [("a man in a red shirt", "1"), ("a red shirt", "2"), ("a dog", "3"), ("he", "1"),
         ("the dog", "3"), ("his ball", "4"), ("his", "1")],
        [[(0.1, 0.1, 0.5, 0.9)], [(0.2, 0.3, 0.4, 0.5)], [(0.5, 0.5, 0.9, 0.9)],
         [(0.1, 0.1, 0.5, 0.9)], [(0.5, 0.5, 0.9, 0.9)], [], [(0.1, 0.1, 0.5, 0.9)]],
        "man",
    )  # fmt: skip
    women = narration(
        "two women, she and she.",
        [("two women", "1"), ("she", "2"), ("she", "3")],
        [[(0.0, 0.0, 0.4, 0.4), (0.5, 0.0, 0.9, 0.4)], [(0.0, 0.0, 0.4, 0.4)], []],
        "women",
    )
    nothing = narration("it is a tree", [("it", "1"), ("a tree", "1")], name="tree")
    a_man = showing(a_man, {"1": 0, "3": 2, "4": NO_REGION}, ["Ann", None, None, "Bob"])
    women = showing(women, {"1": NO_REGION, "2": 1, "3": 3}, [None, "Ann", None, None])
    of_women = trace(women, 4)
    of_women[2] = 0
    return [
        example(a_man, regions(9, 1), masked, vectors, trace(a_man, 3)),
        example(women, regions(4, 2), masked, vectors, of_women),
        example(nothing, None, masked, vectors, trace(nothing, 5)),
    ]


def batch(of: Sequence[Example]) -> Batch:
    """Examples as a batch."""
    return Collate(tokenizer())(of)


def padded(original: Batch, words: int = 3, mentions: int = 2, regions: int = 4) -> Batch:
    """The same batch with more slots of every kind, filled with what must not matter."""

    def grow(name: str, dimension: int, extra: int, value: float) -> torch.Tensor:
        tensor = getattr(original, name)
        shape = list(tensor.shape)
        shape[dimension] = extra
        return torch.cat([tensor, torch.full(shape, value, dtype=tensor.dtype)], dim=dimension)

    return dataclasses.replace(
        original,
        token_ids=grow("token_ids", 1, words, 7),
        token_mask=grow("token_mask", 1, words, False),
        mention_spans=grow("mention_spans", 1, mentions, 1),
        mention_mask=grow("mention_mask", 1, mentions, False),
        chains=grow("chains", 1, mentions, -1),
        gold_boxes_xyxy=grow("gold_boxes_xyxy", 1, mentions, 0.3),
        gold_box_mask=grow("gold_box_mask", 1, mentions, False),
        mention_regions=grow("mention_regions", 1, mentions, 0),
        region_people=grow("region_people", 1, regions, 3),
        trace_boxes_xyxy=grow("trace_boxes_xyxy", 1, mentions, 0.3),
        trace_mask=grow("trace_mask", 1, mentions, False),
        region_features=grow("region_features", 1, regions, 5.0),
        region_boxes_xyxy=grow("region_boxes_xyxy", 1, regions, 0.5),
        region_labels=grow("region_labels", 1, regions, 0),
        region_mask=grow("region_mask", 1, regions, False),
        mention_features=grow("mention_features", 1, mentions, 2),
        word_vectors=None if original.word_vectors is None else grow("word_vectors", 1, words, 3.0),
    )
