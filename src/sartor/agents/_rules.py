"""Rules that need no search: the hand-made baselines of AMC (section 4), greedy removal and exact allocation."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from sartor.agents._base import SearchContext, Trajectory, VectorAgent
from sartor.machine import FloatArray, IntArray
from sartor.problem import Decision, Problem

#: Budget resolution of the exact allocation.
_BUCKETS = 2000


def scaled(problem: Problem, profile: FloatArray) -> FloatArray:
    """Keep ratios proportional to ``profile``, as large as the budget allows (half of what there is without one)."""
    low, high = 0.0, 1.0 / float(profile.min())
    least, most = problem.lowest / problem.sizes, problem.highest / problem.sizes
    if not problem.budget.bounds:
        return np.clip(0.5 * profile * most, least, most)
    for _ in range(50):
        middle = (low + high) / 2
        ratios = np.clip(middle * profile, least, most)
        affordable = problem.fits(np.rint(ratios * problem.sizes).astype(np.int64)[None])[0]
        low, high = (middle, high) if affordable else (low, middle)
    return np.clip(low * profile, least, most)


def uniform(context: SearchContext) -> FloatArray:
    """The same keep ratio everywhere."""
    return scaled(context.problem, np.ones(len(context.problem)))


def shallow(context: SearchContext) -> FloatArray:
    """Early layers pruned hardest: the ratio rises threefold from the first decision to the last."""
    return scaled(context.problem, np.linspace(0.5, 1.5, len(context.problem)))


def deep(context: SearchContext) -> FloatArray:
    """Late layers pruned hardest."""
    return scaled(context.problem, np.linspace(1.5, 0.5, len(context.problem)))


def greedy(context: SearchContext) -> FloatArray:
    """One choice at a time, give up what adds least error for what it saves, until the budget holds (NetAdapt-like)."""
    problem, errors = context.problem, context.errors
    level = np.array([len(decision.choices) - 1 for decision in problem.decisions])
    counts = problem.highest.copy()
    while level.any() and not problem.fits(counts[None])[0]:
        movable = np.flatnonzero(level > 0)
        rows = np.repeat(counts[None], len(movable), axis=0)
        steps = np.maximum(1, np.ceil(0.05 * problem.sizes[movable]).astype(np.int64))
        target = np.array(
            [
                _below(problem.decisions[d], level[d], step)
                for d, step in zip(movable, steps, strict=True)
            ]
        )
        rows[np.arange(len(movable)), movable] = [
            problem.decisions[d].choices[t] for d, t in zip(movable, target, strict=True)
        ]
        saved = problem.usage(counts[None])[0] - problem.usage(rows)
        added = np.array(
            [errors[d][t] - errors[d][level[d]] for d, t in zip(movable, target, strict=True)]
        )
        best = int(np.argmin(added / np.maximum(saved, 1e-12)))
        level[movable[best]] = target[best]
        counts = rows[best]
    return counts / problem.sizes


def _below(decision: Decision, level: int, step: int) -> int:
    """The place of the least choice within ``step`` of that at a ``level``, or of the next below if there is none."""
    return min(level - 1, int(np.searchsorted(decision.choices, decision.choices[level] - step)))


def knapsack(context: SearchContext) -> FloatArray:
    """Least summed error under the budget (SPDY's allocation, Frantar & Alistarh 2022, with measured errors).

    Never worse than :func:`uniform` or :func:`greedy`: the allocation improves on each of them, and the better is taken.
    """
    problem, errors = context.problem, context.errors
    starts = [problem.execute(rule(context)) for rule in (uniform, greedy)]
    allocations = [allocate(problem, errors, start) for start in starts]
    return (
        min(allocations, key=lambda counts: _total_error(problem, errors, counts)) / problem.sizes
    )


def allocate(
    problem: Problem, errors: list[FloatArray], start: IntArray, rounds: int = 3
) -> IntArray:
    """Counts with the least summed ``errors`` (per decision, per choice) under the budget, by dynamic programming.

    Costs of coupled layers multiply; each round takes them as linear around the counts of the round before, and the
    executed projection makes the result affordable exactly. The best of ``start`` and all rounds is returned.
    """
    counts = start
    best, least = start, _total_error(problem, errors, start)
    for _ in range(rounds):
        counts = problem.execute(_linear_allocation(problem, errors, counts) / problem.sizes)
        total = _total_error(problem, errors, counts)
        if total < least:
            best, least = counts, total
    return best


def _total_error(problem: Problem, errors: list[FloatArray], counts: IntArray) -> float:
    levels = [
        int(np.searchsorted(decision.choices, count))
        for decision, count in zip(problem.decisions, counts, strict=True)
    ]
    return float(sum(error[level] for error, level in zip(errors, levels, strict=True)))


def _linear_allocation(problem: Problem, errors: list[FloatArray], around: IntArray) -> IntArray:
    """Dynamic programming over (decision, budget spent), with each decision's cost taken alone around given counts."""
    here = float(problem.usage(around[None])[0])
    costs = []
    for index, decision in enumerate(problem.decisions):
        rows = np.repeat(around[None], len(decision.choices), axis=0)
        rows[:, index] = decision.choices
        costs.append(problem.usage(rows))
    least = (
        np.array([cost.min() for cost in costs]) - here
    )  # not always the smallest choice: latency need not rise with width
    room = 1.0 - (
        here + float(least.sum())
    )  # what is left when every decision takes its cheapest choice
    if room <= 0:
        return problem.cheapest()
    best = np.zeros(_BUCKETS + 1)
    picks = []
    for cost, error in zip(costs, errors, strict=True):
        price = np.ceil((cost - cost.min()) / room * _BUCKETS).astype(np.int64)
        candidates = np.full((len(price), _BUCKETS + 1), np.inf)
        for row, (p, e) in enumerate(zip(price.tolist(), error.tolist(), strict=True)):
            if p <= _BUCKETS:
                candidates[row, p:] = best[: _BUCKETS + 1 - p] + e
        picks.append((candidates.argmin(0), price))
        best = candidates.min(0)
    counts = np.empty(len(problem), dtype=np.int64)
    spent = _BUCKETS
    for index in range(len(problem) - 1, -1, -1):
        choice, price = picks[index]
        counts[index] = problem.decisions[index].choices[choice[spent]]
        spent -= int(price[choice[spent]])
    return counts


class RuleAgent(VectorAgent):
    """Proposes one rule's policy, every time."""

    @staticmethod
    @abstractmethod
    def rule(context: SearchContext) -> FloatArray:
        """Keep ratios of all decisions."""

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context)
        self._ratios = self.rule(context)

    def propose(self) -> FloatArray:
        """The rule's ratios."""
        return self._ratios

    def learn(self, trajectory: Trajectory, *, own: bool) -> None:
        """Rules do not learn."""


class UniformAgent(RuleAgent):
    """The same keep ratio everywhere."""

    rule = staticmethod(uniform)


class ShallowAgent(RuleAgent):
    """Early layers pruned hardest."""

    rule = staticmethod(shallow)


class DeepAgent(RuleAgent):
    """Late layers pruned hardest."""

    rule = staticmethod(deep)


class GreedyAgent(RuleAgent):
    """What adds least error for what it saves is given up first."""

    rule = staticmethod(greedy)


class KnapsackAgent(RuleAgent):
    """The exact allocation of least summed error."""

    rule = staticmethod(knapsack)
