"""Word-pieces, aligned spans, masked words and padding."""

from __future__ import annotations

import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch

from data.encoding.example import Masking
from data.encoding.left_out import LeftOut, count_left_out, left_out_lines
from data.encoding.text import (
    align_spans,
    chain_numbers,
    encode_text,
    mask_words,
    masking_generator,
)
from data.encoding.tokenizer import Tokenizer, load_tokenizer
from data.loading.collate import pad
from data.loading.dataset import (
    JoinedDataset,
    NarrationDataset,
)
from data.loading.loader import make_loader
from data.loading.samplers import EndlessBatches, OrderedBatches, SizedBatches
from data.loading.splits import hold_out, keep_labels
from data.narration import Mention, Narration
from tests.support import tiny
from tests.support.present import present
from utils.pretrained import EncoderNotFound


def pieces_of(text: str, mentions: list[tuple[int, int]]) -> list[str]:
    """The word-pieces of each mention, joined as text."""
    narration = Narration("n", text, tuple(Mention(s, e, text[s:e]) for s, e in mentions))
    encoded = encode_text(narration, tiny.tokenizer(), 128)
    tokens = [tiny.tokenizer().backend.id_to_token(int(i)) for i in encoded.token_ids]
    return [
        "".join(t.removeprefix("##") for t in tokens[start:end])
        for start, end in encoded.mention_spans
    ]


@pytest.mark.parametrize(
    ("text", "spans", "expected"),
    [
        ("the man and the man", [(0, 7), (12, 19)], ["theman", "theman"]),
        ("a zebra's hat", [(0, 9), (0, 13)], ["azebra's", "azebra'shat"]),
        ("he (he) HE", [(0, 2), (4, 6), (8, 10)], ["he", "he", "he"]),
        # A span that begins inside a word-piece takes the whole of it.
        ("the man", [(5, 7)], ["man"]),
        # Accents go, characters stay counted.
        ("a caf\u00e9, it", [(2, 6), (8, 10)], ["cafe", "it"]),
        ("a cafe\u0301, it", [(2, 7), (9, 11)], ["cafe", "it"]),
        # What the vocabulary lacks is one unknown word-piece.
        ("\U0001f600\u4eba it", [(0, 1), (1, 2), (3, 5)], ["[UNK]", "[UNK]", "it"]),
    ],
)
def test_spans_align_by_characters(
    text: str, spans: list[tuple[int, int]], expected: list[str]
) -> None:
    assert pieces_of(text, spans) == expected


def test_alignment_takes_the_word_pieces_that_share_a_character() -> None:
    offsets = np.array([[0, 0], [0, 3], [3, 5], [6, 9], [0, 0]])
    special = np.array([True, False, False, False, True])
    spans = align_spans([(0, 3), (2, 4), (5, 6), (0, 9), (8, 9)], offsets, special)
    assert spans.tolist() == [[1, 2], [1, 3], [0, 0], [1, 4], [3, 4]]
    assert align_spans([], offsets, special).shape == (0, 2)


def test_a_mention_without_a_word_piece_is_left_out() -> None:
    text = "he   it"
    mentions = (Mention(0, 2, "he"), Mention(3, 4, " "), Mention(5, 7, "it"))
    encoded = encode_text(Narration("n", text, mentions), tiny.tokenizer(), 128)
    assert encoded.mention_indices == (0, 2)


def test_a_long_text_stays_whole() -> None:
    text = "it " * 200
    mentions = tuple(Mention(i, i + 2, "it") for i in (0, 180, 183, 186, 300))
    encoded = encode_text(Narration("n", text, mentions), tiny.tokenizer(), 128)
    assert encoded.special.tolist() == [True] + [False] * 200 + [True]
    assert encoded.mention_spans[:, 0].tolist() == [1, 61, 62, 63, 101]
    capped = encode_text(Narration("n", text, mentions), tiny.tokenizer(), 1)
    assert capped.mention_indices == (0,)


