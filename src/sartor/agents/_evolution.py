"""Evolution of whole policies, led by a surrogate.

A policy is mutated by moving units between decisions (EvoPress's swaps, Sieberling et al. 2025),
by crossing it with another good one, or by decoding new coefficients of the error curves with the
exact allocation (SPDY, Frantar & Alistarh 2022). All mutants lie on the budget, so nothing is
wasted. Scoring one costs as much as predicting thousands: a Gaussian process fitted to all episodes
chooses the mutant of the largest expected improvement.

A search of channels and bits together holds the searches of each alone: where one kind meets the
budget without the other, it has a lineage of its own, which is given up once what it found is not
the best.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sartor.agents._allocation import knapsack
from sartor.agents._base import SearchContext, Trajectory, VectorAgent
from sartor.agents._lineage import Lineage
from sartor.agents._profiles import uniform
from sartor.machine import FloatArray, IntArray

#: Proposals of a lineage of one kind before it may be given up.
_TRIAL = 12


class EvolutionAgent(VectorAgent):
    """Elitist evolution with a surrogate.

    Starts from the exact allocation, or from whatever policies it is shown.
    """

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context)
        alone = Lineage.of_kinds(context)
        self._whole = _whole_lineage(context, alone)
        self._lineages = [self._whole, *alone]
        self._turn = self._whole
        # Exact allocations of one kind, each carried out once before any is bred from.
        self._untried = [lineage.start for lineage in alone]

    def propose(self) -> FloatArray:
        """Of the lineage whose turn it is: the one that has proposed least."""
        sizes = self.context.problem.sizes
        # Nothing to breed from yet.
        if not self._whole.size:
            return knapsack(self.context)

        if self._untried:
            first = self._untried.pop(0)
            return first / sizes

        self._turn = min(self._lineages, key=lambda lineage: lineage.proposed)
        counts = self._turn.propose(self._suggested(self._turn))
        return counts / sizes

    def learn(self, trajectory: Trajectory, *, own: bool) -> None:
        """Remember the executed policy, whoever proposed it; drop lineages not worth it."""
        counts = self._executed(trajectory)
        self._turn.proposed += own

        for lineage in self._lineages:
            lineage.learn(counts, trajectory.reward)

        # Only now: any of them may just have found the best.
        self._lineages = [lineage for lineage in self._lineages if self._goes_on(lineage)]

    def _suggested(self, lineage: Lineage) -> IntArray | None:
        """Policies (policies, decisions) to breed from beside those that were scored, if any."""
        return None

    def _executed(self, trajectory: Trajectory) -> IntArray:
        sizes = self.context.problem.sizes
        return np.rint(trajectory.executed * sizes).astype(np.int64)

    def _goes_on(self, lineage: Lineage) -> bool:
        """Whether a lineage is on trial still, or holds the best policy of all."""
        return lineage.proposed < _TRIAL or lineage.best >= self._whole.best


def _whole_lineage(context: SearchContext, alone: Sequence[Lineage]) -> Lineage:
    """The lineage that may change everything; it begins with an allocation of one kind if any."""
    problem = context.problem
    everything = np.ones(len(problem), dtype=np.bool_)
    start = alone[0].start if alone else problem.execute(uniform(context))
    return Lineage(context, everything, start)
