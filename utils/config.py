"""The configuration: JSON files into one frozen, checked dataclass.

What the command line says wins over the file. The published configuration files are read as they
are shipped: their names are translated in `PUBLISHED_NAMES`, and what the method does not read is
reported.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from utils.errors import InputError
from utils.json_files import read_json, without_repeated_keys
from utils.printable import escape_unprintable, quote
from utils.text.languages import Language, read_language

COREFERENCE_LOSSES = ("con", "fro", "sigmoid")
COREFERENCE_HEADS = ("cosine", "antecedent")
ALIGNMENTS = ("off", "mention", "chain")
PRECISIONS = ("float32", "bfloat16", "auto")


class ConfigError(InputError):
    """A configuration that cannot be used; the message names the file and the key."""


def _part(name: str, default: Any) -> Any:
    return field(default=default, metadata={"part": name})


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run computes; kept whole in its checkpoints.

    The architecture fields have to agree between a checkpoint and a `--model_config`.
    """

    # The encoder's folder or hub name, and how many of its layers read the text; the layers after
    # these start the fusion's self-attention and feed-forward.
    text_encoder: str = _part("architecture", "bert-base-uncased")
    text_layers: int = _part("architecture", 2)
    fusion_layers: int = _part("architecture", 2)
    # Of the fusion's cross-attention, whose last head grounds; 0: as many as the encoder has.
    cross_attention_heads: int = _part("architecture", 0)
    region_feature_size: int = _part("architecture", 2048)
    region_layers: int = _part("architecture", 1)
    region_heads: int = _part("architecture", 2)
    region_feedforward_size: int = _part("architecture", 3072)
    # How mentions are linked: by the cosine of their vectors, as published, or by ranking those
    # before each as its antecedent.
    coreference_head: str = _part("architecture", "cosine")
    # How many numbers a word vector has, and the checksum of all vectors. 0: those of the folder
    # that `sense2vec` names; a run without such a folder has no word vectors.
    word_vector_size: int = _part("architecture", 0)
    word_vector_checksum: int = _part("architecture", 0)
    # Whether the model finds mentions too, and of how many word-pieces at most.
    mention_detection: bool = _part("architecture", False)
    max_mention_pieces: int = _part("architecture", 32)
    # Whether mentions are aligned with the regions that show what they mean, such as heads: each by
    # its own vector, or by the mean of its chain.
    alignment: str = _part("architecture", "off")

    dataset: str = _part("data", "cin")
    # Of the texts, "en", "zh" or a JSON file: its pronouns, and where a noun phrase has its head.
    language: str = _part("data", "en")
    data_root: str = _part("data", "datasets/")
    # Where the unlabelled split lies; empty: in the data root.
    unlabelled_root: str = _part("data", "")
    # Where the unlabelled split is kept once it is read and cut into word-pieces; empty: nowhere.
    cache: str = _part("data", "")
    max_mentions: int = _part("data", 128)
    max_regions: int = _part("data", 100)
    # A folder of sense2vec vectors for the words of the narrations; empty for none.
    sense2vec: str = _part("data", "")
    # Off: the image is left out and the model reads the text alone.
    use_regions: bool = _part("data", True)
    # The part of the labelled narrations that scores and thresholds come from, never trained on; of
    # a data set that has a split for it, all of that, unless this is 0.
    held_out: float = _part("data", 0.1)

    # The part of the labelled narrations whose labels are read for anything.
    label_fraction: float = _part("data", 1.0)

    use_labelled: bool = _part("training", False)
    use_unlabelled: bool = _part("training", True)
    coreference_loss: str = _part("training", "con")
    grounding: bool = _part("training", False)
    box_regression: bool = _part("training", False)
    # Mouse traces, where there are any, supervise the region attention; and by how many words the
    # mouse follows what is spoken of.
    use_traces: bool = _part("training", False)
    trace_lag: int = _part("training", 0)
    coreference_weight: float = _part("training", 1.0)
    grounding_weight: float = _part("training", 1.0)
    box_weight: float = _part("training", 1.0)
    masked_words_weight: float = _part("training", 1.0)
    image_text_weight: float = _part("training", 1.0)
    trace_weight: float = _part("training", 1.0)
    mention_weight: float = _part("training", 1.0)
    alignment_weight: float = _part("training", 1.0)
    coreference_temperature: float = _part("training", 0.1)
    image_text_temperature: float = _part("training", 0.07)
    alignment_temperature: float = _part("training", 0.1)
    mlm_probability: float = _part("training", 0.15)
    # Pseudo-labels of unlabelled narrations, from the averaged model where there is one: links
    # above the one similarity, none below the other, regions above this attention; how many links a
    # chain is passed on over; and over how many epochs their weights rise once they have started.
    use_pseudo_labels: bool = _part("training", False)
    pseudo_positive_above: float = _part("training", 0.9)
    pseudo_negative_below: float = _part("training", 0.5)
    pseudo_region_above: float = _part("training", 0.9)
    pseudo_propagation_steps: int = _part("training", 3)
    pseudo_from_epoch: int = _part("training", 1)
    pseudo_ramp_epochs: float = _part("training", 1.0)
    pseudo_coreference_weight: float = _part("training", 1.0)
    pseudo_grounding_weight: float = _part("training", 1.0)
    # Of matrix products while training; "auto" is bfloat16 where the device multiplies it faster.
    precision: str = _part("training", "float32")
    dropout: float = _part("training", 0.1)
    attention_dropout: float = _part("training", 0.1)
    batch: int = _part("training", 8)
    # Unlabelled narrations in a batch; 0: as many as labelled ones.
    unlabelled_batch: int = _part("training", 0)
    # Batches of each rank that a step learns from, one after the other.
    accumulation: int = _part("training", 1)
    epochs: int = _part("training", 50)
    # Steps of an epoch; 0: a pass over the unlabelled narrations where there are some, else over
    # the labelled ones. A number gives runs on different data the same updates.
    steps_per_epoch: int = _part("training", 0)
    lr: float = _part("training", 1e-5)
    # What the learning rate of everything but the pretrained text encoder is multiplied by.
    new_parts_lr_factor: float = _part("training", 1.0)
    # That of what finds mentions, which nothing else depends on.
    mention_lr_factor: float = _part("training", 5.0)
    weight_decay: float = _part("training", 0.01)
    # The learning rate rises over the warm-up epochs, then is multiplied every few epochs.
    warmup_epochs: float = _part("training", 2.0)
    lr_step_epochs: int = _part("training", 10)
    lr_step_factor: float = _part("training", 0.95)
    # A step whose losses or gradients are infinite or not a number is left out instead of ending
    # the run; to look for them waits for the device in every step.
    skip_bad_steps: bool = _part("training", False)
    use_ema: bool = _part("training", False)
    ema_decay: float = _part("training", 0.999)
    seed: int = _part("training", 42)

    def __post_init__(self) -> None:
        for name, expected in get_type_hints(Config).items():
            value = getattr(self, name)
            if type(value) is not expected and (expected, type(value)) != (float, int):
                raise ConfigError(f"{name}: found {quote(value)}, expected {_KINDS[expected]}")
            if expected in _LARGEST and not abs(value) <= _LARGEST[expected]:
                raise ConfigError(
                    f"{name}: found {quote(value)}, expected {_KINDS[expected]} up to "
                    f"{_LARGEST[expected]:g}"
                )
            if expected is float:
                object.__setattr__(self, name, float(value))
        for name, low, high in _RANGES:
            if not low <= getattr(self, name) <= high:
                raise ConfigError(
                    f"{name}: found {getattr(self, name)}, expected {low:g} to {high:g}"
                )
        if self.word_vector_size and not self.sense2vec:
            raise ConfigError(
                f"word_vector_size: found {self.word_vector_size} without sense2vec, expected 0"
            )
        for name, known in (
            ("alignment", ALIGNMENTS),
            ("coreference_head", COREFERENCE_HEADS),
            ("coreference_loss", COREFERENCE_LOSSES),
            ("precision", PRECISIONS),
        ):
            found = getattr(self, name)
            if found not in known:
                raise ConfigError(
                    f"{name}: found {quote(found)}, expected one of {', '.join(known)}"
                )


