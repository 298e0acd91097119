"""Measuring time on machines that drift: two networks in turns, until the answer is sure enough."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import psutil
from scipy.stats import binom

from sartor.cost import FloatArray

#: Seconds that the slower network runs before it is the other's turn: short against drift, long against a cold cache.
_TURN = 0.02
#: Seconds to find out which core is least busy.
_LISTEN = 0.05
#: Turns before the first look at the interval.
_LEAST = 12
#: Fastest turns that a relative latency rests on, of at least twice as many; of fewer turns, the faster half.
_FASTEST = 5


@dataclass(frozen=True)
class Patience:
    """When to stop: once the interval of the relative latency is within ± ``tolerance``, or at ``limit_s``.

    Not before ``least_s``: a machine that is busy for seconds has no undisturbed turn in them. Not before ``least_turns`` either,
    however slow they are: of fewer than three none can be told to be an outlier, such as one in which the machine slept.
    """

    tolerance: float = 0.02
    limit_s: float = 10.0
    warm_up: int = 5
    least_s: float = 0.0
    least_turns: int = 3


@dataclass(frozen=True)
class Latency:
    """Seconds of one run with a batch of one: median, its 95 % confidence interval, and how many runs it rests on."""

    median_s: float
    low_s: float
    high_s: float
    samples: int
    measured: bool = True


@dataclass(frozen=True)
class Comparison:
    """A candidate's latency relative to the original's, where nothing disturbs them: of the fastest turns of both.

    ``low`` to ``high`` is what these turns allow: the fastest of one against the slowest chosen of the other.
    """

    relative: float
    low: float
    high: float
    candidate: Latency
    original: Latency


def compare(
    candidate: Callable[[], float],
    original: Callable[[], float],
    patience: Patience,
    *,
    runs: int | None = None,
    pin: bool = True,
) -> Comparison:
    """Run both in turns; each call runs a network once and returns its seconds. A turn has ``runs``, or 20 ms of the slower.

    A neighbour on the same core slows int8 more than fp32, so that ratios of typical turns depend on how busy the machine is; the
    fastest turns do not. Both must have had several that agree, or measuring goes on. Both run equally often: of more runs the
    fastest would be faster.
    """
    if patience.warm_up:
        candidate(), original()  # what is compiled at the first run starts its threads before this one is pinned
    with quiet(pin=pin):
        each = runs or max(1, round(_TURN / max(_warm_up(call, patience.warm_up) for call in (candidate, original))))
        unheard = 0 if runs else 1
        started = time.perf_counter()
        turns: list[tuple[_Turn, _Turn]] = []
        while True:
            turns.append((_turn(candidate, each, unheard), _turn(original, each, unheard)))
            elapsed = time.perf_counter() - started
            late = elapsed > patience.limit_s and len(turns) >= patience.least_turns
            if (len(turns) < _LEAST or elapsed < patience.least_s) and not late:
                continue
            medians, fastest = np.array(turns).transpose(2, 1, 0)
            low, relative, high = relative_latency(*fastest)
            if late or max(high - relative, relative - low) <= patience.tolerance * relative:
                break
    return Comparison(relative, low, high, _latency(medians[0], each), _latency(medians[1], each))


def relative_latency(candidate: FloatArray, original: FloatArray) -> tuple[float, float, float]:
    """Lowest, likely and highest ratio of the fastest of some turns of both."""
    count = min(_FASTEST, (len(candidate) + 1) // 2)
    mine, theirs = np.sort(candidate)[:count], np.sort(original)[:count]
    return float(mine[0] / theirs[-1]), float(mine.mean() / theirs.mean()), float(mine[-1] / theirs[0])


def estimated(candidate_s: float, original_s: float) -> Comparison:
    """A comparison of two estimates, which need no second look."""
    sides = (Latency(seconds, seconds, seconds, samples=1, measured=False) for seconds in (candidate_s, original_s))
    relative = candidate_s / original_s
    return Comparison(relative, relative, relative, *sides)


def median_interval(values: FloatArray, confidence: float = 0.95) -> tuple[float, float]:
    """Confidence interval of the median from order statistics; assumes nothing about the distribution."""
    ordered = np.sort(values)
    below = int(binom.ppf((1 - confidence) / 2, len(ordered), 0.5))
    below = max(0, below - 1)
    return float(ordered[below]), float(ordered[len(ordered) - 1 - below])


@contextmanager
def quiet(*, pin: bool = True) -> Iterator[None]:
    """The calling thread stays on the core that is least busy (``pin``), and nothing is collected meanwhile."""
    collecting = gc.isenabled()
    allowed = os.sched_getaffinity(0) if pin and hasattr(os, "sched_getaffinity") else set()
    if len(allowed) > 1:
        load = psutil.cpu_percent(interval=_LISTEN, percpu=True)  # of others: this process waits meanwhile
        os.sched_setaffinity(0, {min(allowed, key=lambda core: load[core] if core < len(load) else 0.0)})
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
        if len(allowed) > 1:
            os.sched_setaffinity(0, allowed)


def _warm_up(call: Callable[[], float], runs: int) -> float:
    return max(float(np.median([call() for _ in range(max(1, runs))])), 1e-7)


#: Median and least seconds of the runs of a turn.
_Turn = tuple[float, float]


def _turn(call: Callable[[], float], runs: int, unheard: int) -> _Turn:
    """``unheard`` runs come first and find a cold cache."""
    times = [call() for _ in range(unheard + runs)][unheard:]
    return float(np.median(times)), min(times)


def _latency(turns: FloatArray, runs: int) -> Latency:
    return Latency(float(np.median(turns)), *median_interval(turns), samples=len(turns) * runs)
