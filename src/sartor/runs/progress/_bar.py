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

from sartor.machine import Waiting
from sartor.runs.progress._listener import Listener
from sartor.runs.progress._words import waiting_words

#: So that phase, counts and time left fit into 80 columns.
_WIDTH = 16


class Bar(Listener):
    """One bar for whatever goes on, with a line of words below it; a context manager.

    Args:
        console: Where it is drawn.
    """

    def __init__(self, console: Console) -> None:
        super().__init__()
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

    def _print(self, sentence: str) -> None:
        self._console.print(sentence)

    def _step(self, phase: str, done: int, total: int | None, words: str) -> None:
        if phase != self._phase:
            # The time left is that of the phase: what was slow before says nothing of it.
            self._phase = phase
            self._progress.reset(self._task, description=phase, total=total, completed=done)
        self._progress.words = words
        self._progress.update(self._task, completed=done, total=total)

    def _wait(self, event: Waiting) -> None:
        self._progress.words = waiting_words(event)


class _WithWords(Progress):
    """A bar with a line below it."""

    words = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield Text(self.words, overflow="ellipsis", no_wrap=True)
