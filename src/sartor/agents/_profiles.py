"""The hand-made rules of AMC (section 4): profiles of keep ratios, scaled onto the budget."""

from __future__ import annotations

import numpy as np

from sartor.agents._base import SearchContext
from sartor.machine import FloatArray
from sartor.problem import Problem

#: Keep ratios where nothing is bounded.
_WITHOUT_BUDGET = 0.5
#: Halvings of the interval in which the scale is looked for.
_HALVINGS = 50


def uniform(context: SearchContext) -> FloatArray:
    """The same keep ratio everywhere (decisions,)."""
    return _scaled(context.problem, np.ones(len(context.problem)))


def shallow(context: SearchContext) -> FloatArray:
    """Early layers pruned hardest: the ratio rises threefold from the first to the last."""
    return _scaled(context.problem, np.linspace(0.5, 1.5, len(context.problem)))


def deep(context: SearchContext) -> FloatArray:
    """Late layers pruned hardest: the ratio falls to a third from the first to the last."""
    return _scaled(context.problem, np.linspace(1.5, 0.5, len(context.problem)))


def _scaled(problem: Problem, profile: FloatArray) -> FloatArray:
    """Keep ratios proportional to ``profile``, as large as the budget allows."""
    least = problem.lowest / problem.sizes
    most = problem.highest / problem.sizes
    if not problem.budget.bounds:
        ratios = _WITHOUT_BUDGET * profile * most
        return np.maximum(ratios, least)

    low = 0.0
    # At this scale nothing is removed.
    high = 1.0 / float(profile.min())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        ratios = np.clip(middle * profile, least, most)

        if _fits(problem, ratios):
            low = middle
        else:
            high = middle

    return np.clip(low * profile, least, most)


def _fits(problem: Problem, ratios: FloatArray) -> bool:
    counts = np.rint(ratios * problem.sizes).astype(np.int64)
    return bool(problem.fits(counts[None])[0])
