"""Word vectors: looked up in a sense2vec folder, aligned to word-pieces, and trained."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from sense2vec import Sense2Vec

from data.encoding.text import encode_text, with_word_vectors
from data.encoding.word_vectors import (
    WordVectors,
    look_up_words,
    read_word_vectors,
    split_words,
)
from data.files import BadRecord, DataError
from data.narration import Narration
from inference.resolver import Resolver
from models.factory import encoder_config_of
from tests.conftest import REPOSITORY
from tests.support import cin_files, tiny
from tests.support.present import present
from tools import train_sense2vec
from utils.checkpointing.checkpoint import Checkpoint, save_checkpoint
from utils.config import Config
from utils.errors import InputError
from utils.thresholds import Thresholds

SIZE = 4
# Keys with their counts; the vector of each is its place in the dictionary, from 1.
KEYS = {
    "man|NOUN": 9,
    "man|VERB": 2,
    "zebra|NOUN": 3,
    "'s|PART": 8,
    "hat|NOUN": 4,
    "US|GPE": 5,
    "Paris|GPE": 6,
    "n't|ADV": 7,
    ".|PUNCT": 9,
    "do|VERB": 3,
}
NUMBER = {key: float(number) for number, key in enumerate(KEYS, start=1)}


def write_folder(folder: Path, senses: tuple[str, ...] = ("NOUN", "VERB")) -> Path:
    """The keys above as the library writes them."""
    library = Sense2Vec(shape=(len(KEYS), SIZE), senses=[*senses, "PART", "GPE", "ADV", "PUNCT"])
    for key, count in KEYS.items():
        library.add(key, np.full(SIZE, NUMBER[key], dtype=np.float32), count)
    library.to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("vectors") / "s2v_old")


def pieces_and_numbers(text: str, folder: Path) -> list[tuple[str, float]]:
    """The word-pieces of a text, each with the first number of its vector."""
    vectors = read_word_vectors(folder, [text])
    narration = Narration("n", text)
    encoded = encode_text(narration, tiny.tokenizer(), 128)
    encoded = with_word_vectors(encoded, narration, vectors)
    of_pieces = present(encoded.word_vectors)
    assert of_pieces.shape == (len(encoded), SIZE)
    assert of_pieces.dtype == np.float32
    tokens = map(tiny.tokenizer().backend.id_to_token, encoded.token_ids.tolist())
    return list(zip(tokens, of_pieces[:, 0].tolist(), strict=True))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The man's hat, red.", ["The", "man", "'s", "hat", ",", "red", "."]),
        ("He doesn't (can\u2019t)", ["He", "does", "n't", "(", "ca", "n\u2019t", ")"]),
        ("do n't , it 's", ["do", "n't", ",", "it", "'s"]),
        ("a 'word' t-shirt", ["a", "'", "word", "'", "t", "-", "shirt"]),
        ("\u4eba\u0301 \U0001f600", ["\u4eba", "\u0301", "\U0001f600"]),
        (" \n", []),
    ],
)
def test_words_are_cut_as_the_keys_are(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_a_word_has_the_vector_of_its_most_frequent_sense_in_any_case(folder: Path) -> None:
    vectors = read_word_vectors(folder, ["man Man MAN us paris dragon", "man"])
    expected = {
        **dict.fromkeys(("man", "Man", "MAN"), NUMBER["man|NOUN"]),
        "us": NUMBER["US|GPE"],
        "paris": NUMBER["Paris|GPE"],
    }
    assert {word: vectors.vectors[row, 0] for word, row in vectors.rows.items()} == expected
    assert not vectors.vectors[0].any()
    assert (vectors.size, vectors.looked_up) == (SIZE, 6)


def test_every_word_piece_has_the_vector_of_its_word_by_characters(folder: Path) -> None:
    # The tiny encoder spells what it does not know: a piece for each letter.
    zebra = [(piece, NUMBER["zebra|NOUN"]) for piece in ("z", "##e", "##b", "##r", "##a")]
    belongs = [("'", NUMBER["'s|PART"]), ("s", NUMBER["'s|PART"])]
    hat = [(piece, NUMBER["hat|NOUN"]) for piece in ("h", "##a", "##t")]
    assert pieces_and_numbers("the zebra's hat.", folder) == [
        ("[CLS]", 0.0),
        ("the", 0.0),
        *zebra,
        *belongs,
        *hat,
        (".", NUMBER[".|PUNCT"]),
        ("[SEP]", 0.0),
    ]


def test_a_word_piece_over_two_words_has_the_first_ones_vector(folder: Path) -> None:
    numbers = dict(pieces_and_numbers("man don't", folder)[1:])
    assert numbers["##n"] == NUMBER["n't|ADV"]  # "do" and "n't" share no letter here
    joined = read_word_vectors(folder, ["do n't"]).of_word_pieces(
        "don't", np.array([[0, 0], [0, 3], [3, 4], [4, 5], [5, 5]]), np.array([1, 0, 0, 0, 0], bool)
    )
    n_t, do = NUMBER["n't|ADV"], NUMBER["do|VERB"]
    assert joined[:, 0].tolist() == [0, do, n_t, n_t, 0]


@pytest.mark.parametrize("text", ["", " ", "dragon"])
def test_unknown_words_and_no_words_have_zeros(folder: Path, text: str) -> None:
    assert not any(number for _, number in pieces_and_numbers(text, folder))


def test_a_batch_holds_vectors_where_the_texts_have_them() -> None:
    assert tiny.batch(tiny.examples()).word_vectors is None
    examples = tiny.examples(vectors=tiny.word_vectors())
    batch = tiny.batch(examples)
    padded = present(batch.word_vectors)
    assert padded.shape == (*batch.token_ids.shape, tiny.WORD_VECTOR_SIZE)
    for row, example in enumerate(examples):
        length = len(example.text)
        assert np.array_equal(padded[row, :length], present(example.text.word_vectors))
        assert not padded[row, length:].any()


def spoil(folder: Path, name: str, content: bytes | None) -> None:
    path = folder / name
    path.unlink() if content is None else path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cfg", None, "cfg"),
        ("cfg", b"{", "s2v_old"),
        ("cfg", b'{"senses": []}', "no senses"),
        ("vectors", None, "shape"),
        ("vectors", b"", "s2v_old"),
        ("key2row", b"\xc1", "s2v_old"),
        ("strings.json", b"[", "s2v_old"),
    ],
)
def test_a_broken_folder_is_an_error_that_names_the_option(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    broken = write_folder(tmp_path / "broken")
    spoil(broken, name, content)
    with pytest.raises(DataError, match="--sense2vec.*broken") as error:
        read_word_vectors(broken, ["man"])
    assert said in str(error.value)


def test_a_folder_with_numbers_that_are_not_finite_is_refused(tmp_path: Path) -> None:
    broken = write_folder(tmp_path / "broken")
    np.save(broken / "vectors.npy", np.full((len(KEYS), SIZE), np.nan, dtype=np.float32))
    (broken / "vectors.npy").replace(broken / "vectors")
    with pytest.raises(DataError, match="not finite"):
        read_word_vectors(broken, ["man"])


def test_nothing_in_a_folder_is_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return Path.mkdir, (tmp_path / "owned",)

    broken = write_folder(tmp_path / "broken")
    np.save(broken / "evil.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    (broken / "evil.npy").replace(broken / "vectors")
    with pytest.raises(DataError, match="--sense2vec"):
        read_word_vectors(broken, ["man"])
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("path", ["no/such/folder", __file__])
def test_a_folder_that_is_not_there_is_an_error_that_names_the_option(path: str) -> None:
    with pytest.raises(InputError, match="--sense2vec.* is not a folder"):
        read_word_vectors(Path(path), ["man"])


def test_other_vectors_than_those_of_the_configuration_are_refused(folder: Path) -> None:
    narrations = [Narration("n", "the man")]
    assert look_up_words(Config(), "", narrations) is None
    vectors = present(look_up_words(Config(), str(folder), narrations))
    known = Config(
        sense2vec="elsewhere",
        word_vector_size=vectors.size,
        word_vector_checksum=vectors.checksum,
    )
    assert present(look_up_words(known, str(folder), narrations)).checksum == vectors.checksum
    with pytest.raises(InputError, match="have 4 numbers, the model takes 128"):
        look_up_words(dataclasses.replace(known, word_vector_size=128), str(folder), narrations)
    with pytest.raises(InputError, match="other vectors"):
        look_up_words(dataclasses.replace(known, word_vector_checksum=7), str(folder), narrations)


def resolved(resolver: Resolver, vectors: WordVectors | None) -> np.ndarray:
    narration = tiny.examples()[0].narration
    return next(resolver.resolve([narration], None, word_vectors=vectors)).similarity


def test_a_checkpoint_gives_the_same_output_and_asks_for_its_word_vectors(tmp_path: Path) -> None:
    config = tiny.tiny_config(sense2vec="folder", word_vector_size=tiny.WORD_VECTOR_SIZE)
    model = tiny.tiny_model(sense2vec="folder", word_vector_size=tiny.WORD_VECTOR_SIZE)
    torch.nn.init.normal_(present(model.word_vector_layer).linear.weight, std=0.2)
    checkpoint = Checkpoint(
        config,
        encoder_config_of(model),
        tiny.tokenizer().to_json(),
        model.state_dict(),
        0,
        Thresholds(0.8),
        {},
    )
    save_checkpoint(tmp_path / "models.pt", checkpoint)
    device = torch.device("cpu")
    loaded = Resolver.from_checkpoint(tmp_path / "models.pt", device)
    here = Resolver(model, tiny.tokenizer(), config, Thresholds(0.8))
    expected = resolved(here, tiny.word_vectors())
    np.testing.assert_allclose(resolved(loaded, tiny.word_vectors()), expected, atol=1e-6)
    with pytest.raises(InputError, match="found none, the model reads some"):
        resolved(loaded, None)
    without = Resolver(tiny.tiny_model(), tiny.tokenizer(), tiny.tiny_config(), Thresholds(0.8))
    with pytest.raises(InputError, match="found some, the model reads none"):
        resolved(without, tiny.word_vectors())


CAPTIONS = {
    str(number): [text]
    for number, text in enumerate(
        ["a red ball lies on green grass", "a blue ball lies on green grass"] * 3
        + ["he plays an old piano inside", "she plays an old piano inside"] * 3,
        start=300,
    )
}


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with captions to train word vectors on, and without labelled narrations."""
    root = tmp_path_factory.mktemp("captions")
    cin_files.write_captions(root, CAPTIONS)
    image = cin_files.DEFAULT_REGIONS["train"]["301"]
    cin_files.write_regions(root, "train", dict.fromkeys(CAPTIONS, image))
    return root


