"""Checkpoints: a trained model with all that is needed to use it, in one file."""

from __future__ import annotations

import json
import math
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from utils.config import Config, ConfigError, config_from_checkpoint, config_to_dict
from utils.errors import InputError
from utils.files import replaced_when_whole
from utils.printable import quote
from utils.thresholds import Thresholds

_FORMAT = "multimodal-coreference-1"
_TYPES: Mapping[str, tuple[type, ...]] = {
    "config": (dict,),
    "encoder_config": (str,),
    "word_pieces": (str,),
    "model": (dict, OrderedDict),
    "epoch": (int,),
    "threshold": (float, int),
    "scores": (dict,),
    "mention_threshold": (float, int, type(None)),
    "regions_made_of": (dict, type(None)),
    "head_threshold": (float, int, type(None)),
}


class CheckpointError(InputError):
    """A checkpoint that cannot be used; the message names the file."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        config: the whole configuration of the run.
        encoder_config: the text encoder's own configuration, as transformers writes it.
        tokenizer: the text encoder's tokenizer, as `Tokenizer.to_json` writes it.
        model_state: the weights, those of the averaged model where the run averages.
        epoch: the epoch that it was saved after, counted from 0.
        thresholds: those that were chosen on the narrations held out.
        scores: held-out scores of that epoch, in percent; empty where nothing was held out.
        regions_made_of: what made the regions of the images that were trained on; None where that
            is not known, or there were none.
    """

    config: Config
    encoder_config: Mapping[str, object]
    tokenizer: str
    model_state: Mapping[str, Tensor]
    epoch: int
    thresholds: Thresholds
    scores: Mapping[str, float]
    regions_made_of: Mapping[str, object] | None = None


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint whole or not at all."""
    content = {
        "config": config_to_dict(checkpoint.config),
        # Text, because transformers' configurations hold types that a restricted load refuses.
        "encoder_config": json.dumps(dict(checkpoint.encoder_config)),
        "word_pieces": checkpoint.tokenizer,
        "model": dict(checkpoint.model_state),
        "epoch": checkpoint.epoch,
        "threshold": checkpoint.thresholds.link,
        "scores": dict(checkpoint.scores),
        "mention_threshold": checkpoint.thresholds.mention,
        "regions_made_of": checkpoint.regions_made_of and dict(checkpoint.regions_made_of),
        "head_threshold": checkpoint.thresholds.head,
    }
    write_restricted(path, _FORMAT, content)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU; no code in it is run.

    Raises:
        CheckpointError: the file is missing, broken, or no checkpoint of this framework.
    """
    content = read_restricted(path, _FORMAT)
    _check_types(path, content)
    try:
        return Checkpoint(
            config=config_from_checkpoint(content["config"]),
            encoder_config=json.loads(content["encoder_config"]),
            tokenizer=content["word_pieces"],
            model_state=content["model"],
            epoch=content["epoch"],
            # A checkpoint of a version before mentions or heads were found has one threshold alone.
            thresholds=Thresholds(
                link=content["threshold"],
                mention=content.get("mention_threshold"),
                head=content.get("head_threshold"),
            ),
            scores=content["scores"],
            # One of a version before this was kept has none.
            regions_made_of=content.get("regions_made_of"),
        )
    except (ConfigError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def write_restricted(path: Path, file_format: str, content: Mapping[str, object]) -> None:
    """Write tensors and plain values whole or not at all.

    Raises:
        CheckpointError: it cannot be written; what was at the path before is still there.
    """
    try:
        with replaced_when_whole(path) as temporary, temporary.open("wb") as file:
            torch.save({"format": file_format, **content}, file)
    # torch tells of a full disk by a RuntimeError.
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{path}: cannot be written ({_first_line(error)})") from error


def read_restricted(path: Path, file_format: str) -> dict[str, Any]:
    """Read what `write_restricted` wrote onto the CPU; no code in it is run.

    Raises:
        CheckpointError: the file is missing, broken, or of another format.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint{_neighbours(path)}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # A broken file ends in nearly any kind of error; what torch says of one with other things
        # in it would have the reader run them.
        unsafe = isinstance(error, pickle.UnpicklingError)
        reason = "it holds other things than tensors" if unsafe else _first_line(error)
        raise CheckpointError(f"{path}: is no readable checkpoint ({reason})") from error
    if not isinstance(content, dict) or content.pop("format", None) != file_format:
        raise CheckpointError(f"{path}: is not of the format {file_format} of this framework")
    return content


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _check_types(path: Path, content: dict[Any, Any]) -> None:
    """Refuse values of other types than a checkpoint has, and numbers that are not finite."""
    for key, kinds in _TYPES.items():
        found = content.get(key)
        if type(found) not in kinds or (type(found) is float and not math.isfinite(found)):
            names = " or ".join(kind.__name__ for kind in kinds)
            raise CheckpointError(f"{path}: {key} is {quote(found)}, expected {names}")
    if not all(type(name) is str for name in content["config"]):
        raise CheckpointError(f"{path}: config has {quote(content['config'])}, expected names")
    for name, weights in content["model"].items():
        if type(name) is not str or not isinstance(weights, Tensor):
            raise CheckpointError(f"{path}: model has {quote(name)}, expected names of weights")
        if weights.is_floating_point() and not weights.isfinite().all():
            raise CheckpointError(f"{path}: the weights {quote(name)} are not all finite")


def _neighbours(path: Path) -> str:
    """Name the checkpoints that lie where a missing one was looked for."""
    folder = path if path.is_dir() else path.parent
    found = sorted(p.name for p in folder.glob("*.pt")) if folder.is_dir() else []
    return f"; in {folder} there are {', '.join(found[:8])}" if found else ""
