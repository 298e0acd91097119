"""What is counted of the episodes of a search, and what computed them."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Sequence

import torch

import sartor
from sartor.pipeline._report import EpisodeSeconds
from sartor.search import Episode


def is_unsettled(episode: Episode) -> bool:
    """Whether the machine was too busy for the measurement of an episode's latency."""
    return episode.outcome.seconds_latency > 0 and not episode.outcome.latency_settled


def mean_seconds(episodes: Sequence[Episode]) -> EpisodeSeconds:
    """Where the seconds of episodes went."""
    count = len(episodes)
    total = sum(episode.seconds for episode in episodes) / count
    parts = {
        "refit": sum(episode.outcome.seconds_build for episode in episodes) / count,
        "evaluate": sum(episode.outcome.seconds_score for episode in episodes) / count,
        "latency": sum(episode.outcome.seconds_latency for episode in episodes) / count,
        "agent": sum(episode.seconds_agent for episode in episodes) / count,
    }
    rest = max(0.0, total - sum(parts.values()))
    median = statistics.median(episode.seconds for episode in episodes)
    rounded = {name: round(value, 4) for name, value in parts.items()}
    return EpisodeSeconds(
        total=round(total, 4), **rounded, rest=round(rest, 4), median=round(median, 4)
    )


def versions() -> dict[str, str]:
    """Of what computed a result."""
    return {
        "sartor": sartor.__version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }
