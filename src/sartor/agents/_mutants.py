"""Policies bred from others, all on the budget."""

from __future__ import annotations

import numpy as np

from sartor.machine import BoolArray, FloatArray, IntArray
from sartor.problem import Problem

#: Bits are moved by less than this share of a choice, so that they do not change by it alone.
_JITTER = 0.45


class Breeder:
    """Mutants as counts, (policies, decisions), drawn from ``rng``; decisions that are not ``free`` stay as in the parents."""

    def __init__(self, problem: Problem, rng: np.random.Generator, free: BoolArray) -> None:
        self._problem, self._rng, self._free = problem, rng, free
        self._bits = problem.quantizes & free
        by_kind = [kind & free for kind in problem.kinds if (kind & free).any()]
        self._masks = np.stack([free, *by_kind] if len(by_kind) > 1 else [free])

    def anywhere(self) -> IntArray:
        """A policy (decisions) that has nothing to do with any other; whole where it is not free."""
        counts = self._rng.uniform(self._problem.lowest, self._problem.highest + 1)
        return self._onto_budget(
            np.where(self._free, counts, self._problem.highest)[None], self._free[None]
        )[0]

    def breed(self, parents: IntArray, count: int) -> IntArray:
        """Mutants (count, decisions): a few decisions moved far, many moved little, or two parents crossed."""
        problem, rng = self._problem, self._rng
        span = (problem.highest - problem.lowest).astype(np.float64)
        first = parents[rng.integers(len(parents), size=count)].astype(np.float64)
        second = parents[rng.integers(len(parents), size=count)]
        crossed = (rng.uniform(size=count) < 0.3)[:, None] & (rng.uniform(size=first.shape) < 0.5)
        first = np.where(crossed, second, first)
        share = rng.choice([1.5, 3.0, len(problem)], size=count)[:, None] / len(problem)
        reach = np.exp(rng.uniform(np.log(0.03), np.log(0.4), size=count))[:, None]
        moved = rng.uniform(size=first.shape) < share
        first += self._jitter(first.shape)
        masks = self._chosen_masks(count)
        return self._onto_budget(
            first + (moved & masks) * rng.normal(size=first.shape) * np.maximum(span * reach, 1.0),
            masks,
        )

    def distinct(self, counts: IntArray) -> IntArray:
        """Rows (policies, decisions) moved to the nearest choices, each once, in order: few differ where choices are few."""
        nearest = [
            decision.choices[decision.nearest(column)]
            for decision, column in zip(self._problem.decisions, counts.T, strict=True)
        ]
        return np.array(list({row.tobytes(): row for row in np.stack(nearest, axis=1)}.values()))

    def _jitter(self, shape: tuple[int, ...]) -> FloatArray:
        """What makes bits, which have few choices, change one after the other when they are scaled, in any order."""
        return (
            self._bits * self._rng.uniform(-_JITTER, _JITTER, size=shape)
            if self._bits.any()
            else np.zeros(shape)
        )

    def _chosen_masks(self, count: int) -> BoolArray:
        """Which decisions each of ``count`` mutants may move (mutants, decisions): all that are free, or those of one kind."""
        if len(self._masks) == 1:
            return np.tile(self._free, (count, 1))
        return self._masks[self._rng.integers(len(self._masks), size=count)]

    def _onto_budget(self, counts: FloatArray, free: BoolArray) -> IntArray:
        """Scale what is ``free`` in every row (policies, decisions), or all if that is not enough, to just meet the budget."""
        problem = self._problem
        counts = np.clip(counts, problem.lowest, problem.highest)
        if not problem.budget.bounds:
            return np.rint(counts).astype(np.int64)

        def scaled(factors: FloatArray, free: BoolArray) -> IntArray:
            grown = np.where(free, counts * factors[:, None], counts)
            return np.clip(np.rint(grown), problem.lowest, problem.highest).astype(np.int64)

        low, high = np.full(len(counts), 0.2), np.full(len(counts), 5.0)
        free = free | (self._free & ~problem.fits(scaled(low, free))[:, None])
        for _ in range(14):
            middle = np.sqrt(low * high)
            fits = problem.fits(scaled(middle, free))
            low, high = np.where(fits, middle, low), np.where(fits, high, middle)
        return scaled(low, free)
