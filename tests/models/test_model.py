"""What the model promises of every batch, whatever it has learned."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from models.attention import Attention, Float32Attention
from models.coreference_model import CoreferenceModel, Output, decode_boxes, mean_over_spans
from models.factory import (
    build_from_config,
    build_from_pretrained,
    encoder_config_of,
)
from models.text_encoder import GROUP_COST, group_by_length
from models.windows import Texts, cut_into_windows
from tests.support import tiny
from tests.support.present import present
from utils.batch import Batch
from utils.pretrained import EncoderNotFound


@pytest.fixture(scope="module")
def model() -> CoreferenceModel:
    return tiny.tiny_model()


WITH_WORD_VECTORS = {"sense2vec": "folder", "word_vector_size": tiny.WORD_VECTOR_SIZE}


@pytest.fixture(scope="module")
def model_with_word_vectors() -> CoreferenceModel:
    model = tiny.tiny_model(**WITH_WORD_VECTORS)
    # As it may be after training: at first word vectors change nothing.
    torch.nn.init.normal_(present(model.word_vector_layer).linear.weight, std=0.2)
    return model


def run(model: CoreferenceModel, batch: Batch) -> Output:
    with torch.inference_mode():
        return model(batch)


def real_parts(output: Output, batch: Batch, row: int) -> dict[str, torch.Tensor]:
    """What the model says of one narration, without padding."""
    mentions, regions = batch.mention_mask[row], batch.region_mask[row]
    boxes, scores = decode_boxes(output, batch, refine=True)
    return {
        "similarity": output.mention_similarity[row][mentions][:, mentions],
        "attention": output.region_log_attention[row][mentions][:, regions],
        "mentions": output.fused_mentions[row][mentions],
        "regions": output.region_vectors[row][regions],
        "boxes": boxes[row][mentions],
        "scores": scores[row][mentions],
    }


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-4, atol=1e-5, msg=name)


def test_a_batch_equals_its_items_alone(model: CoreferenceModel) -> None:
    examples = tiny.examples()
    together = tiny.batch(examples)
    output = run(model, together)
    for row, example in enumerate(examples):
        alone = tiny.batch([example])
        assert_same(real_parts(output, together, row), real_parts(run(model, alone), alone, 0))


def test_the_order_in_a_batch_does_not_matter(model: CoreferenceModel) -> None:
    examples = tiny.examples()
    forth, back = tiny.batch(examples), tiny.batch(examples[::-1])
    first, second = run(model, forth), run(model, back)
    for row in range(len(examples)):
        assert_same(real_parts(first, forth, row), real_parts(second, back, -1 - row))


def test_padding_of_words_mentions_and_regions_changes_nothing(model: CoreferenceModel) -> None:
    batch = tiny.batch(tiny.examples())
    more = tiny.padded(batch)
    first, second = run(model, batch), run(model, more)
    for row in range(len(batch)):
        assert_same(real_parts(first, batch, row), real_parts(second, more, row))


def test_a_batch_with_word_vectors_equals_its_items_alone_however_it_is_padded(
    model_with_word_vectors: CoreferenceModel,
) -> None:
    examples = tiny.examples(vectors=tiny.word_vectors())
    together = tiny.batch(examples)
    more = tiny.padded(together)
    output, padded = run(model_with_word_vectors, together), run(model_with_word_vectors, more)
    for row, example in enumerate(examples):
        alone = tiny.batch([example])
        parts = real_parts(output, together, row)
        assert_same(parts, real_parts(run(model_with_word_vectors, alone), alone, 0))
        assert_same(parts, real_parts(padded, more, row))


def test_word_vectors_matter_to_mentions_but_not_to_labels_and_masked_words(
    model_with_word_vectors: CoreferenceModel,
) -> None:
    batch = tiny.batch(tiny.examples(masked=True, vectors=tiny.word_vectors()))
    zeros = dataclasses.replace(batch, word_vectors=torch.zeros_like(present(batch.word_vectors)))
    first, second = run(model_with_word_vectors, batch), run(model_with_word_vectors, zeros)
    assert not torch.allclose(first.mention_vectors, second.mention_vectors, atol=1e-3)
    assert torch.equal(first.region_vectors, second.region_vectors)
    assert torch.equal(present(first.masked_word_logits), present(second.masked_word_logits))


def test_word_vectors_add_nothing_at_first() -> None:
    outputs = []
    for values, vectors in (({}, None), (WITH_WORD_VECTORS, tiny.word_vectors())):
        torch.manual_seed(3)
        config = tiny.tiny_config(coreference_head="antecedent", **values)
        model, _ = build_from_pretrained(config)
        outputs.append(run(model.eval(), tiny.batch(tiny.examples(masked=True, vectors=vectors))))
    first, second = map(vars, outputs)
    for name, value in first.items():
        if value is not None or second[name] is not None:
            torch.testing.assert_close(value, second[name], rtol=0, atol=0)


def test_word_vectors_are_learned_from_at_once() -> None:
    model, _ = build_from_pretrained(tiny.tiny_config(**WITH_WORD_VECTORS))
    batch = tiny.batch(tiny.examples(vectors=tiny.word_vectors()))
    model.eval()(batch).mention_similarity.sum().backward()
    gradient = present(present(model.word_vector_layer).linear.weight.grad)
    assert gradient[:, model.text_encoder.hidden_size :].abs().max() > 0


def test_permuting_mentions_permutes_the_output(model: CoreferenceModel) -> None:
    batch = tiny.batch(tiny.examples()[:1])
    order = torch.randperm(7, generator=torch.Generator().manual_seed(0))
    permuted = dataclasses.replace(batch, mention_spans=batch.mention_spans[:, order])
    first = real_parts(run(model, batch), batch, 0)
    second = real_parts(run(model, permuted), permuted, 0)
    first["similarity"] = first["similarity"][order][:, order]
    for name in ("attention", "mentions", "boxes", "scores"):
        first[name] = first[name][order]
    assert_same(first, second)


def test_permuting_regions_permutes_the_attention_alone(model: CoreferenceModel) -> None:
    batch = tiny.batch(tiny.examples()[:1])
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    permuted = dataclasses.replace(
        batch,
        region_features=batch.region_features[:, order],
        region_boxes_xyxy=batch.region_boxes_xyxy[:, order],
        region_labels=batch.region_labels[:, order],
    )
    first = real_parts(run(model, batch), batch, 0)
    second = real_parts(run(model, permuted), permuted, 0)
    first["attention"] = first["attention"][:, order]
    first["regions"] = first["regions"][order]
    assert_same(first, second)


def test_other_slots_of_the_label_table_do_not_matter(model: CoreferenceModel) -> None:
    """An image's labels mean the same wherever they stand among the labels of the batch."""
    batch = tiny.batch(tiny.examples())
    order = torch.randperm(len(batch.label_token_ids), generator=torch.Generator().manual_seed(0))
    place = torch.argsort(order)
    moved = dataclasses.replace(
        batch,
        label_token_ids=batch.label_token_ids[order],
        label_token_mask=batch.label_token_mask[order],
        label_word_mask=batch.label_word_mask[order],
        region_labels=place[batch.region_labels],
    )
    for row in range(len(batch)):
        first = real_parts(run(model, batch), batch, row)
        assert_same(first, real_parts(run(model, moved), moved, row))


