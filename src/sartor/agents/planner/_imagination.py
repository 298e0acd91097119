"""Episodes that are only imagined: an actor acts, a model says what it is worth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sartor.agents._experience import Decisions
from sartor.agents._scaling import onto_budget
from sartor.agents.planner._actor import Actor
from sartor.machine import FloatArray, IntArray
from sartor.problem import Problem

#: Imagined episodes of one update, and the learning rate of Adam.
_EPISODES = 48
_RATE = 3e-3
#: Budgets that are imagined beside that of the search are up to e to this power smaller or larger.
_BUDGETS = 0.3
#: What spread is worth: without, it would be gone before the model knows enough.
_ENTROPY = 0.02

#: What policies (policies, decisions) are expected to be worth (policies,).
Model = Callable[[IntArray], FloatArray]


class Imagination:
    """Trains an actor on what a model expects, by the policy gradient (Williams 1992).

    Half of the updates are about the budget of the search, the others about smaller and larger
    ones. Of the episodes of an update, each is held against the mean of all.
    """

    def __init__(
        self,
        problem: Problem,
        decisions: Decisions,
        start: IntArray,
        rng: np.random.Generator,
        generator: torch.Generator,
    ) -> None:
        """Episodes move away from the policy ``start`` (decisions,)."""
        self._problem = problem
        self._start = start.astype(np.float64)
        self._rng = rng
        self._generator = generator
        self._everything = np.ones(len(problem), dtype=np.bool_)
        self.actor = Actor(_known(decisions, start), generator)
        self._optimizer = torch.optim.Adam(self.actor.parameters(), _RATE)

    def train(self, model: Model, updates: int) -> None:
        """Improve the actor by some updates."""
        for number in range(updates):
            other = float(np.exp(self._rng.uniform(-_BUDGETS, _BUDGETS)))
            self._update(model, share=1.0 if number % 2 else other)

    @torch.no_grad()
    def proposals(self, count: int) -> IntArray:
        """What the actor would do under the budget (count, decisions)."""
        means, spread = self.actor(1.0)
        return self._carried_out(self._moves(means, spread, count), 1.0)

    def _update(self, model: Model, share: float) -> None:
        means, spread = self.actor(share)
        moves = self._moves(means.detach(), spread.detach(), _EPISODES)
        rewards = torch.from_numpy(model(self._carried_out(moves, share))).float()

        advantages = rewards - rewards.mean()
        advantages = advantages / (advantages.std() + 1e-6)
        likelihoods = torch.distributions.Normal(means, spread).log_prob(moves).sum(1)
        gained = (advantages * likelihoods).mean() / len(means)
        loss = -gained - _ENTROPY * spread.log()

        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()

    def _moves(self, means: Tensor, spread: Tensor, count: int) -> Tensor:
        noise = torch.randn(count, len(means), generator=self._generator)
        return means + spread * noise

    def _carried_out(self, moves: Tensor, share: float) -> IntArray:
        moved = self._start * np.exp(moves.double().numpy())
        return onto_budget(self._problem, moved, self._everything, share)


def _known(decisions: Decisions, start: IntArray) -> FloatArray:
    """What an actor is told of every decision (decisions, features): at the start, at its least."""
    least = np.array([choices[0] for choices in decisions.choices])
    both = decisions.features_of(np.stack([start, least]))
    return np.concatenate([both[0], both[1, :, len(decisions.fixed[0]) :]], axis=1)
