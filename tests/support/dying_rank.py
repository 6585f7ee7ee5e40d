"""main.py with one rank that is asked to stop, and is killed when it is started again.

python tests/support/dying_rank.py FILE RANK STEPS OPTIONS_OF_MAIN...

Each happens after so many steps; the file says what has happened.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from unittest import mock

import torch

import main
from training.batches import StepBatches, TrainingBatches

SIGNALS = (signal.SIGTERM, signal.SIGKILL)

next_step = TrainingBatches.next
steps_done = 0


def with_signals(batches: TrainingBatches, device: torch.device) -> StepBatches:
    """The next step's batches, if the rank is still there."""
    global steps_done
    happened, (number, steps) = Path(sys.argv[1]), map(int, sys.argv[2:4])
    before = happened.read_text().split() if happened.exists() else []
    if (int(os.environ["RANK"]), steps_done) == (number, steps) and len(before) < len(SIGNALS):
        sent = SIGNALS[len(before)]
        happened.write_text(" ".join([*before, sent.name]))
        os.kill(os.getpid(), sent)
    steps_done += 1
    return next_step(batches, device)


with mock.patch.object(TrainingBatches, "next", with_signals):
    main.main(sys.argv[4:])
