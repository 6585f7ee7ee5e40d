"""What a training leaves in its folder under saved/."""

from __future__ import annotations

import shutil
from pathlib import Path

from utils.checkpoint import Checkpoint, CheckpointError, save_checkpoint
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
    def state(self) -> Path:
        """Where the training stands."""
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
        """The checkpoint of an epoch."""
        return self.path / f"models_{epoch}.pt"

    def make(self) -> None:
        """Make the folder, and remove what a run that was killed while it wrote has left in it.

        Raises:
            CheckpointError: it cannot be made or written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for unfinished in self.path.glob(".*.tmp"):
                unfinished.unlink()
        except OSError as error:
            raise CheckpointError(f"{self.path}: cannot be written ({error.strerror})") from error

    def clear(self) -> Path | None:
        """Make room for a new run: the files of an earlier one go into a folder of their own.

        Returns:
            That folder, beside them; None where there is no earlier run.
        """
        earlier = [path for path in self.path.glob("*.pt") if path.is_file()]
        if not earlier:
            return None
        if self.log.is_dir():
            earlier.append(self.log)
        number = 1
        while (aside := self.path / f"earlier_{number}").exists():
            number += 1
        aside.mkdir()
        for path in earlier:
            path.rename(aside / path.name)
        return aside

    def save_epoch(self, checkpoint: Checkpoint, *, is_best: bool) -> None:
        """Save the checkpoint of an epoch, and remove the oldest one that is too many.

        Raises:
            CheckpointError: it cannot be written.
        """
        save_checkpoint(self.of_epoch(checkpoint.epoch), checkpoint)
        if is_best:
            self._copy(self.of_epoch(checkpoint.epoch), self.best)
        if self.keep and checkpoint.epoch >= self.keep:
            self.of_epoch(checkpoint.epoch - self.keep).unlink(missing_ok=True)

    def finish(self, epoch: int) -> None:
        """Leave the checkpoint of an epoch as the run's last one."""
        self._copy(self.of_epoch(epoch), self.last)

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        with replaced_when_whole(target) as temporary:
            try:
                # Two names for one file, where the file system has such.
                temporary.hardlink_to(source)
            except OSError:
                shutil.copyfile(source, temporary)
