"""Evolution of whole policies, led by a surrogate: of many mutants the one that promises most improvement is scored.

A policy is mutated by moving units between decisions (EvoPress's swaps, Sieberling et al. 2025), by crossing it with another
good one, or by decoding new coefficients of the error curves with the exact allocation (SPDY, Frantar & Alistarh 2022). All
mutants lie on the budget, so nothing is wasted. Scoring one costs as much as predicting thousands: a Gaussian process fitted
to all episodes chooses among them by expected improvement.
"""

from __future__ import annotations

import numpy as np

from sartor.agents._base import Setting, Trajectory, VectorAgent
from sartor.agents._mutants import Breeder
from sartor.agents._rules import allocate, knapsack, uniform
from sartor.agents._surrogate import Surrogate
from sartor.cost import FloatArray
from sartor.graph import IntArray

#: Mutants per generation, and generations bred on predictions alone, for each proposal.
_MUTANTS, _GENERATIONS = 96, 3
#: Policies that may be parents.
_PARENTS = 8
#: Policies scored before the surrogate leads, beside those of the rules.
_BLIND = 8
#: New hyperparameters every so many episodes.
_TUNE = 10


class EvolutionAgent(VectorAgent):
    """Elitist evolution with a surrogate; starts from the exact allocation or from whatever policies it is shown."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._rng = np.random.default_rng(setting.seed)
        self._breeder = Breeder(setting.problem, self._rng)
        self._surrogate = Surrogate()
        self._uniform = setting.problem.execute(uniform(setting))
        self._counts: list[IntArray] = []
        self._rewards: list[float] = []
        self._seen: set[bytes] = set()
        self._own = 0
        self._alone = self._one_kind_alone()
        self._start = self._alone[0] if self._alone else self._uniform

    def propose(self) -> FloatArray:
        """The most promising of all mutants."""
        problem = self.setting.problem
        if not self._counts:
            return knapsack(self.setting)
        if self._alone:
            return self._alone.pop(0) / problem.sizes
        if self._own < _BLIND:
            return self._blind() / problem.sizes
        features, rewards = self._features(np.array(self._counts)), np.array(self._rewards)
        self._surrogate.fit(features, rewards, tune=self._own % _TUNE == 0 or self._own == _BLIND)
        parents = np.array(self._counts)[np.argsort(self._surrogate.predict(features)[0])[::-1][:_PARENTS]]
        pool = self._breeder.breed(parents, _MUTANTS)
        for _ in range(_GENERATIONS):
            gain = self._surrogate.improvement(self._features(pool))
            pool = pool[np.argsort(-gain, kind="stable")[:_PARENTS]]
            pool = np.concatenate([pool, self._breeder.breed(pool, _MUTANTS)])
        gain = self._surrogate.improvement(self._features(pool))
        for counts in self._breeder.distinct(pool[np.argsort(-gain, kind="stable")]):
            executed = problem.execute(counts / problem.sizes)
            if executed.tobytes() not in self._seen:
                return executed / problem.sizes
        return self._breeder.anywhere() / problem.sizes

    def learn(self, trajectory: Trajectory, *, own: bool) -> None:
        """Remember the executed policy, whoever proposed it."""
        self._own += own
        counts = np.rint(trajectory.executed * self.setting.problem.sizes).astype(np.int64)
        if counts.tobytes() not in self._seen:
            self._seen.add(counts.tobytes())
            self._counts.append(counts)
            self._rewards.append(trajectory.reward)

    def _one_kind_alone(self) -> list[IntArray]:
        """Exact allocations of channels alone and of bits alone, as far as each meets the budget.

        Errors are estimates, and those of pruning and of rounding need not be wrong by the same factor: whoever allocates both
        by them may prune hard what could have been rounded for nothing. Nothing where all decisions are of one kind.
        """
        problem, kinds = self.setting.problem, [decision.kind for decision in self.setting.problem.decisions]
        if len(set(kinds)) < 2 or not problem.budget.bounds:
            return []
        found = []
        for kind in sorted(set(kinds)):
            others = np.array([other != kind for other in kinds])
            start = np.where(others, problem.highest, problem.lowest)
            if problem.usage(start[None])[0] > 1:
                continue
            errors = [
                np.append(np.full(len(error) - 1, np.inf), 0.0) if other else error
                for error, other in zip(self.setting.errors, others, strict=True)
            ]
            found.append(allocate(problem, errors, start))
        return found

    def _blind(self) -> IntArray:
        """Something to learn from: near the exact allocation, further away, or anywhere."""
        return self._breeder.anywhere() if self._own % 4 == 3 else self._decode(0.35 if self._own % 2 else 0.7)

    def _decode(self, sigma: float) -> IntArray:
        """Exact allocation over error curves with disturbed coefficients."""
        coefficients = np.exp(self._rng.normal(0, sigma, len(self.setting.problem)))
        disturbed = [error * coefficient for error, coefficient in zip(self.setting.errors, coefficients, strict=True)]
        return allocate(self.setting.problem, disturbed, self._start, rounds=2)

    def _features(self, counts: IntArray) -> FloatArray:
        """Square roots of the errors that policies cause (policies, decisions): rewards are smoother in them than in widths."""
        columns = [
            np.sqrt(error[np.searchsorted(decision.choices, counts[:, index]).clip(max=len(error) - 1)])
            for index, (decision, error) in enumerate(zip(self.setting.problem.decisions, self.setting.errors, strict=True))
        ]
        return np.stack(columns, axis=1)