def test_mentions_that_are_left_out_are_counted() -> None:
    three = tiny.narration("it, it, it", [("it", "1")] * 3, name="three")
    blank = Narration("blank", "it  ", (Mention(0, 2, "it"), Mention(2, 3, " ")))
    expected = {
        (None, 2): [LeftOut("three", 0, 0), LeftOut("blank", 1, 0)],
        (None, 1): [LeftOut("three", 0, 1), LeftOut("blank", 1, 0)],
        (1, 2): [LeftOut("three", 2, 0), LeftOut("blank", 1, 0)],
    }
    for (cap, reach), counted in expected.items():
        assert list(count_left_out([three, blank], tiny.tokenizer(), cap, reach)) == counted


def test_what_is_left_out_is_said_and_nothing_else() -> None:
    nothing = LeftOut("all", 0, 0)
    assert left_out_lines([nothing], 5) == left_out_lines([], 5) == []
    counted = [nothing, LeftOut("a", 2, 0), LeftOut("b", 1, 7)]
    unseen, far = left_out_lines(counted, 5)
    assert unseen.startswith("3 mentions of 2 narrations (a, b) have no word-piece")
    assert far.startswith("7 mentions of 1 narrations (b) have more than 5 mentions before them")
    assert "over the cap of 128 mentions (max_mentions)" in left_out_lines(counted, 5, 128)[0]
    many = [LeftOut(str(number), 1, 0) for number in range(9)]
    assert "9 narrations (0, 1, 2, ...)" in left_out_lines(many, 5)[0]


def test_chains_are_numbered_and_unknown_ones_marked() -> None:
    known = tiny.narration("he, she, he", [("he", "b"), ("she", "a"), ("he", "b")])
    assert chain_numbers(known, (0, 1, 2)).tolist() == [0, 1, 0]
    assert chain_numbers(known, (1, 2)).tolist() == [0, 1]
    unknown = Narration("n", "he", (Mention(0, 2, "he"),))
    assert chain_numbers(unknown, (0,)).tolist() == [-1]


def encoded(text: str = "the man and the dog " * 3):
    return encode_text(Narration("n", text), tiny.tokenizer(), 128)


def test_masking_depends_on_seed_epoch_and_narration_alone() -> None:
    def masked(seed: int, epoch: int, name: str) -> list[int]:
        generator = masking_generator(seed, epoch, name)
        return mask_words(encoded(), tiny.tokenizer(), 0.5, generator).token_ids.tolist()

    assert masked(1, 2, "a") == masked(1, 2, "a")
    assert (
        len({tuple(masked(*key)) for key in [(1, 2, "a"), (2, 2, "a"), (1, 3, "a"), (1, 2, "b")]})
        == 4
    )


def test_masking_chooses_replaces_and_keeps_in_the_published_shares() -> None:
    text = encode_text(Narration("n", "the man and dog " * 15), tiny.tokenizer(), 128)
    chosen = kept = masked = total = 0
    for epoch in range(400):
        words = mask_words(text, tiny.tokenizer(), 0.15, masking_generator(0, epoch, "n"))
        assert not text.special[words.positions].any()
        assert (text.token_ids[words.positions] == words.targets).all()
        chosen += len(words.positions)
        total += int((~text.special).sum())
        masked += int((words.token_ids[words.positions] == tiny.tokenizer().mask_id).sum())
        kept += int((words.token_ids[words.positions] == words.targets).sum())
    assert chosen / total == pytest.approx(0.15, abs=0.01)
    assert masked / chosen == pytest.approx(0.8, abs=0.03)
    # A replacement is now and then the word itself.
    assert kept / chosen == pytest.approx(0.1, abs=0.03)


def test_every_distinct_label_is_in_the_batch_once() -> None:
    batch = tiny.batch(tiny.examples())
    rows = {tuple(row) for row in batch.label_token_ids.tolist()}
    assert len(rows) == len(batch.label_token_ids)
    tokenizer = tiny.tokenizer().backend
    for row, example in enumerate(tiny.examples()):
        for column, region in enumerate(example.regions or ()):
            label = batch.region_labels[row, column]
            ids = batch.label_token_ids[label][batch.label_word_mask[label]].tolist()
            assert tokenizer.decode(ids).replace(" ", "") == region.label.replace(" ", "")


