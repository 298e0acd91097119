"""Progress as plain lines, for logs and pipes."""

from __future__ import annotations

import time
from collections.abc import Callable

from sartor.machine import Event, Note, Step, Waiting
from sartor.pipeline import OriginalScore
from sartor.runs._units import duration
from sartor.runs.progress._clock import Clock
from sartor.runs.progress._words import best_words, original_words, waiting_words
from sartor.search import EpisodeScored

#: Seconds between two lines of one phase.
_EVERY = 5.0


class Lines:
    """Says one line when a phase begins, one when it ends, and every few seconds between.

    Args:
        say: Prints a line.
        every: Seconds between lines of one phase.
        now: Gives seconds.

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
        self._say = say
        self._every = every
        self._now = now
        self._clock = Clock(now)
        self._phase = ""
        self._said = float("-inf")
        self._original: float | None = None

    def __call__(self, event: Event, /) -> None:
        """Say it, unless something was said of the same phase a moment ago."""
        if isinstance(event, OriginalScore):
            self._original = event.reward_accuracy
            for sentence in original_words(event):
                self._say(sentence)
        elif isinstance(event, Note):
            self._say(f"note: {event.sentence}")
        elif isinstance(event, EpisodeScored):
            done = event.episode.number + 1
            words = best_words(event.best, self._original)
            self._step("searching", done, event.total, words)
        elif isinstance(event, Step):
            self._step(event.phase, event.done, event.total, event.words)
        elif isinstance(event, Waiting) and self._now() - self._said >= self._every:
            self._said = self._now()
            self._say(waiting_words(event))

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
