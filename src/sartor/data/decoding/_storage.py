"""Where decoded images are kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sartor.errors import UsageError

#: Bytes.
_MEMORY = 512 * 2**20


@dataclass(frozen=True)
class Storage:
    """Where images go once they are decoded, and how many processes decode them.

    >>> Storage(memory=0).workers is None
    True

    Attributes:
        folder: What does not fit into memory lies here, and is found again by the next who needs
            it; if not given, in a file that is gone when it is no longer used.
        memory: Bytes that all images of a data set may take in memory; beyond that they are read
            from the file as they are needed.
        workers: Processes that decode; 1 is this one alone, None as many as are worth their start.
    """

    folder: Path | None = None
    memory: int = _MEMORY
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.memory < 0:
            raise UsageError(f"memory is {self.memory}; it must be a number of bytes, at least 0")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers is {self.workers}; it must be at least 1, or None")
