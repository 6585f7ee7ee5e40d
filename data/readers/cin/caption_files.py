"""The captions of the published release: `flk30k_LN.json` and `flk30k_LN_label.h5`.

The first holds the words by number and the images, the second the captions as numbers of words,
[captions, words], 0 for padding, and for each image its first and last caption, counted from 1.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from operator import itemgetter
from pathlib import Path

import numpy as np

from data.files import DataError, bad_record, read_id
from data.hdf5_files import held_dataset, open_hdf5
from data.readers.report import ReadReport
from utils.json_files import is_text, read_json
from utils.printable import quote

_ROWS_PER_READ = 4096
_WORD_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


def caption_files(data_root: Path) -> tuple[Path, Path]:
    """Return the file of the words and images, and the file of the captions."""
    return data_root / "flk30k_LN.json", data_root / "flk30k_LN_label.h5"


def read_first_captions(
    data_root: Path, image_ids: Iterable[str], report: ReadReport
) -> dict[str, tuple[str, ...]]:
    """Read the words of the first caption of each image that has one."""
    index_path, labels_path = caption_files(data_root)
    vocabulary, places, images = _read_caption_index(index_path, report)
    caption_count, spans = _read_caption_spans(labels_path, images)
    first_rows = {}
    for image_id in image_ids:
        start, end = spans[places[image_id]].tolist() if image_id in places else (1, 0)
        # Counted from 1, the end inclusive; an end before the start is no caption.
        if not 1 <= start <= end + 1 <= caption_count + 1:
            found, expected = f"captions {start} to {end}", f"some of {caption_count}"
            report.refuse(bad_record(labels_path, image_id, found, expected))
        elif start <= end:
            first_rows[image_id] = start - 1
    captions = {}
    for image_id, numbers in _read_rows(labels_path, first_rows):
        words = tuple(vocabulary.get(number, "") for number in numbers)
        if not all(words):
            found, expected = f"words {quote(numbers)}", f"numbers from {index_path.name}"
            report.refuse(bad_record(labels_path, image_id, found, expected))
        elif words:
            captions[image_id] = words
    return captions


def _read_caption_index(
    path: Path, report: ReadReport
) -> tuple[dict[int, str], dict[str, int], int]:
    """Read the words by number, each image's place in the labels, and how many places there are."""
    index = read_json(path, DataError)
    words = index.get("ix_to_word") if isinstance(index, dict) else None
    listed = index.get("images") if isinstance(index, dict) else None
    if not isinstance(words, dict) or not isinstance(listed, list):
        raise DataError(f"{path} holds {quote(index)}, expected ix_to_word and images")
    vocabulary = {}
    for number, word in words.items():
        if not _WORD_NUMBER.fullmatch(number) or not is_text(word) or not word.strip():
            found = f"{quote(number)}: {quote(word)}"
            raise DataError(f"{path}: ix_to_word holds {found}, expected a word by its number")
        vocabulary[int(number)] = word
    places: dict[str, int] = {}
    for place, image in enumerate(listed):
        image_id = read_id(image.get("id")) if isinstance(image, dict) else None
        if image_id is None or image_id in places:
            expected = "an object with an id that no earlier one has"
            report.refuse(bad_record(path, f"images {place}", quote(image), expected))
        else:
            places[image_id] = place
    return vocabulary, places, len(listed)


def _read_caption_spans(path: Path, images: int) -> tuple[int, np.ndarray]:
    """Read how many captions there are, and the first and last of each image [images, 2] int64."""
    names = ("labels", "label_start_ix", "label_end_ix")
    try:
        with open_hdf5(path) as file:
            datasets = [held_dataset(file, name) for name in names]
            shapes = [dataset.shape for dataset in datasets]
            types = [dataset.dtype for dataset in datasets]
            spans = [dataset[:] for dataset in datasets[1:]]
    except Exception as error:
        # A broken file ends in nearly any kind of error.
        raise DataError(
            f"{path} cannot be read as HDF5 with {', '.join(names)}: {error}"
        ) from error
    if len(shapes[0]) != 2 or shapes[1:] != [(images,)] * 2:
        raise DataError(
            f"{path}: {', '.join(names)} have shapes {shapes}, expected [captions, words] and "
            f"twice [{images} pictures]"
        )
    if any(kind.kind not in "iu" for kind in types):
        raise DataError(f"{path}: {', '.join(names)} are {types}, expected whole numbers")
    return shapes[0][0], np.stack(spans, axis=1).astype(np.int64)


def _read_rows(path: Path, rows: dict[str, int]) -> Iterator[tuple[str, list[int]]]:
    """Read the numbers in the labels' rows of the given ids, without padding, in row order."""
    in_order = sorted(rows.items(), key=itemgetter(1))
    for block, group in itertools.groupby(in_order, lambda item: item[1] // _ROWS_PER_READ):
        first = block * _ROWS_PER_READ
        try:
            with open_hdf5(path) as file:
                numbers = file["labels"][first : first + _ROWS_PER_READ]
        except Exception as error:
            raise DataError(f"{path}: labels cannot be read: {error}") from error
        for image_id, row in group:
            # Nothing but padding stands behind the words: a 0 among them stays, and is no word.
            words = numbers[row - first]
            yield image_id, words[: np.count_nonzero(words)].tolist()
