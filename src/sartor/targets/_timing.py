"""Measuring time on machines that drift: two networks in turns, until the answer is sure enough."""

from __future__ import annotations

import statistics
import time
from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from sartor.machine import FloatArray
from sartor.targets._comparison import Comparison, Latency
from sartor.targets._quiet import QuietGauge, quiet

#: Seconds that the slower network runs before it is the other's turn: short against how long
#: neighbours rest, some tens of ms.
_TURN = 0.003
#: Seconds that each runs first in its turn, not counted: until the other's weights are out of the
#: caches, and the core is as fast as it is for this network. After one run only, ResNet-18 at a
#: tenth of its latency seemed to take a fifth more than it takes.
_SETTLING = 0.01


@dataclass(frozen=True)
class Patience:
    """When to stop measuring.

    That is once the interval of the relative latency is within ± ``tolerance`` in quiet moments,
    or at ``limit_s``; not before ``least_s`` and ``least_turns``.

    Attributes:
        tolerance: Half the width of the interval, relative to its middle.
        limit_s: Seconds after which measuring ends in any case.
        warm_up: Runs of each side before the first turn.
        least_s: A machine that is busy for seconds has no undisturbed turn in them.
        least_turns: Of fewer than three none can be found to be an outlier, such as one in which
            the machine slept; so they are taken however slow they are.
        fastest: How many turns a relative latency rests on, of at least twice as many; of fewer
            turns it is the faster half.
    """

    tolerance: float = 0.02
    limit_s: float = 10.0
    warm_up: int = 5
    least_s: float = 0.0
    least_turns: int = 3
    fastest: int = 5


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

    A turn has ``runs`` or, after 10 ms of either that do not count, as many as the slower one has
    in 3 ms. A neighbour on the same core slows int8 more than fp32, so that ratios of typical turns
    depend on how busy the machine is; the fastest turns do not. Both must have had several that
    agree, in moments that ``gauge`` finds quiet, or measuring goes on. Both run equally often: of
    more runs the fastest would be faster.

    >>> compare(lambda: 2e-3, lambda: 4e-3, Patience(limit_s=0.0), runs=1, pin=False).relative
    0.5
    """
    if patience.warm_up:
        # what is compiled at the first run starts its threads before this one is pinned
        candidate()
        original()

    with quiet(pin=pin):
        mine, theirs = _sides(candidate, original, patience, runs)
        return compare_turns(mine, theirs, patience, gauge)


def compare_turns(
    candidate: Callable[[], Sequence[float]],
    original: Callable[[], Sequence[float]],
    patience: Patience,
    gauge: QuietGauge | None = None,
) -> Comparison:
    """What `compare` finds, of turns that somebody else takes.

    Each call gives the next turn of a side: seconds of its runs that count, at least one.

    >>> compare_turns(lambda: [2e-3, 3e-3], lambda: [4e-3], Patience(limit_s=0.0)).relative
    0.5
    """
    mine = _Turns(candidate)
    theirs = _Turns(original)
    ratio, settled = _until_sure(mine, theirs, patience, gauge or QuietGauge())
    return Comparison(
        relative=ratio.likely,
        low=ratio.low,
        high=ratio.high,
        candidate=mine.latency(),
        original=theirs.latency(),
        settled=settled,
    )


@dataclass(frozen=True)
class TurnSizes:
    """How often each side runs in a turn.

    Attributes:
        runs: Of either, that count.
        candidate_uncounted: Of the candidate, before those.
        original_uncounted: Of the original, before those.
        both_s: Seconds that a turn of both takes.
    """

    runs: int
    candidate_uncounted: int
    original_uncounted: int
    both_s: float

    @classmethod
    def of(cls, candidate_s: float, original_s: float) -> Self:
        """For two networks that take so many seconds.

        >>> TurnSizes.of(1e-3, 2e-3)
        TurnSizes(runs=2, candidate_uncounted=10, original_uncounted=5, both_s=0.026...)
        """
        # what takes no time at all would have endless runs in a turn
        mine_s = max(candidate_s, 1e-7)
        theirs_s = max(original_s, 1e-7)
        runs = max(1, round(_TURN / max(mine_s, theirs_s)))
        mine = max(1, round(_SETTLING / mine_s))
        theirs = max(1, round(_SETTLING / theirs_s))
        both_s = (runs + mine) * mine_s + (runs + theirs) * theirs_s
        return cls(runs, mine, theirs, both_s)


def median_interval(values: FloatArray, confidence: float = 0.95) -> tuple[float, float]:
    """Confidence interval of the median; assumes nothing about the distribution.

    Its ends are order statistics: as many values lie below the median as heads among as many coins.
    """
    # takes a second to import, so not before anything is measured
    from scipy.stats import binom

    ordered = np.sort(values)
    count = len(ordered)
    tail = (1 - confidence) / 2
    heads = int(binom.ppf(tail, count, 0.5))

    # so many values lie beyond each end
    beyond = max(0, heads - 1)
    low = ordered[beyond]
    high = ordered[count - 1 - beyond]
    return float(low), float(high)


@dataclass(frozen=True)
class Ratio:
    """Lowest, likely and highest ratio of some turns of both sides."""

    low: float
    likely: float
    high: float

    @classmethod
    def of(cls, candidate: Sequence[float], original: Sequence[float]) -> Ratio:
        """Of turns in the order of their seconds."""
        return cls(
            low=candidate[0] / original[-1],
            likely=float(np.mean(candidate) / np.mean(original)),
            high=candidate[-1] / original[0],
        )

    def within(self, tolerance: float) -> bool:
        """Whether both ends are as near to the middle, relative to it."""
        farthest = max(self.high - self.likely, self.likely - self.low)
        return farthest <= tolerance * self.likely


class _Turns:
    """One side's turns; each call of ``take`` gives seconds of the runs of the next."""

    def __init__(self, take: Callable[[], Sequence[float]]) -> None:
        self._take = take
        self._medians: list[float] = []
        self._runs = 0
        #: Least seconds of each turn, sorted.
        self.fastest: list[float] = []

    def take(self) -> None:
        """One more turn."""
        counted = self._take()
        self._runs += len(counted)
        self._medians.append(statistics.median(counted))
        insort(self.fastest, min(counted))

    def latency(self) -> Latency:
        """Of typical turns."""
        turns = np.array(self._medians)
        low, high = median_interval(turns)
        return Latency(
            median_s=float(np.median(turns)),
            low_s=low,
            high_s=high,
            samples=self._runs,
        )


