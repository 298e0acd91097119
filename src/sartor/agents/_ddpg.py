"""Deep deterministic policy gradient, as AMC uses it (He et al. 2018, section 3.2)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sartor.agents._actor_critic import ActorCritic
from sartor.agents._base import Agent, SearchContext, Trajectory
from sartor.agents._exploration import disturbed
from sartor.agents._moments import MovingAverage
from sartor.agents._replay import Replay
from sartor.machine import Float32Array

#: Units of the hidden layers.
HIDDEN = (300, 300)
#: Transitions of an update, and of the memory.
BATCH = 64
REPLAY = 2000
#: Discount of the future: none.
GAMMA = 1.0
#: σ of the exploration at first, and its factor per episode later.
SIGMA = 0.5
SIGMA_DECAY = 0.95
#: Episodes explored at constant σ: 100 of the paper's 400, or that share of fewer.
EXPLORED = 100
EXPLORED_SHARE = 0.25
#: Share of a new reward in the moving average b.
BASELINE_RATE = 0.05


class DdpgAgent(Agent):
    """AMC's agent, with the corrections of docs/deviations.md.

    Acts by a truncated normal on [0, 1] around the actor. σ is 0.5 for the first 100 episodes, or
    for the first quarter where there are fewer than 400; then it shrinks by 0.95 each.

    Every transition of an episode carries its reward and the keep ratio that was executed. Each
    episode is followed by one update for each of its steps, with the targets
    r − b + Q'(s', μ'(s')) and r − b where the episode ended; b is an exponential moving average of
    the rewards of earlier episodes, so that there is no update after the first.
    """

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context)
        self._networks = ActorCritic(
            context.features,
            actions=1,
            hidden=HIDDEN,
            seed=context.seed,
            discount=GAMMA,
        )
        self._memory = Replay(REPLAY, context.features, actions=1)
        self._rng = np.random.default_rng(context.seed)
        self._episodes = 0
        self._baseline = MovingAverage(BASELINE_RATE)

    @property
    def sigma(self) -> float:
        """Width of the exploration now."""
        explored = min(EXPLORED, round(EXPLORED_SHARE * self.context.episodes))
        decayed = max(0, self._episodes - explored)
        return SIGMA * SIGMA_DECAY**decayed

    def act(self, observation: Float32Array, step: int) -> float:
        """The actor's ratio, disturbed."""
        ratio = self._networks.act(observation)
        return float(disturbed(ratio, self.sigma, self._rng)[0])

    def learn(self, trajectory: Trajectory, *, own: bool) -> None:
        """Store the episode, then do one update per step of it."""
        self._store(trajectory)
        self._episodes += own

        baseline = self._baseline.value
        if baseline is not None and self._memory.stored >= BATCH:
            for _ in trajectory.executed:
                self._update(baseline)

        # After the updates: b is of earlier episodes only.
        self._baseline.add(trajectory.reward)

    def _update(self, baseline: float) -> None:
        batch = self._memory.sample(BATCH, self._rng)
        advantage = batch.reward - baseline
        self._networks.update(replace(batch, reward=advantage))

    def _store(self, trajectory: Trajectory) -> None:
        actions = trajectory.executed.astype(np.float32)
        last = len(actions) - 1
        for step in range(len(actions)):
            self._memory.add(
                trajectory.observations[step],
                following=trajectory.observations[step + 1],
                action=actions[step : step + 1],
                reward=trajectory.reward,
                terminal=step == last,
            )
