"""Decoded images on disk: begun, gone on with, found again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from sartor.data._preprocessing import Preprocessing
from sartor.data._source import Samples
from sartor.data.decoding._array import FileArray
from sartor.data.decoding._chunk import Pixels
from sartor.errors import RunError
from sartor.machine import IntArray, read_json, write_text

#: Of the files; what is of another is decoded again.
_SCHEMA = 1
#: Seconds between two notes of how far decoding has come.
_EVERY = 2.0


@dataclass(frozen=True)
class KeptImages:
    """The file of some decoded samples in a folder, by what they were decoded from.

    >>> kept = KeptImages(Path("images"), "0a1b")
    >>> kept.whole.as_posix()
    'images/0a1b.npy'
    """

    folder: Path
    digest: str

    @classmethod
    def of(
        cls, folder: Path, samples: Samples, numbers: IntArray, preprocessing: Preprocessing
    ) -> KeptImages:
        """Where these samples are kept, decoded like that."""
        # Mean and std are applied later, and nothing is decoded again for them.
        pixels = (
            preprocessing.channels,
            preprocessing.resize,
            preprocessing.interpolation,
            preprocessing.crop,
        )
        found = hashlib.sha256()
        found.update(f"{_SCHEMA} {pixels} {samples.identity}".encode())
        found.update(numbers.tobytes())
        return cls(folder, found.hexdigest()[:16])

    @property
    def whole(self) -> Path:
        """All images, once they are decoded."""
        return self.folder / f"{self.digest}.npy"

    @property
    def part(self) -> Path:
        """Those that were decoded so far."""
        return self.folder / f".{self.digest}.part"

    @property
    def progress(self) -> Path:
        """How many those are."""
        return self.folder / f".{self.digest}.json"

    def open(self) -> Pixels | None:
        """All images, mapped into memory; None if they have not all been decoded."""
        if not self.whole.is_file():
            return None
        # Only in name can they be written to: torch wants arrays that can.
        return np.load(self.whole, mmap_mode="c")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait for whoever is decoding the same."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / f".{self.digest}.lock"):
            yield

    def begun(self, count: int) -> tuple[FileArray, int]:
        """The file to decode into, and how many images it holds already."""
        array = FileArray(count, self.part)
        # Whatever a process that was stopped left behind: it is begun again where it is no use.
        with contextlib.suppress(RunError, OSError, ValueError, KeyError, TypeError):
            held = read_json(self.progress, missing="nothing was decoded", error=RunError)
            array.reopen()
            array.name = str(held["first"])
            return array, int(held["done"])
        # It must not speak of a file that is begun again.
        self.progress.unlink(missing_ok=True)
        return FileArray(count, self.part), 0

    def finish(self, array: FileArray) -> Pixels:
        """Give the file its name, once it holds all images."""
        array.flush()
        array.pixels = None
        self.part.replace(self.whole)
        self.progress.unlink(missing_ok=True)
        found = self.open()
        assert found is not None
        return found


class Notes:
    """How far decoding has come, written down every now and then."""

    def __init__(self, kept: KeptImages, array: FileArray) -> None:
        self._kept = kept
        self._array = array
        self._written = time.monotonic()

    def add(self, done: int) -> None:
        """So many images are decoded."""
        now = time.monotonic()
        if now - self._written < _EVERY:
            return
        # The images before the note that they are there.
        self._array.flush()
        content = {"done": done, "first": self._array.name}
        write_text(self._kept.progress, json.dumps(content))
        self._written = now
