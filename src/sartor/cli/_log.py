"""What the library logs while a command runs, as lines of its console."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_LIBRARY = "sartor"


class _Lines(logging.Handler):
    """Prints each message once."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console
        self._printed: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        # A command may load the same network several times.
        if line not in self._printed:
            self._printed.add(line)
            self._console.print(line)


@contextmanager
def log_lines(console: Console) -> Iterator[None]:
    """Print what sartor's loggers say from INFO upwards; they are as they were at the end."""
    logger = logging.getLogger(_LIBRARY)
    before = logger.level
    handler = _Lines(console)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