def test_the_image_and_the_labels_matter(model: CoreferenceModel) -> None:
    batch = tiny.batch(tiny.examples()[:1])
    before = run(model, batch)
    for changed in (
        dataclasses.replace(batch, region_features=batch.region_features + 1),
        dataclasses.replace(batch, region_boxes_xyxy=batch.region_boxes_xyxy * 0.5),
        dataclasses.replace(
            batch, region_labels=(batch.region_labels + 1) % len(batch.label_token_ids)
        ),
    ):
        after = run(model, changed)
        assert not torch.allclose(before.fused_mentions, after.fused_mentions, atol=1e-4)


def test_region_attention_is_a_distribution_over_real_regions(model: CoreferenceModel) -> None:
    batch = tiny.padded(tiny.batch(tiny.examples()[:2]))
    attention = run(model, batch).region_log_attention.exp()
    torch.testing.assert_close(attention.sum(-1), torch.ones_like(attention.sum(-1)))
    assert attention.transpose(1, 2)[~batch.region_mask].max() == 0


def test_boxes_are_finite_and_inside_the_image_even_of_wild_deltas(
    model: CoreferenceModel,
) -> None:
    batch = tiny.batch(tiny.examples())
    output = run(model, batch)
    wild = torch.tensor([1e30, -1e30, float("inf"), float("nan")]).expand_as(output.box_deltas)
    for deltas in (output.box_deltas, wild):
        boxes, scores = decode_boxes(
            dataclasses.replace(output, box_deltas=deltas), batch, refine=True
        )
        assert boxes.isfinite().all() and scores.isfinite().all()
        assert boxes.min() >= 0 and boxes.max() <= 1
        assert (boxes[..., 2:] >= boxes[..., :2]).all()


