"""One process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sartor.errors import RunError


@contextmanager
def alone_in(folder: Path | None) -> Iterator[None]:
    """Raise `RunError` while another process searches in a folder: two would write one record."""
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".search.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            f"another process is searching in {folder}; wait for it, or end it"
        ) from None
    try:
        yield
    finally:
        lock.release()
