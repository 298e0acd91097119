"""What is said while something goes on: typed events, given to one callback.

Rooms that do something long take a ``progress``; `silent` is the one of who does not listen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

#: What a search does, in the order in which it does it.
Phase = Literal[
    "preparing",
    "scoring the original",
    "measuring layers",
    "measuring whole networks",
    "ranking",
    "probing",
    "searching",
    "scoring baselines",
    "judging",
    "repairing",
]


class Event:
    """Something that is said while a search goes on: base of all events.

    The events are `Step`, `Note`, `Waiting`, `sartor.pipeline.OriginalScore` and
    `sartor.search.EpisodeScored`.
    """


class Progress(Protocol):
    """Who is told: anything that takes one `Event`.

    Those that it does not know it should leave alone: further kinds may come.

    >>> def show(event):
    ...     if isinstance(event, Step):
    ...         print(event.phase, event.done, "of", event.total)
    >>> show(Step("judging", 2, 8))
    judging 2 of 8
    """

    def __call__(self, event: Event, /) -> None:
        """Take one event. What it raises ends the search."""
        ...


@dataclass(frozen=True)
class Step(Event):
    """How far a phase has come.

    Attributes:
        phase: What is being done.
        done: How many steps of it are done; 0 when it begins.
        total: How many there are; None where that is not known.
        words: What the step is about, such as the name of a layer.
    """

    phase: Phase
    done: int = 0
    total: int | None = None
    words: str = ""


@dataclass(frozen=True)
class Note(Event):
    """Something that is good to know.

    Attributes:
        sentence: In words.
    """

    sentence: str


@dataclass(frozen=True)
class Waiting(Event):
    """A latency is measured, but neighbours disturb the machine: it may be smaller.

    Attributes:
        seconds: How long it has been measured.
        limit: After how many seconds what there is will be taken.
    """

    seconds: float
    limit: float


def silent(event: Event, /) -> None:
    """Nobody listens."""
