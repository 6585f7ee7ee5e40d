"""A model that main.py trains in a folder of a test."""

from __future__ import annotations

from pathlib import Path

import main as training


def train(folder: Path, *options: str, name: str) -> Path:
    """Train on the data of a folder, on the CPU.

    Args:
        folder: holds data/ and config.json, and gets saved/.
        options: further options of main.py.
        name: of the run.

    Returns:
        The last checkpoint.
    """
    run = folder / "saved" / name
    paths = {
        "--model_config": folder / "config.json",
        "--data-root": folder / "data",
        "--save_name": run,
    }
    named = [word for option, path in paths.items() for word in (option, str(path))]
    training.main([*named, "--device", "cpu", *options])
    return run / "models.pt"