def test_without_a_trained_head_a_box_is_a_region(model: CoreferenceModel) -> None:
    batch = tiny.batch(tiny.examples()[:1])
    boxes, _ = decode_boxes(run(model, batch), batch, refine=False)
    assert all((box == batch.region_boxes_xyxy[0]).all(dim=-1).any() for box in boxes[0])


@pytest.mark.parametrize("text", ["", "no mention here", "..."])
def test_a_narration_without_mentions_passes(model: CoreferenceModel, text: str) -> None:
    empty = tiny.example(tiny.narration(text, []), tiny.regions(3, 0))
    output = run(model, tiny.batch([empty, tiny.examples()[0]]))
    assert output.fused_mentions.isfinite().all()
    assert run(model, tiny.batch([empty])).mention_similarity.shape == (1, 0, 0)


def test_mean_over_spans_takes_each_span_and_nothing_else() -> None:
    words = torch.arange(12.0).view(1, 6, 2)
    spans = torch.tensor([[[0, 6], [2, 3], [1, 4], [4, 4]]])
    means = mean_over_spans(words, spans)
    expected = [words[0].mean(0), words[0, 2], words[0, 1:4].mean(0), torch.zeros(2)]
    torch.testing.assert_close(means[0], torch.stack(expected))


def test_the_mean_of_a_span_is_exact_wherever_it_stands() -> None:
    words = torch.randn(2, 5000, 3, generator=torch.Generator().manual_seed(0)) + 100
    spans = torch.tensor([[4990, 4999], [0, 5000], [17, 18]]).expand(2, -1, -1)
    expected = [words[:, start:end].double().mean(dim=1) for start, end in spans[0].tolist()]
    means = mean_over_spans(words, spans)
    torch.testing.assert_close(means.double(), torch.stack(expected, dim=1), rtol=1e-7, atol=0)


def test_attention_weights_of_the_last_head_are_those_it_attends_with() -> None:
    torch.manual_seed(0)
    attention = Attention(8, heads=2, attention_dropout=0.0).eval()
    queries, keys = torch.randn(1, 3, 8), torch.randn(1, 5, 8)
    mask = torch.tensor([[True, True, False, True, False]])
    weights = attention.with_log_weights(queries, keys, mask)[1].exp()
    # With an identity as output, the last half of the result is the last head's alone.
    torch.nn.init.eye_(attention.out.weight)
    torch.nn.init.zeros_(attention.out.bias)
    attended = attention(queries, keys, mask)[..., 4:]
    torch.testing.assert_close(weights @ attention.value(keys)[..., 4:], attended)


def test_a_single_head_starts_as_the_similarity_of_mentions_and_regions() -> None:
    model, _ = build_from_pretrained(tiny.tiny_config(cross_attention_heads=1))
    attention = model.fusion.layers[-1].cross_attention
    hidden = attention.query.in_features
    mentions, regions = torch.randn(1, 3, hidden), torch.randn(1, 4, hidden)
    scores = mentions @ regions.transpose(1, 2) / hidden**0.5
    everything = torch.ones(1, 4, dtype=torch.bool)
    _, found = attention.with_log_weights(mentions, regions, everything)
    torch.testing.assert_close(found, scores.log_softmax(dim=-1))


def test_fusion_starts_from_the_layers_after_the_text_layers() -> None:
    model, started = build_from_pretrained(tiny.tiny_config(text_layers=2, fusion_layers=2))
    whole, _ = build_from_pretrained(tiny.tiny_config(text_layers=5, fusion_layers=1))
    assert started == 2
    layers: Any = model.text_encoder.body.encoder
    further: Any = whole.text_encoder.body.encoder
    assert len(layers.layer) == 2
    for ours, theirs in zip(model.fusion.layers, further.layer[2:4], strict=True):
        torch.testing.assert_close(ours.self_attention.key.weight, theirs.attention.self.key.weight)
        torch.testing.assert_close(ours.feedforward[2].weight, theirs.output.dense.weight)


def test_fusion_layers_beyond_the_encoder_are_random_and_said() -> None:
    _, started = build_from_pretrained(tiny.tiny_config(text_layers=4, fusion_layers=2))
    assert started == 1


def test_what_is_random_in_the_fusion_adds_nothing_at_first() -> None:
    model, started = build_from_pretrained(tiny.tiny_config(text_layers=5, fusion_layers=2))
    assert started == 0
    batch = tiny.batch(tiny.examples())
    with torch.inference_mode():
        output = model.eval()(batch)
    normalised = torch.nn.functional.layer_norm(output.mention_vectors, (16,))
    torch.testing.assert_close(output.fused_mentions, normalised, rtol=1e-3, atol=1e-3)


