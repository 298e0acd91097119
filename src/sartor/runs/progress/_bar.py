"""Progress as a bar on a terminal, or in a notebook."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from sartor.machine import Event, Note, Step, Waiting
from sartor.pipeline import OriginalScore
from sartor.runs.progress._words import best_words, original_words, waiting_words
from sartor.search import EpisodeScored

#: So that phase, counts and time left fit into 80 columns.
_WIDTH = 16


class Bar:
    """One bar for whatever goes on, with a line of words below it; a context manager.

    Args:
        console: Where it is drawn.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = _WithWords(
            TextColumn("{task.description}"),
            BarColumn(_WIDTH),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("preparing", total=None)
        self._phase = ""
        self._original: float | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def __call__(self, event: Event, /) -> None:
        """Draw it."""
        if isinstance(event, OriginalScore):
            self._original = event.reward_accuracy
            for sentence in original_words(event):
                self._console.print(sentence)
        elif isinstance(event, Note):
            self._console.print(f"note: {event.sentence}")
        elif isinstance(event, EpisodeScored):
            done = event.episode.number + 1
            words = best_words(event.best, self._original)
            self._step("searching", done, event.total, words)
        elif isinstance(event, Step):
            self._step(event.phase, event.done, event.total, event.words)
        elif isinstance(event, Waiting):
            self._progress.words = waiting_words(event)

    def _step(self, phase: str, done: int, total: int | None, words: str) -> None:
        if phase != self._phase:
            # The time left is that of the phase: what was slow before says nothing of it.
            self._phase = phase
            self._progress.reset(self._task, description=phase, total=total, completed=done)
        self._progress.words = words
        self._progress.update(self._task, completed=done, total=total)


class _WithWords(Progress):
    """A bar with a line below it."""

    words = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield Text(self.words, overflow="ellipsis", no_wrap=True)
