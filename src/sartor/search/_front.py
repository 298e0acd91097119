"""The Pareto set of a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sartor.search._episode import Episode

#: What accuracy is weighed against: latency where it was measured, else MACs.
CostAxis = Literal["relative_latency", "macs"]


def cost_axis(episodes: Sequence[Episode]) -> CostAxis:
    """The cost of a search's episodes."""
    return (
        "relative_latency"
        if any(episode.outcome.relative_latency for episode in episodes)
        else "macs"
    )


def cost_of(episode: Episode, axis: CostAxis) -> float | None:
    """Latency relative to the original's, None where it was not measured; or MACs."""
    return (
        episode.outcome.relative_latency
        if axis == "relative_latency"
        else float(episode.outcome.cost.macs)
    )


def front(episodes: Sequence[Episode]) -> list[Episode]:
    """Episodes scored in full of which none is both cheaper and more accurate, cheapest first."""
    axis, found = cost_axis(episodes), list[Episode]()
    priced = [
        (cost, e)
        for e in episodes
        if not e.outcome.stopped and (cost := cost_of(e, axis)) is not None
    ]
    for _, episode in sorted(
        priced, key=lambda pair: (pair[0], -pair[1].outcome.accuracy, pair[1].number)
    ):
        if not found or episode.outcome.accuracy > found[-1].outcome.accuracy:
            found.append(episode)
    return found
