"""Writes a generated world in the published file formats (docs/formats.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from data.regions.writer import ImageRegions, write_region_store
from synthetic.world.detecting import detect, true_name
from synthetic.world.drawing import (
    Drawing,
    PixelBox,
    draw_scene,
)
from synthetic.world.narrating import narrate
from synthetic.world.scenes import (
    HEIGHT,
    WIDTH,
    make_scene,
)
from synthetic.world.tracing import trace
from synthetic.world.transcript import Told, ToldMention
from utils.files import write_text

SPLITS = ("train", "val", "test")
_FIRST_ID = 1_000_000_001  # all ids are of one length, so that none begins another
_WORDS_PER_CAPTION = 256
_TOKEN = re.compile(r"[a-z']+|[.,]")


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One image of the world with all that is written of it."""

    image_id: int
    split: str
    told: Told
    regions: ImageRegions
    trace: np.ndarray
    things: tuple[tuple[str, str | None, PixelBox], ...]  # label, colour and box


def write_world(folder: Path, seed: int, sizes: dict[str, int], processes: int) -> Iterator[int]:
    """Draw, narrate and write a world.

    Args:
        folder: an empty folder.
        seed: of the whole world; image n of a seed is the same whatever the sizes of the splits
            after it.
        sizes: how many narrations each split has.
        processes: how many draw side by side; the files do not depend on it.

    Yields:
        How many narrations are done, after each.
    """
    (folder / "flickr30k-images").mkdir(parents=True)
    (folder / "flk30k_LN_trace_box").mkdir()
    splits = [split for split in SPLITS for _ in range(sizes[split])]
    jobs = [(folder, seed, number, split) for number, split in enumerate(splits)]
    samples: list[Sample] = []
    # One thread each: more would wait for each other, and could add up in another order.
    with ProcessPoolExecutor(processes, initializer=threadpool_limits, initargs=(1,)) as pool:
        for sample in pool.map(_make_sample, jobs, chunksize=8):
            samples.append(sample)
            yield len(samples)
    for split in SPLITS:
        of_split = [sample for sample in samples if sample.split == split]
        regions = [sample.regions for sample in of_split]
        write_region_store(folder / "faster_rcnn_image_features", split, regions)
        _write_json(folder / "boxes" / f"{split}.json", _labelled_boxes(of_split))
    _write_annotations(folder / "cin_annotations", samples)
    _write_captions(folder, samples)
    truth = [_annotation(s, tokenised(s.told)) for s in samples if s.split == "train"]
    _write_json(folder / "truth" / "train_annotations.json", truth)
    write_text(folder / "README", _readme(seed, samples))


def tokenised(told: Told) -> Told:
    """Write a narration as captions do: in lower case, words and punctuation joined by spaces."""
    tokens = list(_TOKEN.finditer(told.text.lower()))
    text = " ".join(token.group() for token in tokens)
    starts = np.cumsum([0] + [len(token.group()) + 1 for token in tokens]).tolist()
    mentions = []
    for mention in told.mentions:
        inside = [
            place
            for place, token in enumerate(tokens)
            if mention.start <= token.start() < mention.end
        ]
        start, end = starts[inside[0]], starts[inside[-1] + 1] - 1
        mentions.append(
            ToldMention(start, end, mention.chain, mention.boxes, mention.kind, mention.rivals)
        )
    return Told(text, tuple(mentions))


def _make_sample(job: tuple[Path, int, int, str]) -> Sample:
    """Draw and narrate one image; its image and its trace are written at once."""
    folder, seed, number, split = job
    random, drawing, told = _told_scene(seed, number)
    image_id = _FIRST_ID + number
    Image.fromarray(drawing.pixels).save(
        folder / "flickr30k-images" / f"{image_id}.jpg", quality=90
    )
    regions = detect(drawing, image_id, random)
    # A trace has a box for each word of the caption that is read: of its tokens in train.
    mouse = trace(tokenised(told) if split == "train" else told, random)
    np.save(folder / "flk30k_LN_trace_box" / f"{image_id}.npy", mouse)
    things = tuple((*true_name(drawing, thing), box) for thing, box in drawing.boxes.items())
    return Sample(image_id, split, told, regions, mouse, things)


def _told_scene(seed: int, number: int) -> tuple[Random, Drawing, Told]:
    """Draw and tell the first scene of this seed and number that fills a narration."""
    attempt = 0
    while True:
        random = Random(f"{seed}/{number}/{attempt}")
        drawing = draw_scene(make_scene(random), random)
        told = narrate(drawing, random)
        if told is not None:
            return random, drawing, told
        attempt += 1