def test_the_masked_word_head_starts_from_the_encoders_own() -> None:
    from transformers import BertForMaskedLM

    whole = BertForMaskedLM.from_pretrained(tiny.encoder_folder())
    head = build_from_pretrained(tiny.tiny_config())[0].text_encoder.masked_words
    torch.testing.assert_close(head.dense.weight, whole.cls.predictions.transform.dense.weight)


def test_text_encoding_is_the_encoders_own() -> None:
    """With all layers kept, the text goes through as transformers runs it."""
    from transformers import BertModel

    model, _ = build_from_pretrained(tiny.tiny_config(text_layers=5, fusion_layers=1))
    batch = tiny.batch(tiny.examples())
    whole = BertModel.from_pretrained(tiny.encoder_folder()).eval()
    with torch.inference_mode():
        texts = Texts(batch.token_ids, batch.token_mask, batch.token_lengths)
        (ours,) = model.eval().text_encoder(texts)
        theirs = whole(batch.token_ids, batch.token_mask.long()).last_hidden_state
    torch.testing.assert_close(ours[batch.token_mask], theirs[batch.token_mask])


@pytest.mark.parametrize("seed", range(8))
def test_texts_are_grouped_as_cheaply_as_can_be(seed: int) -> None:
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 30, 6).tolist()
    group_cost = int(random.integers(0, 30))

    def cost_of(groups: Iterable[Sequence[int]]) -> int:
        return sum(len(group) * max(group) + group_cost for group in groups)

    def cut(texts: list[int], after: Sequence[bool]) -> Iterable[list[int]]:
        ends = [0, *(n + 1 for n, here in enumerate(after) if here), len(texts)]
        return (texts[start:end] for start, end in itertools.pairwise(ends))

    groups = group_by_length(lengths, group_cost)
    assert sorted(itertools.chain.from_iterable(groups)) == list(range(len(lengths)))
    every_way = itertools.product((False, True), repeat=len(lengths) - 1)
    least = min(cost_of(cut(sorted(lengths), way)) for way in every_way)
    assert cost_of([lengths[place] for place in group] for group in groups) == least


def test_no_text_makes_no_group() -> None:
    assert group_by_length([], 32) == []


