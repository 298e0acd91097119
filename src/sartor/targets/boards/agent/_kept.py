"""Files that a board keeps, named by the SHA-256 of what is in them."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Bytes that are kept; a memory card is small, and a search sends hundreds of networks.
_MOST = 1 << 30


class Kept:
    """A folder of files by content; `add` makes room by removing what was used longest ago."""

    def __init__(self, folder: Path, most: int = _MOST) -> None:
        self.folder = folder
        self._most = most

    @classmethod
    def usual(cls) -> Kept:
        """Where programs of this user keep what can be had again."""
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        kept = cls(Path(cache) / "sartor" / "board")
        kept.folder.mkdir(parents=True, exist_ok=True)
        return kept

    def has(self, digest: str) -> bool:
        """Whether a file is here; it then counts as used."""
        path = self.folder / digest
        try:
            os.utime(path)
        except FileNotFoundError:
            return False
        return True

    def path(self, digest: str) -> Path:
        """Of a file that is here. Raises `FileNotFoundError` for others."""
        if not self.has(digest):
            raise FileNotFoundError(f"the file {digest[:12]} is not kept any more")
        return self.folder / digest

    def add(self, digest: str, content: bytes) -> None:
        """Keep a file, whole or not at all. Raises `ValueError` if it is not what was sent."""
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError(f"the file {digest[:12]} arrived broken")

        self._make_room(len(content))
        temporary = self.folder / f".{digest}.{os.getpid()}"
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.folder / digest)
        finally:
            if temporary.exists():
                temporary.unlink()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other process that keeps its files here measures."""
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _make_room(self, wanted: int) -> None:
        found = [(path.stat(), path) for path in self.folder.glob("*") if path.is_file()]
        taken = sum(status.st_size for status, _ in found)
        for status, path in sorted(found, key=lambda item: item[0].st_mtime):
            if taken + wanted <= self._most:
                return
            path.unlink()
            taken -= status.st_size
