"""Some samples as tensors."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sartor.data._preprocessing import Preprocessing
from sartor.data._source import Samples
from sartor.data.decoding._array import FileArray, MemoryArray, PixelArray
from sartor.data.decoding._chunk import Pixels
from sartor.data.decoding._kept import KeptImages, Notes
from sartor.data.decoding._labels import stacked
from sartor.data.decoding._storage import Storage
from sartor.data.decoding._workers import Chunk, decoded
from sartor.machine import IntArray


@dataclass(frozen=True, eq=False)
class Gathered:
    """Decoded samples.

    Attributes:
        pixels: (count, channels, height, width), or as the network reads them.
        labels: (count, …).
        on_disk: Whether the pixels lie in a file.
    """

    pixels: Tensor
    labels: Tensor
    on_disk: bool

    @property
    def bytes_in_memory(self) -> int:
        """What the pixels take there."""
        return 0 if self.on_disk else self.pixels.nbytes


def gather(
    samples: Samples, numbers: IntArray, preprocessing: Preprocessing, storage: Storage
) -> Gathered:
    """Decode some samples, by their numbers.

    Labels of samples that other processes can find again are known before they are decoded.
    Raises `DataError` for images that differ in size, and what decoding raises.
    """
    job = _Job(samples, numbers, preprocessing, storage.workers)
    kept = None
    # Found again are only those that can be told from others.
    if storage.folder is not None and samples.identity and samples.known_labels() is not None:
        kept = KeptImages.of(storage.folder, samples, numbers, preprocessing)
        known = kept.open()
        if known is not None:
            return job.gathered(known, on_disk=True)

    chunks = job.chunks(0)
    first = next(chunks)
    size = first.pixels.nbytes / len(first.pixels) * len(numbers)
    if size <= storage.memory:
        pixels = job.fill(MemoryArray(len(numbers)), first, chunks)
        return job.gathered(pixels, on_disk=False)
    if kept is None:
        pixels = job.fill(FileArray(len(numbers), None), first, chunks)
        return job.gathered(pixels, on_disk=True)

    return job.gathered(job.keep(kept, first, chunks), on_disk=True)


class _Job:
    """Samples to be decoded; read in ascending order, which is quickest, and put in their own."""

    def __init__(
        self,
        samples: Samples,
        numbers: IntArray,
        preprocessing: Preprocessing,
        workers: int | None,
    ) -> None:
        self._samples = samples
        self._numbers = numbers
        self._preprocessing = preprocessing
        self._workers = workers
        self._rows = np.argsort(numbers, kind="stable")
        self._labels: list[Any] = [None] * len(numbers)

    def chunks(self, done: int) -> Generator[Chunk]:
        """What is left when some are done."""
        ascending = self._numbers[self._rows[done:]].tolist()
        stream = self._samples.read(ascending)
        return decoded(stream, len(ascending), self._preprocessing, self._workers)

    def fill(self, array: PixelArray, first: Chunk, rest: Iterator[Chunk]) -> Pixels:
        """Put all into an array."""
        done = 0
        for chunk in itertools.chain([first], rest):
            done = self._put(array, chunk, done)
        assert array.pixels is not None
        return array.pixels

    def keep(self, kept: KeptImages, first: Chunk, rest: Generator[Chunk]) -> Pixels:
        """Put all into a file that is found again, going on with one that was begun."""
        with kept.alone():
            known = kept.open()
            if known is not None:
                return known

            array, done = kept.begun(len(self._numbers))
            left = itertools.chain([first], rest) if not done else self.chunks(done)
            notes = Notes(kept, array)
            for chunk in left:
                done = self._put(array, chunk, done)
                notes.add(done)
            return kept.finish(array)

    def gathered(self, pixels: Pixels, *, on_disk: bool) -> Gathered:
        """With their labels."""
        known = self._samples.known_labels()
        if known is None:
            labels = self._labels
        else:
            labels = [known[number] for number in self._numbers.tolist()]

        tensor = torch.from_numpy(pixels)
        return Gathered(tensor, stacked(labels, self._samples.place), on_disk)

    def _put(self, array: PixelArray, chunk: Chunk, done: int) -> int:
        rows = self._rows[done : done + len(chunk.labels)]
        array.put(rows, chunk)
        for row, label in zip(rows.tolist(), chunk.labels, strict=True):
            self._labels[row] = label
        return done + len(chunk.labels)