def test_texts_of_many_lengths_are_encoded_as_each_alone(model: CoreferenceModel) -> None:
    lengths = (60, 3, 4, 58, 4)
    assert len(group_by_length(lengths, GROUP_COST["cpu"])) == 2
    ids = torch.randint(5, 40, (5, 60), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(60) < torch.tensor(lengths)[:, None]
    with torch.inference_mode():
        (together,) = model.text_encoder(Texts(ids, mask, lengths))
        for row, length in enumerate(lengths):
            one = slice(row, row + 1)
            alone = Texts(ids[one, :length], mask[one, :length], (length,))
            torch.testing.assert_close(together[one, :length], model.text_encoder(alone)[0])


def texts_of(lengths: tuple[int, ...]) -> Texts:
    ids = torch.randint(5, 40, (len(lengths), max(lengths)))
    return Texts(ids, torch.arange(max(lengths)) < torch.tensor(lengths)[:, None], lengths)


@pytest.mark.parametrize("lengths", [(64,), (65,), (94, 3), (3, 300, 64, 127)])
def test_windows_hold_every_word_piece_in_its_order_near_their_middle(
    lengths: tuple[int, ...],
) -> None:
    texts = texts_of(lengths)
    windows = cut_into_windows(texts, limit=64)
    width = windows.texts.token_ids.shape[1]
    assert max(windows.texts.lengths) <= 64
    joined = windows.join(windows.texts.token_ids[..., None])[..., 0]
    assert torch.equal(joined[texts.token_mask], texts.token_ids[texts.token_mask])
    assert not joined[~texts.token_mask].any()
    assert windows.texts.token_mask.sum(dim=1).tolist() == list(windows.texts.lengths)
    for row, length in enumerate(lengths):
        columns = windows.places[row, :length] % width
        if length > 64:
            # Half of a window is left to either side of what is not near an end of the text.
            assert (columns[32 : length - 32] >= 15).all()
            assert (columns[32 : length - 32] <= 48).all()
        else:
            assert columns.tolist() == list(range(length))


@pytest.mark.parametrize("length", [*range(65, 75), 94, 95, 126, 127, 300, 1001])
def test_no_window_has_a_word_piece_nearer_to_its_middle(length: int) -> None:
    texts = texts_of((length,))
    windows = cut_into_windows(dataclasses.replace(texts, token_ids=torch.arange(length)[None]), 64)
    width = windows.texts.token_ids.shape[1]
    distances: list[list[float]] = [[] for _ in range(length)]
    for held, size in zip(windows.texts.token_ids.tolist(), windows.texts.lengths, strict=True):
        for column, piece in enumerate(held[:size]):
            distances[piece].append(abs(column - (size - 1) / 2))
    numbers, columns = windows.places[0] // width, windows.places[0] % width
    for piece in range(1, length - 1):
        size = windows.texts.lengths[int(numbers[piece])]
        assert abs(int(columns[piece]) - (size - 1) / 2) == min(distances[piece])
    assert numbers[0] == 0 and numbers[-1] == len(windows.texts.lengths) - 1


def test_a_long_text_is_encoded_as_its_windows_are(model: CoreferenceModel) -> None:
    texts = texts_of((150, 10, 64))
    windows = cut_into_windows(texts, limit=64)
    with torch.inference_mode():
        (whole,) = model.text_encoder(texts)
        for row, length in enumerate(texts.lengths):
            one = slice(row, row + 1)
            alone = Texts(texts.token_ids[one, :length], texts.token_mask[one, :length], (length,))
            torch.testing.assert_close(whole[one, :length], model.text_encoder(alone)[0])
            assert not whole[row, length:].any()
        width = windows.texts.token_ids.shape[1]
        number, column = divmod(int(windows.places[0, 100]), width)
        one = slice(number, number + 1)
        length = windows.texts.lengths[number]
        window = Texts(
            windows.texts.token_ids[one, :length], windows.texts.token_mask[one, :length], (length,)
        )
        torch.testing.assert_close(whole[0, 100], model.text_encoder(window)[0][0, column])


def test_a_model_is_rebuilt_from_its_configurations_alone(model: CoreferenceModel) -> None:
    rebuilt = build_from_config(tiny.tiny_config(), encoder_config_of(model)).eval()
    rebuilt.load_state_dict(model.state_dict())
    batch = tiny.batch(tiny.examples(masked=True))
    first, second = run(model, batch), run(rebuilt, batch)
    torch.testing.assert_close(first.fused_mentions, second.fused_mentions)
    torch.testing.assert_close(first.masked_word_logits, second.masked_word_logits)


def test_a_model_with_word_vectors_is_rebuilt_from_its_configurations_alone(
    model_with_word_vectors: CoreferenceModel,
) -> None:
    config = tiny.tiny_config(**WITH_WORD_VECTORS)
    rebuilt = build_from_config(config, encoder_config_of(model_with_word_vectors)).eval()
    rebuilt.load_state_dict(model_with_word_vectors.state_dict())
    batch = tiny.batch(tiny.examples(vectors=tiny.word_vectors()))
    first, second = run(model_with_word_vectors, batch), run(rebuilt, batch)
    torch.testing.assert_close(first.fused_mentions, second.fused_mentions)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"text_encoder": "/no/such/encoder"}, "--text-encoder"),
        ({"text_layers": 9}, "5 layers, 9"),
    ],
)
def test_an_encoder_that_cannot_be_had_is_never_replaced(values: dict, said: str) -> None:
    with pytest.raises(EncoderNotFound, match=said):
        build_from_pretrained(tiny.tiny_config(**values))


def test_lower_precision_gives_nearly_the_same_in_float32() -> None:
    model = tiny.tiny_model(coreference_head="antecedent")
    batch = tiny.batch(tiny.examples(masked=True))
    exact, lower = model(batch), model(batch, torch.bfloat16)
    for name, first in vars(exact).items():
        second = getattr(lower, name)
        if not isinstance(first, torch.Tensor):
            continue
        assert second.dtype == torch.float32
        real = first.abs() < 1e6  # not the padding of the attention, nor what comes later
        torch.testing.assert_close(first[real], second[real], rtol=0.1, atol=0.1)
        assert not torch.equal(first, second), name


def test_attention_stays_exact_under_autocast() -> None:
    queries, keys, values = torch.randn(3, 2, 4, 6, 8).bfloat16()
    mask = torch.rand(2, 1, 1, 6) > 0.2
    exact = F.scaled_dot_product_attention(queries.float(), keys.float(), values.float(), mask)
    with torch.autocast("cpu", torch.bfloat16), Float32Attention():
        attended = F.scaled_dot_product_attention(queries, key=keys, value=values, attn_mask=mask)
    assert attended.dtype == torch.bfloat16
    torch.testing.assert_close(attended, exact.bfloat16(), rtol=0, atol=0)
