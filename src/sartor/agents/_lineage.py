"""A line of descent: policies bred from each other, led by a surrogate of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from sartor.agents._allocation import allocate
from sartor.agents._base import SearchContext
from sartor.agents._mutants import Breeder
from sartor.agents._surrogate import Surrogate
from sartor.machine import BoolArray, FloatArray, IntArray
from sartor.problem import Decision, Problem, cheapest

#: Mutants of a generation, and generations bred on predictions alone, for each proposal.
_MUTANTS = 96
_GENERATIONS = 3
#: Policies that may be parents.
_PARENTS = 8
#: Policies proposed before the surrogate leads.
_BLIND = 8
#: How much doubt counts in favour of a policy, in standard deviations.
_CURIOSITY = 0.5
#: Every so many proposals the surrogate's hyperparameters are chosen anew.
_TUNE = 10
#: Of the proposals before the surrogate leads, every fourth may be anywhere; the others disturb
#: the error curves by factors of this spread in turn.
_ANYWHERE = 4
_SPREADS = (0.7, 0.35)


class Lineage:
    """Proposes policies that differ in ``free`` decisions only and leave the others whole.

    Attributes:
        free: Which decisions may differ (decisions,).
        start: What its exact allocations begin with (decisions,).
        errors: By which it goes: of all choices, infinite where a decision that is not free is
            less than whole.
        proposed: How many of its own proposals were carried out.
        best: The largest reward among the policies it was shown and could have proposed.
    """

    def __init__(self, context: SearchContext, free: BoolArray, start: IntArray) -> None:
        self.context = context
        self.free = free
        self.start = start
        self.errors = _free_errors(context.errors, free)
        self.proposed = 0
        self.best = -np.inf

        self._rng = np.random.default_rng(context.seed)
        self._breeder = Breeder(context.problem, self._rng, free)
        self._surrogate = Surrogate()

        self._counts: list[IntArray] = []
        self._rewards: list[float] = []
        self._is_fitted = False
        # Policies by the bytes of their counts: arrays have no hash.
        self._seen: set[bytes] = set()

    @classmethod
    def of_kinds(cls, context: SearchContext) -> list[Lineage]:
        """One for every kind of decision that meets the budget alone.

        None where all decisions are of one kind. Each begins with its exact allocation. Errors are
        estimates, and those of pruning and of rounding need not be wrong by the same factor: an
        allocation of both may prune hard what could have been rounded for nothing.
        """
        problem = context.problem
        if not problem.budget.bounds or len(problem.kinds) < 2:
            return []

        lineages = []
        for free in problem.kinds:
            least = _least(problem, free)
            if not problem.fits(least[None])[0]:
                continue

            errors = _free_errors(context.errors, free)
            start = allocate(problem, errors, least)
            lineages.append(cls(context, free, start))

        return lineages

    @property
    def size(self) -> int:
        """Policies it was shown that it could have proposed."""
        return len(self._counts)

    @property
    def leads(self) -> bool:
        """Whether there is enough for the surrogate to lead; before, proposals are blind."""
        return self.proposed >= _BLIND and self.size > 0

    def believe(self, errors: Sequence[FloatArray]) -> None:
        """Go by other errors than those of the context."""
        self.errors = _free_errors(errors, self.free)
        self._is_fitted = False

    def hopes(self, counts: IntArray) -> FloatArray:
        """What policies (policies, decisions) may be worth, doubts in their favour (policies,).

        Once it `leads`.
        """
        self._fit()
        expected, doubt = self._surrogate.predict(self._features(counts))
        return expected + _CURIOSITY * doubt

    def propose(self, suggested: IntArray | None = None) -> IntArray:
        """The most promising of all mutants, of what was ``suggested`` (policies, decisions) too.

        The first are made without asking the surrogate.
        """
        if not self.leads:
            return self._blind()

        problem = self.context.problem
        for counts in self._promising(suggested):
            executed = problem.execute(counts / problem.sizes)
            # Scores are kept: a policy that was scored before teaches nothing.
            if executed.tobytes() not in self._seen:
                return executed

        return self._breeder.anywhere()

    def learn(self, counts: IntArray, reward: float) -> None:
        """Remember an executed policy, whoever proposed it, if this lineage could have."""
        changed = counts != self.context.problem.highest
        foreign = changed[~self.free].any()
        content = counts.tobytes()
        if foreign or content in self._seen:
            return

        self._is_fitted = False
        self._seen.add(content)
        self._counts.append(counts)
        self._rewards.append(reward)
        self.best = max(self.best, reward)

    def _promising(self, suggested: IntArray | None = None) -> IntArray:
        """Mutants of some generations (policies, decisions), those of most promise first."""
        pool = self._breeder.breed(self._parents(), _MUTANTS)
        if suggested is not None:
            pool = np.concatenate([pool, suggested])
        for _ in range(_GENERATIONS):
            best = self._by_promise(pool)[:_PARENTS]
            children = self._breeder.breed(best, _MUTANTS)
            # Parents may stay: children need not be better.
            pool = np.concatenate([best, children])

        ordered = self._by_promise(pool)
        return self._breeder.distinct(ordered)

    def _fit(self) -> None:
        """Fit the surrogate to all policies that it was shown, unless it is."""
        if self._is_fitted:
            return
        # Not each time: choosing a kernel takes much longer than fitting one.
        tune = self.proposed % _TUNE == 0 or self.proposed == _BLIND
        features = self._features(np.array(self._counts))
        self._surrogate.fit(features, np.array(self._rewards), tune=tune)
        self._is_fitted = True

    def _parents(self) -> IntArray:
        """The policies it was shown of which the surrogate expects most."""
        self._fit()
        known = np.array(self._counts)
        features = self._features(known)

        # What is expected of a policy owes less to luck than its reward.
        expected, _ = self._surrogate.predict(features)
        best_first = np.argsort(expected)[::-1]
        best = best_first[:_PARENTS]
        return known[best]

    def _by_promise(self, pool: IntArray) -> IntArray:
        """Policies in the order of their expected improvement."""
        features = self._features(pool)
        improvement = self._surrogate.improvement(features)
        best_first = np.argsort(-improvement, kind="stable")
        return pool[best_first]

    def _blind(self) -> IntArray:
        """Something to learn from: near the exact allocation, further away, or anywhere."""
        if self.proposed % _ANYWHERE == _ANYWHERE - 1:
            return self._breeder.anywhere()

        turn = self.proposed % len(_SPREADS)
        return self._decode(_SPREADS[turn])

    def _decode(self, spread: float) -> IntArray:
        """Exact allocation over error curves times log-normal factors."""
        problem = self.context.problem
        exponents = self._rng.normal(0, spread, len(problem))
        factors = np.exp(exponents)
        curves = [curve * factor for curve, factor in zip(self.errors, factors, strict=True)]
        return allocate(problem, curves, self.start, rounds=2)

    def _features(self, counts: IntArray) -> FloatArray:
        """Square roots of the errors of policies (policies, free decisions).

        Rewards are smoother in them than in widths.
        """
        columns = []
        for index in np.flatnonzero(self.free):
            choices = self.context.problem.decisions[index].choices
            last = len(choices) - 1

            # Mutants may lie between choices, even above the last.
            places = np.searchsorted(choices, counts[:, index])
            errors = self.errors[index][places.clip(max=last)]
            columns.append(np.sqrt(errors))

        return np.stack(columns, axis=1)


def _least(problem: Problem, free: BoolArray) -> IntArray:
    """Counts that use up least of the budget where only ``free`` decisions give anything up."""
    smallest = np.where(free, problem.lowest, problem.highest)
    # What is smallest is not always fastest, nor does it take least of a device.
    if problem.budget.bounds_hardware and not problem.fits(smallest[None])[0]:
        return cheapest(_without_choice(problem.decisions, ~free), problem.usage)
    return smallest


def _without_choice(decisions: Sequence[Decision], fixed: BoolArray) -> list[Decision]:
    """The decisions, of which those that are ``fixed`` keep everything."""
    return [
        dataclasses.replace(decision, choices=decision.choices[-1:]) if is_fixed else decision
        for decision, is_fixed in zip(decisions, fixed, strict=True)
    ]


def _free_errors(errors: Sequence[FloatArray], free: BoolArray) -> list[FloatArray]:
    """Errors of all choices; infinite where a decision that is not free is less than whole."""
    found = []
    for curve, is_free in zip(errors, free, strict=True):
        if is_free:
            found.append(curve)
        else:
            only_whole = np.full(len(curve), np.inf)
            only_whole[-1] = 0.0
            found.append(only_whole)
    return found
