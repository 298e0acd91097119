"""Searches that see only whole policies: random, Optuna's TPE, CMA-ES."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna

from sartor.agents._base import SearchContext, Trajectory, VectorAgent
from sartor.machine import FloatArray, require
from sartor.problem import Problem


class RandomAgent(VectorAgent):
    """Independent uniform keep ratios, bounded by the budget as every agent's are."""

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context)
        self._rng = np.random.default_rng(context.seed)

    def propose(self) -> FloatArray:
        """A random policy."""
        return self._rng.uniform(*_box(self.context.problem))

    def learn(self, trajectory: Trajectory, *, own: bool) -> None:
        """Random search does not learn."""


class TpeAgent(VectorAgent):
    """Tree-structured Parzen estimator (Bergstra et al. 2011), as Optuna ships it; it is told the executed ratios."""

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context)
        self._space: dict[str, optuna.distributions.BaseDistribution] = {
            f"{index:04d}": optuna.distributions.FloatDistribution(float(low), float(high))
            for index, (low, high) in enumerate(zip(*_box(context.problem), strict=True))
        }
        sampler = optuna.samplers.TPESampler(seed=context.seed)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)

    def propose(self) -> FloatArray:
        """The sampler's next suggestion."""
        trial = self._study.ask(self._space)
        ratios = np.array([trial.params[name] for name in self._space])
        self._study.tell(
            trial, state=optuna.trial.TrialState.FAIL
        )  # replaced by what was executed, below
        return ratios

    def learn(self, trajectory: Trajectory, *, own: bool) -> None:
        """Add the executed policy to the sampler's history."""
        params = dict(zip(self._space, trajectory.executed.tolist(), strict=True))
        trial = optuna.trial.create_trial(
            params=params, distributions=self._space, value=trajectory.reward
        )
        self._study.add_trial(trial)


class CmaEsAgent(VectorAgent):
    """CMA-ES (Hansen 2016) in the box of keep ratios; starts at the best policy it is shown, else in the middle."""

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context)
        low, high = _box(context.problem)
        self._open = high > low  # decisions with a choice
        self._fixed, self._bounds = high, np.stack([low, high], axis=1)[self._open]
        self._start = self._bounds.mean(1)
        self._best_shown = -np.inf
        self._optimizer: Any = None
        self._sample: FloatArray = np.empty(0)
        self._told: list[tuple[FloatArray, float]] = []

    def propose(self) -> FloatArray:
        """A sample of the current distribution."""
        if not self._open.any():
            return self._fixed
        if self._optimizer is None:
            self._optimizer = require("cmaes", extra="agents").CMA(
                mean=self._start, sigma=0.2, bounds=self._bounds, seed=self.context.seed
            )
        self._sample = self._optimizer.ask()
        ratios = self._fixed.copy()
        ratios[self._open] = self._sample
        return ratios

    def learn(self, trajectory: Trajectory, *, own: bool) -> None:
        """Collect a generation, then update the distribution."""
        if not own:
            if trajectory.reward > self._best_shown and self._optimizer is None:
                self._best_shown = trajectory.reward
                self._start = np.clip(
                    trajectory.executed[self._open], self._bounds[:, 0], self._bounds[:, 1]
                )
            return
        if self._optimizer is None:  # nothing to choose
            return
        self._told.append((self._sample, -trajectory.reward))
        if len(self._told) == self._optimizer.population_size:
            self._optimizer.tell(self._told)
            self._told = []


def _box(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """Smallest and largest ratio of every decision."""
    return problem.lowest / problem.sizes, problem.highest / problem.sizes
