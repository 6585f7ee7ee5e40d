"""Train word vectors on the narrations of a data set, in the format of sense2vec.

    python tools/train_sense2vec.py --dataset cin --data-root datasets/ --out saved/sense2vec

A word's vector is its row in the truncated singular value decomposition of the positive pointwise
mutual information of words that stand near each other. They are small and know this data set alone:
the published vectors come from a far larger text.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy import sparse
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.encoding.word_vectors import split_words
from data.files import BadRecord, DataError
from data.mentions.spacy_pipeline import load_spacy
from data.readers import DATASETS, read_narrations
from utils.distributed.command import run_command
from utils.errors import InputError
from utils.files import folder_when_whole
from utils.options import command_parser

# A word and its part of speech; the latter is "X", the tag for all others, where nobody tells it.
Key = tuple[str, str]
_NO_SENSE = "X"
# Up to so many words the whole decomposition takes a second.
_FEW_WORDS = 1000


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as the command line says."""
    options = _parser().parse_args(arguments)
    for name in ("size", "window", "min_count"):
        if getattr(options, name) < 1:
            raise InputError(f"--{name.replace('_', '-')}: found {getattr(options, name)}, below 1")
    with folder_when_whole(options.out) as unfinished:
        texts = read_texts(
            options.dataset, options.data_root, options.split, options.skip_bad_records
        )
        if options.spacy_model is None:
            tokens = [[(word.lower(), _NO_SENSE) for word in split_words(text)] for text in texts]
        else:
            tokens = list(tagged_words(texts, options.spacy_model))
        counts = Counter(key for text in tokens for key in text)
        # By count, then by name, so that the order of the texts does not matter.
        vocabulary = sorted(
            (key for key, count in counts.items() if count >= options.min_count),
            key=lambda key: (-counts[key], key),
        )
        near = count_neighbours(tokens, vocabulary, options.window)
        vectors = reduce_counts(near, options.size, options.seed)
        write_vectors(unfinished, vocabulary, counts, vectors)
    print(
        f"wrote {options.out}: {len(vocabulary)} words seen at least {options.min_count} times in "
        f"{len(tokens)} narrations, {options.size} numbers each"
    )


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "Word vectors of a data set, for --sense2vec.", prog="train_sense2vec.py"
    )
    parser.add_argument(
        "--dataset", choices=sorted(DATASETS), required=True, help="the reader's name"
    )
    parser.add_argument("--data-root", type=Path, required=True, help="the data set's folder")
    parser.add_argument(
        "--split",
        nargs="+",
        help="by default what is there of the unlabelled and the labelled split",
    )
    parser.add_argument("--out", type=Path, required=True, help="a folder that is new or empty")
    parser.add_argument(
        "--spacy-model",
        metavar="NAME",
        help="a spaCy pipeline, by name or folder, that tells parts of speech; else all words have "
        f"the sense {_NO_SENSE}",
    )
    parser.add_argument("--size", type=int, default=128, help="numbers of a vector")
    parser.add_argument("--window", type=int, default=5, help="how far neighbours stand apart")
    parser.add_argument("--min-count", type=int, default=2, help="rarer words have no vector")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same vectors")
    parser.add_argument(
        "--skip-bad-records",
        action="store_true",
        help="count bad records and go on without them",
    )
    return parser


def read_texts(
    dataset: str, data_root: Path, splits: Sequence[str] | None, skip_bad_records: bool
) -> list[str]:
    """Read the texts of some splits.

    Args:
        splits: all have to be there; None for what is there of the two that are trained on.

    Raises:
        DataError: a split cannot be read, or none can.
    """
    reader = DATASETS[dataset]
    trained_on = [s for s in (reader.unlabelled_split, reader.labelled_split) if s is not None]
    texts: list[str] = []
    for split in trained_on if splits is None else splits:
        try:
            reading = read_narrations(dataset, data_root, split, skip_bad_records=skip_bad_records)
        except BadRecord:
            raise
        except DataError as error:
            if splits is not None:
                raise
            print(f"{split} is left out: {error}")
            continue
        print("\n".join(reading.report.lines()))
        texts += [narration.text for narration in reading.narrations]
    if not texts:
        raise DataError(f"{data_root}: none of {', '.join(trained_on)} of {dataset} can be read")
    return texts


