"""Tiny encoders of the families that are trained on, with random weights and their tokenizers."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

TEXTS = (
    "The man in a red shirt waves; he holds the dog's ball.",
    "A woman and her café, naïve as ever, don't see him: 50% of it.",
    "Two men, three women and a dog stand in front of the house.",
)
# Shapes that all families take.
_SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 66,
    "initializer_range": 0.3,
}


def _bert(folder: Path) -> Any:
    from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

    size = _write_vocabulary(folder, "[PAD] [UNK] [CLS] [SEP] [MASK]".split())
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return BertForMaskedLM(BertConfig(vocab_size=size, **_SHAPE))


def _electra(folder: Path) -> Any:
    from transformers import ElectraConfig, ElectraForMaskedLM, ElectraTokenizerFast

    size = _write_vocabulary(folder, "[PAD] [UNK] [CLS] [SEP] [MASK]".split())
    ElectraTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return ElectraForMaskedLM(ElectraConfig(vocab_size=size, embedding_size=16, **_SHAPE))


def _mpnet(folder: Path) -> Any:
    from transformers import MPNetConfig, MPNetForMaskedLM, MPNetTokenizerFast

    size = _write_vocabulary(folder, "<s> <pad> </s> [UNK] <mask>".split())
    MPNetTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return MPNetForMaskedLM(MPNetConfig(vocab_size=size, pad_token_id=1, **_SHAPE))


def _roberta(folder: Path) -> Any:
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaConfig, RobertaForMaskedLM, RobertaTokenizerFast

    pieces = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    pieces.train_from_iterator(TEXTS, vocab_size=300, special_tokens=special)
    pieces.save_model(str(folder))
    tokenizer = RobertaTokenizerFast(str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer.save_pretrained(folder)
    return RobertaForMaskedLM(RobertaConfig(vocab_size=len(tokenizer), pad_token_id=1, **_SHAPE))


def _xlm_roberta(folder: Path) -> Any:
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    size = _write_sentence_pieces(folder / "sentencepiece.bpe.model", "xlm-roberta", folder)
    # Four special words come before the pieces, and the mask behind them.
    config = XLMRobertaConfig(vocab_size=size + 2, pad_token_id=1, **_SHAPE)
    return XLMRobertaForMaskedLM(config)


def _deberta_v3(folder: Path) -> Any:
    from transformers import DebertaV2Config, DebertaV2ForMaskedLM

    # As the published folders: the pieces alone, without a tokenizer.json.
    size = _write_sentence_pieces(folder / "spm.model", "deberta-v2", folder)
    config = DebertaV2Config(
        vocab_size=size + 1,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        position_buckets=16,
        type_vocab_size=0,
        **_SHAPE,
    )
    return DebertaV2ForMaskedLM(config)


FAMILIES: dict[str, Callable[[Path], Any]] = {
    "bert": _bert,
    "electra": _electra,
    "mpnet": _mpnet,
    "roberta": _roberta,
    "xlm-roberta": _xlm_roberta,
    "deberta-v3": _deberta_v3,
}


@functools.cache
def family_folder(name: str) -> str:
    """A folder that holds an encoder of a family, as hubs have it."""
    folder = Path(tempfile.mkdtemp(prefix=f"tiny-{name}-"))
    torch.manual_seed(0)
    FAMILIES[name](folder).save_pretrained(folder)
    return str(folder)


def _write_vocabulary(folder: Path, special: list[str]) -> int:
    """Write word-pieces as BERT has them, and return how many."""
    letters = sorted({c for text in TEXTS for c in text.lower() if not c.isspace()})
    words = ["the", "man", "dog", "in", "he", "shirt", "woman"]
    pieces = [*special, *words, *letters, *(f"##{c}" for c in letters if c.isalnum())]
    pieces = list(dict.fromkeys(pieces))
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    return len(pieces)


def _write_sentence_pieces(path: Path, model_type: str, folder: Path) -> int:
    """Write a SentencePiece model, and a configuration that says whose it is."""
    import io

    import sentencepiece

    model = io.BytesIO()
    special: dict[str, Any] = {"unk_id": 0, "bos_id": 1, "eos_id": 2, "pad_id": -1}
    if model_type == "deberta-v2":
        special = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3}
        special |= {"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]"}
        special |= {"unk_piece": "[UNK]"}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 20),
        model_writer=model,
        vocab_size=100,
        hard_vocab_limit=False,
        minloglevel=2,
        **special,
    )
    path.write_bytes(model.getvalue())
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}))
    return int(sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()).vocab_size())
