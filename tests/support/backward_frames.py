"""Train a tiny model of a checkout, and print the functions of ours that run at `backward()`.

    python tests/support/backward_frames.py CHECKOUT

The checkout may be another one than this file's, of any layout whose tests have the two writers
that are imported here. One line a function, from main on, of the call that lies deepest.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock


def frames_at_backward(checkout: Path) -> list[str]:
    """Return the file and the name of each running function, the first called first."""
    # Instead of this file's folder, so that the checkout's own modules are found.
    sys.path[0] = str(checkout)
    tests = "tests.support" if (checkout / "tests" / "support").exists() else "tests"
    cin_files = importlib.import_module(f"{tests}.cin_files")
    tiny = importlib.import_module(f"{tests}.tiny")
    training = importlib.import_module("main")
    import torch

    deepest: list[str] = []
    backward = torch.Tensor.backward

    def count_and_go(*arguments: Any, **named: Any) -> None:
        frames = _frames_of(checkout)
        if len(frames) > len(deepest):
            deepest[:] = frames
        backward(*arguments, **named)

    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        _write_data(Path(name), cin_files, tiny)
        with mock.patch.object(torch.Tensor, "backward", count_and_go):
            training.main("--model_config config.json --use-ssl --no-unlabelled".split())
    return deepest


def _frames_of(checkout: Path) -> list[str]:
    """Return the frames of the checkout's own files on the stack; the tests' are none of them."""
    frames: list[str] = []
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(checkout) and not path.is_relative_to(checkout / "tests"):
            frames.append(f"{path.relative_to(checkout)} {frame.f_code.co_qualname}")
        frame = frame.f_back
    return frames[::-1]


def _write_data(folder: Path, cin_files: Any, tiny: Any) -> None:
    """Write twelve labelled narrations and a configuration of one epoch."""
    annotation = "a man in a hat. he runs."
    mentions = [
        cin_files.MentionNote("a man", 0, [[10, 10, 50, 90]]),
        cin_files.MentionNote("he", 0, [[10, 10, 50, 90]]),
    ]
    ids = [str(100 + n) for n in range(12)]
    image = cin_files.DEFAULT_REGIONS["val"]["101"]
    cin_files.write_cin_folder(
        folder / "data",
        annotations=[
            cin_files.annotation(image_id, "val", annotation, mentions) for image_id in ids
        ],
        captions={},
        regions={"val": dict.fromkeys(ids, image)},
        feature_size=tiny.FEATURE_SIZE,
    )
    values = {
        "data_root": "data",
        "text_encoder": tiny.encoder_folder(),
        "region_feature_size": tiny.FEATURE_SIZE,
        "region_feedforward_size": 32,
        "epochs": 1,
        "batch": 4,
        "held_out": 0.3,
    }
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    with contextlib.redirect_stdout(sys.stderr):
        frames = frames_at_backward(Path(sys.argv[1]).resolve())
    print(*frames, sep="\n")
