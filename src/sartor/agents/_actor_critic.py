"""Deterministic policy gradient with target networks (Lillicrap et al. 2016): what AMC's and Galen's agents share."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sartor.machine import Float32Array

_ACTOR_RATE, _CRITIC_RATE = 1e-4, 1e-3
_TAU = 0.01


@dataclass(frozen=True)
class Batch:
    """Transitions: states (n, features), actions (n, k), targets of the reward (n, 1), states that follow, 1 where none does."""

    state: Tensor
    action: Tensor
    reward: Tensor
    following: Tensor
    terminal: Tensor


class ActorCritic:
    """Actor with sigmoid outputs, critic whose second layer sees the action, and their slowly following copies."""

    def __init__(
        self, features: int, actions: int, hidden: tuple[int, int], seed: int, *, discount: float
    ) -> None:
        with torch.random.fork_rng():  # nn.Linear initialises from the global generator only
            torch.manual_seed(seed)
            self._actor, self._critic = (
                _Actor(features, actions, hidden),
                _Critic(features, actions, hidden),
            )
        self._actor_target, self._critic_target = (
            copy.deepcopy(self._actor),
            copy.deepcopy(self._critic),
        )
        self._actor_optimizer = torch.optim.Adam(self._actor.parameters(), _ACTOR_RATE)
        self._critic_optimizer = torch.optim.Adam(self._critic.parameters(), _CRITIC_RATE)
        self._discount = discount

    @torch.no_grad()
    def act(self, observation: Float32Array) -> Float32Array:
        """The actor's actions (k,) in one state."""
        chosen: Float32Array = self._actor(torch.from_numpy(observation)[None])[0].numpy()
        return chosen

    def update(self, batch: Batch) -> None:
        """One step of critic, actor and their copies."""
        with torch.no_grad():
            future = self._critic_target(batch.following, self._actor_target(batch.following))
            target = batch.reward + self._discount * (1 - batch.terminal) * future
        loss = F.mse_loss(self._critic(batch.state, batch.action), target)
        self._critic_optimizer.zero_grad()
        loss.backward()
        self._critic_optimizer.step()
        gain = -self._critic(batch.state, self._actor(batch.state)).mean()
        self._actor_optimizer.zero_grad()
        gain.backward()
        self._actor_optimizer.step()
        with torch.no_grad():
            for target_net, net in (
                (self._actor_target, self._actor),
                (self._critic_target, self._critic),
            ):
                for slow, fast in zip(target_net.parameters(), net.parameters(), strict=True):
                    slow.lerp_(fast, _TAU)


class Replay:
    """The last transitions, as rows of one array: state, following state, action, reward, terminal."""

    def __init__(self, capacity: int, features: int, actions: int) -> None:
        self._rows = np.empty((capacity, 2 * features + actions + 2), dtype=np.float32)
        self._features, self._actions = features, actions
        self.stored = 0

    def add(
        self,
        state: Float32Array,
        following: Float32Array,
        action: Float32Array,
        reward: float,
        *,
        terminal: bool,
    ) -> None:
        """Store one, over the oldest."""
        self._rows[self.stored % len(self._rows)] = [
            *state,
            *following,
            *action,
            reward,
            float(terminal),
        ]
        self.stored += 1

    def sample(self, count: int, rng: np.random.Generator) -> Batch:
        """Transitions drawn with replacement."""
        rows = torch.from_numpy(
            self._rows[rng.integers(0, min(self.stored, len(self._rows)), count)]
        )
        features, actions = self._features, self._actions
        state, following, action, reward, terminal = rows.split(
            [features, features, actions, 1, 1], dim=1
        )
        return Batch(state, action, reward, following, terminal)


class _Actor(nn.Module):
    def __init__(self, features: int, actions: int, hidden: tuple[int, int]) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, hidden[0]),
            nn.ReLU(),
            nn.Linear(*hidden),
            nn.ReLU(),
            nn.Linear(hidden[1], actions),
            nn.Sigmoid(),
        )

    def forward(self, state: Tensor) -> Tensor:
        return self.layers(state)


class _Critic(nn.Module):
    def __init__(self, features: int, actions: int, hidden: tuple[int, int]) -> None:
        super().__init__()
        self.first = nn.Linear(features, hidden[0])
        self.second = nn.Linear(hidden[0] + actions, hidden[1])  # the action enters here
        self.out = nn.Linear(hidden[1], 1)

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        first = F.relu(self.first(state))
        return self.out(F.relu(self.second(torch.cat([first, action], 1))))
