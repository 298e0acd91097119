"""A line of descent: policies bred from each other, led by a surrogate of its own."""

from __future__ import annotations

import dataclasses

import numpy as np

from sartor.agents._base import SearchContext
from sartor.agents._mutants import Breeder
from sartor.agents._rules import allocate
from sartor.agents._surrogate import Surrogate
from sartor.machine import BoolArray, FloatArray, IntArray
from sartor.problem import Decision, cheapest

#: Mutants per generation, and generations bred on predictions alone, for each proposal.
_MUTANTS, _GENERATIONS = 96, 3
#: Policies that may be parents.
_PARENTS = 8
#: Policies scored before the surrogate leads.
_BLIND = 8
#: New hyperparameters every so many proposals.
_TUNE = 10


class Lineage:
    """Proposes policies that differ in ``free`` decisions (decisions) only and leave the others whole.

    ``start`` is what its exact allocations begin with. ``proposed`` counts its own proposals that were executed, ``best`` is the
    largest reward among all policies it was shown.
    """

    def __init__(self, context: SearchContext, free: BoolArray, start: IntArray) -> None:
        self.context, self._free, self.start = context, free, start
        self.proposed, self.best = 0, -np.inf
        self._rng = np.random.default_rng(context.seed)
        self._breeder = Breeder(context.problem, self._rng, free)
        self._surrogate = Surrogate()
        self._errors = _errors(context, free)
        self._counts: list[IntArray] = []
        self._rewards: list[float] = []
        self._seen: set[bytes] = set()

    @classmethod
    def of_kinds(cls, context: SearchContext) -> list[Lineage]:
        """One line for every kind of decision that meets the budget alone; none where all decisions are of one kind.

        Each begins with its exact allocation. Errors are estimates, and those of pruning and of rounding need not be wrong by
        the same factor: whoever allocates both by them may prune hard what could have been rounded for nothing.
        """
        problem = context.problem
        found = []
        for free in problem.kinds:
            start = np.where(free, problem.lowest, problem.highest)
            if (
                problem.budget.bounds_latency and not problem.fits(start[None])[0]
            ):  # the least is not always the fastest
                start = cheapest(
                    [
                        d if may else _whole(d)
                        for d, may in zip(problem.decisions, free, strict=True)
                    ],
                    problem.usage,
                )
            if not free.all() and problem.budget.bounds and problem.fits(start[None])[0]:
                found.append(cls(context, free, allocate(problem, _errors(context, free), start)))
        return found

    @property
    def size(self) -> int:
        """Policies it was shown that it could have proposed."""
        return len(self._counts)

    def propose(self) -> IntArray:
        """The most promising of all mutants; the first are made without asking what is promising."""
        if self.proposed < _BLIND or not self.size:
            return self._blind()
        problem = self.context.problem
        features, rewards = self._features(np.array(self._counts)), np.array(self._rewards)
        self._surrogate.fit(
            features, rewards, tune=self.proposed % _TUNE == 0 or self.proposed == _BLIND
        )
        parents = np.array(self._counts)[
            np.argsort(self._surrogate.predict(features)[0])[::-1][:_PARENTS]
        ]
        pool = self._breeder.breed(parents, _MUTANTS)
        for _ in range(_GENERATIONS):
            pool = self._by_promise(pool)[:_PARENTS]
            pool = np.concatenate([pool, self._breeder.breed(pool, _MUTANTS)])
        for counts in self._breeder.distinct(self._by_promise(pool)):
            executed = problem.execute(counts / problem.sizes)
            if executed.tobytes() not in self._seen:
                return executed
        return self._breeder.anywhere()

    def learn(self, counts: IntArray, reward: float) -> None:
        """Remember an executed policy, whoever proposed it, if this line could have."""
        problem = self.context.problem
        if counts.tobytes() in self._seen or (counts != problem.highest)[~self._free].any():
            return
        self._seen.add(counts.tobytes())
        self._counts.append(counts)
        self._rewards.append(reward)
        self.best = max(self.best, reward)

    def _by_promise(self, pool: IntArray) -> IntArray:
        """Policies in the order of their expected improvement."""
        order = np.argsort(-self._surrogate.improvement(self._features(pool)), kind="stable")
        return pool[order]

    def _blind(self) -> IntArray:
        """Something to learn from: near the exact allocation, further away, or anywhere."""
        return (
            self._breeder.anywhere()
            if self.proposed % 4 == 3
            else self._decode(0.35 if self.proposed % 2 else 0.7)
        )

    def _decode(self, sigma: float) -> IntArray:
        """Exact allocation over error curves with disturbed coefficients."""
        coefficients = np.exp(self._rng.normal(0, sigma, len(self.context.problem)))
        disturbed = [
            error * coefficient
            for error, coefficient in zip(self._errors, coefficients, strict=True)
        ]
        return allocate(self.context.problem, disturbed, self.start, rounds=2)

    def _features(self, counts: IntArray) -> FloatArray:
        """Square roots of the errors of policies (policies, free decisions): rewards are smoother in them than in widths."""
        problem = self.context.problem
        columns = [
            np.sqrt(
                self._errors[index][
                    np.searchsorted(decision.choices, counts[:, index]).clip(
                        max=len(decision.choices) - 1
                    )
                ]
            )
            for index, decision in enumerate(problem.decisions)
            if self._free[index]
        ]
        return np.stack(columns, axis=1)


def _whole(decision: Decision) -> Decision:
    """Without a choice: all of it is kept."""
    return dataclasses.replace(decision, choices=decision.choices[-1:])


def _errors(context: SearchContext, free: BoolArray) -> list[FloatArray]:
    """Estimated errors by decision and choice; without end where a decision that is not free is less than whole."""
    return [
        error if may else np.append(np.full(len(error) - 1, np.inf), 0.0)
        for error, may in zip(context.errors, free, strict=True)
    ]
