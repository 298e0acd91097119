"""Deep deterministic policy gradient, as AMC uses it (He et al. 2018, section 3.3), on one page."""

from __future__ import annotations

import copy

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import truncnorm
from torch import Tensor, nn

from sartor.agents._base import Agent, Float32Array, Setting, Trajectory

_HIDDEN = 300
_ACTOR_RATE, _CRITIC_RATE = 1e-4, 1e-3
_TAU = 0.01
_BATCH = 64
_REPLAY = 2000
_SIGMA, _SIGMA_DECAY = 0.5, 0.95
_BASELINE_RATE = 0.05
#: Share of the episodes explored at constant σ: the paper's 100 of 400.
_WARM_UP = 0.25


class _Actor(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, 1), nn.Sigmoid()
        )

    def forward(self, state: Tensor) -> Tensor:
        return self.layers(state)


class _Critic(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = nn.Linear(features, _HIDDEN)
        self.second = nn.Linear(_HIDDEN + 1, _HIDDEN)  # the action enters here
        self.out = nn.Linear(_HIDDEN, 1)

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        hidden = F.relu(self.first(state))
        return self.out(F.relu(self.second(torch.cat([hidden, action], 1))))


class DdpgAgent(Agent):
    """The paper's agent, with the executed action in the replay memory and terminal steps without bootstrap (SPEC).

    Exploration: truncated normal on [0, 1] around the actor, σ = 0.5 for a quarter of the episodes, then × 0.95 each. One
    update per step of an episode. Every transition carries the episode's reward; its target is r − b + Q'(s', μ'(s')),
    b a moving average of earlier rewards.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        with torch.random.fork_rng():  # nn.Linear initialises from the global generator only
            torch.manual_seed(setting.seed)
            self._actor, self._critic = _Actor(setting.features), _Critic(setting.features)
        self._actor_target, self._critic_target = copy.deepcopy(self._actor), copy.deepcopy(self._critic)
        self._actor_optimizer = torch.optim.Adam(self._actor.parameters(), _ACTOR_RATE)
        self._critic_optimizer = torch.optim.Adam(self._critic.parameters(), _CRITIC_RATE)
        self._rng = np.random.default_rng(setting.seed)
        self._episodes = 0
        self._baseline: float | None = None
        width = 2 * setting.features + 3  # state, next state, action, reward, terminal
        self._memory = np.empty((_REPLAY, width), dtype=np.float32)
        self._stored = 0

    @property
    def sigma(self) -> float:
        """Width of the exploration now."""
        warm_up = min(100, round(_WARM_UP * self.setting.episodes))
        return _SIGMA * _SIGMA_DECAY ** max(0, self._episodes - warm_up)

    @torch.no_grad()
    def act(self, observation: Float32Array, step: int) -> float:
        """The actor's ratio, disturbed."""
        mean = float(self._actor(torch.from_numpy(observation)[None]))
        if self.sigma < 1e-4:
            return mean
        low, high = (0 - mean) / self.sigma, (1 - mean) / self.sigma
        return float(truncnorm.ppf(self._rng.uniform(), low, high, loc=mean, scale=self.sigma))

    def learn(self, trajectory: Trajectory, *, own: bool) -> None:
        """Store the episode, then do one update per step of it."""
        steps = len(trajectory.executed)
        for step in range(steps):
            row = [*trajectory.observations[step], *trajectory.observations[step + 1], trajectory.executed[step]]
            self._memory[self._stored % _REPLAY] = [*row, trajectory.reward, float(step == steps - 1)]
            self._stored += 1
        reward = trajectory.reward
        self._baseline = reward if self._baseline is None else self._baseline + _BASELINE_RATE * (reward - self._baseline)
        self._episodes += own
        if self._stored >= _BATCH:
            for _ in range(steps):
                self._update(self._baseline)

    def _update(self, baseline: float) -> None:
        chosen = self._rng.integers(0, min(self._stored, _REPLAY), _BATCH)
        features = self.setting.features
        batch = torch.from_numpy(self._memory[chosen])
        state, following = batch[:, :features], batch[:, features : 2 * features]
        action, reward, terminal = batch[:, -3:-2], batch[:, -2:-1], batch[:, -1:]
        with torch.no_grad():
            future = self._critic_target(following, self._actor_target(following))
            target = reward - baseline + (1 - terminal) * future
        loss = F.mse_loss(self._critic(state, action), target)
        self._critic_optimizer.zero_grad()
        loss.backward()
        self._critic_optimizer.step()
        gain = -self._critic(state, self._actor(state)).mean()
        self._actor_optimizer.zero_grad()
        gain.backward()
        self._actor_optimizer.step()
        with torch.no_grad():
            for target_net, net in ((self._actor_target, self._actor), (self._critic_target, self._critic)):
                for slow, fast in zip(target_net.parameters(), net.parameters(), strict=True):
                    slow.lerp_(fast, _TAU)