def test_an_image_without_any_region_stands_beside_one_that_is_not_there() -> None:
    examples = tiny.examples()
    empty = dataclasses.replace(examples[1], regions=tiny.regions(0, 0))
    batch = tiny.batch([empty, examples[2]])
    assert batch.region_features.shape == (2, 0, tiny.FEATURE_SIZE)
    assert tiny.tiny_model()(batch).fused_mentions.isfinite().all()


def test_padding_is_to_the_longest_and_masked() -> None:
    padded, mask = pad([np.array([1, 2]), np.array([3]), np.array([], dtype=np.int64)], 9)
    assert padded.tolist() == [[1, 2], [3, 9], [9, 9]]
    assert mask.tolist() == [[True, True], [True, False], [False, False]]


def test_gold_boxes_stand_at_their_mentions() -> None:
    examples = tiny.examples()
    batch = tiny.batch(examples)
    for row, example in enumerate(examples):
        for column, mention in enumerate(example.narration.mentions):
            boxes = batch.gold_boxes_xyxy[row, column][batch.gold_box_mask[row, column]]
            expected = torch.tensor(mention.boxes_xyxy, dtype=torch.float32).reshape(-1, 4)
            torch.testing.assert_close(boxes, expected)


def test_a_batch_without_masking_has_no_masked_words() -> None:
    assert tiny.batch(tiny.examples()).masked_words is None


def test_ordered_batches_have_every_narration_once() -> None:
    batches = OrderedBatches(5, 2)
    assert list(batches) == [[(0, 0), (0, 1)], [(0, 2), (0, 3)], [(0, 4)]]
    assert len(batches) == 3


@pytest.mark.parametrize(
    ("lengths", "batches"),
    [
        ([], []),
        ([1, 1, 1, 1, 1], [[0, 1, 2], [3, 4]]),
        ([5, 5, 1], [[0, 1], [2]]),
        ([1, 1, 10, 1], [[0, 1], [2], [3]]),
        ([99, 1, 0, 4], [[0], [1, 2], [3]]),
        ([0, 0, 99], [[0, 1], [2]]),
    ],
)
def test_sized_batches_hold_so_many_once_they_are_padded(lengths, batches) -> None:
    found = SizedBatches(lengths, 3, most=10)
    assert list(found) == [[(0, place) for place in batch] for batch in batches]
    assert len(found) == len(batches)


def test_endless_batches_have_every_narration_once_an_epoch_and_shuffle_each() -> None:
    batches = EndlessBatches(10, 4, seed=3)
    assert batches.steps_per_epoch == 3
    stream = [key for batch in itertools.islice(batches, 10) for key in batch]
    for epoch in range(4):
        of_epoch = stream[10 * epoch : 10 * (epoch + 1)]
        assert sorted(of_epoch) == [(epoch, place) for place in range(10)]
    orders = {tuple(place for _, place in stream[10 * e : 10 * e + 10]) for e in range(4)}
    assert len(orders) == 4
    again = [key for batch in itertools.islice(EndlessBatches(10, 4, seed=3), 10) for key in batch]
    other = [key for batch in itertools.islice(EndlessBatches(10, 4, seed=4), 10) for key in batch]
    assert again == stream != other


