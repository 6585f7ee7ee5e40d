"""The file of figures that a benchmark writes on request."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.files import write_text
from utils.options import file_to_write


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that asks for the file."""
    parser.add_argument("--json", type=file_to_write, help="a file for the figures")


def write_figures(path: Path | None, figures: Mapping[Any, Any]) -> None:
    """Write figures as JSON where a file is asked for."""
    if path is not None:
        write_text(path, json.dumps(figures, indent=2) + "\n")
