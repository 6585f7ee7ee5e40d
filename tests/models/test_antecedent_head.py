"""The antecedent head: a ranking of earlier mentions, and the chains that follow from it."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from data.encoding.mention_features import mention_features
from data.narration import Mention, Narration, Sentence
from models.antecedent_head import same_chain_probability
from models.bands import all_pairs, band_of, preceding
from models.coreference_model import CoreferenceModel, Output
from tests.support import tiny
from tests.support.present import present
from training import losses
from training.pseudo_labels import PseudoLabels, make_pseudo_labels
from utils.batch import MENTION_FEATURES, UNKNOWN_SPEAKER, Batch
from utils.errors import InputError
from utils.text.languages import (
    CHINESE,
    ENGLISH,
    PRONOUN_KINDS,
    read_language,
)


@pytest.fixture(scope="module")
def batch() -> Batch:
    return tiny.batch(tiny.examples())


@pytest.fixture(scope="module")
def model() -> CoreferenceModel:
    return tiny.tiny_model(coreference_head="antecedent")


@pytest.fixture(scope="module")
def output(model: CoreferenceModel, batch: Batch) -> Output:
    with torch.inference_mode():
        return model(batch)


def test_each_mention_has_a_distribution_over_those_before_it(output: Output, batch: Batch) -> None:
    log_probabilities = present(output.antecedent_log_probabilities)
    mentions = batch.mention_mask.shape[1]
    assert log_probabilities.shape == (3, mentions, mentions)
    torch.testing.assert_close(log_probabilities.exp().sum(dim=-1), torch.ones(3, mentions))
    for row, m, column in itertools.product(range(3), range(mentions), range(mentions - 1)):
        n = m - (mentions - 1) + column
        both_real = n >= 0 and batch.mention_mask[row, m] and batch.mention_mask[row, n]
        assert bool(log_probabilities[row, m, 1 + column].isfinite()) == bool(both_real)


def of_all(log_probabilities: torch.Tensor) -> torch.Tensor:
    """The probabilities as [B, M, 1 + M], that each mention is the antecedent in its column."""
    probabilities = log_probabilities.exp()
    return torch.cat([probabilities[..., :1], all_pairs(probabilities[..., 1:])], dim=-1)


def random_log_probabilities(mentions: int, reach: int) -> torch.Tensor:
    """Of some mention to be the antecedent, [2, mentions, 1 + reach]."""
    scores = torch.randn(2, mentions, 1 + reach, generator=torch.Generator().manual_seed(0))
    exists = preceding(torch.ones(2, mentions, dtype=torch.bool), reach)
    scores[..., 1:].masked_fill_(~exists, -math.inf)
    return scores.log_softmax(dim=-1)


@pytest.mark.parametrize("reach", [1, 2, 3, 4])
def test_the_probability_of_one_chain_is_that_of_all_choices_together(reach: int) -> None:
    mentions = 5
    log_probabilities = random_log_probabilities(mentions, reach)
    chosen = of_all(log_probabilities)
    expected = torch.zeros(2, mentions, mentions)
    # Choice 0 of a mention is a new entity, choice n its antecedent n - 1.
    for choices in itertools.product(*(range(m + 1) for m in range(mentions))):
        chains = list(range(mentions))
        for m, choice in enumerate(choices):
            if choice:
                chains[m] = chains[choice - 1]
        together = torch.tensor([[a == b for b in chains] for a in chains]).float()
        picked = chosen[:, range(mentions), list(choices)].prod(dim=-1)
        expected += picked[:, None, None] * together
    found = same_chain_probability(log_probabilities)
    torch.testing.assert_close(found, band_of(expected, reach))


@pytest.mark.parametrize("reach", [1, 2, 7, 18, 19])
def test_the_probabilities_within_a_reach_are_those_of_the_recursion_over_all(reach: int) -> None:
    log_probabilities = random_log_probabilities(20, reach)
    chosen = of_all(log_probabilities)[..., 1:]
    together = torch.eye(20).repeat(2, 1, 1)
    for m in range(20):
        together[:, m, :m] = (chosen[:, m, None, :m] @ together[:, :m, :m])[:, 0]
        together[:, :m, m] = together[:, m, :m]
    found = same_chain_probability(log_probabilities)
    torch.testing.assert_close(found, band_of(together, reach))


def test_the_similarity_of_the_model_is_that_probability(output: Output, batch: Batch) -> None:
    similarity = output.mention_similarity
    torch.testing.assert_close(similarity, similarity.transpose(1, 2))
    assert (similarity >= 0).all() and (similarity <= 1).all()
    assert (similarity.diagonal(dim1=1, dim2=2) == 1).all()
    padded = ~batch.mention_mask
    others = ~torch.eye(similarity.shape[1], dtype=torch.bool)
    assert not similarity[padded[:, :, None] & others].any()


def test_the_loss_is_its_formula(output: Output, batch: Batch) -> None:
    expected, count = 0.0, 0
    for row in range(len(batch)):
        chains = batch.chains[row][batch.mention_mask[row]].tolist()
        for m, chain in enumerate(chains):
            probabilities = of_all(present(output.antecedent_log_probabilities))[row, m]
            right = [1 + n for n in range(m) if chains[n] == chain] or [0]
            expected -= math.log(sum(float(probabilities[n]) for n in right))
            count += 1
    term = losses.antecedent_likelihood(batch)
    assert term.total(output).item() == pytest.approx(expected, rel=1e-4)
    assert term.count.item() == count


def of_truth(batch: Batch) -> PseudoLabels:
    known = batch.mention_mask[:, :, None] & batch.mention_mask[:, None]
    same = batch.chains[:, :, None] == batch.chains[:, None]
    apart = ~torch.eye(same.shape[1], dtype=torch.bool)
    none = torch.full_like(batch.chains, -1)
    return PseudoLabels(same & known & apart, ~same & known, none)


def test_pseudo_labels_that_are_the_truth_give_the_same_loss(output: Output, batch: Batch) -> None:
    expected = losses.antecedent_likelihood(batch)
    found = losses.pseudo_antecedents(batch, of_truth(batch))
    torch.testing.assert_close(found.total(output), expected.total(output))
    assert found.count == expected.count


def test_pairs_that_are_neither_are_left_out(output: Output, batch: Batch) -> None:
    """Of the first narration's mentions 0 to 2, only (0, 2) is known: they are of one chain."""
    labels = of_truth(batch)
    for pairs in (labels.positives, labels.negatives):
        pairs[:] = False
    labels.positives[0, 0, 2] = labels.positives[0, 2, 0] = True
    term = losses.pseudo_antecedents(batch, labels)
    # The first mention of each narration has none before it: that it begins an entity costs none.
    assert term.count == 3 + 1
    log_probabilities = of_all(present(output.antecedent_log_probabilities))[0, 2].log()
    known = torch.stack([log_probabilities[0], log_probabilities[1]]).logsumexp(dim=0)
    torch.testing.assert_close(term.total(output), known - log_probabilities[1])


