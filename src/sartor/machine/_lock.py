"""One process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sartor.errors import RunError

_LOCK = ".search.lock"


@contextmanager
def alone_in(folder: Path | None) -> Iterator[None]:
    """Hold the lock of a folder, so that no two processes write one record of a search.

    None is no folder, and needs no lock. Raises `RunError` while another process holds it.
    """
    if folder is None:
        yield
        return

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK)
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
