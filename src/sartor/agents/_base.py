"""What every agent is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from sartor.machine import Float32Array, FloatArray
from sartor.problem import Problem


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One episode: observations (steps + 1, features), the keep ratios executed (steps,), the reward of the last step."""

    observations: Float32Array
    executed: FloatArray
    reward: float


@dataclass(frozen=True, eq=False)
class SearchContext:
    """What an agent is told before the first episode.

    ``errors[d][i]`` is the estimated error of decision d with its i-th choice, 0 where nothing is removed. ``episodes`` is
    how many there will be. Where they were measured: ``sensitivity[d][i]`` is Ω (Galen) of that choice, and ``latency[d]`` the
    shares of the original's latency that the decision's layer takes, in the original and with all layers at their coarsest.
    """

    problem: Problem
    features: int
    episodes: int
    errors: list[FloatArray]
    seed: int
    sensitivity: list[FloatArray] | None = None
    latency: list[tuple[float, float]] | None = None


class Agent(ABC):
    """Proposes keep ratios step by step and learns from whole episodes, its own or others'.

    Determinism is the contract: an agent that is shown the same episodes in the same order proposes the same actions.
    Resuming relies on it. All randomness comes from ``setting.seed``.
    """

    def __init__(self, setting: SearchContext) -> None:
        self.setting = setting

    def begin(self) -> None:
        """A new episode of the agent's own starts."""

    @abstractmethod
    def act(self, observation: Float32Array, step: int) -> float:
        """The keep ratio proposed for one decision, in [0, 1]."""

    @abstractmethod
    def learn(self, trajectory: Trajectory, *, own: bool) -> None:
        """An episode ended; ``own`` unless somebody else's policy was executed."""


class VectorAgent(Agent):
    """An agent that settles a whole policy before the episode starts."""

    def __init__(self, setting: SearchContext) -> None:
        super().__init__(setting)
        self._plan: FloatArray = np.empty(0)

    @abstractmethod
    def propose(self) -> FloatArray:
        """Keep ratios of all decisions."""

    def begin(self) -> None:
        """Settle the policy of the episode."""
        self._plan = self.propose()

    def act(self, observation: Float32Array, step: int) -> float:
        """The settled ratio."""
        return float(self._plan[step])