def test_the_teacher_labels_by_probabilities(output: Output, batch: Batch) -> None:
    labels = make_pseudo_labels(
        output,
        batch,
        positive_above=0.6,
        negative_below=0.4,
        region_above=0.9,
        propagation_steps=1,
    )
    pairs = batch.mention_mask[:, :, None] & batch.mention_mask[:, None]
    pairs = pairs & ~torch.eye(pairs.shape[1], dtype=torch.bool)
    similarity = output.mention_similarity
    assert torch.equal(labels.positives, (similarity > 0.6) & pairs)
    assert torch.equal(labels.negatives, (similarity < 0.4) & pairs)


def test_a_ranking_does_not_depend_on_the_batch(model: CoreferenceModel, batch: Batch) -> None:
    with torch.inference_mode():
        together = model(batch).mention_similarity
        for row, example in enumerate(tiny.examples()):
            alone = tiny.batch([example])
            mentions = alone.mention_mask.shape[1]
            similarity = model(alone).mention_similarity[0]
            torch.testing.assert_close(together[row, :mentions, :mentions], similarity)


def features_of(narration: Narration, name: str) -> list[int]:
    rows = mention_features(narration, range(len(narration.mentions)), ENGLISH)
    return rows[:, MENTION_FEATURES.index(name)].tolist()


