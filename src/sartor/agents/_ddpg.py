"""Deep deterministic policy gradient, as AMC uses it (He et al. 2018, section 3.3)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.stats import truncnorm

from sartor.agents._actor_critic import ActorCritic, Replay
from sartor.agents._base import Agent, SearchContext, Trajectory
from sartor.machine import Float32Array, FloatArray

_HIDDEN = (300, 300)
_BATCH = 64
_REPLAY = 2000
_SIGMA, _SIGMA_DECAY = 0.5, 0.95
_BASELINE_RATE = 0.05
#: Share of the episodes explored at constant σ: the paper's 100 of 400.
_WARM_UP = 0.25


class DdpgAgent(Agent):
    """The paper's agent, with the executed action in the replay memory and terminal steps without bootstrap (SPEC).

    Exploration: truncated normal on [0, 1] around the actor, σ = 0.5 for a quarter of the episodes, then × 0.95 each. One
    update per step of an episode. Every transition carries the episode's reward; its target is r − b + Q'(s', μ'(s')),
    b a moving average of earlier rewards.
    """

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context)
        self._networks = ActorCritic(context.features, 1, _HIDDEN, context.seed, discount=1.0)
        self._memory = Replay(_REPLAY, context.features, 1)
        self._rng = np.random.default_rng(context.seed)
        self._episodes = 0
        self._baseline: float | None = None

    @property
    def sigma(self) -> float:
        """Width of the exploration now."""
        warm_up = min(100, round(_WARM_UP * self.context.episodes))
        return _SIGMA * _SIGMA_DECAY ** max(0, self._episodes - warm_up)

    def act(self, observation: Float32Array, step: int) -> float:
        """The actor's ratio, disturbed."""
        return float(disturbed(self._networks.act(observation), self.sigma, self._rng)[0])

    def learn(self, trajectory: Trajectory, *, own: bool) -> None:
        """Store the episode, then do one update per step of it."""
        steps = len(trajectory.executed)
        for step in range(steps):
            state, following = trajectory.observations[step : step + 2]
            action = trajectory.executed[step : step + 1].astype(np.float32)
            self._memory.add(
                state, following, action, trajectory.reward, terminal=step == steps - 1
            )
        reward = trajectory.reward
        self._baseline = (
            reward
            if self._baseline is None
            else self._baseline + _BASELINE_RATE * (reward - self._baseline)
        )
        self._episodes += own
        if self._memory.stored >= _BATCH:
            for _ in range(steps):
                batch = self._memory.sample(_BATCH, self._rng)
                self._networks.update(replace(batch, reward=batch.reward - self._baseline))


def disturbed(means: Float32Array, sigma: float, rng: np.random.Generator) -> FloatArray:
    """Truncated normal on [0, 1] around each mean; the means themselves once σ is next to nothing."""
    if sigma < 1e-4:
        return means.astype(np.float64)
    draws = [
        truncnorm.ppf(rng.uniform(), (0 - mean) / sigma, (1 - mean) / sigma, loc=mean, scale=sigma)
        for mean in map(float, means)
    ]
    return np.array(draws, dtype=np.float64)
