"""What every agent is."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sartor.machine import Float32Array, FloatArray

if TYPE_CHECKING:
    from sartor.agents._experience import Experience
    from sartor.problem import Problem


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One episode.

    Attributes:
        observations: What was seen before each decision and after the last, (steps + 1, features).
        executed: The keep ratios that were carried out, (steps,).
        reward: That of the last step; the others have none.

    """

    observations: Float32Array
    executed: FloatArray
    reward: float


@dataclass(frozen=True, eq=False)
class SearchContext:
    """What an agent is given before the first episode.

    Attributes:
        problem: The decisions, their costs and the budget. Agents see numbers: costs, choices and
            the shapes of layers, never weights, modules or images.
        features: Length of an observation.
        episodes: How many there will be.
        errors: ``errors[d][i]`` is the estimated error of decision d with its i-th choice, 0 where
            nothing is removed.
        seed: The source of all randomness.
        sensitivity: ``sensitivity[d][i]`` is Ω (Galen, equation 5) of decision d with its i-th
            choice; None where it was not measured.
        latency: ``latency[d]`` are the shares of the original's latency that the decision's layer
            takes, in the original and with all layers at their coarsest precision; None where it
            was not measured.
        experience: Episodes of earlier searches, of this network or of others.

    """

    problem: Problem
    features: int
    episodes: int
    errors: Sequence[FloatArray]
    seed: int
    sensitivity: list[FloatArray] | None = None
    latency: list[tuple[float, float]] | None = None
    experience: Sequence[Experience] = ()


class Agent(ABC):
    """Proposes keep ratios step by step and learns from whole episodes, its own or others'.

    Determinism is the contract: an agent that is shown the same episodes in the same order
    proposes the same actions. Resuming relies on it. All randomness comes from ``context.seed``.

    Attributes:
        sees_measurements: Whether its state shows what is measured of layers before the search
            (``context.sensitivity``, ``context.latency``); if not, nothing is measured.
        default_reward: Name of the reward it is made for, where the user names none; None for
            whichever reward suits the data.

    """

    sees_measurements: ClassVar[bool] = False
    default_reward: ClassVar[str | None] = None

    def __init__(self, context: SearchContext) -> None:
        self.context = context

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

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context)
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


#: Makes an agent for a search: an agent's class, or any function.
AgentFactory = Callable[[SearchContext], Agent]


def class_of(factory: AgentFactory) -> type[Agent]:
    """The class whose facts (``sees_measurements``, …) hold for what a factory makes.

    That is the factory itself, what a `functools.partial` wraps, or for other functions `Agent`.

    >>> class_of(lambda context: None).sees_measurements
    False
    """
    made_by = factory.func if isinstance(factory, functools.partial) else factory
    if isinstance(made_by, type) and issubclass(made_by, Agent):
        return made_by
    return Agent


def name_of(agent: str | AgentFactory) -> str:
    """What records and reports call an agent: its name, or ``package.module:Class``.

    >>> name_of("evolution")
    'evolution'
    """
    if isinstance(agent, str):
        return agent
    made_by = agent.func if isinstance(agent, functools.partial) else agent
    return f"{made_by.__module__}:{made_by.__qualname__}"
