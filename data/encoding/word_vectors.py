"""Vectors of whole words from a sense2vec folder, for the word-pieces of narrations."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data.files import DataError
from data.narration import Narration
from utils.config import Config
from utils.errors import InputError

# Cut as the keys of sense2vec are, which spaCy's tokenizer made: "doesn't" is "does" and "n't",
# "man's" is "man" and "'s", every other mark stands alone.
_WORD = re.compile(
    r"\w+(?=n['’]t\b) | n['’]t\b | ['’](?:s|re|ve|ll|d|m)\b | \w+ | [^\w\s]",
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True, eq=False)
class WordVectors:
    """The vectors of the words that a run reads.

    Attributes:
        rows: the row of each word that is known.
        vectors: [rows, D] float32; row 0 is zeros, for the words that are not.
        looked_up: how many distinct words were looked for.
        checksum: of all vectors in the folder that they come from.
    """

    rows: Mapping[str, int]
    vectors: np.ndarray
    looked_up: int
    checksum: int

    @property
    def size(self) -> int:
        """D, how many numbers a vector has."""
        return int(self.vectors.shape[1])

    def of_word_pieces(self, text: str, offsets: np.ndarray, special: np.ndarray) -> np.ndarray:
        """Find the vector of the word that each word-piece is part of.

        Of several words that share characters with a word-piece the first counts.

        Args:
            text: what the word-pieces were cut from.
            offsets: [T, 2] characters of each word-piece.
            special: [T] bool, word-pieces without characters.

        Returns:
            [T, D] float32; zeros for an unknown word, and where there is no word.
        """
        words = list(_WORD.finditer(text))
        starts = np.asarray([word.start() for word in words], dtype=np.int64)
        ends = np.asarray([word.end() for word in words], dtype=np.int64)
        rows = np.asarray([self.rows.get(word.group(), 0) for word in words], dtype=np.int64)
        first, end = offsets.T
        # The first word that ends after the word-piece begins, if it begins before that ends. One
        # more word of zeros behind the text, so that there always is one.
        place = np.searchsorted(ends, first, side="right")
        shares = ~special & (first < end) & (np.append(starts, len(text))[place] < end)
        return self.vectors[np.where(shares, np.append(rows, 0)[place], 0)]


def split_words(text: str) -> list[str]:
    """Split a text into its words, marks among them, in its order."""
    return _WORD.findall(text)


def read_word_vectors(folder: Path, texts: Iterable[str]) -> WordVectors:
    """Look up every word of some texts once; the rest of the folder is not kept.

    A word has the vector of the sense that the folder counts most often, of the word as it is
    written, in lower case, in upper case, and capitalised.

    Args:
        folder: what `Sense2Vec().from_disk` reads, such as the published `s2v_old`.
        texts: what the run reads.

    Raises:
        DataError: the library is missing; the folder is missing, broken, or has no vectors.
    """
    # Imported here, because it brings spaCy and takes seconds, and most runs do without.
    try:
        from sense2vec import Sense2Vec
    except ImportError as error:
        raise DataError(f"--sense2vec: the library sense2vec is missing ({error})") from error

    if not folder.is_dir():
        raise DataError(f"--sense2vec: {folder} is not a folder, expected one of sense2vec vectors")
    words = sorted({word for text in texts for word in split_words(text)})
    try:
        # JSON, msgpack and plain arrays: nothing in the folder is unpickled. The strings are left
        # out because keys are found by their hashes.
        library = Sense2Vec().from_disk(folder, exclude=("cache", "strings"))
        table = np.asarray(library.vectors.data, dtype=np.float32)
        if table.ndim != 2 or not table.size:
            raise ValueError(f"its vectors have shape {table.shape}")
        if not library.senses:
            raise ValueError("its cfg lists no senses")
        bar = tqdm(words, desc="looking up word vectors", delay=1, leave=False)
        keys = {word: key for word in bar if (key := library.get_best_sense(word)) is not None}
        zeros = np.zeros(table.shape[1], dtype=np.float32)
        vectors = np.stack([zeros, *(library[key] for key in keys.values())]).astype(np.float32)
        if not np.isfinite(vectors).all():
            raise ValueError("it holds numbers that are not finite")
        # Which key has which vector is part of what they are.
        places = np.asarray(sorted(library.vectors.key2row.items()), dtype=np.uint64)
        checksum = zlib.crc32(places.data, zlib.crc32(np.ascontiguousarray(table).data))
    except Exception as error:
        # A broken folder ends in nearly any kind of error.
        raise DataError(
            f"--sense2vec: {folder} cannot be read as sense2vec vectors ({error}); expected a "
            "folder that Sense2Vec().from_disk reads, such as the published s2v_old"
        ) from error
    rows = {word: row for row, word in enumerate(keys, start=1)}
    return WordVectors(rows, vectors, len(words), checksum)


def look_up_words(
    config: Config, folder: str, narrations: Iterable[Narration]
) -> WordVectors | None:
    """Look up the vectors that a model reads of words; None where it reads none.

    Args:
        folder: of sense2vec vectors; empty for none.

    Raises:
        InputError: the folder cannot be read, or holds other vectors than the configuration says.
    """
    if not folder:
        return None
    vectors = read_word_vectors(Path(folder), (narration.text for narration in narrations))
    if config.word_vector_size not in (0, vectors.size):
        raise InputError(
            f"--sense2vec: the vectors in {folder} have {vectors.size} numbers, the model takes "
            f"{config.word_vector_size} (word_vector_size)"
        )
    if config.word_vector_checksum not in (0, vectors.checksum):
        raise InputError(
            f"--sense2vec: {folder} holds other vectors than the model was trained with: found "
            f"the checksum {vectors.checksum}, expected {config.word_vector_checksum}"
        )
    print(
        f"{folder}: {len(vectors.rows)} of {vectors.looked_up} distinct words have a vector of "
        f"{vectors.size} numbers"
    )
    return vectors
