"""Policies bred from others, all on the budget."""

from __future__ import annotations

import numpy as np

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
#: Factors between which policies are scaled onto the budget, and halvings of that interval.
_LEAST_FACTOR = 0.2
_LARGEST_FACTOR = 5.0
_HALVINGS = 14


class Breeder:
    """Draws mutants, as counts (policies, decisions), from ``rng``.

    Decisions that are not ``free`` (decisions,) stay as in the parents.
    """

    def __init__(self, problem: Problem, rng: np.random.Generator, free: BoolArray) -> None:
        self._problem = problem
        self._rng = rng
        self._free = free
        self._free_bits = problem.quantizes & free
        by_kind = [kind & free for kind in problem.kinds if (kind & free).any()]
        self._masks = np.stack([free, *by_kind] if len(by_kind) > 1 else [free])

    def anywhere(self) -> IntArray:
        """A policy (decisions,) that is near to no other; whole where it is not free."""
        problem = self._problem
        drawn = self._rng.uniform(problem.lowest, problem.highest + 1)
        counts = np.where(self._free, drawn, problem.highest)
        return self._onto_budget(counts[None], self._free[None])[0]

    def breed(self, parents: IntArray, count: int) -> IntArray:
        """Mutants (count, decisions) of parents (policies, decisions).

        A few decisions are moved far or many a little, of one parent or of two that are crossed.
        """
        problem = self._problem
        span = (problem.highest - problem.lowest).astype(np.float64)
        mutants = self._crossed(parents, count)
        share = self._rng.choice([_FEW, _SOME, len(problem)], size=count) / len(problem)
        reach = np.exp(self._rng.uniform(np.log(_NEAR), np.log(_FAR), size=count))
        moved = self._rng.uniform(size=mutants.shape) < share[:, None]

        mutants += self._jitter(mutants.shape)
        masks = self._chosen_masks(count)
        directions = (moved & masks) * self._rng.normal(size=mutants.shape)
        mutants += directions * np.maximum(span * reach[:, None], 1.0)
        return self._onto_budget(mutants, masks)

    def distinct(self, counts: IntArray) -> IntArray:
        """Rows (policies, decisions) moved to the nearest choices, each once, in order.

        Few differ where choices are few.
        """
        columns = []
        for decision, column in zip(self._problem.decisions, counts.T, strict=True):
            columns.append(decision.choices[decision.nearest(column)])
        rows = np.stack(columns, axis=1)
        by_content = {row.tobytes(): row for row in rows}
        return np.array(list(by_content.values()))

    def _crossed(self, parents: IntArray, count: int) -> FloatArray:
        """Parents (count, decisions); some have each decision from either of two."""
        first = parents[self._rng.integers(len(parents), size=count)].astype(np.float64)
        second = parents[self._rng.integers(len(parents), size=count)]
        has_two = self._rng.uniform(size=count) < _CROSSED
        of_second = self._rng.uniform(size=first.shape) < 0.5
        return np.where(has_two[:, None] & of_second, second, first)

    def _jitter(self, shape: tuple[int, ...]) -> FloatArray:
        """What makes bits, of few choices, change one after the other when they are scaled."""
        if not self._free_bits.any():
            return np.zeros(shape)
        return self._free_bits * self._rng.uniform(-_JITTER, _JITTER, size=shape)

    def _chosen_masks(self, count: int) -> BoolArray:
        """What each mutant may move (count, decisions): all that is free, or one kind of it."""
        if len(self._masks) == 1:
            return np.tile(self._free, (count, 1))
        return self._masks[self._rng.integers(len(self._masks), size=count)]

    def _onto_budget(self, counts: FloatArray, free: BoolArray) -> IntArray:
        """Rows (policies, decisions) with what is ``free`` in each scaled to just meet the budget.

        Where that is not enough, all is scaled that the breeder may move.
        """
        problem = self._problem
        counts = np.clip(counts, problem.lowest, problem.highest)
        if not problem.budget.bounds:
            return np.rint(counts).astype(np.int64)

        low = np.full(len(counts), _LEAST_FACTOR)
        high = np.full(len(counts), _LARGEST_FACTOR)
        too_much = ~problem.fits(self._scaled(counts, low, free))
        free = free | (self._free & too_much[:, None])
        for _ in range(_HALVINGS):
            middle = np.sqrt(low * high)
            fits = problem.fits(self._scaled(counts, middle, free))
            low = np.where(fits, middle, low)
            high = np.where(fits, high, middle)
        return self._scaled(counts, low, free)

    def _scaled(self, counts: FloatArray, factors: FloatArray, free: BoolArray) -> IntArray:
        grown = np.where(free, counts * factors[:, None], counts)
        rounded = np.rint(grown)
        return np.clip(rounded, self._problem.lowest, self._problem.highest).astype(np.int64)
