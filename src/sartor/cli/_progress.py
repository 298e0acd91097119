"""Progress of a search on the terminal: episodes, time left, the best so far."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sartor.search import Episode


class SearchProgress:
    """A progress bar; one plain line per tenth of the search where there is no terminal."""

    def __init__(self, console: Console, episodes: int) -> None:
        self._console, self._episodes = console, episodes
        self._bar = Progress(
            TextColumn("searching"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"),
            console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task("preparing", total=episodes)

    def __enter__(self) -> SearchProgress:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def show(self, episode: Episode, best: Episode) -> None:
        """Called after every episode."""
        done = episode.number + 1
        accuracy, macs = 100 * best.outcome.accuracy, best.outcome.cost.macs / 1e6
        text = f"best {accuracy:.2f} % of the reward images at {macs:.2f} M MACs ({best.source})"
        self._bar.update(self._task, completed=done, description=text)
        if not self._console.is_terminal and done % max(1, self._episodes // 10) == 0:
            self._console.print(f"episode {done}/{self._episodes}: {text}", highlight=False)
