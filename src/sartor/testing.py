"""Contracts as tests: a new agent inherits `AgentConformance` and supplies one fixture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sartor.agents import Agent, Float32Array, Trajectory
from sartor.cost import FloatArray


class AgentConformance:
    """What every agent must do. The fixture ``make`` returns a function that makes a fresh agent, always with the same seed."""

    def test_proposals_are_ratios(self, make: Callable[[], Agent]) -> None:
        """Every proposal lies in [0, 1]."""
        for proposal in _episodes(make(), 12):
            assert np.isfinite(proposal).all()
            assert ((proposal >= 0) & (proposal <= 1)).all()

    def test_the_same_episodes_give_the_same_proposals(self, make: Callable[[], Agent]) -> None:
        """Determinism, on which resuming relies."""
        for first, second in zip(_episodes(make(), 12), _episodes(make(), 12), strict=True):
            assert np.array_equal(first, second)

    def test_it_learns_from_episodes_of_others(self, make: Callable[[], Agent]) -> None:
        """Policies of rules may come before its own first episode."""
        agent = make()
        problem = agent.setting.problem
        for ratio in (0.4, 0.6, 0.8):
            executed = problem.execute(np.full(len(problem), ratio)) / problem.sizes
            agent.learn(Trajectory(_observations(agent), executed, -ratio), own=False)
        assert len(_episodes(agent, 3)) == 3

    def test_global_generators_are_left_alone(self, make: Callable[[], Agent]) -> None:
        """No draw from NumPy's or PyTorch's global generator."""
        import torch

        before = torch.random.get_rng_state().clone(), np.random.get_state()[1].copy()  # type: ignore[index] # noqa: NPY002
        _episodes(make(), 3)
        assert torch.equal(before[0], torch.random.get_rng_state())
        assert np.array_equal(before[1], np.random.get_state()[1])  # type: ignore[index] # noqa: NPY002


def _observations(agent: Agent) -> Float32Array:
    rng = np.random.default_rng(1)
    return rng.uniform(size=(len(agent.setting.problem) + 1, agent.setting.features)).astype(np.float32)


def _episodes(agent: Agent, count: int) -> list[FloatArray]:
    """Proposals of some episodes that are rewarded for keeping the first decision and giving up the last."""
    problem, proposals = agent.setting.problem, []
    for _ in range(count):
        agent.begin()
        observations = _observations(agent)
        proposal = np.array([agent.act(observations[step], step) for step in range(len(problem))])
        executed = problem.execute(proposal) / problem.sizes
        agent.learn(Trajectory(observations, executed, float(executed[0] - executed[-1]) - 1), own=True)
        proposals.append(proposal)
    return proposals
