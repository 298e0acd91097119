"""What a measurement says: seconds of one run, and a candidate's relative to the original's."""

from __future__ import annotations

from dataclasses import dataclass

#: One and the same network differs by up to 1.7 % from one measurement to the next.
_SURELY_SLOWER = 1.02


@dataclass(frozen=True)
class Latency:
    """Seconds of one run, with as many images as the target's batch.

    Attributes:
        median_s: Median.
        low_s: Lower end of its 95 % confidence interval.
        high_s: Upper end.
        samples: How many runs it rests on.
        measured: False if it is an estimate.
    """

    median_s: float
    low_s: float
    high_s: float
    samples: int
    measured: bool = True


@dataclass(frozen=True)
class Comparison:
    """A candidate's latency relative to the original's, where nothing disturbs them.

    It is that of the fastest turns of both.

    Attributes:
        relative: The likely ratio.
        low: What these turns allow at least: the fastest of the candidate's against the slowest
            chosen of the original's.
        high: What they allow at most.
        candidate: Of typical turns.
        original: Of typical turns.
        settled: Whether measuring ended before its limit; if not, the machine was too busy, and
            the latency is likely smaller.
    """

    relative: float
    low: float
    high: float
    candidate: Latency
    original: Latency
    settled: bool = True

    @property
    def slower(self) -> bool:
        """Whether the candidate is slower for certain."""
        return is_slower(self.low)

    @property
    def of_original(self) -> Comparison:
        """The original beside itself, as it was measured here."""
        return Comparison(1.0, 1.0, 1.0, self.original, self.original, self.settled)


def is_slower(low: float) -> bool:
    """Whether a network is slower for certain whose relative latency is at least ``low``.

    >>> is_slower(1.01), is_slower(1.03)
    (False, True)
    """
    return low > _SURELY_SLOWER


def estimated(candidate_s: float, original_s: float) -> Comparison:
    """A comparison of two estimates, which need no second look."""
    relative = candidate_s / original_s
    return Comparison(
        relative=relative,
        low=relative,
        high=relative,
        candidate=_estimate(candidate_s),
        original=_estimate(original_s),
    )


def _estimate(seconds: float) -> Latency:
    return Latency(seconds, seconds, seconds, samples=1, measured=False)