def _write_annotations(folder: Path, samples: Sequence[Sample]) -> None:
    labelled = [sample for sample in samples if sample.split != "train"]
    records = [_annotation(sample, sample.told) for sample in labelled]
    _write_json(folder / "testval_annotations.json", records)
    for split in ("val", "test"):
        ids = [str(sample.image_id) for sample in labelled if sample.split == split]
        _write_json(folder / f"{split}_image_ids.json", ids)
    kinds = {
        str(sample.image_id): [mention.kind for mention in sample.told.mentions]
        for sample in labelled
    }
    _write_json(folder / "mention_kinds.json", kinds)


def _annotation(sample: Sample, told: Told) -> dict[str, Any]:
    """Make a record of `testval_annotations.json`."""
    return {
        "image": str(sample.image_id),
        "captions": told.text,
        "split": sample.split,
        "img_width": WIDTH,
        "img_height": HEIGHT,
        "query": [told.text[mention.start : mention.end] for mention in told.mentions],
        "query_start_end": [[mention.start, mention.end] for mention in told.mentions],
        "cluster": [mention.chain for mention in told.mentions],
        "target_bboxes": [[_percent(box) for box in mention.boxes] for mention in told.mentions],
    }


def _labelled_boxes(samples: Sequence[Sample]) -> dict[str, Any]:
    """Write down where everything is drawn, in COCO's form with a colour beside each label."""
    names = sorted({label for sample in samples for label, _, _ in sample.things})
    annotations = [
        {
            "image_id": sample.image_id,
            "category_id": names.index(label) + 1,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            **({} if colour is None else {"attribute": colour}),
        }
        for sample in samples
        for label, colour, (x1, y1, x2, y2) in sample.things
    ]
    return {
        "images": [
            {"id": s.image_id, "file_name": f"{s.image_id}.jpg", "width": WIDTH, "height": HEIGHT}
            for s in samples
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(names, start=1)],
        "annotations": [{"id": n, **each} for n, each in enumerate(annotations, start=1)],
    }


def _percent(box: PixelBox) -> list[float]:
    """Convert (x1, y1, x2, y2) in pixels to x, y, width and height in percent of the image."""
    x1, y1, x2, y2 = box
    across, down = 100 / WIDTH, 100 / HEIGHT
    values = (x1 * across, y1 * down, (x2 - x1) * across, (y2 - y1) * down)
    return [round(value, 4) for value in values]


def _write_captions(folder: Path, samples: Sequence[Sample]) -> None:
    """Write `flk30k_LN.json` and `flk30k_LN_label.h5`: one caption an image, of all splits."""
    captions = [tokenised(sample.told).text.split() for sample in samples]
    words = sorted({word for caption in captions for word in caption})
    number_of = {word: number for number, word in enumerate(words, start=1)}
    labels = np.zeros((len(captions), _WORDS_PER_CAPTION), dtype=np.uint32)
    for row, caption in enumerate(captions):
        labels[row, : len(caption)] = [number_of[word] for word in caption]
    index = {
        "ix_to_word": {str(number): word for word, number in number_of.items()},
        "images": [{"id": sample.image_id, "split": sample.split} for sample in samples],
    }
    _write_json(folder / "flk30k_LN.json", index)
    places = np.arange(1, len(samples) + 1, dtype=np.uint32)
    with h5py.File(folder / "flk30k_LN_label.h5", "w") as file:
        file["labels"] = labels
        file["label_start_ix"] = file["label_end_ix"] = places


def _readme(seed: int, samples: Sequence[Sample]) -> str:
    """Say what the folder holds, and how much of it."""
    lines = [
        "A generated world for multimodal coreference: drawn pictures, narrations of them, and",
        "what a detector with faults finds in them, in the file formats of the MCR release.",
        f"Nothing in it is of others. Made by tools/make_sample.py with seed {seed}.",
        "",
        "cin_annotations/: narrations of val and test with mentions, chains and boxes;",
        "    mention_kinds.json marks the pronouns that only the picture decides",
        "flk30k_LN.json, flk30k_LN_label.h5: captions of all pictures; those of train are read",
        "faster_rcnn_image_features/: boxes, labels, attributes and 2048-d features of regions",
        "flk30k_LN_trace_box/: mouse traces, a box for each word",
        "flickr30k-images/: the pictures, 320 x 240",
        "boxes/: where everything is drawn, to train a detector on",
        "truth/: chains and boxes of train, to measure with; training must not read them",
        "",
    ]
    for split in SPLITS:
        of_split = [sample for sample in samples if sample.split == split]
        mentions = [mention for sample in of_split for mention in sample.told.mentions]
        decided = sum(mention.kind is not None for mention in mentions)
        lines.append(
            f"{split}: {len(of_split)} narrations, {len(mentions)} mentions, "
            f"{decided} pronouns that only the picture decides"
        )
    return "\n".join(lines) + "\n"


def _write_json(path: Path, content: Iterable[Any] | dict[str, Any]) -> None:
    write_text(path, json.dumps(content) + "\n")