_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_UNBOUNDED = float("inf")
_LARGEST = {int: 2**63 - 1, float: sys.float_info.max}
_RANGES = (
    *((name, 1, _UNBOUNDED) for name in (
        "text_layers", "fusion_layers", "region_feature_size", "region_layers", "region_heads",
        "region_feedforward_size", "max_mentions", "max_regions", "batch", "epochs",
        "lr_step_epochs", "pseudo_propagation_steps", "pseudo_from_epoch", "accumulation",
        "max_mention_pieces",
    )),
    *((name, 0, _UNBOUNDED) for name in (
        "coreference_weight", "grounding_weight", "box_weight", "masked_words_weight",
        "image_text_weight", "trace_weight", "trace_lag", "lr", "new_parts_lr_factor",
        "weight_decay", "warmup_epochs", "lr_step_factor", "cross_attention_heads",
        "unlabelled_batch", "pseudo_ramp_epochs", "pseudo_coreference_weight",
        "pseudo_grounding_weight", "steps_per_epoch", "mention_weight", "mention_lr_factor",
        "alignment_weight",
    )),
    ("seed", 0, 2**32 - 1),
    ("word_vector_size", 0, _UNBOUNDED),
    ("word_vector_checksum", 0, 2**32 - 1),
    *((name, 1e-6, _UNBOUNDED) for name in (
        "coreference_temperature", "image_text_temperature", "alignment_temperature",
    )),
    *((name, 0, 1) for name in ("ema_decay", "mlm_probability", "pseudo_region_above")),
    *((name, -1, 1) for name in ("pseudo_positive_above", "pseudo_negative_below")),
    ("label_fraction", 1e-9, 1),
    *((name, 0, 0.9) for name in ("dropout", "attention_dropout", "held_out")),
)  # fmt: skip

