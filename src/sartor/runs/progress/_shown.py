"""Whether and where progress is shown."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sartor.errors import UsageError
from sartor.machine import Event, Progress, is_installed
from sartor.pipeline import OriginalScore
from sartor.runs.progress._lines import Lines

if TYPE_CHECKING:
    from rich.console import Console

_LOGGER = logging.getLogger("sartor")


@contextmanager
def as_progress(asked: Progress | bool | None) -> Iterator[Progress]:
    """Who is told what goes on, from the argument ``progress`` of `sartor.compress`.

    None shows it where somebody looks: on a terminal, or in a notebook; True shows it anyway. Both
    write to standard error.

    Raises `UsageError` for what is neither of these nor can be called.
    """
    if asked is None or isinstance(asked, bool):
        with _shown(asked) as progress:
            yield progress
    elif callable(asked):
        yield asked
    else:
        raise UsageError(
            f"progress is {asked!r}; it must be True, False, None, or something to call with each "
            "event"
        )


@contextmanager
def shown_on(console: Console) -> Iterator[Progress]:
    """Progress on a console: a bar on a terminal, else plain lines."""
    if console.is_terminal or console.is_jupyter:
        from sartor.runs.progress._bar import Bar

        with Bar(console) as bar:
            yield bar
    else:
        yield Lines(console.print)


@contextmanager
def _shown(asked: bool | None) -> Iterator[Progress]:
    if asked is False:
        yield _log_warnings
        return

    # Without the extra cli there are plain lines.
    if not is_installed("rich"):
        yield Lines(_write) if asked or sys.stderr.isatty() else _log_warnings
        return

    from rich.console import Console

    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    if asked or console.is_terminal or console.is_jupyter:
        with shown_on(console) as progress:
            yield progress
    else:
        yield _log_warnings


def _log_warnings(event: Event, /) -> None:
    """What looks wrong is said even where no progress is shown."""
    if isinstance(event, OriginalScore):
        for sentence in event.warnings:
            _LOGGER.warning("%s", sentence)


def _write(line: str) -> None:
    sys.stderr.write(f"{line}\n")
