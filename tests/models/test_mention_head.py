"""Mentions that the model finds: candidates, their scores, what is taken, what is learned."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from data.encoding.candidates import (
    boundaries,
    count_unreachable,
    find_candidates,
    without_crossing,
)
from data.mention_spans import gold_spans, with_spans
from data.narration import Narration
from evaluation.thresholds import choose_mention_threshold
from inference.resolver import Resolver
from metrics.mention_scores import (
    ScoredSpan,
    spans_above,
)
from models.mention_head import IMPOSSIBLE, MentionDetector
from tests.support import tiny
from tests.support.present import present
from training import losses
from training.objective import (
    Objective,
    count_terms,
    make_micro_batch,
)
from training.optimization import make_optimizer
from utils.batch import Batch, SpanCandidates
from utils.errors import InputError
from utils.text.span_scores import score_spans
from utils.thresholds import Thresholds

CPU = torch.device("cpu")
WIDTH = 8
TEXTS = [
    ("a man in a red shirt and a dog; he has the dog.", ["a man in a red shirt", "a red shirt",
     "a dog", "he", "the dog"]),
    ("it is his ball", ["it", "his ball", "his"]),
    ("the tree", []),
]  # fmt: skip


def narrations() -> list[Narration]:
    return [
        tiny.narration(text, [(phrase, str(i)) for i, phrase in enumerate(phrases)], name=f"n{n}")
        for n, (text, phrases) in enumerate(TEXTS)
    ]


def detecting_batch(of: Sequence[Narration]) -> Batch:
    encoder = tiny.encoder(max_mention_pieces=WIDTH)
    return tiny.batch([encoder.encode(narration) for narration in of])


def resolver(**values: object) -> Resolver:
    options = {"mention_detection": True, "max_mention_pieces": WIDTH, **values}
    model = tiny.tiny_model(**options)
    return Resolver(
        model, tiny.tokenizer(), tiny.tiny_config(**options), Thresholds(0.5, mention=0.5)
    )


def words_between(text: str, offsets: Sequence[tuple[int, int]]) -> tuple[set[int], set[int]]:
    """The characters at which a mention may begin, and those behind which one may end."""
    pieces = np.asarray([(0, 0), *offsets, (0, 0)])
    special = np.asarray([True, *[False] * len(offsets), True])
    starts, ends = boundaries(text, pieces, special)
    assert starts[0] == ends[0] == starts[-1] == ends[-1] == -1
    return set(starts[starts >= 0].tolist()), set(ends[ends >= 0].tolist())


@pytest.mark.parametrize(
    ("text", "offsets", "starts", "ends"),
    [
        # Within a word no mention begins; at punctuation it does.
        ("the dogs' tail", [(0, 3), (4, 7), (7, 8), (8, 9), (10, 14)], {0, 4, 8, 10},
         {3, 8, 9, 14}),
        # Some tokenizers count the space to the word.
        ("a 3rd", [(0, 1), (1, 3), (3, 5)], {0, 2}, {1, 5}),
        # An accent that stands for itself is part of its letter, in a word-piece or left out.
        ("cafe\u0301 a", [(0, 4), (6, 7)], {0, 6}, {5, 7}),
        ("cafe\u0301 a", [(0, 4), (4, 5), (6, 7)], {0, 6}, {5, 7}),
        ("ne\u0301e", [(0, 2), (3, 4)], {0}, {4}),
        ("é b", [(0, 1), (2, 3)], {0, 2}, {1, 3}),
        # An emoji may be several word-pieces of the same character.
        ("a😀he", [(0, 1), (1, 2), (1, 2), (2, 4)], {0, 1, 2}, {1, 2, 4}),
        # In Chinese every character is a word.
        ("男人he打球", [(0, 1), (1, 2), (2, 4), (4, 5), (5, 6)], {0, 1, 2, 4, 5}, {1, 2, 4, 5, 6}),
    ],
)  # fmt: skip
def test_mentions_begin_and_end_as_words_do(
    text: str, offsets: list[tuple[int, int]], starts: set[int], ends: set[int]
) -> None:
    assert words_between(text, offsets) == (starts, ends)


def test_every_gold_mention_that_fits_is_a_candidate() -> None:
    for narration in narrations():
        text = tiny.example(narration, None).text
        found = find_candidates(narration, text, WIDTH)
        spans = zip(found.starts[found.gold[:, 0]], found.ends[found.gold[:, 1]], strict=True)
        assert sorted(spans) == sorted(gold_spans(narration))
    assert count_unreachable(narrations(), tiny.tokenizer(), WIDTH) == 0
    # "a man in a red shirt" is six word-pieces; "og" begins within a word.
    assert count_unreachable(narrations(), tiny.tokenizer(), 5) == 1
    within = with_spans(narrations()[2], [(5, 8)])
    assert count_unreachable([within], tiny.tokenizer(), WIDTH) == 1
    # It is not learned as the word that it is a part of either.
    found = find_candidates(within, tiny.example(within, None).text, WIDTH)
    assert found.gold.shape == (0, 2)


def test_nested_stretches_stay_and_crossing_ones_do_not() -> None:
    stretches = np.asarray([[2, 6], [3, 4], [1, 3], [5, 8], [2, 2], [6, 6], [0, 9], [7, 9], [4, 7]])
    assert without_crossing(stretches, range(len(stretches))) == [0, 1, 4, 5, 6, 7]
    # The order decides.
    assert without_crossing(stretches, [8, 0, 3, 7]) == [8]
    assert without_crossing(np.zeros((0, 2), dtype=int), []) == []


def test_without_crossing_is_what_its_definition_says() -> None:
    random = np.random.default_rng(0)
    stretches = np.sort(random.integers(0, 30, size=(200, 2)), axis=1)

    def cross(first: np.ndarray, second: np.ndarray) -> bool:
        (a, b), (c, d) = first, second
        return a < c <= b < d or c < a <= d < b

    expected: list[int] = []
    for index, stretch in enumerate(stretches):
        if not any(cross(stretch, stretches[taken]) for taken in expected):
            expected.append(index)
    assert without_crossing(stretches, range(200)) == expected


def test_a_lower_threshold_only_adds() -> None:
    """What crosses is left out before the threshold, so that one search serves them all."""
    scored = [ScoredSpan(4, 9, 0.9), ScoredSpan(0, 9, 0.7), ScoredSpan(4, 5, 0.3)]
    assert spans_above(scored, 0.2) == [(0, 9), (4, 9), (4, 5)]
    assert spans_above(scored, 0.8) == [(4, 9)]
    gold = with_spans(Narration("n", "a man's dog"), [(0, 9), (4, 9)])
    threshold, scores = choose_mention_threshold([scored], [gold_spans(gold)])
    assert 0.3 <= threshold < 0.7 and scores.f1 == 1


def test_scores_are_what_the_formula_says() -> None:
    torch.manual_seed(0)
    detector = MentionDetector(6, 3, dropout=0.0)
    torch.nn.init.normal_(detector.pair.weight)
    words = torch.randn(1, 5, 6)
    may_start = torch.tensor([[False, True, True, False, True]])
    may_end = torch.tensor([[False, True, False, True, True]])
    logits = detector(words, may_start, may_end)
    assert logits.shape == (1, 5, 3)
    a, b = detector.start(words)[0], detector.end(words)[0]
    for first in range(5):
        for width in range(3):
            last = first + width
            expected = torch.tensor([IMPOSSIBLE])
            if last < 5 and may_start[0, first] and may_end[0, last]:
                expected = detector.pair(a[first]) @ b[last] + detector.width_scores[width]
                expected = expected + detector.start_score(a[first]) + detector.end_score(b[last])
                inner = detector.inner_start(words[0, first]) + detector.inner_end(words[0, last])
                mean = words[0, first : last + 1].mean(dim=0)
                expected = expected + detector.inner_score(inner + detector.inner_mean(mean))
            torch.testing.assert_close(logits[0, first, width], expected[0])
    # A text may be shorter than the longest mention.
    assert detector(words[:, :2], may_start[:, :2], may_end[:, :2]).shape == (1, 2, 3)


def test_the_loss_is_the_cross_entropy_of_each_candidate() -> None:
    batch = detecting_batch(narrations())
    model = resolver().model
    with torch.no_grad():
        output = model(batch)
        term = losses.mention_detection(batch)
        total = term.total(output).item()
        alone = [detecting_batch([narration]) for narration in narrations()]
        parts = [losses.mention_detection(one).total(model(one)).item() for one in alone]
    assert term.count == sum(len(phrases) for _, phrases in TEXTS)
    assert total == pytest.approx(sum(parts), rel=1e-5)
    gold = set(map(tuple, present(batch.candidates).gold.tolist()))
    expected = 0.0
    for row, first, width in np.argwhere(output.mention_logits.numpy() > IMPOSSIBLE).tolist():
        probability = output.mention_logits[row, first, width].double().sigmoid()
        right = probability if (row, first, first + width) in gold else 1 - probability
        expected -= right.log().item()
    assert total == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(model.mention_logits(batch), output.mention_logits)


def test_nothing_else_changes_where_mentions_are_found() -> None:
    batch = tiny.batch(tiny.examples(masked=True))
    without, model = tiny.tiny_model(), resolver().model
    state = model.state_dict()
    # Built after all else, the detector leaves the others their random numbers.
    torch.manual_seed(1)
    first = tiny.build_from_pretrained(tiny.tiny_config())[0].state_dict()
    torch.manual_seed(1)
    second = tiny.build_from_pretrained(tiny.tiny_config(mention_detection=True))[0].state_dict()
    assert all(torch.equal(second[name], weight) for name, weight in first.items())
    without.load_state_dict({name: state[name] for name in without.state_dict()})
    detecting = dataclasses.replace(
        batch,
        candidates=SpanCandidates(
            starts=torch.zeros_like(batch.token_ids),
            ends=torch.zeros_like(batch.token_ids),
            gold=torch.zeros((0, 3), dtype=torch.int64),
        ),
    )
    with torch.no_grad():
        expected, found = without(batch), model(detecting)
    assert expected.mention_logits is None and found.mention_logits is not None
    for field in dataclasses.fields(expected):
        if (value := getattr(expected, field.name)) is not None:
            torch.testing.assert_close(getattr(found, field.name), value, rtol=0, atol=0)


def test_what_finds_mentions_has_a_rate_of_its_own_and_leaves_all_else_as_it_is() -> None:
    values = {"mention_detection": True, "lr": 1e-3, "mention_lr_factor": 7.0}
    model = tiny.tiny_model(**values)
    optimizer = make_optimizer(model, tiny.tiny_config(**values, new_parts_lr_factor=2.0))
    rates = {p: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert set(rates) == set(model.parameters())
    assert len(rates) == sum(len(group["params"]) for group in optimizer.param_groups)
    for name, weight in model.named_parameters():
        pretrained = name.startswith("text_encoder.body")
        factor = 7 if name.startswith("mention_detector") else 1 if pretrained else 2
        assert rates[weight] == pytest.approx(factor * 1e-3), name
    batch = detecting_batch(narrations())
    losses.mention_detection(batch).total(model(batch)).backward()
    learned = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert learned and all(name.startswith("mention_detector") for name in learned)


def test_mentions_that_were_learned_are_found_whatever_the_batch() -> None:
    of = narrations()
    trained = resolver(grounding=False, box_regression=False, mlm_probability=0.0, dropout=0.0,
                       attention_dropout=0.0)  # fmt: skip
    objective = Objective(trained.model, trained.config)
    optimizer = torch.optim.Adam(trained.model.parameters(), lr=5e-3)
    micro_batch = make_micro_batch(detecting_batch(of), None, None, trained.config)
    counts = count_terms([micro_batch])
    for _ in range(100):
        loss, terms = objective(micro_batch, counts, 0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert set(terms) == {"coreference", "mention_detection", "image_text"}
    found = trained.find_mentions(of)
    assert score_spans(map(gold_spans, found), map(gold_spans, of)).f1 == 1
    for narration, expected in zip(found, of, strict=True):
        assert [(m.start, m.end, m.phrase) for m in narration.mentions] == [
            (m.start, m.end, m.phrase) for m in expected.mentions
        ]
        assert all(m.chain is None for m in narration.mentions)
    # Mentions that a narration has already are not read.
    others = [with_spans(narration, [(0, 1)]) for narration in of]
    for size in (1, 2):
        assert trained.find_mentions(others, batch=size) == found
    resolutions = list(trained.resolve(found, None))
    assert [len(r.similarity) for r in resolutions] == [len(phrases) for _, phrases in TEXTS]


def test_a_long_text_is_searched_in_windows() -> None:
    """The tiny encoder reads 64 word-pieces."""
    text = " ".join(["a man and the dog"] * 500)
    searching = resolver()
    torch.nn.init.zeros_(present(searching.model.mention_detector).width_scores)
    (scored,) = searching.score_mentions([Narration("long", text)])
    assert max(span.end for span in scored) > len(text) - 100
    for span in scored:
        assert text[span.start : span.end].strip() == text[span.start : span.end]


def test_a_model_that_finds_no_mentions_says_so() -> None:
    plain = Resolver(tiny.tiny_model(), tiny.tokenizer(), tiny.tiny_config(), Thresholds(0.5))
    with pytest.raises(InputError, match="--detect-mentions"):
        plain.find_mentions(narrations())
