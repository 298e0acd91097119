"""The Pareto set of a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sartor.search._episode import Episode

#: What accuracy is weighed against: latency where it was measured, else MACs.
CostAxis = Literal["relative_latency", "macs"]


def cost_axis(episodes: Sequence[Episode]) -> CostAxis:
    """The cost that a search's episodes are compared by.

    >>> cost_axis([])
    'macs'
    """
    measured = any(episode.outcome.relative_latency for episode in episodes)
    return "relative_latency" if measured else "macs"


def cost_of(episode: Episode, axis: CostAxis) -> float | None:
    """Latency relative to the original's, None where it was not measured; or MACs."""
    if axis == "relative_latency":
        return episode.outcome.relative_latency
    return float(episode.outcome.cost.macs)


def front(episodes: Sequence[Episode]) -> list[Episode]:
    """Episodes scored in full of which none is both cheaper and more accurate, cheapest first."""
    axis = cost_axis(episodes)
    priced = []
    for episode in episodes:
        cost = cost_of(episode, axis)
        if cost is not None and not episode.outcome.stopped:
            priced.append((cost, -episode.outcome.accuracy, episode.number, episode))

    found: list[Episode] = []
    for _, _, _, episode in sorted(priced, key=lambda entry: entry[:3]):
        if not found or episode.outcome.accuracy > found[-1].outcome.accuracy:
            found.append(episode)
    return found
