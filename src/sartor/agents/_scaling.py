"""Policies scaled, many at a time, until they just meet a budget."""

from __future__ import annotations

import numpy as np

from sartor.machine import BoolArray, FloatArray, IntArray
from sartor.problem import Problem

#: Factors between which policies are scaled, and halvings of that interval.
_LEAST_FACTOR = 0.2
_LARGEST_FACTOR = 5.0
_HALVINGS = 14


def onto_budget(
    problem: Problem, counts: FloatArray, free: BoolArray, share: float = 1.0
) -> IntArray:
    """Rows (policies, decisions) scaled where they are ``free`` until they just meet the budget.

    ``free`` has the shape of the rows, or is one row for all; ``share`` is that of the budget that
    may be used up. What is smallest of all may exceed it. Only rounded where nothing is bounded.
    """
    counts = np.clip(counts, problem.lowest, problem.highest)
    if not problem.budget.bounds:
        return np.rint(counts).astype(np.int64)

    low = np.full(len(counts), _LEAST_FACTOR)
    high = np.full(len(counts), _LARGEST_FACTOR)
    for _ in range(_HALVINGS):
        # Geometric, so that shrinking and growing are halved alike.
        middle = np.sqrt(low * high)
        rows = scaled(problem, counts, middle, free)
        fits = problem.fits(rows, share)

        low = np.where(fits, middle, low)
        high = np.where(fits, high, middle)
    return scaled(problem, counts, low, free)


def smallest(problem: Problem, counts: FloatArray, free: BoolArray) -> IntArray:
    """Rows (policies, decisions) as small as scaling makes them."""
    least = np.full(len(counts), _LEAST_FACTOR)
    return scaled(problem, counts, least, free)


def scaled(problem: Problem, counts: FloatArray, factors: FloatArray, free: BoolArray) -> IntArray:
    """Rows times ``factors`` (policies,) where they are free, rounded, within the choices."""
    grown = np.where(free, counts * factors[:, None], counts)
    rounded = np.rint(grown)
    bounded = np.clip(rounded, problem.lowest, problem.highest)
    return bounded.astype(np.int64)
