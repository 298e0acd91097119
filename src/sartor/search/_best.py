"""The best episode so far: of those that could be delivered."""

from __future__ import annotations

from dataclasses import dataclass

from sartor.machine import Event
from sartor.search._episode import Episode
from sartor.search._outlook import Outlook


@dataclass(frozen=True)
class EpisodeScored(Event):
    """An episode has ended.

    Attributes:
        episode: The episode.
        best: The best so far of those that `could_be_delivered`; None while there is none.
        total: How many episodes there will be at most.
        is_recorded: Whether it is not new, but read from the record of a search that goes on.
        outlook: What further episodes promise; None while that is not known.
    """

    episode: Episode
    best: Episode | None
    total: int
    is_recorded: bool = False
    outlook: Outlook | None = None


def could_be_delivered(episode: Episode, ceiling: float | None) -> bool:
    """Whether an episode was scored in full and, under a ``ceiling``, measured to be below it.

    The ceiling bounds latency relative to the original's. Bounds on what is counted need no check:
    proposals are projected onto them.
    """
    outcome = episode.outcome
    if outcome.stopped:
        return False
    if ceiling is None:
        return True
    return outcome.relative_latency is not None and outcome.relative_latency <= ceiling


def better(episode: Episode, best: Episode | None, ceiling: float | None) -> Episode | None:
    """The better one of an episode and the best before it, by reward; the earlier of equals."""
    if not could_be_delivered(episode, ceiling):
        return best
    if best is None or episode.reward > best.reward:
        return episode
    return best
