"""Policies bred from others, all on the budget."""

from __future__ import annotations

import numpy as np

from sartor.agents._scaling import onto_budget, smallest
from sartor.machine import BoolArray, FloatArray, IntArray
from sartor.problem import Problem

#: Bits are moved by less than this share of a choice, so that they do not change by it alone.
_JITTER = 0.45
#: Share of the mutants that have two parents.
_CROSSED = 0.3
#: How many decisions are moved on average, where not all are.
_FEW = 1.5
_SOME = 3.0
#: How far they are moved, as shares of their range.
_NEAR = 0.03
_FAR = 0.4


class Breeder:
    """Draws mutants, as counts (policies, decisions), from ``rng``.

    Decisions that are not ``free`` (decisions,) stay as in the parents.
    """

    def __init__(self, problem: Problem, rng: np.random.Generator, free: BoolArray) -> None:
        self._problem = problem
        self._rng = rng
        self._free = free
        self._free_bits = problem.quantizes & free
        self._masks = _masks(problem, free)

    def anywhere(self) -> IntArray:
        """A policy (decisions,) that is near to no other; whole where it is not free."""
        problem = self._problem
        drawn = self._rng.uniform(problem.lowest, problem.highest + 1)
        counts = np.where(self._free, drawn, problem.highest)
        on_budget = self._onto_budget(counts[None], self._free[None])
        return on_budget[0]

    def breed(self, parents: IntArray, count: int) -> IntArray:
        """Mutants (count, decisions) of parents (policies, decisions).

        A few decisions are moved far or many a little, of one parent or of two that are crossed.
        """
        mutants = self._crossed(parents, count)
        chances = self._chances(count)
        distances = self._distances(count)
        moved = self._rng.uniform(size=mutants.shape) < chances

        mutants += self._jitter(mutants.shape)
        masks = self._chosen_masks(count)
        directions = self._rng.normal(size=mutants.shape)
        moves = (moved & masks) * directions
        mutants += moves * distances
        return self._onto_budget(mutants, masks)

    def distinct(self, counts: IntArray) -> IntArray:
        """Rows (policies, decisions) moved to the nearest choices, each once, in order.

        Few differ where choices are few.
        """
        columns = []
        for decision, column in zip(self._problem.decisions, counts.T, strict=True):
            nearest = decision.nearest(column)
            columns.append(decision.choices[nearest])
        rows = np.stack(columns, axis=1)

        # A dictionary keeps the order of rows; numpy.unique would sort them.
        by_content = {}
        for row in rows:
            by_content[row.tobytes()] = row
        return np.array(list(by_content.values()))

    def _crossed(self, parents: IntArray, count: int) -> FloatArray:
        """Parents (count, decisions); some have each decision from either of two."""
        first = self._drawn(parents, count).astype(np.float64)
        second = self._drawn(parents, count)
        has_two = self._rng.uniform(size=count) < _CROSSED

        # Drawn for every row, crossed or not: one call is faster than one for each that is.
        of_second = self._rng.uniform(size=first.shape) < 0.5
        takes_second = has_two[:, None] & of_second
        return np.where(takes_second, second, first)

    def _drawn(self, parents: IntArray, count: int) -> IntArray:
        places = self._rng.integers(len(parents), size=count)
        return parents[places]

    def _chances(self, count: int) -> FloatArray:
        """How likely it is that a mutant has a decision moved (count, 1)."""
        decisions = len(self._problem)
        expected = self._rng.choice([_FEW, _SOME, decisions], size=count)
        chances = expected / decisions
        return chances[:, None]

    def _distances(self, count: int) -> FloatArray:
        """How far each decision of a mutant is moved if it is (count, decisions)."""
        nearest = np.log(_NEAR)
        farthest = np.log(_FAR)
        exponents = self._rng.uniform(nearest, farthest, size=count)
        reach = np.exp(exponents)

        problem = self._problem
        span = problem.highest - problem.lowest
        # Less than a unit would mostly be rounded away.
        return np.maximum(span * reach[:, None], 1.0)

    def _jitter(self, shape: tuple[int, ...]) -> FloatArray:
        """What makes bits, of few choices, change one after the other when they are scaled."""
        if not self._free_bits.any():
            return np.zeros(shape)
        return self._free_bits * self._rng.uniform(-_JITTER, _JITTER, size=shape)

    def _chosen_masks(self, count: int) -> BoolArray:
        """What each mutant may move (count, decisions): all that is free, or one kind of it."""
        places = self._rng.integers(len(self._masks), size=count)
        return self._masks[places]

    def _onto_budget(self, counts: FloatArray, free: BoolArray) -> IntArray:
        """Rows (policies, decisions) with what is ``free`` in each scaled to just meet the budget.

        Where that is not enough, all is scaled that the breeder may move.
        """
        problem = self._problem
        counts = np.clip(counts, problem.lowest, problem.highest)
        least = smallest(problem, counts, free)
        too_much = ~problem.fits(least)
        enough = free | (self._free & too_much[:, None])
        return onto_budget(problem, counts, enough)


def _masks(problem: Problem, free: BoolArray) -> BoolArray:
    """What a mutant may move (masks, decisions): all that is free, or one kind of it."""
    by_kind = []
    for kind in problem.kinds:
        free_of_kind = kind & free
        if free_of_kind.any():
            by_kind.append(free_of_kind)

    # A single kind is all that is free already.
    if len(by_kind) < 2:
        return np.stack([free])
    return np.stack([free, *by_kind])
