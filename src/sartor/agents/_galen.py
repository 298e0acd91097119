"""Galen's agents (2022): one step per layer, one continuous action per compression parameter.

With the method prune they decide one number per layer, with quantize two (weights, activations),
with both three.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch

from sartor.agents._actor_critic import ActorCritic
from sartor.agents._base import SearchContext, Trajectory, VectorAgent
from sartor.agents._degrees import Degrees, layer_steps
from sartor.agents._exploration import disturbed
from sartor.agents._layer_state import LayerState
from sartor.agents._moments import MovingAverage, RunningMoments
from sartor.agents._replay import Batch, Replay
from sartor.machine import FloatArray, IntArray

#: Units of the hidden layers.
HIDDEN = (400, 300)
#: The last layers' weights begin between minus this and this (Lillicrap et al. 2016, section 7):
#: actors that begin elsewhere soon end in the corners of the actions.
LAST_LAYER = 3e-3
#: Transitions of an update, and of the memory.
BATCH = 128
REPLAY = 2000
#: γ: the discount of the future.
GAMMA = 0.99
#: σ of the exploration at first, and its factor per episode.
SIGMA = 0.5
SIGMA_DECAY = 0.95
#: Episodes of random actions, with which a search begins.
WARM_UP = 10
#: Share of a new episode in the moving average of rewards.
REWARD_RATE = 0.05


@dataclass
class _Walk:
    """States that were acted on and the actions, one row for each step of an episode."""

    states: list[FloatArray] = field(default_factory=list)
    actions: list[FloatArray] = field(default_factory=list)


class GalenAgent(VectorAgent):
    """The paper's agent.

    Its actions are degrees of compression, mapped to widths and precisions by the paper's formulas
    (`discrete`, `precision`). Its state is what `LayerState` holds of the network as far as it is
    compressed, and the actions of the step before.

    It learns from the states it acted on and from the actions it proposed. The paper enforces no
    budget, so both are what was executed; with a reward that enforces one, the projection of
    proposals onto it is a part of the world that the agent acts in. Of episodes of others it knows
    the executed policy only, and learns from the middle of the actions that lead to it.

    The memory holds states and rewards as they are. When they are used, states are standardised by
    the mean and variance of all states so far, and a moving average is taken off the rewards.
    """

    sees_measurements = True
    default_reward = "absolute"

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context)
        decisions = context.problem.decisions
        self._steps = layer_steps(decisions)
        self._degrees = Degrees(decisions, self._steps)
        self._layers = LayerState(context, self._steps)

        actions = self._degrees.count
        features = self._layers.features + actions
        self._networks = ActorCritic(
            features,
            actions,
            hidden=HIDDEN,
            seed=context.seed,
            discount=GAMMA,
            last_layer=LAST_LAYER,
        )
        self._memory = Replay(REPLAY, features, actions)
        self._state_moments = RunningMoments(features)
        self._mean_reward = MovingAverage(REWARD_RATE)

        self._rng = np.random.default_rng(context.seed)
        self._episodes = 0
        self._proposed: _Walk | None = None

    @property
    def sigma(self) -> float:
        """Width of the exploration now."""
        return SIGMA * SIGMA_DECAY**self._episodes

    def propose(self) -> FloatArray:
        """One pass over the layers."""
        problem = self.context.problem
        walk = _Walk()
        ratios: list[float] = []
        counts = problem.highest[:0]
        action = np.zeros(self._degrees.count)

        for index, step in enumerate(self._steps):
            state = self._state(index, counts, previous=action)
            action = self._explore(state)
            walk.states.append(state)
            walk.actions.append(action)

            # The next state shows what is executed, which a budget may have moved.
            for ratio in self._degrees.ratios(step, action):
                count = problem.choose(counts, ratio)
                counts = np.append(counts, count)
                ratios.append(ratio)

        # Actions cannot be had back from ratios, which are rounded.
        self._proposed = walk
        return np.array(ratios)

    def learn(self, trajectory: Trajectory, *, own: bool) -> None:
        """Store the episode, then do one update per layer."""
        if own and self._proposed is not None:
            walk = self._proposed
        else:
            walk = self._walk_of(trajectory.executed)

        self._proposed = None
        self._episodes += own
        self._store(walk, trajectory.reward)

        if self._memory.stored >= BATCH and self._episodes >= WARM_UP:
            for _ in self._steps:
                self._update()

    def _update(self) -> None:
        batch = self._memory.sample(BATCH, self._rng)
        self._networks.update(self._normalised(batch))

    def _explore(self, state: FloatArray) -> FloatArray:
        if self._episodes < WARM_UP:
            return self._rng.uniform(size=self._degrees.count)

        standard = self._state_moments.standardise(state)
        means = self._networks.act(standard)
        return disturbed(means, self.sigma, self._rng)

    def _state(self, index: int, decided: IntArray, previous: FloatArray) -> FloatArray:
        return np.concatenate([self._layers.row(index, decided), previous])

    def _walk_of(self, executed: FloatArray) -> _Walk:
        """The states on the way to a policy, and actions that lead to it."""
        sizes = self.context.problem.sizes
        counts = np.rint(executed * sizes).astype(np.int64)
        walk = _Walk()
        action = np.zeros(self._degrees.count)

        for index, step in enumerate(self._steps):
            first = step.columns[0]
            decided = counts[:first]
            state = self._state(index, decided, previous=action)
            action = self._degrees.of(step, counts)
            walk.states.append(state)
            walk.actions.append(action)

        return walk

    def _store(self, walk: _Walk, reward: float) -> None:
        self._mean_reward.add(reward)
        last = len(walk.states) - 1

        for index, state in enumerate(walk.states):
            self._state_moments.add(state)
            action = walk.actions[index]
            # Nothing follows the last state; the targets of terminal transitions ignore it.
            following = walk.states[min(index + 1, last)]
            self._memory.add(
                state.astype(np.float32),
                following.astype(np.float32),
                action.astype(np.float32),
                reward,
                terminal=index == last,
            )

    def _normalised(self, batch: Batch) -> Batch:
        """States and rewards of a batch as the networks see them."""
        assert self._mean_reward.value is not None
        states = self._state_moments.standardise(batch.state.numpy())
        following = self._state_moments.standardise(batch.following.numpy())

        return replace(
            batch,
            state=torch.from_numpy(states),
            following=torch.from_numpy(following),
            reward=batch.reward - self._mean_reward.value,
        )
