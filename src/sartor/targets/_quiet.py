"""Quiet moments of a machine: making them as far as this process can, and knowing them."""

from __future__ import annotations

import gc
import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from sartor.machine import Progress, Waiting, require, silent

#: Seconds to find out which core is least busy.
_LISTEN = 0.05
#: How much slower than the fastest known the original may be in a quiet moment.
_NEAR = 0.06
#: How many comparisons are remembered.
_MEMORY = 20
#: Seconds between two words on waiting.
_EVERY = 1.0


class QuietGauge:
    """Knows quiet moments from busy ones, by how fast the original was in its latest comparisons.

    A neighbour that shares a core's caches and units may be busy for seconds; then all turns agree,
    and all are slow.

    Args:
        progress: Is told of waiting.
        patient: Whether moments are waited for; if not, every one counts as quiet.

    >>> gauge = QuietGauge()
    >>> gauge.add(1.0)
    >>> gauge.quiet(1.05), gauge.quiet(1.1)
    (True, False)
    """

    def __init__(self, progress: Progress = silent, *, patient: bool = True) -> None:
        self._progress = progress
        self._patient = patient
        self._latest: deque[float] = deque(maxlen=_MEMORY)
        self._told = -_EVERY

    @property
    def known(self) -> bool:
        """Whether anything is remembered."""
        return bool(self._latest)

    def quiet(self, seconds: float) -> bool:
        """Whether the original has hardly ever been faster lately."""
        if not self._patient:
            return True
        fastest = min(self._latest, default=seconds)
        return seconds <= (1 + _NEAR) * fastest

    def wait(self, seconds: float, limit: float) -> None:
        """Say, once a second, that a measurement goes on for want of a quiet moment."""
        now = time.monotonic()
        if now - self._told >= _EVERY:
            self._told = now
            self._progress(Waiting(seconds, limit))

    def add(self, seconds: float) -> None:
        """Remember a comparison's.

        Of a machine that became slower for good, the older ones are forgotten after a while.
        """
        self._latest.append(seconds)


@contextmanager
def quiet(*, pin: bool = True) -> Iterator[None]:
    """The calling thread stays on the least busy core (``pin``), and no garbage is collected."""
    collecting = gc.isenabled()
    allowed: set[int] = set()
    # only Linux lets a thread be pinned
    if pin and hasattr(os, "sched_getaffinity"):
        allowed = os.sched_getaffinity(0)

    if len(allowed) > 1:
        core = _least_busy(allowed)
        os.sched_setaffinity(0, {core})
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
        if len(allowed) > 1:
            os.sched_setaffinity(0, allowed)


def _least_busy(cores: set[int]) -> int:
    """The core with the least load of others: this process waits meanwhile."""
    psutil = require("psutil", extra="latency")
    load = psutil.cpu_percent(interval=_LISTEN, percpu=True)

    def load_of(core: int) -> float:
        # a core may have come after the count
        return load[core] if core < len(load) else 0.0

    return min(cores, key=load_of)
