"""The Pareto set of a search."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
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
    found: list[Episode] = []
    for episode in _cheapest_first(episodes):
        # The last one found is the most accurate so far.
        if not found or episode.outcome.accuracy > found[-1].outcome.accuracy:
            found.append(episode)
    return found


def _cheapest_first(episodes: Sequence[Episode]) -> list[Episode]:
    """Episodes scored in full whose cost is known; of equal costs, the most accurate first."""
    axis = cost_axis(episodes)
    priced = []
    for episode in episodes:
        cost = cost_of(episode, axis)
        if cost is None or episode.outcome.stopped:
            continue

        order = (cost, -episode.outcome.accuracy, episode.number)
        priced.append((order, episode))

    # Episodes themselves have no order.
    priced.sort(key=itemgetter(0))
    return [episode for _, episode in priced]
