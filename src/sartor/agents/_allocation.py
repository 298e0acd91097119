"""Exact allocation: the least summed error under the budget, by dynamic programming."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sartor.agents._base import SearchContext
from sartor.agents._greedy import greedy
from sartor.agents._profiles import uniform
from sartor.machine import FloatArray, IntArray
from sartor.problem import Problem

#: Parts that the budget is cut into.
_BUCKETS = 2000


def knapsack(context: SearchContext) -> FloatArray:
    """Keep ratios (decisions,) of least summed error under the budget.

    SPDY's allocation (Frantar & Alistarh 2022) with measured errors. Never worse than `uniform` or
    `greedy`: it improves on each of them, and the better is taken.
    """
    problem = context.problem
    errors = context.errors
    allocations = []
    for rule in (uniform, greedy):
        start = problem.execute(rule(context))
        allocations.append(allocate(problem, errors, start))

    def error(counts: IntArray) -> float:
        return total_error(problem, errors, counts)

    best = min(allocations, key=error)
    return best / problem.sizes


def allocate(
    problem: Problem, errors: Sequence[FloatArray], start: IntArray, rounds: int = 3
) -> IntArray:
    """Counts (decisions,) with the least summed ``errors`` (of each decision's choices).

    Costs of coupled layers multiply; each round takes them as linear around the counts of the
    round before, and carrying the result out makes it meet the budget exactly. The best of
    ``start`` and all rounds is returned.
    """
    counts = start
    best = start
    least = total_error(problem, errors, start)

    for _ in range(rounds):
        linear = _linear_allocation(problem, errors, counts)
        counts = problem.execute(linear / problem.sizes)
        total = total_error(problem, errors, counts)
        if total < least:
            best = counts
            least = total

    return best


def total_error(problem: Problem, errors: Sequence[FloatArray], counts: IntArray) -> float:
    """The sum of the errors of a policy (decisions,)."""
    total = 0.0
    for decision, curve, count in zip(problem.decisions, errors, counts, strict=True):
        place = int(np.searchsorted(decision.choices, count))
        total += float(curve[place])
    return total


def _linear_allocation(
    problem: Problem, errors: Sequence[FloatArray], around: IntArray
) -> IntArray:
    """Counts of least error if each decision's cost is that which it has alone around others.

    The budget beyond the cheapest choices is cut into buckets. For each decision in turn, and for
    each number of buckets spent so far, the choice of least error is kept.
    """
    costs = _costs_alone(problem, around)
    room = _room(problem, costs, around)
    if room <= 0:
        return problem.cheapest()

    prices = [_price(cost, room) for cost in costs]
    chosen = []
    # Before the first decision nothing is lost, however much may be spent.
    least = np.zeros(_BUCKETS + 1)

    for price, error in zip(prices, errors, strict=True):
        table = _with_decision(least, price, error)
        chosen.append(table.argmin(0))
        least = table.min(0)

    # What may be chosen at all costs more than there is, if other choices are the cheapest.
    if not np.isfinite(least[-1]):
        return problem.cheapest()
    return _trace_back(problem, prices, chosen)


def _costs_alone(problem: Problem, around: IntArray) -> list[FloatArray]:
    """What the budget's usage is with each choice of each decision, all others as they are."""
    costs = []
    for index, decision in enumerate(problem.decisions):
        choices = decision.choices
        rows = np.repeat(around[None], len(choices), axis=0)
        rows[:, index] = choices

        # All choices of a decision at once: one call is much faster than one for each.
        usage = problem.usage(rows)
        costs.append(usage)

    return costs


def _room(problem: Problem, costs: Sequence[FloatArray], around: IntArray) -> float:
    """The share of the budget that is left when every decision takes its cheapest choice.

    That is not always the smallest: latency need not rise with width.
    """
    here = float(problem.usage(around[None])[0])
    cheapest = np.array([cost.min() for cost in costs])
    changes = cheapest - here
    return 1.0 - (here + float(changes.sum()))


def _price(cost: FloatArray, room: float) -> IntArray:
    """Buckets of each choice of a decision."""
    buckets = np.ceil((cost - cost.min()) / room * _BUCKETS)
    return buckets.astype(np.int64)


def _with_decision(least: FloatArray, price: IntArray, error: FloatArray) -> FloatArray:
    """Summed error by a decision's choice and buckets spent (choices, buckets + 1).

    ``least`` is that of all decisions before, by buckets spent.
    """
    shape = (len(price), _BUCKETS + 1)
    table = np.full(shape, np.inf)
    for choice, buckets in enumerate(price.tolist()):
        # What the budget cannot pay stays infinite.
        if buckets > _BUCKETS:
            continue

        # The decisions before had that many buckets less to spend.
        left = _BUCKETS - buckets
        before = least[: left + 1]
        table[choice, buckets:] = before + float(error[choice])

    return table


def _trace_back(
    problem: Problem, prices: Sequence[IntArray], chosen: Sequence[IntArray]
) -> IntArray:
    """Counts (decisions,), from the last decision to the first, with all buckets to spend."""
    counts = np.empty_like(problem.sizes)
    left = _BUCKETS

    for index in reversed(range(len(problem))):
        choice = int(chosen[index][left])
        choices = problem.decisions[index].choices
        counts[index] = choices[choice]

        # What was best for the decisions before depends on what this one leaves them.
        price = int(prices[index][choice])
        left -= price

    return counts