def train(captions: Path, out: Path, *options: str) -> Sense2Vec:
    """Run the command; returns what the library reads of its folder."""
    train_sense2vec.main(
        ["--dataset", "cin", "--data-root", str(captions), "--out", str(out), *options]
    )
    return Sense2Vec().from_disk(out)


def test_words_with_the_same_neighbours_have_like_vectors(captions: Path, tmp_path: Path) -> None:
    library = train(captions, tmp_path / "out")
    assert library.get_best_sense("Red") == "red|X"
    assert library.get_freq("ball|X") == 6
    words = read_word_vectors(tmp_path / "out", ["red blue he dragon"])
    assert (set(words.rows), words.size) == ({"red", "blue", "he"}, 128)
    red, blue, he = (words.vectors[words.rows[word]] for word in ("red", "blue", "he"))
    lengths = np.linalg.norm([red, blue, he], axis=1)
    assert red @ blue / (lengths[0] * lengths[1]) > 0.9 > red @ he / (lengths[0] * lengths[2])


def test_fewer_words_than_numbers_leave_zeros(captions: Path, tmp_path: Path) -> None:
    table = train(captions, tmp_path / "wide", "--size", "40").vectors.data
    assert table.shape == (15, 40) and not table[:, 15:].any() and table[:, :3].any()
    narrow = train(captions, tmp_path / "narrow", "--size", "3").vectors.data
    np.testing.assert_allclose(narrow, table[:, :3], atol=1e-5)


