"""The contract of agents, as tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from sartor.agents import Agent, Trajectory
from sartor.machine import Float32Array, FloatArray

_EPISODES = 40


class AgentConformance:
    """What every agent must do.

    A new one inherits this as a test class and supplies the fixture ``make``, which returns a
    function that makes a fresh agent, always with the same seed.
    """

    def test_proposals_are_ratios(self, make: Callable[[], Agent]) -> None:
        """Every proposal lies in [0, 1]."""
        for proposal in _episodes(make(), _EPISODES):
            assert _are_ratios(proposal)

    def test_the_same_episodes_give_the_same_proposals(self, make: Callable[[], Agent]) -> None:
        """Determinism, on which resuming relies."""
        first = _episodes(make(), _EPISODES)
        second = _episodes(make(), _EPISODES)
        assert np.array_equal(first, second)

    def test_it_learns_from_episodes_of_others(self, make: Callable[[], Agent]) -> None:
        """Policies of rules may come before its own first episode.

        What it proposes then is as sound and as repeatable.
        """
        first = _episodes_after_others(make())
        second = _episodes_after_others(make())
        assert all(_are_ratios(proposal) for proposal in first)
        assert np.array_equal(first, second)

    def test_global_generators_are_left_alone(self, make: Callable[[], Agent]) -> None:
        """No draw from NumPy's or PyTorch's global generator."""
        torch_before = torch.random.get_rng_state().clone()
        numpy_before = _numpy_state()
        _episodes(make(), _EPISODES)
        assert torch.equal(torch_before, torch.random.get_rng_state())
        assert np.array_equal(numpy_before, _numpy_state())


def _are_ratios(proposal: FloatArray) -> bool:
    if not np.isfinite(proposal).all():
        return False
    at_least_0 = proposal >= 0
    at_most_1 = proposal <= 1
    return bool((at_least_0 & at_most_1).all())


def _numpy_state() -> np.ndarray:
    """That of the global generator, which this test wants to see untouched."""
    state = np.random.get_state()[1]  # type: ignore[index] # noqa: NPY002
    return np.array(state)


def _observations(agent: Agent) -> Float32Array:
    # a generator of its own: the agent's draws must not depend on it
    rng = np.random.default_rng(1)
    steps = len(agent.context.problem) + 1
    numbers = rng.uniform(size=(steps, agent.context.features))
    return numbers.astype(np.float32)


def _episodes(agent: Agent, count: int) -> list[FloatArray]:
    """Proposals of some episodes.

    They are rewarded for keeping the first decision and giving up the last.
    """
    problem = agent.context.problem
    proposals = []
    for _ in range(count):
        agent.begin()
        observations = _observations(agent)
        ratios = []
        for step in range(len(problem)):
            ratio = agent.act(observations[step], step)
            ratios.append(ratio)
        proposal = np.array(ratios)
        proposals.append(proposal)

        # an agent learns from what was executed, within the limits, not from what it proposed
        executed = problem.execute(proposal) / problem.sizes
        reward = float(executed[0] - executed[-1]) - 1
        trajectory = Trajectory(observations, executed, reward)
        agent.learn(trajectory, own=True)

    return proposals


def _episodes_after_others(agent: Agent) -> list[FloatArray]:
    problem = agent.context.problem
    for ratio in (0.4, 0.6, 0.8):
        uniform = np.full(len(problem), ratio)
        executed = problem.execute(uniform) / problem.sizes

        # the less is kept, the better
        observations = _observations(agent)
        trajectory = Trajectory(observations, executed, -ratio)
        agent.learn(trajectory, own=False)

    return _episodes(agent, 3)
