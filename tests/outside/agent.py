"""An agent of a package that sartor knows nothing of: a walk around the best policy so far."""

import numpy as np

from sartor.agents import SearchContext, Trajectory, VectorAgent


class HillClimber(VectorAgent):
    """Moves every keep ratio a little from those of the best episode."""

    def __init__(self, context: SearchContext, reach: float = 0.2) -> None:
        super().__init__(context)
        self._reach = reach
        self._rng = np.random.default_rng(context.seed)
        self._best = np.ones(len(context.problem))
        self._best_reward = -np.inf

    def propose(self) -> np.ndarray:
        """Keep ratios of all decisions."""
        steps = self._rng.uniform(-self._reach, self._reach, len(self._best))
        return np.clip(self._best + steps, 0.0, 1.0)

    def learn(self, trajectory: Trajectory, *, own: bool) -> None:
        """Remember the best executed policy, whoever proposed it."""
        if trajectory.reward > self._best_reward:
            self._best_reward = trajectory.reward
            self._best = trajectory.executed