FIELD_NAMES = tuple(f.name for f in fields(Config))
ARCHITECTURE = tuple(f.name for f in fields(Config) if f.metadata["part"] == "architecture")

# Names in the published mcr_config.json and what they are called here. None: not read by the
# method, because the text encoder's own configuration decides it or nothing uses it.
PUBLISHED_NAMES: Mapping[str, str | None] = {
    "img_dim": "region_feature_size",
    "max_num_queries": "max_mentions",
    "temp": "image_text_temperature",
    "attention_probs_dropout_prob": "attention_dropout",
    "hidden_dropout_prob": "dropout",
    "intermediate_size": "region_feedforward_size",
    "num_attention_heads": "region_heads",
    "num_hidden_layers": "region_layers",
    "add_cross_attention": None,
    "embed_dim": None,
    "hidden_act": None,
    "hidden_size": None,
    "initializer_range": None,
    "max_phrase_length": None,
    "max_position_embeddings": None,
    "model_config": None,
    "type_vocab_size": None,
    "vision_width": None,
    "vocab_size": None,
}
# Of the file that "bert_config" names only the split of its layers is read.
_PUBLISHED_BERT_CONFIG = "bert_config"


def read_config_file(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Read a configuration file, ours or a published one.

    Args:
        path: a JSON object; unknown keys are errors.

    Returns:
        The values by the names of `Config`, and the published keys that the method does not read.

    Raises:
        ConfigError: the file is missing, is no JSON object, has an unknown or repeated key, or a
            value of another type or range.
    """
    values: dict[str, Any] = {}
    ignored: list[str] = []
    for key, value in _read_object(path).items():
        if key == _PUBLISHED_BERT_CONFIG:
            try:
                layers, rest = _read_bert_layers(_beside(path, value))
            except ConfigError as error:
                raise ConfigError(f"{path}: {key}: {error}") from error
            translated, ignored = layers, ignored + rest
        elif key in PUBLISHED_NAMES:
            name = PUBLISHED_NAMES[key]
            translated = {} if name is None else {name: value}
            if name is None:
                ignored.append(key)
        elif key in FIELD_NAMES:
            translated = {key: value}
        else:
            known = [*FIELD_NAMES, *PUBLISHED_NAMES, _PUBLISHED_BERT_CONFIG]
            raise ConfigError(f"{path}: unknown key {quote(key)}{nearest(key, known)}")
        for name in translated:
            if name in values:
                raise ConfigError(f"{path}: {key!r} sets {name} a second time")
        values.update(translated)
    try:
        Config(**values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return values, ignored


def make_config(file_values: Mapping[str, Any], command_line: Mapping[str, Any]) -> Config:
    """Join the values of a file with those of the command line, which win."""
    return Config(**{**file_values, **command_line})


def config_from_checkpoint(values: Mapping[str, Any]) -> Config:
    """The configuration that `config_to_dict` wrote.

    A field that is not among the values was added after they were written; its default does what
    was done before it.

    Raises:
        ConfigError: a name is unknown or a value is of another type.
    """
    unknown = sorted(set(values) - set(FIELD_NAMES))
    if unknown:
        raise ConfigError(f"the checkpoint's configuration has unknown keys: {', '.join(unknown)}")
    return Config(**values)


def config_to_dict(config: Config) -> dict[str, Any]:
    """Plain values of every field."""
    return asdict(config)


def check_same_architecture(
    file_values: Mapping[str, Any], trained: Config, path: Path, checkpoint: Path
) -> None:
    """Refuse a configuration file that describes another model than the checkpoint's.

    Raises:
        ConfigError: naming each architecture key that differs.
    """
    different = [
        f"{name} is {file_values[name]!r} in the file and {getattr(trained, name)!r} in the model"
        for name in ARCHITECTURE
        if name in file_values and file_values[name] != getattr(trained, name)
    ]
    if different:
        raise ConfigError(f"{path} contradicts {checkpoint}: {'; '.join(different)}")


def language_of_features(config: Config) -> Language | None:
    """The language whose words the pair features look at; None where the model reads none.

    Raises:
        InputError: there is no such language.
    """
    return read_language(config.language) if config.coreference_head == "antecedent" else None


def default_threshold(config: Config) -> float:
    """The similarity above which mentions are linked where no held-out labels choose it.

    The published one of cosines; as likely as not, where the similarity is a probability.
    """
    return 0.8 if config.coreference_head == "cosine" else 0.5


def nearest(word: str, known: list[str]) -> str:
    """What to say of the known word that a wrong one resembles most; empty if none does."""
    matches = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def _read_object(path: Path) -> dict[str, Any]:
    value = read_json(path, ConfigError, without_repeated_keys)
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: found {type(value).__name__}, expected a JSON object")
    return value


def _beside(path: Path, named: Any) -> Path:
    """A file that a configuration names: from the working folder, or from above its own folder."""
    if not isinstance(named, str) or "\0" in named:
        raise ConfigError(f"found {quote(named)}, expected a path")
    return Path(named) if os.path.exists(named) else path.resolve().parent.parent / named


def _read_bert_layers(path: Path) -> tuple[dict[str, int], list[str]]:
    """The published split: the first `fusion_layer` layers read the text, the others fuse."""
    values = _read_object(path)
    total, text = values.get("num_hidden_layers"), values.get("fusion_layer")
    if type(total) is not int or type(text) is not int or not 0 < text < total:
        raise ConfigError(
            f"{path}: found fusion_layer {quote(text)} and num_hidden_layers {quote(total)}, "
            "expected two whole numbers, the first smaller"
        )
    ignored = sorted(set(values) - {"num_hidden_layers", "fusion_layer"})
    return (
        {"text_layers": text, "fusion_layers": total - text},
        [f"{path.name}: {escape_unprintable(key)}" for key in ignored],
    )
