"""Encoders of other families than BERT's work by their names, from tokenizer to checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from data.encoding.example import ExampleEncoder, Masking
from data.encoding.text import align_spans
from data.encoding.tokenizer import load_tokenizer
from data.loading.collate import Collate
from data.narration import Narration
from inference.resolver import Resolver
from models.factory import build_from_pretrained
from models.windows import Texts
from tests.support import tiny
from tests.support.encoders import FAMILIES, TEXTS, family_folder
from training.objective import Objective, count_terms, make_micro_batch
from utils.batch import Batch
from utils.thresholds import Thresholds

PHRASES = (
    ("The man in a red shirt", "a red shirt", "he", "the dog", "the dog's ball"),
    ("A woman", "her", "her café", "him", "50%", "it"),
    ("Two men", "three women", "a dog", "the house"),
)


def config_of(family: str, **values: Any) -> Any:
    fusion = {"text_layers": 2, "fusion_layers": 1, "mention_detection": True}
    return tiny.tiny_config(**{"text_encoder": family_folder(family), **fusion, **values})


def narrations() -> list[Narration]:
    return [
        tiny.narration(text, [(phrase, str(n % 2)) for n, phrase in enumerate(phrases)])
        for text, phrases in zip(TEXTS, PHRASES, strict=True)
    ]


def batch_of(family: str) -> Batch:
    tokenizer = load_tokenizer(family_folder(family))
    encoder = ExampleEncoder(tokenizer, 128, masking=Masking(0.3, seed=0), max_mention_pieces=32)
    examples = [encoder.encode(narration, tiny.regions(3, 0)) for narration in narrations()]
    return Collate(tokenizer)(examples)


@pytest.mark.parametrize("family", FAMILIES)
def test_mentions_have_the_characters_that_their_word_pieces_say(family: str) -> None:
    tokenizer = load_tokenizer(family_folder(family))
    for narration in narrations():
        text, mentions = narration.text, narration.mentions
        _, offsets, special = tokenizer.encode(text)
        pieces = align_spans([(m.start, m.end) for m in mentions], offsets, special)
        found = [text[offsets[first, 0] : offsets[end - 1, 1]] for first, end in pieces]
        # Some tokenizers count the white space before a word to it.
        assert [characters.strip() for characters in found] == [m.phrase for m in mentions]


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_and_masked_words_are_those_of_the_encoder(family: str) -> None:
    from transformers import AutoModelForMaskedLM

    config = config_of(family, text_layers=3, mention_detection=False)
    model, _ = build_from_pretrained(config)
    whole = AutoModelForMaskedLM.from_pretrained(family_folder(family)).eval()
    batch = batch_of(family)
    with torch.inference_mode():
        texts = Texts(batch.token_ids, batch.token_mask, batch.token_lengths)
        (ours,) = model.eval().text_encoder(texts)
        mask = batch.token_mask
        theirs = whole.base_model(batch.token_ids, mask.long()).last_hidden_state
        torch.testing.assert_close(ours[mask], theirs[mask])
        logits = whole(batch.token_ids, mask.long()).logits
        torch.testing.assert_close(
            model.text_encoder.masked_word_logits(ours[mask]), logits[mask], rtol=1e-3, atol=1e-3
        )


@pytest.mark.parametrize(
    ("family", "expected"),
    [(family, int(family != "deberta-v3")) for family in FAMILIES],
)
def test_the_fusion_starts_from_layers_of_berts_form(family: str, expected: int) -> None:
    _, started = build_from_pretrained(config_of(family))
    assert started == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_trained_saved_and_resolves_the_same(family: str, tmp_path: Path) -> None:
    config = config_of(family)
    torch.manual_seed(0)
    model, _ = build_from_pretrained(config)
    objective = Objective(model.train(), config)
    micro_batch = make_micro_batch(batch_of(family), None, None, config)
    loss, _ = objective(micro_batch, count_terms([micro_batch]), 0.0)
    loss.backward()
    without = [
        name for name, weight in model.text_encoder.body.named_parameters() if weight.grad is None
    ]
    assert not without
    resolver = Resolver(
        model.eval(),
        load_tokenizer(family_folder(family)),
        config,
        thresholds=Thresholds(link=0.5, mention=0.05, head=0.0),
    )
    tiny.write_checkpoint(tmp_path / "model.pt", resolver)
    again = Resolver.from_checkpoint(tmp_path / "model.pt")
    assert [r.to_dict() for r in again(None, list(TEXTS))] == [
        r.to_dict() for r in resolver(None, list(TEXTS))
    ]


def test_a_head_under_other_names_starts_at_random(tmp_path: Path) -> None:
    """As the published files of DeBERTa-v3 have it."""
    from transformers import AutoModelForMaskedLM

    shutil.copytree(family_folder("deberta-v3"), tmp_path, dirs_exist_ok=True)
    whole = AutoModelForMaskedLM.from_pretrained(tmp_path)
    old, new = "cls.predictions.transform.", "lm_predictions.lm_head."
    weights = {name.replace(old, new): weight for name, weight in whole.state_dict().items()}
    save_file({name: weight.contiguous().clone() for name, weight in weights.items()},
              tmp_path / "model.safetensors", metadata={"format": "pt"})  # fmt: skip
    config = config_of("deberta-v3", text_encoder=str(tmp_path))
    head = build_from_pretrained(config)[0].text_encoder.masked_words
    assert not torch.equal(head.dense.weight, weights[f"{new}dense.weight"])
    assert torch.equal(head.norm.weight, torch.ones_like(head.norm.weight))
