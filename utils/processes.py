"""How many processes can work side by side."""

from __future__ import annotations

import os


def default_processes() -> int:
    """As many as there are processors for this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