@pytest.mark.parametrize("size", range(6, 14))
@pytest.mark.parametrize("accumulation", [1, 3])
def test_no_step_has_a_narration_twice(size: int, accumulation: int) -> None:
    stream = EndlessBatches(size, 6 // accumulation, seed=0, accumulation=accumulation)
    for step in itertools.islice(zip(*[iter(stream)] * accumulation, strict=True), 60):
        assert len({place for batch in step for _, place in batch}) == 6


@pytest.mark.parametrize(
    ("size", "ranks", "batch", "accumulation"),
    [(10, 2, 3, 1), (7, 3, 2, 1), (5, 2, 6, 1), (10, 1, 2, 3), (13, 2, 2, 2), (5, 2, 6, 2)],
)
def test_ranks_and_batches_share_what_one_batch_would_take_alone(
    size: int, ranks: int, batch: int, accumulation: int
) -> None:
    shares = [EndlessBatches(size, batch, 1, rank, ranks, accumulation) for rank in range(ranks)]
    alone = EndlessBatches(size, shares[0].step_size, 1)
    assert alone.step_size == shares[0].batch * ranks * accumulation
    assert all(share.steps_per_epoch == alone.steps_per_epoch for share in shares)
    batches = (list(itertools.chain(*parts)) for parts in zip(*shares, strict=True))
    for whole in itertools.islice(alone, 20):
        assert sum(itertools.islice(batches, accumulation), []) == whole


def test_a_batch_never_has_a_narration_twice_for_want_of_others() -> None:
    for batch in itertools.islice(EndlessBatches(3, 6, seed=0), 10):
        assert sorted(place for _, place in batch) == [0, 1, 2]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_gives_the_same_batches_in_any_process(workers: int) -> None:
    narrations = [dataclasses.replace(e.narration, image_id=None) for e in tiny.examples()]
    dataset = NarrationDataset(narrations, None, tiny.encoder(masking=Masking(0.3, seed=5)))
    batches = EndlessBatches(3, 2, seed=1)
    loader = make_loader(dataset, batches, workers, torch.device("cpu"))
    for batch, keys in itertools.islice(zip(loader, batches, strict=True), 6):
        expected = tiny.Collate(tiny.tokenizer())([dataset[key] for key in keys])
        assert batch.narration_ids == expected.narration_ids
        torch.testing.assert_close(
            batch.masked_words.token_ids, present(expected.masked_words).token_ids
        )


def test_joined_datasets_are_one_after_the_other() -> None:
    narrations = [dataclasses.replace(e.narration, image_id=None) for e in tiny.examples()]
    parts = [
        NarrationDataset(part, None, tiny.encoder())
        for part in (narrations[:1], [], narrations[1:])
    ]
    joined = JoinedDataset(parts)
    assert len(joined) == 3
    assert [joined[0, place].narration for place in range(3)] == narrations


def test_a_smaller_share_of_labels_is_part_of_a_larger_one() -> None:
    narrations = [Narration(str(number), "it") for number in range(200)]
    shares = [keep_labels(narrations, fraction) for fraction in (0.05, 0.2, 1.0)]
    assert [len(share) for share in shares] == [10, 40, 200]
    ids = [[narration.id for narration in share] for share in shares]
    assert set(ids[0]) < set(ids[1]) and ids[2] == [narration.id for narration in narrations]
    assert {n.id for n in keep_labels(narrations[::-1], 0.05)} == set(ids[0])


def test_held_out_narrations_are_chosen_by_their_id_alone() -> None:
    narrations = [Narration(str(number), "it") for number in range(2000)]
    kept, held = hold_out(narrations, 0.1)
    assert len(kept) + len(held) == 2000
    assert len(held) == pytest.approx(200, abs=50)
    again = hold_out(narrations[::-1], 0.1)[1]
    assert {n.id for n in held} == {n.id for n in again}
    assert {n.id for n in held} <= {n.id for n in hold_out(narrations, 0.3)[1]}
    assert hold_out(narrations, 0)[1] == []


def test_word_pieces_survive_a_checkpoint() -> None:
    text = "a zebra's hat"
    copy = Tokenizer.from_json(tiny.tokenizer().to_json())
    for ours, theirs in zip(copy.encode(text), tiny.tokenizer().encode(text), strict=True):
        assert (ours == theirs).all()
    assert (copy.mask_id, copy.pad_id) == (4, 0)
    # Checkpoints of earlier versions say more than is read.
    older = json.dumps({**json.loads(tiny.tokenizer().to_json()), "limit": 64})
    assert Tokenizer.from_json(older).mask_id == 4


def test_a_tokenizer_that_cannot_be_had_is_an_error_that_names_the_option() -> None:
    with pytest.raises(EncoderNotFound, match="--text-encoder"):
        load_tokenizer("/no/such/encoder")
