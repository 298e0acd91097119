"""How long a run takes: by the clock on the wall, or by that of an accelerator."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Protocol

import torch

#: Runs of which the median is taken while something warms up.
_RUNS = 5
#: By how much, relative to it, two medians in a row may differ once something is warm.
_STABLE = 0.05
#: Seconds after which it is taken to be warm in any case.
_LIMIT = 5.0


class Clock(Protocol):
    """Times single runs on one device."""

    def seconds(self, run: Callable[[], object]) -> float:
        """What one run takes, from its start until all of it is computed."""
        ...


class WallClock:
    """For what is computed when the call returns.

    >>> WallClock().seconds(lambda: None) >= 0
    True
    """

    def seconds(self, run: Callable[[], object]) -> float:
        """By the clock of this machine."""
        started = time.perf_counter()
        run()
        return time.perf_counter() - started


class CudaClock:
    """For work that waits in a queue of a CUDA device, by events in that queue."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def seconds(self, run: Callable[[], object]) -> float:
        """Between two events, with what the device waited for its caller in between."""
        with torch.cuda.device(self._device):
            before = torch.cuda.Event(enable_timing=True)
            after = torch.cuda.Event(enable_timing=True)
            # what others left in the queue does not count
            torch.cuda.synchronize()
            before.record()
            run()
            after.record()
            after.synchronize()

        milliseconds: float = before.elapsed_time(after)
        return 1e-3 * milliseconds


class MpsClock:
    """For work that waits in the queue of an Apple GPU."""

    def seconds(self, run: Callable[[], object]) -> float:
        """By the clock of this machine, from an empty queue to an empty queue."""
        torch.mps.synchronize()
        started = time.perf_counter()
        run()
        torch.mps.synchronize()
        return time.perf_counter() - started


def clock_of(device: torch.device) -> Clock:
    """What times runs on a device.

    >>> type(clock_of(torch.device("cpu"))).__name__
    'WallClock'
    """
    if device.type == "cuda":
        return CudaClock(device)
    if device.type == "mps":
        return MpsClock()
    return WallClock()


def warm_up(call: Callable[[], float], limit_s: float = _LIMIT) -> None:
    """Repeat what returns its seconds until these are stable, or for ``limit_s``.

    An accelerator chooses kernels at the first runs and takes tenths of a second to reach its
    clock rate.
    """
    started = time.perf_counter()
    before = median(call() for _ in range(_RUNS))
    while time.perf_counter() - started < limit_s:
        now = median(call() for _ in range(_RUNS))
        if abs(now - before) <= _STABLE * now:
            break
        before = now