def _sides(
    candidate: Callable[[], float],
    original: Callable[[], float],
    patience: Patience,
    runs: int | None,
) -> tuple[Callable[[], list[float]], Callable[[], list[float]]]:
    """What takes turns of both, once they are warm, with as many runs a turn as both need."""
    mine_s = _warm_up(candidate, patience.warm_up)
    theirs_s = _warm_up(original, patience.warm_up)
    if runs:
        return _turn(candidate, runs, uncounted=0), _turn(original, runs, uncounted=0)

    sizes = TurnSizes.of(mine_s, theirs_s)
    mine = _turn(candidate, sizes.runs, sizes.candidate_uncounted)
    theirs = _turn(original, sizes.runs, sizes.original_uncounted)
    return mine, theirs


def _turn(call: Callable[[], float], runs: int, uncounted: int) -> Callable[[], list[float]]:
    """What takes a turn of so many runs; ``uncounted`` ones come first and find a cold cache."""

    def take() -> list[float]:
        times = [call() for _ in range(uncounted + runs)]
        return times[uncounted:]

    return take


def _until_sure(
    mine: _Turns, theirs: _Turns, patience: Patience, gauge: QuietGauge
) -> tuple[Ratio, bool]:
    """The ratio of the fastest turns, and whether it was sure before patience ended."""
    enough = max(2 * patience.fastest, patience.least_turns)
    started = time.perf_counter()
    while True:
        mine.take()
        theirs.take()
        elapsed = time.perf_counter() - started
        taken = len(mine.fastest)

        # the faster half while there are few
        count = min(patience.fastest, (taken + 1) // 2)
        chosen = theirs.fastest[:count]
        ratio = Ratio.of(mine.fastest[:count], chosen)
        settled = (
            taken >= enough
            and elapsed >= patience.least_s
            and ratio.within(patience.tolerance)
            and gauge.quiet(chosen[-1])
        )
        if elapsed >= patience.least_s and taken >= enough and not settled:
            gauge.wait(elapsed, patience.limit_s)
        is_over = elapsed > patience.limit_s and taken >= patience.least_turns
        if settled or is_over:
            break

    gauge.add(float(np.mean(chosen)))
    return ratio, settled


def _warm_up(call: Callable[[], float], runs: int) -> float:
    """Median seconds of some runs."""
    times = [call() for _ in range(max(1, runs))]
    return float(np.median(times))
