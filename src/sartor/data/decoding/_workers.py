"""Chunks of samples, decoded in this process or in several."""

from __future__ import annotations

import itertools
import os
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sartor.data._preprocessing import Preprocessing
from sartor.data._source import Sample
from sartor.data.decoding._chunk import Pixels, decode
from sartor.machine import require

#: Samples that are decoded together, and after which progress is kept.
CHUNK = 64
#: Processes take a second or two to start: where less than this is left to do, in seconds, none do.
_WORTH_PROCESSES = 5.0
#: More of them wait for the disk.
_MOST_PROCESSES = 8


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some samples, decoded.

    Attributes:
        pixels: (count, channels, …).
        labels: One each.
        name: Of the first sample, for messages.
    """

    pixels: Pixels
    labels: list[Any]
    name: str


def decoded(
    samples: Iterable[Sample], count: int, preprocessing: Preprocessing, workers: int | None
) -> Generator[Chunk]:
    """All samples, ``count`` of them, chunk by chunk in their order.

    ``workers`` is how many processes decode: None for as many as there are cores, where that is
    worth their start, 1 for this one alone.
    """
    stream = iter(samples)
    first = _following(stream)
    if not first:
        return
    started = time.perf_counter()
    pixels = decode(first, preprocessing)
    seconds = time.perf_counter() - started
    yield _chunk(first, pixels)

    # What is no file cannot be sent to another process cheaply.
    are_files = all(isinstance(sample.image, bytes) for sample in first)
    left = seconds * (count - len(first)) / len(first)
    processes = _processes(left) if workers is None else workers
    if processes < 2 or not are_files or count <= len(first):
        yield from _here(stream, preprocessing)
    else:
        yield from _elsewhere(stream, preprocessing, processes)


def _here(stream: Iterator[Sample], preprocessing: Preprocessing) -> Iterator[Chunk]:
    while samples := _following(stream):
        yield _chunk(samples, decode(samples, preprocessing))


def _elsewhere(
    stream: Iterator[Sample], preprocessing: Preprocessing, processes: int
) -> Iterator[Chunk]:
    # Unlike the standard library's, these processes need nothing of the script that was started,
    # and do not begin as copies of a process that has threads.
    loky = require("joblib.externals.loky", extra="data")
    with loky.ProcessPoolExecutor(processes) as pool:
        waiting: deque[tuple[list[Sample], Any]] = deque()
        while True:
            # No more than is being decoded: files wait in memory.
            while len(waiting) < 2 * processes and (samples := _following(stream)):
                waiting.append((samples, pool.submit(decode, samples, preprocessing)))
            if not waiting:
                return
            samples, future = waiting.popleft()
            yield _chunk(samples, future.result())


def _following(stream: Iterator[Sample]) -> list[Sample]:
    return list(itertools.islice(stream, CHUNK))


def _chunk(samples: list[Sample], pixels: Pixels) -> Chunk:
    return Chunk(pixels, [sample.label for sample in samples], samples[0].name)


def _processes(seconds: float) -> int:
    """How many are worth their start where that much is left to do."""
    if seconds < _WORTH_PROCESSES:
        return 1
    return min(len(os.sched_getaffinity(0)), _MOST_PROCESSES)