def tagged_words(texts: Sequence[str], spacy_model: str) -> Iterator[list[Key]]:
    """Split each text into words with their parts of speech, as sense2vec makes its keys.

    Raises:
        InputError: the pipeline cannot be loaded, or tells no parts of speech.
    """
    from sense2vec.util import make_spacy_key

    pipeline = load_spacy(spacy_model)
    told = False
    for document in tqdm(pipeline.pipe(texts), total=len(texts), desc="tagging", leave=False):
        told = told or document.has_annotation("POS")
        yield [make_spacy_key(token) for token in document if not token.is_space]
    if not told:
        raise InputError(f"--spacy-model: {spacy_model} tells no parts of speech")


def count_neighbours(
    texts: Iterable[Sequence[Key]], vocabulary: Sequence[Key], window: int
) -> sparse.csr_array:
    """Count how often words stand near each other in a text.

    Args:
        vocabulary: the words to count, W of them; others only take up room.
        window: how many words apart two neighbours may stand.

    Returns:
        [W, W], symmetric.
    """
    places = {key: place for place, key in enumerate(vocabulary)}
    apart = [-1] * window
    words = np.asarray(
        [place for text in texts for place in [*(places.get(key, -1) for key in text), *apart]],
        dtype=np.int64,
    )
    counts = sparse.csr_array((len(vocabulary), len(vocabulary)), dtype=np.float64)
    for distance in range(1, window + 1):
        left, right = words[:-distance], words[distance:]
        known = (left >= 0) & (right >= 0)
        pairs = (left[known], right[known])
        pairs_apart = sparse.coo_array((np.ones(known.sum()), pairs), shape=counts.shape)
        counts = counts + pairs_apart.tocsr()
    return (counts + counts.T).tocsr()


def reduce_counts(near: sparse.csr_array, size: int, seed: int) -> np.ndarray:
    """Make vectors of words by the words that they stand near to more often than by chance.

    Args:
        near: [W, W], how often two words stand near each other.
        size: D, numbers of a vector.
        seed: of the decomposition's start, where there are many words.

    Returns:
        [W, D] float32. Where there are fewer than D words the last numbers are 0.

    Raises:
        InputError: no word stands near another more often than by chance.
    """
    words = near.shape[0]
    pairs = near.tocoo()
    totals = near.sum(axis=0)
    information = np.log(pairs.data * totals.sum() / (totals[pairs.row] * totals[pairs.col]))
    # What rounding leaves of nothing is nothing.
    telling = information > 1e-9
    if not telling.any():
        raise InputError(
            f"{words} words are too few for vectors: none stands near another more often than by "
            "chance"
        )
    matrix = sparse.csr_array(
        (information[telling], (pairs.row[telling], pairs.col[telling])), shape=near.shape
    )
    if words <= max(_FEW_WORDS, size):
        left, values, _ = np.linalg.svd(matrix.toarray())
    else:
        start = np.random.default_rng(seed).standard_normal(words)
        left, values, _ = sparse.linalg.svds(matrix, k=size, v0=start)
    order = np.argsort(-values, kind="stable")[:size]
    left, values = left[:, order], values[order]
    # Smaller ones are rounding, and their directions chance.
    values[values < 1e-6 * values[0]] = 0
    vectors = left * np.sqrt(values)
    # The decomposition leaves the sign of each column open.
    largest = np.abs(vectors).argmax(axis=0)
    vectors *= np.where(np.take_along_axis(vectors, largest[None], axis=0) < 0, -1, 1)
    return np.pad(vectors, [(0, 0), (0, size - vectors.shape[1])]).astype(np.float32)


def write_vectors(
    folder: Path, vocabulary: Sequence[Key], counts: Counter[Key], vectors: np.ndarray
) -> None:
    """Write a folder that `Sense2Vec().from_disk` reads."""
    from sense2vec import Sense2Vec

    library = Sense2Vec(shape=vectors.shape, senses=sorted({sense for _, sense in vocabulary}))
    for key, vector in zip(vocabulary, vectors, strict=True):
        library.add(library.make_key(*key), vector, counts[key])
    library.to_disk(folder)


if __name__ == "__main__":
    run_command(main)
