"""Arrays of images that are filled chunk by chunk."""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

from sartor.data.decoding._chunk import Pixels, common_type, require_same_size, widened
from sartor.data.decoding._workers import Chunk
from sartor.machine import IntArray

#: Images that are copied at a time.
_SLAB = 256


class PixelArray(ABC):
    """Images of one shape and type, which the first chunk decides and later ones may widen.

    Args:
        count: How many there will be.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.pixels: Pixels | None = None
        self.name = ""

    def put(self, rows: IntArray, chunk: Chunk) -> None:
        """Write a chunk into some rows. Raises `DataError` for images of another size."""
        given = chunk.pixels
        shape = given.shape[1:]
        if self.pixels is None:
            self.name = chunk.name
            self.pixels = self._made(shape, given.dtype)
        else:
            require_same_size(self.pixels.shape[1:], self.name, shape, chunk.name)

        held = (self.pixels.shape[1], self.pixels.dtype)
        channels = max(self.pixels.shape[1], given.shape[1])
        dtype = common_type([self.pixels.dtype, given.dtype])
        if held != (channels, dtype):
            self._widen(channels, dtype)

        self.pixels[rows] = widened(given, channels, dtype, axis=1)

    @abstractmethod
    def _made(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Pixels:
        """An array for all images of a shape."""

    @abstractmethod
    def _replaced(self, pixels: Pixels) -> Pixels:
        """What `_made` gave, once it holds all that the array before held."""

    def _widen(self, channels: int, dtype: np.dtype[Any]) -> None:
        before = self.pixels
        assert before is not None
        wider = self._made((channels, *before.shape[2:]), dtype)
        for start in range(0, self.count, _SLAB):
            some = before[start : start + _SLAB]
            wider[start : start + _SLAB] = widened(some, channels, dtype, axis=1)
        self.pixels = self._replaced(wider)


class MemoryArray(PixelArray):
    """In memory."""

    def _made(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Pixels:
        # Zeros cost no memory before they are written.
        return np.zeros((self.count, *shape), dtype)

    def _replaced(self, pixels: Pixels) -> Pixels:
        return pixels


class FileArray(PixelArray):
    """In a file that is mapped into memory: pages that are not used need none.

    Args:
        count: How many images there will be.
        path: The file; None for one without a name, gone when it is no longer used.
    """

    def __init__(self, count: int, path: Path | None) -> None:
        super().__init__(count)
        self.path = path

    def _made(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Pixels:
        whole = (self.count, *shape)
        if self.path is None:
            return _nameless(whole, dtype)
        path = self.path if self.pixels is None else self._wider
        path.parent.mkdir(parents=True, exist_ok=True)
        return open_memmap(path, mode="w+", dtype=dtype, shape=whole)

    def _replaced(self, pixels: Pixels) -> Pixels:
        if self.path is not None:
            _flush(pixels)
            self._wider.replace(self.path)
        return pixels

    @property
    def _wider(self) -> Path:
        assert self.path is not None
        return self.path.with_name(f"{self.path.name}.wider")

    def flush(self) -> None:
        """Have everything written to the disk."""
        assert self.pixels is not None
        _flush(self.pixels)

    def reopen(self) -> None:
        """Go on with the file of a process that was stopped. Raises `ValueError` if it cannot."""
        assert self.path is not None
        self.pixels = open_memmap(self.path, mode="r+")
        if len(self.pixels) != self.count:
            raise ValueError(f"{self.path} is of another length")


def _flush(pixels: Pixels) -> None:
    assert isinstance(pixels, np.memmap)
    pixels.flush()


def _nameless(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Pixels:
    handle, name = tempfile.mkstemp(suffix=".npy")
    os.close(handle)
    try:
        return open_memmap(name, mode="w+", dtype=dtype, shape=shape)
    finally:
        # The mapping keeps the content for as long as it is needed, and nobody has to clean up.
        Path(name).unlink()
