"""TensorBoard: ``tensorboard --logdir RUN``."""

from __future__ import annotations

from pathlib import Path

from sartor.machine import require
from sartor.track._base import Numbers, Tracker

_FOLDER = "tensorboard"


class TensorBoardTracker(Tracker):
    """Writes event files to ``tensorboard`` in the folder of a run.

    Raises `MissingPackageError` without tensorboard.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        require("tensorboard", extra="tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / _FOLDER))

    def log(self, numbers: Numbers, step: int) -> None:
        """Add a point to every chart; on disk at once, for those who watch."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """End the event file."""
        self._writer.close()
