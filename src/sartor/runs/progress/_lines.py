"""Progress as plain lines, for logs and pipes."""

from __future__ import annotations

import time
from collections.abc import Callable

from sartor.machine import Waiting
from sartor.runs._units import duration
from sartor.runs.progress._clock import Clock
from sartor.runs.progress._listener import Listener
from sartor.runs.progress._words import waiting_words

#: Seconds between two lines of one phase.
_EVERY = 5.0


class Lines(Listener):
    """Says one line when a phase begins, one when it ends, and every few seconds between.

    Args:
        say: Prints a line.
        every: Seconds between lines of one phase.
        now: Gives seconds.

    >>> from sartor.machine import Step
    >>> lines = Lines(print)
    >>> lines(Step("judging", 0, 2))
    judging 0/2
    >>> lines(Step("judging", 1, 2))
    >>> lines(Step("judging", 2, 2))
    judging 2/2
    """

    def __init__(
        self,
        say: Callable[[str], None],
        *,
        every: float = _EVERY,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._say = say
        self._every = every
        self._now = now
        self._clock = Clock(now)
        self._said = float("-inf")

    def _print(self, sentence: str) -> None:
        self._say(sentence)

    def _step(self, phase: str, done: int, total: int | None, words: str) -> None:
        begins = phase != self._phase
        if begins:
            self._phase = phase
            self._clock.begin(done)

        now = self._now()
        is_due = now - self._said >= self._every
        if not (begins or is_due or done == total):
            return

        self._said = now
        line = phase
        if total is not None:
            line += f" {done}/{total}"
        left = self._clock.left(done, total)
        if left is not None and done != total:
            line += f", {duration(left)} left"
        if words:
            line += f": {words}"
        self._say(line)

    def _wait(self, event: Waiting) -> None:
        if self._now() - self._said >= self._every:
            self._said = self._now()
            self._say(waiting_words(event))
