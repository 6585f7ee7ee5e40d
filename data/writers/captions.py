"""Writing captions and mouse traces in the published files, which `data/readers/cin` reads."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from data.files import DataError, published_id
from data.readers.cin.caption_files import caption_files
from data.readers.cin.files import UNLABELLED_SPLIT, trace_folder
from data.readers.localized_narratives import Narrative


@dataclass(frozen=True)
class WrittenCaptions:
    """How much was written.

    Attributes:
        images: that have captions, and a trace of the first one.
        captions: of all images.
        words: different ones.
    """

    images: int
    captions: int
    words: int


def write_captions(data_root: Path, narratives: Iterable[Narrative]) -> WrittenCaptions:
    """Write narratives as the captions of the unlabelled split, and the traces of its words.

    An image's captions are kept in their order, the images in the order of their first captions.
    The published files have one trace an image: that of its first caption.

    Args:
        data_root: the folder for the files, without traces yet; made where it is missing.

    Raises:
        DataError: there is no narrative.
    """
    traces = trace_folder(data_root)
    traces.mkdir(parents=True)
    captions: dict[str, list[tuple[str, ...]]] = {}
    for narrative in narratives:
        if narrative.image_id not in captions:
            np.save(traces / f"{narrative.image_id}.npy", narrative.word_boxes)
        captions.setdefault(narrative.image_id, []).append(narrative.words)
    if not captions:
        raise DataError("there is no narrative to write")
    in_order = list(itertools.chain.from_iterable(captions.values()))
    vocabulary = sorted(set(itertools.chain.from_iterable(in_order)))
    numbers = {word: number for number, word in enumerate(vocabulary, start=1)}
    index_path, labels_path = caption_files(data_root)
    index = {
        "ix_to_word": {str(number): word for word, number in numbers.items()},
        "images": [{"id": published_id(key), "split": UNLABELLED_SPLIT} for key in captions],
    }
    index_path.write_text(json.dumps(index) + "\n", encoding="utf-8")
    counts = np.array([len(of_image) for of_image in captions.values()])
    ends = counts.cumsum()
    with h5py.File(labels_path, "w") as file:
        labels = file.create_dataset("labels", (len(in_order), max(map(len, in_order))), np.uint32)
        for row, words in enumerate(in_order):
            labels[row, : len(words)] = [numbers[word] for word in words]
        # Counted from 1, the end inclusive.
        file["label_start_ix"] = (ends - counts + 1).astype(np.uint32)
        file["label_end_ix"] = ends.astype(np.uint32)
    return WrittenCaptions(len(captions), len(in_order), len(vocabulary))
