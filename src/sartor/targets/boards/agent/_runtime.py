"""What a runtime of boards is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol


class Loaded(Protocol):
    """A network that is ready to run; ``batch`` is how many images it takes, None for any."""

    batch: int | None

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """All outputs for arrays of NumPy."""
        ...

    def seconds(self) -> float:
        """Of one run on random numbers."""
        ...


class Runtime(ABC):
    """A new one is a file beside the others, and a line in ``_runtimes``.

    Attributes:
        package: What pip installs.
        least: The first version that reads what sartor writes.
    """

    package: str
    least: tuple[int, int]

    @abstractmethod
    def version(self) -> str:
        """Of what is installed. Raises `ImportError` where nothing is."""

    @abstractmethod
    def load(self, path: Path, threads: int, timed: int) -> Loaded:
        """The network of a file; it is timed with so many images, if it takes any number."""
