"""Where the episodes of a search are kept."""

from __future__ import annotations

from typing import Protocol

from sartor.search._episode import Episode


class Record(Protocol):
    """Where episodes are kept."""

    def episodes(self) -> list[Episode]:
        """All episodes so far, in order."""
        ...

    def append(self, episode: Episode) -> None:
        """Add one."""
        ...


class MemoryRecord:
    """Episodes of a search that has no folder.

    >>> MemoryRecord().episodes()
    []
    """

    def __init__(self) -> None:
        self._episodes: list[Episode] = []

    def episodes(self) -> list[Episode]:
        """All episodes so far, in order."""
        return list(self._episodes)

    def append(self, episode: Episode) -> None:
        """Add one."""
        self._episodes.append(episode)
