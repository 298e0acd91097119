"""Searches that see only whole policies: random, Optuna's TPE, CMA-ES."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sartor.agents._base import SearchContext, Trajectory, VectorAgent
from sartor.machine import FloatArray, quiet_logger, require
from sartor.problem import Problem

if TYPE_CHECKING:
    import optuna

#: Spread of the first generation of CMA-ES.
_SPREAD = 0.2


class RandomAgent(VectorAgent):
    """Independent uniform keep ratios, bounded by the budget as every agent's are."""

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context)
        self._rng = np.random.default_rng(context.seed)

    def propose(self) -> FloatArray:
        """A random policy."""
        low, high = _box(self.context.problem)
        return self._rng.uniform(low, high)

    def learn(self, trajectory: Trajectory, *, own: bool) -> None:
        """Random search does not learn."""


class TpeAgent(VectorAgent):
    """Tree-structured Parzen estimator (Bergstra et al. 2011), as Optuna ships it.

    It learns from the executed ratios.
    """

    def __init__(self, context: SearchContext) -> None:
        import optuna

        super().__init__(context)
        self._space = _space(context.problem)
        sampler = optuna.samplers.TPESampler(seed=context.seed)
        # Optuna announces every study that is made.
        with quiet_logger("optuna"):
            self._study = optuna.create_study(
                direction="maximize",
                sampler=sampler,
            )

    def propose(self) -> FloatArray:
        """The sampler's next suggestion."""
        from optuna.trial import TrialState

        trial = self._study.ask(self._space)
        # What is executed may be another policy: `learn` adds that one instead.
        self._study.tell(trial, state=TrialState.FAIL)
        return np.array([trial.params[name] for name in self._space])

    def learn(self, trajectory: Trajectory, *, own: bool) -> None:
        """Add the executed policy to the sampler's history."""
        from optuna.trial import create_trial

        ratios = trajectory.executed.tolist()
        trial = create_trial(
            params=dict(zip(self._space, ratios, strict=True)),
            distributions=self._space,
            value=trajectory.reward,
        )
        self._study.add_trial(trial)


class CmaEsAgent(VectorAgent):
    """CMA-ES (Hansen 2016) in the box of keep ratios.

    Starts at the best policy it is shown, else in the middle. Raises `MissingPackageError` without
    the package cmaes.
    """

    # What was drawn last.
    _sample: FloatArray

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context)
        low, high = _box(context.problem)
        bounds = np.stack([low, high], axis=1)
        self._has_choice = high > low
        self._fixed = high

        # The optimiser sees the dimensions that have a width.
        self._bounds = bounds[self._has_choice]
        self._start = self._bounds.mean(1)
        self._best_shown = -np.inf

        self._library = require("cmaes", extra="agents")
        self._optimizer: Any = None
        self._generation: list[tuple[FloatArray, float]] = []

    def propose(self) -> FloatArray:
        """A sample of the current distribution."""
        if not self._has_choice.any():
            return self._fixed

        # Made late: until then, policies that are shown may move its start.
        if self._optimizer is None:
            self._optimizer = self._library.CMA(
                mean=self._start,
                sigma=_SPREAD,
                bounds=self._bounds,
                seed=self.context.seed,
            )

        self._sample = self._optimizer.ask()
        ratios = self._fixed.copy()
        ratios[self._has_choice] = self._sample
        return ratios

    def learn(self, trajectory: Trajectory, *, own: bool) -> None:
        """Collect a generation, then update the distribution."""
        if not own:
            self._start_from(trajectory)
        elif self._optimizer is not None:
            self._collect(trajectory.reward)

    def _collect(self, reward: float) -> None:
        # The library minimises.
        self._generation.append((self._sample, -reward))
        if len(self._generation) == self._optimizer.population_size:
            self._optimizer.tell(self._generation)
            self._generation = []

    def _start_from(self, shown: Trajectory) -> None:
        """Begin at a policy, if there is a beginning still and none better was shown."""
        is_better = shown.reward > self._best_shown
        if self._optimizer is not None or not is_better:
            return

        self._best_shown = shown.reward
        ratios = shown.executed[self._has_choice]
        low = self._bounds[:, 0]
        high = self._bounds[:, 1]
        # The library refuses a mean that rounding put outside of the bounds.
        self._start = np.clip(ratios, low, high)


def _box(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """Smallest and largest ratio of every decision."""
    low = problem.lowest / problem.sizes
    high = problem.highest / problem.sizes
    return low, high


def _space(problem: Problem) -> dict[str, optuna.distributions.BaseDistribution]:
    """Optuna's range of every decision, by names that sort in forward order."""
    from optuna.distributions import FloatDistribution

    low, high = _box(problem)
    space: dict[str, optuna.distributions.BaseDistribution] = {}
    for index in range(len(problem)):
        least = float(low[index])
        most = float(high[index])
        space[f"{index:04d}"] = FloatDistribution(least, most)
    return space
