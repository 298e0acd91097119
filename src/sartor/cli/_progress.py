"""Progress on the terminal: what is done, time left, a few words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sartor.finetune import Epoch
from sartor.search import Episode

#: Called with how much is done, of how much, and words that stand beside the bar.
Advance = Callable[[int, int, str], None]


@contextmanager
def bar(console: Console, title: str) -> Iterator[Advance]:
    """A progress bar; nothing where there is no terminal."""
    columns = (
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total, words: progress.update(
            task, completed=done, total=total, description=words
        )


@contextmanager
def search_progress(
    console: Console, episodes: int
) -> Iterator[Callable[[Episode, Episode], None]]:
    """A bar that is called after every episode; one plain line per tenth of the search where there is no terminal."""
    with bar(console, "searching") as advance:
        advance(0, episodes, "preparing")

        def show(episode: Episode, best: Episode) -> None:
            done = episode.number + 1
            accuracy, macs = 100 * best.outcome.accuracy, best.outcome.cost.macs / 1e6
            text = (
                f"best {accuracy:.2f} % of the reward images at {macs:.2f} M MACs ({best.source})"
            )
            advance(done, episodes, text)
            if not console.is_terminal and done % max(1, episodes // 10) == 0:
                console.print(f"episode {done}/{episodes}: {text}", highlight=False)

        yield show


def epoch_words(epoch: Epoch) -> str:
    """What came of an epoch."""
    return f"loss {epoch.loss:.3f}, validation {100 * epoch.validation:.2f} %, best {100 * epoch.best:.2f} %"


@contextmanager
def finetune_progress(console: Console, epochs: int) -> Iterator[Callable[[Epoch], None]]:
    """A bar that is called after every epoch; one plain line per epoch where there is no terminal."""
    with bar(console, "fine-tuning") as advance:
        advance(0, epochs, "")

        def show(epoch: Epoch) -> None:
            text = epoch_words(epoch)
            advance(epoch.number + 1, epochs, text)
            if not console.is_terminal:
                console.print(f"epoch {epoch.number + 1}/{epochs}: {text}", highlight=False)

        yield show
