"""Evolution over exact allocations: the policy is decoded by dynamic programming, mutations move its coefficients.

An individual is one coefficient per decision that scales its error curve; `allocate` turns coefficients into the policy with
the least scaled error under the budget, so every individual is affordable and wastes nothing (SPDY's space, Frantar &
Alistarh 2022). One scalar per decision cannot express how layers interact, so half of the proposals move units from one
decision to another in the policy itself (EvoPress's swaps, Sieberling et al. 2025). Of several mutants the one that a
Gaussian process, fitted to all episodes, expects most of is proposed.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from sartor.agents._base import Setting, Trajectory, VectorAgent
from sartor.agents._rules import allocate
from sartor.cost import FloatArray
from sartor.graph import IntArray

#: Mutants ranked by the surrogate for each proposal.
_MUTANTS = 32
#: Individuals that may be parents.
_PARENTS = 6
#: Episodes before the surrogate is asked.
_BLIND = 8


class EvolutionAgent(VectorAgent):
    """Elitist evolution with a surrogate; starts from the exact allocation."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._rng = np.random.default_rng(setting.seed)
        self._errors = setting.errors
        self._counts: list[IntArray] = []
        self._rewards: list[float] = []
        self._seen: set[bytes] = set()

    def propose(self) -> FloatArray:
        """The most promising of several mutants of the best policies so far."""
        problem = self.setting.problem
        if not self._counts:
            return self._decode(np.zeros(len(problem))) / problem.sizes
        mutants = [mutant for _ in range(_MUTANTS) if (mutant := self._mutate()).tobytes() not in self._seen]
        if not mutants:
            return self._rng.uniform(problem.lowest / problem.sizes, 1.0)
        if len(self._rewards) < _BLIND:
            return mutants[0] / problem.sizes
        return mutants[int(np.argmax(self._acquisition(np.array(mutants))))] / problem.sizes

    def learn(self, trajectory: Trajectory, *, own: bool) -> None:
        """Remember the executed policy, whoever proposed it."""
        counts = np.rint(trajectory.executed * self.setting.problem.sizes).astype(np.int64)
        if counts.tobytes() not in self._seen:
            self._seen.add(counts.tobytes())
            self._counts.append(counts)
            self._rewards.append(trajectory.reward)

    def _decode(self, log_coefficients: FloatArray) -> IntArray:
        scaled = [error * np.exp(c) for error, c in zip(self._errors, log_coefficients, strict=True)]
        return allocate(self.setting.problem, scaled, rounds=2)

    def _mutate(self) -> IntArray:
        """A swap around a good policy, or (while the search is young: mostly) new coefficients for all."""
        age = len(self._counts) / max(1, self.setting.episodes)
        best = np.argsort(self._rewards)[::-1][:_PARENTS]
        parent = self._counts[int(best[int(self._rng.exponential(1.5)) % len(best)])]
        if self._rng.uniform() < 0.35 * (1 - age):
            sigma = 0.7 - 0.5 * age
            return self._decode(self._rng.normal(0, sigma, len(parent)))
        if self._rng.uniform() < 0.3 and len(best) > 1:
            other = self._counts[int(self._rng.choice(best))]
            mixed = np.where(self._rng.uniform(size=len(parent)) < 0.5, parent, other)
            return self._project(mixed.astype(np.float64))
        return self._swap(parent, age)

    def _swap(self, parent: IntArray, age: float) -> IntArray:
        """Move a few decisions up or down by a random share of their range; the others pay for it or gain by it."""
        problem = self.setting.problem
        moved = parent.astype(np.float64)
        for index in self._rng.choice(len(parent), size=min(len(parent), 1 + self._rng.geometric(0.5)), replace=False):
            span = (problem.sizes[index] - problem.lowest[index]) * (0.3 - 0.2 * age)
            moved[index] += self._rng.normal(0, max(span, 1.0))
        return self._project(moved)

    def _project(self, counts: FloatArray) -> IntArray:
        """Scale onto the budget by giving or taking where the error curves say it matters least, then execute."""
        problem = self.setting.problem
        counts = np.clip(counts, problem.lowest, problem.sizes)
        low, high = 0.3, 3.0
        for _ in range(25):
            middle = (low * high) ** 0.5
            scaled = np.clip(np.rint(counts * middle), problem.lowest, problem.sizes).astype(np.int64)
            low, high = (middle, high) if problem.usage(scaled[None])[0] <= 1 else (low, middle)
        return problem.execute(np.clip(counts * low, problem.lowest, problem.sizes) / problem.sizes)

    def _acquisition(self, mutants: IntArray) -> FloatArray:
        """Upper confidence bound of a Gaussian process over the error each decision contributes."""
        seen, rewards = self._features(np.array(self._counts)), np.array(self._rewards)
        new = self._features(mutants)
        order = np.argsort(rewards)
        ranks = np.empty(len(rewards))
        ranks[order] = np.linspace(-1, 1, len(rewards))  # ranks: a few ruined candidates must not set the scale
        scale = seen.std(0) + 1e-6
        length = np.sqrt(seen.shape[1])
        kernel = _kernel(seen / scale / length, seen / scale / length) + 0.1 * np.eye(len(seen))
        cross = _kernel(new / scale / length, seen / scale / length)
        factor = cho_factor(kernel)
        mean = cross @ cho_solve(factor, ranks)
        variance = 1 - np.einsum("ij,ji->i", cross, cho_solve(factor, cross.T))
        return mean + 0.5 * np.sqrt(np.maximum(variance, 0))

    def _features(self, counts: IntArray) -> FloatArray:
        """Square root of each decision's error: small changes near the full width count little."""
        columns = [
            np.sqrt(error[np.searchsorted(decision.choices, counts[:, index])])
            for index, (decision, error) in enumerate(zip(self.setting.problem.decisions, self._errors, strict=True))
        ]
        return np.stack(columns, axis=1)


def _kernel(a: FloatArray, b: FloatArray) -> FloatArray:
    """Half linear (errors add up), half squared-exponential (they interact)."""
    distance = np.square(a[:, None] - b[None]).sum(2)
    linear = (a - b.mean(0)) @ (b - b.mean(0)).T
    return 0.5 * np.exp(-0.5 * distance) + 0.5 * linear