def test_the_same_seed_gives_the_same_folder(captions: Path, tmp_path: Path) -> None:
    names = ("first", "second")
    for name in names:
        train(captions, tmp_path / name, "--seed", "5")
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes(), path.name


def test_many_words_are_reduced_alike_by_the_same_seed_and_as_few_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = sparse.csr_array(np.random.default_rng(0).poisson(0.2, size=(60, 60)))
    whole = train_sense2vec.reduce_counts(counts + counts.T, 5, seed=1)
    monkeypatch.setattr(train_sense2vec, "_FEW_WORDS", 10)
    first, again = (train_sense2vec.reduce_counts(counts + counts.T, 5, seed=1) for _ in range(2))
    assert np.array_equal(first, again)
    np.testing.assert_allclose(first, whole, atol=1e-5)


def test_neighbours_are_counted_within_a_text_and_the_window() -> None:
    texts = [[(word, "X") for word in text.split()] for text in ("a b c a", "c b")]
    near = train_sense2vec.count_neighbours(texts, [("a", "X"), ("b", "X"), ("c", "X")], 2)
    assert near.toarray().tolist() == [[0, 2, 2], [2, 0, 2], [2, 2, 0]]


def test_splits_that_are_not_there_are_said_or_refused(
    captions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(captions, tmp_path / "both")
    assert "val is left out" in capsys.readouterr().out
    with pytest.raises(DataError, match="testval_annotations"):
        train(captions, tmp_path / "named", "--split", "train", "val")
    with pytest.raises(DataError, match="none of train, val"):
        train(tmp_path / "nowhere", tmp_path / "none")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["both"]


def test_labelled_texts_are_read_and_bad_records_stop_the_training(tmp_path: Path) -> None:
    root = cin_files.write_cin_folder(tmp_path / "data")
    library = train(root, tmp_path / "out", "--split", "val", "--min-count", "1")
    assert "dog|X" in library and "horse|X" not in library
    records = [{**r, "captions": " "} for r in cin_files.default_annotations()]
    cin_files.write_annotations(root, records)
    with pytest.raises(BadRecord, match="captions"):
        train(root, tmp_path / "bad")


def test_a_pipeline_tells_the_senses(captions: Path, tmp_path: Path) -> None:
    import spacy

    pipeline = spacy.blank("en")
    ruler: Any = pipeline.add_pipe("attribute_ruler")
    ruler.add([[{"ORTH": "ball"}], [{"ORTH": "piano"}]], {"POS": "NOUN"})
    ruler.add([[{"ORTH": "plays"}]], {"POS": "VERB"})
    pipeline.to_disk(tmp_path / "pipeline")
    library = train(captions, tmp_path / "out", "--spacy-model", str(tmp_path / "pipeline"))
    assert {"ball|NOUN", "plays|VERB", "red|?"} <= set(library.keys())
    assert library.senses == ["?", "NOUN", "VERB"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--spacy-model", "no_such_pipeline"], "--spacy-model: no_such_pipeline"),
        (["--min-count", "99"], "0 words are too few"),
        (["--window", "0"], "--window: found 0"),
    ],
)
def test_what_cannot_be_trained_is_refused_and_leaves_nothing(
    captions: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        train(captions, tmp_path / "out", *options)
    assert not list(tmp_path.iterdir())


def test_without_the_option_nothing_of_it_is_imported() -> None:
    script = (
        "import sys, data.encoding.text; sys.exit(bool({'sense2vec', 'spacy'} & set(sys.modules)))"
    )
    subprocess.check_call([sys.executable, "-c", script], cwd=REPOSITORY)