def test_features_tell_words_heads_and_pronouns() -> None:
    text = "The man holds a red ball. He drops it; the ball in his hand, the man's and The man."
    phrases = ["The man", "a red ball", "He", "it", "the ball in his hand", "his", "The man"]
    narration = tiny.narration(text, [(phrase, "1") for phrase in phrases])
    man, red, he, it, ball, his, again = features_of(narration, "words")
    assert man == again
    assert len({man, red, he, it, ball, his}) == 6
    man, red, he, it, ball, his, again = features_of(narration, "head")
    assert man == again and red == ball
    assert len({man, red, he, it, his}) == 5
    kinds = [PRONOUN_KINDS[kind] for kind in features_of(narration, "pronoun")]
    masculine = "masculine"
    assert kinds == ["none", "none", masculine, "neuter", "none", masculine, "none"]
    assert features_of(narration, "sentence") == [0, 0, 1, 1, 1, 1, 1]
    assert set(features_of(narration, "speaker")) == {UNKNOWN_SPEAKER}


def test_features_tell_the_turns_and_who_speaks() -> None:
    sentences = (Sentence(0, 7, "A"), Sentence(8, 15, "B"), Sentence(16, 23, "A"), Sentence(24, 27))
    mentions = tuple(Mention(start, start + 2, "it") for start in (0, 8, 16, 24))
    narration = Narration("n", "it is a it is b it is c it", mentions, sentences=sentences[:3])
    first, second, third, last = features_of(narration, "speaker")
    assert first == third != second != last == UNKNOWN_SPEAKER
    assert features_of(narration, "sentence") == [0, 1, 2, 3]
    assert mention_features(narration, [2, 0], ENGLISH).shape == (2, len(MENTION_FEATURES))
    assert mention_features(narration, [], ENGLISH).shape == (0, len(MENTION_FEATURES))


@pytest.mark.parametrize(
    ("phrase", "head", "kind"),
    [
        ("他们", "他们", "plural"),
        ("穿红衣服的男人", "男人", "none"),
        ("这个男人", "男人", "none"),
        ("的", "的", "none"),
        ("我", "我", "speaker"),
    ],
)
def test_nothing_of_chinese_needs_spaces(phrase: str, head: str, kind: str) -> None:
    assert CHINESE.head_word(phrase) == head
    assert PRONOUN_KINDS[CHINESE.kind_of(phrase)] == kind


def test_a_language_may_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "de.json"
    path.write_text(json.dumps({"pronouns": {"masculine": ["er", "Ihn"]}, "articles": ["Der"]}))
    german = read_language(str(path))
    assert german.without_articles("Der Mann") == "mann"
    assert german.referring_pronouns == {"er", "ihn"}
    assert read_language("en") is ENGLISH


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"pronouns": {"masculin": ["er"]}}',
        '{"pronouns": {"masculine": "er"}}',
        '{"pronouns": {}, "article": []}',
    ],
)
def test_a_file_that_describes_no_language_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"broken\.json does not describe a language"):
        read_language(str(path))
    with pytest.raises(InputError, match="expected en, zh or a JSON file"):
        read_language("xx")


def test_the_features_of_padding_change_nothing(model: CoreferenceModel, batch: Batch) -> None:
    assert present(batch.mention_features).dtype == torch.int64
    assert isinstance(tiny.examples()[0].mention_features, np.ndarray)
    with torch.inference_mode():
        more = model(tiny.padded(batch)).mention_similarity
        mentions = batch.mention_mask.shape[1]
        similarity = model(batch).mention_similarity
    torch.testing.assert_close(more[:, :mentions, :mentions], similarity)
