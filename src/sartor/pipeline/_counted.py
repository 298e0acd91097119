"""What is counted of the episodes of a search, and what computed them."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Sequence

import torch

from sartor.machine import VERSION
from sartor.pipeline._entries import EpisodeSeconds
from sartor.search import Episode


def is_unsettled(episode: Episode) -> bool:
    """Whether the machine was too busy for the measurement of an episode's latency."""
    return episode.outcome.seconds_latency > 0 and not episode.outcome.latency_settled


def mean_seconds(episodes: Sequence[Episode]) -> EpisodeSeconds:
    """Where the seconds of episodes went."""
    outcomes = [episode.outcome for episode in episodes]
    seconds = [episode.seconds for episode in episodes]
    total = _mean(seconds)
    refit = _mean([outcome.seconds_build for outcome in outcomes])
    evaluate = _mean([outcome.seconds_score for outcome in outcomes])
    latency = _mean([outcome.seconds_latency for outcome in outcomes])
    agent = _mean([episode.seconds_agent for episode in episodes])

    # What is left may be below 0 by the resolution of the clock.
    rest = total - refit - evaluate - latency - agent
    # A few slow episodes pull the mean up, not the median.
    median = statistics.median(seconds)

    return EpisodeSeconds(
        total=round(total, 4),
        refit=round(refit, 4),
        evaluate=round(evaluate, 4),
        latency=round(latency, 4),
        agent=round(agent, 4),
        rest=round(max(0.0, rest), 4),
        median=round(median, 4),
    )


def _mean(seconds: list[float]) -> float:
    return sum(seconds) / len(seconds)


def versions() -> dict[str, str]:
    """Of what computed a result."""
    return {
        "sartor": VERSION,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }
