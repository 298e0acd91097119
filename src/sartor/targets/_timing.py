"""Measuring time on machines that drift: two networks in turns, until the answer is sure enough."""

from __future__ import annotations

import statistics
import time
from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sartor.machine import FloatArray
from sartor.targets._quiet import QuietGauge, quiet

#: Seconds that the slower network runs before it is the other's turn: short against how long neighbours rest, some tens of ms.
_TURN = 0.003
#: Seconds that each runs unheard first in its turn: until the other's weights are out of the caches, and the core is as fast as
#: it is for this network. After one run only, ResNet-18 at a tenth of its latency seemed to take a fifth more than it takes.
_SETTLING = 0.01


@dataclass(frozen=True)
class Patience:
    """When to stop: once the interval of the relative latency is within ± ``tolerance`` in quiet moments, or at ``limit_s``.

    ``fastest`` turns are what a relative latency rests on, of at least twice as many; of fewer turns, the faster half.
    Not before ``least_s``: a machine that is busy for seconds has no undisturbed turn in them. Not before ``least_turns`` either,
    however slow they are: of fewer than three none can be told to be an outlier, such as one in which the machine slept.
    """

    tolerance: float = 0.02
    limit_s: float = 10.0
    warm_up: int = 5
    least_s: float = 0.0
    least_turns: int = 3
    fastest: int = 5


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

    ``low`` to ``high`` is what these turns allow: the fastest of one against the slowest chosen of the other. ``settled`` says
    whether measuring ended before its limit; if not, the machine was too busy, and the latency is likely smaller.
    """

    relative: float
    low: float
    high: float
    candidate: Latency
    original: Latency
    settled: bool = True


def compare(
    candidate: Callable[[], float],
    original: Callable[[], float],
    patience: Patience,
    *,
    runs: int | None = None,
    pin: bool = True,
    gauge: QuietGauge | None = None,
) -> Comparison:
    """Run both in turns; each call runs a network once and returns its seconds.

    A turn has ``runs`` or, after 10 ms of either that do not count, as many as the slower one has in 3 ms. A neighbour on the
    same core slows int8 more than fp32, so that ratios of typical turns depend on how busy the machine is; the fastest turns do
    not. Both must have had several that agree, in moments that ``gauge`` finds quiet, or measuring goes on. Both run equally
    often: of more runs the fastest would be faster.
    """
    gauge = gauge or QuietGauge()
    if patience.warm_up:
        (
            candidate(),
            original(),
        )  # what is compiled at the first run starts its threads before this one is pinned
    with quiet(pin=pin):
        usual = [_warm_up(call, patience.warm_up) for call in (candidate, original)]
        each = runs or max(1, round(_TURN / max(usual)))
        unheard = [0 if runs else max(1, round(_SETTLING / seconds)) for seconds in usual]
        started = time.perf_counter()
        mine, theirs = _Turns(candidate, each, unheard[0]), _Turns(original, each, unheard[1])
        while True:
            mine.take()
            theirs.take()
            elapsed, taken = time.perf_counter() - started, len(mine.fastest)
            count = min(patience.fastest, (taken + 1) // 2)
            low, relative, high = _ratio(mine.fastest[:count], theirs.fastest[:count])
            agreed = max(high - relative, relative - low) <= patience.tolerance * relative
            enough = (
                taken >= max(2 * patience.fastest, patience.least_turns)
                and elapsed >= patience.least_s
            )
            settled = enough and agreed and gauge.quiet(theirs.fastest[count - 1])
            if settled or (elapsed > patience.limit_s and taken >= patience.least_turns):
                break
    gauge.add(float(np.mean(theirs.fastest[:count])))
    return Comparison(relative, low, high, mine.latency(), theirs.latency(), settled)


def _ratio(candidate: Sequence[float], original: Sequence[float]) -> tuple[float, float, float]:
    """Lowest, likely and highest ratio of some sorted turns of both."""
    return (
        candidate[0] / original[-1],
        float(np.mean(candidate) / np.mean(original)),
        candidate[-1] / original[0],
    )


def estimated(candidate_s: float, original_s: float) -> Comparison:
    """A comparison of two estimates, which need no second look."""
    candidate, original = (
        Latency(seconds, seconds, seconds, samples=1, measured=False)
        for seconds in (candidate_s, original_s)
    )
    relative = candidate_s / original_s
    return Comparison(relative, relative, relative, candidate, original)


def median_interval(values: FloatArray, confidence: float = 0.95) -> tuple[float, float]:
    """Confidence interval of the median from order statistics; assumes nothing about the distribution."""
    # Takes a second to import, so not before anything is measured.
    from scipy.stats import binom

    ordered = np.sort(values)
    below = int(binom.ppf((1 - confidence) / 2, len(ordered), 0.5))
    below = max(0, below - 1)
    return float(ordered[below]), float(ordered[len(ordered) - 1 - below])


def _warm_up(call: Callable[[], float], runs: int) -> float:
    return max(float(np.median([call() for _ in range(max(1, runs))])), 1e-7)


class _Turns:
    """One side's turns of ``runs``; ``unheard`` runs come first in each and find a cold cache."""

    def __init__(self, call: Callable[[], float], runs: int, unheard: int) -> None:
        self._call, self._runs, self._unheard = call, runs, unheard
        self._medians: list[float] = []
        #: Least seconds of each turn, sorted.
        self.fastest: list[float] = []

    def take(self) -> None:
        """One more turn."""
        times = [self._call() for _ in range(self._unheard + self._runs)][self._unheard :]
        self._medians.append(statistics.median(times))
        insort(self.fastest, min(times))

    def latency(self) -> Latency:
        """Of typical turns."""
        turns = np.array(self._medians)
        return Latency(
            float(np.median(turns)), *median_interval(turns), samples=len(turns) * self._runs
        )
