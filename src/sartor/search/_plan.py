"""What to search, and how long."""

from __future__ import annotations

from dataclasses import dataclass

from sartor.agents import AgentFactory, Experience
from sartor.scoring.rewards import Reward


@dataclass(frozen=True)
class SearchPlan:
    """What to search, and how long.

    Attributes:
        agent: Who decides: a name, ``package.module:Class``, or what makes an agent.
        episodes: Policies scored at most, those of ``seed_with`` among them.
        seed: The source of all randomness.
        seed_with: Rules whose policies come first; the agent learns from them.
        reward: What the agent maximises: a name or an object.
        max_time: Seconds of wall time after which no new episode starts.
        worth: What further episodes have to promise (`Outlook`), as a share of the best reward; the
            search ends when they promise less. None: all episodes are made.
        experience: Episodes of earlier searches, for agents that learn from them.
        ceiling: The bound on latency relative to the original's, as the reward is given it.

    >>> SearchPlan("evolution", episodes=40, seed_with=("uniform",)).reward
    'accuracy'
    """

    agent: str | AgentFactory
    episodes: int
    seed: int = 0
    seed_with: tuple[str, ...] = ()
    reward: str | Reward = "accuracy"
    max_time: float | None = None
    worth: float | None = None
    ceiling: float | None = None
    experience: tuple[Experience, ...] = ()
