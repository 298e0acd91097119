"""Quiet moments of a machine: making them as far as this process can, and telling them from busy ones."""

from __future__ import annotations

import gc
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from sartor.machine import require

#: Seconds to find out which core is least busy.
_LISTEN = 0.05
#: How much slower than the fastest that is known the original may be in a quiet moment, and how many comparisons know of it.
_NEAR, _MEMORY = 0.06, 20


class QuietGauge:
    """Tells quiet moments from busy ones, by the fastest that the original was in its latest comparisons.

    A neighbour that shares a core's caches and units may be busy for seconds; then all turns agree, and all are slow.
    """

    def __init__(self) -> None:
        self._latest: deque[float] = deque(maxlen=_MEMORY)

    @property
    def known(self) -> bool:
        """Whether anything is remembered."""
        return bool(self._latest)

    def quiet(self, seconds: float) -> bool:
        """Whether the original has hardly ever been faster lately."""
        return seconds <= (1 + _NEAR) * min(self._latest, default=seconds)

    def add(self, seconds: float) -> None:
        """Remember a comparison's; of a machine that became slower for good, the older ones are forgotten."""
        self._latest.append(seconds)


@contextmanager
def quiet(*, pin: bool = True) -> Iterator[None]:
    """The calling thread stays on the core that is least busy (``pin``), and nothing is collected meanwhile."""
    collecting = gc.isenabled()
    allowed = os.sched_getaffinity(0) if pin and hasattr(os, "sched_getaffinity") else set()
    if len(allowed) > 1:
        psutil = require("psutil", extra="latency")
        load = psutil.cpu_percent(
            interval=_LISTEN, percpu=True
        )  # of others: this process waits meanwhile
        os.sched_setaffinity(
            0, {min(allowed, key=lambda core: load[core] if core < len(load) else 0.0)}
        )
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
        if len(allowed) > 1:
            os.sched_setaffinity(0, allowed)
