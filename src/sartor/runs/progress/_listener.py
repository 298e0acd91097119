"""What is done with each event of a search, however it is shown."""

from __future__ import annotations

from abc import ABC, abstractmethod

from sartor.machine import Event, Note, Step, Waiting
from sartor.pipeline import OriginalScore
from sartor.runs.progress._words import best_words, original_words, outlook_words
from sartor.search import EpisodeScored


class Listener(ABC):
    """Takes events; a subclass says where sentences go and how phases and waiting are shown."""

    def __init__(self) -> None:
        self._phase = ""
        self._original: float | None = None

    def __call__(self, event: Event, /) -> None:
        """Show one event."""
        if isinstance(event, OriginalScore):
            self._original = event.reward_accuracy
            for sentence in original_words(event):
                self._print(sentence)
        elif isinstance(event, Note):
            self._print(f"note: {event.sentence}")
        elif isinstance(event, EpisodeScored):
            done = event.episode.number + 1
            words = best_words(event.best, self._original) + outlook_words(event.outlook)
            self._step("searching", done, event.total, words)
        elif isinstance(event, Step):
            self._step(event.phase, event.done, event.total, event.words)
        elif isinstance(event, Waiting):
            self._wait(event)

    @abstractmethod
    def _print(self, sentence: str) -> None:
        """Show a sentence that is to stay."""

    @abstractmethod
    def _step(self, phase: str, done: int, total: int | None, words: str) -> None:
        """Show how far a phase has come."""

    @abstractmethod
    def _wait(self, event: Waiting) -> None:
        """Show that a measurement waits."""
