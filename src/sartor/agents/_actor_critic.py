"""Deterministic policy gradient with target networks (Lillicrap et al. 2016).

What AMC's agent and Galen's share.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sartor.agents._replay import Batch
from sartor.machine import Float32Array, seeded

#: Learning rates of Adam.
ACTOR_RATE = 1e-4
CRITIC_RATE = 1e-3
#: τ: the share of the way that the target networks go towards the others at each update.
TAU = 0.01


class ActorCritic:
    """Actor with sigmoid outputs, critic whose second layer sees the action, and their targets.

    The targets are copies that follow slowly. The targets of the critic are
    r + γ Q'(s', μ'(s')), and r alone for terminal transitions. With ``last_layer`` the weights of
    the last layers begin between minus that and that, so that sigmoids begin in their middle.
    """

    def __init__(
        self,
        features: int,
        actions: int,
        hidden: tuple[int, int],
        seed: int,
        *,
        discount: float,
        last_layer: float | None = None,
    ) -> None:
        # Layers initialise from the global generator only; this machine's GPUs are left alone.
        with seeded(seed):
            self.actor = Actor(features, actions, hidden)
            self.critic = Critic(features, actions, hidden)
            if last_layer is not None:
                _draw_evenly(self.actor.out, last_layer)
                _draw_evenly(self.critic.out, last_layer)

        self.actor_target = copy.deepcopy(self.actor)
        self.critic_target = copy.deepcopy(self.critic)
        self._actor_optimizer = _adam(self.actor, ACTOR_RATE)
        self._critic_optimizer = _adam(self.critic, CRITIC_RATE)
        self._discount = discount

    @torch.no_grad()
    def act(self, observation: Float32Array) -> Float32Array:
        """The actor's actions (actions,) in one state."""
        states = torch.from_numpy(observation)[None]
        chosen: Float32Array = self.actor(states)[0].numpy()
        return chosen

    def update(self, batch: Batch) -> None:
        """One step of the critic, of the actor and of their targets."""
        self._update_critic(batch)
        self._update_actor(batch)
        _follow(self.actor_target, self.actor)
        _follow(self.critic_target, self.critic)

    def _update_critic(self, batch: Batch) -> None:
        values = self.critic(batch.state, batch.action)
        loss = F.mse_loss(values, self.targets(batch))

        self._critic_optimizer.zero_grad()
        loss.backward()
        self._critic_optimizer.step()

    def _update_actor(self, batch: Batch) -> None:
        actions = self.actor(batch.state)
        values = self.critic(batch.state, actions)
        loss = -values.mean()

        # The critic gets gradients too; they are dropped before its own next step.
        self._actor_optimizer.zero_grad()
        loss.backward()
        self._actor_optimizer.step()

    @torch.no_grad()
    def targets(self, batch: Batch) -> Tensor:
        """What the critic should say of each transition, (n, 1)."""
        actions = self.actor_target(batch.following)
        future = self.critic_target(batch.following, actions)
        return batch.reward + self._discount * (1 - batch.terminal) * future


class Actor(nn.Module):
    """States (n, features) to actions (n, actions) in (0, 1)."""

    def __init__(self, features: int, actions: int, hidden: tuple[int, int]) -> None:
        super().__init__()
        self.first = nn.Linear(features, hidden[0])
        self.second = nn.Linear(*hidden)
        self.out = nn.Linear(hidden[1], actions)

    def forward(self, state: Tensor) -> Tensor:
        first = F.relu(self.first(state))
        second = F.relu(self.second(first))
        return torch.sigmoid(self.out(second))


class Critic(nn.Module):
    """Values (n, 1) of states and actions."""

    def __init__(self, features: int, actions: int, hidden: tuple[int, int]) -> None:
        super().__init__()
        self.first = nn.Linear(features, hidden[0])
        self.second = nn.Linear(hidden[0] + actions, hidden[1])
        self.out = nn.Linear(hidden[1], 1)

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        first = F.relu(self.first(state))
        second = F.relu(self.second(torch.cat([first, action], 1)))
        return self.out(second)


def _adam(network: nn.Module, rate: float) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), rate)


def _draw_evenly(layer: nn.Linear, largest: float) -> None:
    nn.init.uniform_(layer.weight, -largest, largest)
    nn.init.uniform_(layer.bias, -largest, largest)


@torch.no_grad()
def _follow(target: nn.Module, network: nn.Module) -> None:
    for slow, fast in zip(target.parameters(), network.parameters(), strict=True):
        slow.lerp_(fast, TAU)
