"""One policy proposed and scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sartor.scoring import Outcome


@dataclass(frozen=True)
class Episode:
    """One policy proposed and scored.

    Attributes:
        number: Its place in the search, from 0.
        source: The agent, or the rule that put it into the study first.
        executed: Keep ratio of each decision, by the decision's name.
        reward: What the agent learned from.
        outcome: What was measured of the candidate.
        seconds: Wall time of all of it.
        seconds_agent: Wall time of deciding and learning.
    """

    number: int
    source: str
    executed: dict[str, float]
    reward: float
    outcome: Outcome
    seconds: float
    seconds_agent: float


def finalists(episodes: Sequence[Episode], count: int) -> list[Episode]:
    """The best ``count`` different policies that were scored in full, best first."""
    chosen: list[Episode] = []
    for episode in sorted(episodes, key=_best_first):
        if episode.outcome.stopped:
            continue

        # Agents may propose a policy again.
        known = any(episode.executed == other.executed for other in chosen)
        if not known:
            chosen.append(episode)

    return chosen[:count]


def _best_first(episode: Episode) -> tuple[float, int]:
    return -episode.reward, episode.number
