"""Writes a tiny CIN data folder in the published file formats, for tests to read.

Every file can be left as it is or changed: `write_cin_folder` takes the contents, and the tests
overwrite single files afterwards. The reader's own writer of region stores is not used, so that the
formats are stated twice.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from PIL import Image

WIDTH, HEIGHT = 200, 100  # of every annotated image
WORDS_PER_CAPTION = 16  # the width of the caption file


class MentionNote(NamedTuple):
    """A mention of an annotation: its phrase, found in the text from `after` on."""

    phrase: str
    chain: int
    boxes_percent: Sequence[Sequence[float]] = ()
    after: int = 0


class ImageNote(NamedTuple):
    """The regions of an image: boxes (x1, y1, x2, y2) in pixels, a label and an attribute each."""

    boxes_pixels: Sequence[Sequence[float]]
    labels: Sequence[str]
    attributes: Sequence[str] | None = None


def annotation(
    image_id: str, split: str, text: str, mentions: Sequence[MentionNote]
) -> dict[str, Any]:
    """One record of `testval_annotations.json`."""
    starts = [text.index(mention.phrase, mention.after) for mention in mentions]
    return {
        "image": image_id,
        "captions": text,
        "split": split,
        "img_width": WIDTH,
        "img_height": HEIGHT,
        "query": [mention.phrase for mention in mentions],
        "query_start_end": [
            [start, start + len(mention.phrase)]
            for start, mention in zip(starts, mentions, strict=True)
        ],
        "cluster": [mention.chain for mention in mentions],
        "target_bboxes": [[list(box) for box in mention.boxes_percent] for mention in mentions],
    }


def default_annotations() -> list[dict[str, Any]]:
    """Two narrations to train on and two to test on, with nested mentions that start together, out
    of text order, without a box and with several."""
    man_and_dog = "A man holds a dog. He pets it on the left."
    people = "The man's hat is red. Two people look at him and it."
    return [
        annotation(
            "101",
            "val",
            man_and_dog,
            [
                MentionNote("He", 0, [[10, 20, 30, 40]]),
                MentionNote("A man", 0, [[10, 20, 30, 40]]),
                MentionNote("a dog", 1, [[50, 50, 25, 25]]),
                MentionNote("it", 1, [[50, 50, 25, 25]], after=20),
                MentionNote("the left", 2),
            ],
        ),
        annotation(
            "102",
            "val",
            people,
            [
                MentionNote("The man's hat", 1, [[20, 0, 10, 10]]),
                MentionNote("The man", 0, [[20, 0, 20, 100]]),
                MentionNote("Two people", 2, [[50, 0, 20, 100], [75, 0, 25, 100]]),
                MentionNote("him", 0, [[20, 0, 20, 100]]),
                MentionNote("it", 1, [[20, 0, 10, 10]], after=40),
            ],
        ),
        annotation(
            "201",
            "test",
            man_and_dog,
            [MentionNote("A man", 7, [[0, 0, 50, 100]]), MentionNote("He", 7, [[0, 0, 50, 100]])],
        ),
        annotation("202", "test", people, [MentionNote("Two people", 3, [[50, 0, 50, 100]])]),
    ]


DEFAULT_CAPTIONS = {
    "301": ["a man rides a horse", "someone on a horse"],
    "302": ["two dogs play with a ball they like"],
    "303": ["a woman reads"],
}

_MAN = ImageNote(
    [[20, 20, 80, 60], [100, 50, 150, 75], [0, 0, 200, 100]],
    ["man", "dog", "grass"],
    ["tall", "brown", "green"],
)
_HAT = ImageNote([[40, 0, 60, 10], [40, 0, 80, 100]], ["hat", "traffic light"])

DEFAULT_REGIONS = {
    "val": {"101": _MAN, "102": _HAT},
    "test": {"201": _MAN, "202": _HAT},
    "train": {"301": _MAN, "302": _HAT, "303": _MAN},
}


def write_cin_folder(
    folder: Path,
    *,
    annotations: Sequence[dict[str, Any]] | None = None,
    captions: Mapping[str, Sequence[str]] = DEFAULT_CAPTIONS,
    regions: Mapping[str, Mapping[str, ImageNote]] = DEFAULT_REGIONS,
    feature_size: int = 8,
    ids_as_text: bool = False,
) -> Path:
    """Write a data root with labelled narrations, captions and regions; traces and images are
    added by `write_trace` and `write_picture`.

    Args:
        annotations: records of `testval_annotations.json`; `default_annotations()` where None.
        captions: captions of each image in `flk30k_LN.json`.
        regions: for each split the regions of its images; no files for a split that is not there.
        feature_size: numbers of a feature; they are drawn at random, alike in every call.
        ids_as_text: write ids as text where the release has numbers.

    Returns:
        The folder.
    """
    records = default_annotations() if annotations is None else annotations
    write_annotations(folder, records, ids_as_text=ids_as_text)
    write_captions(folder, captions, ids_as_text=ids_as_text)
    for split, images in regions.items():
        write_regions(folder, split, images, feature_size, ids_as_text=ids_as_text)
    return folder


def write_annotations(
    folder: Path, records: Sequence[dict[str, Any]], *, ids_as_text: bool = False
) -> None:
    """Write `cin_annotations/`: the records, and the list of the ids of each split."""
    annotations = folder / "cin_annotations"
    annotations.mkdir(parents=True, exist_ok=True)
    (annotations / "testval_annotations.json").write_text(json.dumps(records))
    for split in ("val", "test"):
        ids = [_published_id(r["image"], ids_as_text) for r in records if r["split"] == split]
        (annotations / f"{split}_image_ids.json").write_text(json.dumps(ids))


def write_captions(
    folder: Path, captions: Mapping[str, Sequence[str]], *, ids_as_text: bool = False
) -> None:
    """Write `flk30k_LN.json` and `flk30k_LN_label.h5`."""
    words = sorted({word for texts in captions.values() for text in texts for word in text.split()})
    numbers = {word: number for number, word in enumerate(words, start=1)}
    texts = [text for of_image in captions.values() for text in of_image]
    labels = np.zeros((len(texts), WORDS_PER_CAPTION), dtype=np.uint32)
    for row, text in enumerate(texts):
        labels[row, : len(text.split())] = [numbers[word] for word in text.split()]
    counts = [len(of_image) for of_image in captions.values()]
    ends = np.cumsum(counts, dtype=np.uint32)
    index = {
        "ix_to_word": {str(number): word for word, number in numbers.items()},
        "images": [
            {"id": _published_id(image_id, ids_as_text), "split": "train"} for image_id in captions
        ],
    }
    (folder / "flk30k_LN.json").write_text(json.dumps(index))
    with h5py.File(folder / "flk30k_LN_label.h5", "w") as file:
        file["labels"] = labels
        file["label_start_ix"] = ends - np.asarray(counts, dtype=np.uint32) + 1
        file["label_end_ix"] = ends


def write_regions(
    folder: Path,
    split: str,
    images: Mapping[str, ImageNote],
    feature_size: int = 8,
    *,
    ids_as_text: bool = False,
) -> None:
    """Write the three region files of a split; the rows are in the order of the images."""
    region_folder = folder / "faster_rcnn_image_features"
    region_folder.mkdir(parents=True, exist_ok=True)
    counts = [len(image.labels) for image in images.values()]
    ends = np.cumsum(counts)
    shape = (sum(counts), feature_size)
    with h5py.File(region_folder / f"{split}_features_compress.hdf5", "w") as file:
        file["features"] = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
        file["pos_bboxes"] = np.stack([ends - counts, ends], axis=1)
    rows = {_published_id(image_id, ids_as_text): row for row, image_id in enumerate(images)}
    (region_folder / f"{split}_imgid2idx.pkl").write_bytes(pickle.dumps(rows))
    detections = {}
    for image_id, image in images.items():
        boxes = [list(box) for box in image.boxes_pixels]
        detections[image_id] = {"bboxes": boxes, "classes": list(image.labels)}
        if image.attributes is not None:
            detections[image_id]["attrs"] = list(image.attributes)
    (region_folder / f"{split}_detection_dict.json").write_text(json.dumps(detections))


def write_trace(folder: Path, image_id: str, trace: np.ndarray) -> Path:
    """Write `flk30k_LN_trace_box/<id>.npy`; trace is [words, 5]."""
    path = folder / "flk30k_LN_trace_box" / f"{image_id}.npy"
    path.parent.mkdir(exist_ok=True)
    np.save(path, trace)
    return path


def write_image(folder: Path, image_id: str, width: int, height: int) -> Path:
    """Write `flickr30k-images/<id>.jpg`, a grey image."""
    path = folder / "flickr30k-images" / f"{image_id}.jpg"
    path.parent.mkdir(exist_ok=True)
    Image.new("L", (width, height), 128).save(path)
    return path


def _published_id(image_id: str, as_text: bool) -> str | int:
    return image_id if as_text or not image_id.isdecimal() else int(image_id)
