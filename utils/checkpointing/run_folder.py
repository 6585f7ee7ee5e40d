"""What a training leaves in its folder under saved/."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from utils.checkpointing.checkpoint import (
    Checkpoint,
    CheckpointError,
    save_checkpoint,
)
from utils.files import replaced_when_whole


class RunFolder:
    """The files of one run, which the first rank writes.

    - `models_<epoch>.pt`: the checkpoint of each epoch, or of the last few;
    - `models_best.pt`: that of the epoch with the highest held-out CoNLL F1;
    - `models.pt`: that of the last epoch of a run that came to its end;
    - `run_state.pt`: where the training stands;
    - `log/`: for TensorBoard.

    Args:
        path: the folder.
        keep: the checkpoints of how many epochs are kept; 0 keeps all.
    """

    def __init__(self, path: Path, keep: int = 0) -> None:
        self.path = path
        self.keep = keep

    @property
    def state_file(self) -> Path:
        """The file that says where the training stands."""
        return self.path / "run_state.pt"

    @property
    def last(self) -> Path:
        """The checkpoint of the last epoch."""
        return self.path / "models.pt"

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch."""
        return self.path / "models_best.pt"

    @property
    def log(self) -> Path:
        """The folder of TensorBoard's files."""
        return self.path / "log"

    def of_epoch(self, epoch: int) -> Path:
        """Return the path of the checkpoint of an epoch."""
        return self.path / f"models_{epoch}.pt"

    def make(self) -> None:
        """Make the folder, and remove what a run that was killed while it wrote has left in it.

        Raises:
            CheckpointError: it cannot be made or written; so in all that follows.
        """
        with self._being_written():
            self.path.mkdir(parents=True, exist_ok=True)
            for unfinished in self.path.glob(".*.tmp"):
                unfinished.unlink()

    def put_aside(self) -> Path | None:
        """Make room for a new run: the files of an earlier one go into a folder of their own.

        Returns:
            That folder, beside them; None where there is no earlier run.
        """
        # First of all the state: what is put aside by half is not gone on with.
        earlier = [*self.path.glob(self.state_file.name), *self.path.glob("models*.pt")]
        if not earlier:
            return None
        if self.log.is_dir():
            earlier.append(self.log)
        number = 1
        while (aside := self.path / f"earlier_{number}").exists():
            number += 1
        with self._being_written():
            aside.mkdir()
            for path in earlier:
                path.rename(aside / path.name)
        return aside

    def open_log(self, epoch: int) -> SummaryWriter:
        """TensorBoard's log, to go on from the start of an epoch."""
        with self._being_written():
            return SummaryWriter(str(self.log), purge_step=epoch)

    def save_epoch(self, checkpoint: Checkpoint, *, is_best: bool) -> None:
        """Save the checkpoint of an epoch, and remove those that are too many."""
        save_checkpoint(self.of_epoch(checkpoint.epoch), checkpoint)
        if is_best:
            self._copy(self.of_epoch(checkpoint.epoch), self.best)
        if self.keep:
            for epoch in range(checkpoint.epoch - self.keep + 1):
                self.of_epoch(epoch).unlink(missing_ok=True)

    def finish(self, epoch: int) -> None:
        """Leave the checkpoint of an epoch as the run's last one."""
        self._copy(self.of_epoch(epoch), self.last)

    def _copy(self, source: Path, target: Path) -> None:
        with self._being_written(), replaced_when_whole(target) as temporary:
            try:
                # Two names for one file, where the file system has such.
                temporary.hardlink_to(source)
            except OSError:
                shutil.copyfile(source, temporary)

    @contextlib.contextmanager
    def _being_written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CheckpointError(f"{self.path}: cannot be written ({error.strerror})") from error
