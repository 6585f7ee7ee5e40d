"""main.py with one rank that is killed, after so many steps: once, a file says whether it was.

python tests/dying_rank.py FILE RANK STEPS OPTIONS_OF_MAIN...
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import engine
import main

next_step = engine.TrainingBatches.next
steps_done = 0


def die_once(batches: engine.TrainingBatches, device: object) -> object:
    """The next step's batches, if this is not where the rank dies."""
    global steps_done
    marker, (number, steps) = Path(sys.argv[1]), map(int, sys.argv[2:4])
    if (int(os.environ["RANK"]), steps_done) == (number, steps) and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    steps_done += 1
    return next_step(batches, device)


engine.TrainingBatches.next = die_once
main.main(sys.argv[4:])
