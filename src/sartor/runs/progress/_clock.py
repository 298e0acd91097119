"""How long the rest of a phase will take."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Estimates the time left of a phase from the steps that were done in it.

    Args:
        now: Gives seconds.

    >>> times = iter([0.0, 10.0])
    >>> clock = Clock(lambda: next(times))
    >>> clock.begin(done=2)
    >>> clock.left(done=4, total=10)
    30.0
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._started = 0.0
        self._first = 0

    def begin(self, done: int) -> None:
        """A phase begins, of which some steps were ``done`` before."""
        self._started = self._now()
        self._first = done

    def left(self, done: int, total: int | None) -> float | None:
        """Seconds; None where nothing was done yet, or it is not known how much there is."""
        elapsed = self._now() - self._started
        new = done - self._first
        if total is None or new <= 0:
            return None
        return elapsed / new * (total - done)
