"""Progress on the terminal: what is done, the time left, a few words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sartor.runs import percent

if TYPE_CHECKING:
    from rich.console import Console

    from sartor.finetune import Epoch

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
    # In a log, every redraw of the bar would be a line.
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def advance(done: int, total: int, words: str) -> None:
            progress.update(task, completed=done, total=total, description=words)

        yield advance


def finetune_progress(
    console: Console, epochs: int
) -> AbstractContextManager[Callable[[Epoch], None]]:
    """A bar that is called after every epoch."""
    return _training_progress(console, "fine-tuning", "epoch", epochs, epoch_words)


def repair_progress(
    console: Console, rounds: int
) -> AbstractContextManager[Callable[[Epoch], None]]:
    """A bar that is called after every round."""
    return _training_progress(console, "repairing", "round", rounds, _round_words)


@contextmanager
def _training_progress(
    console: Console, what: str, unit: str, total: int, words: Callable[[Epoch], str]
) -> Iterator[Callable[[Epoch], None]]:
    """A bar that is called after every epoch, or whatever the ``unit`` is called.

    Where there is no terminal, one plain line for each.
    """
    with bar(console, what) as advance:
        advance(0, total, "")

        def show(epoch: Epoch) -> None:
            done = epoch.number + 1
            text = words(epoch)
            advance(done, total, text)
            _print_plainly(console, f"{unit} {done}/{total}: {text}")

        yield show


def _round_words(done: Epoch) -> str:
    # The nearer the better: as a quality, distances are negated.
    return f"distance from the original {-done.validation:.4f}, best {-done.best:.4f}"


def _print_plainly(console: Console, line: str) -> None:
    """Print a line where there is no terminal, and so no bar."""
    if not console.is_terminal:
        console.print(line)


def epoch_words(epoch: Epoch) -> str:
    """What came of an epoch."""
    validation = percent(epoch.validation)
    best = percent(epoch.best)
    return f"loss {epoch.loss:.3f}, validation {validation}, best {best}"
