"""Evolution of whole policies, led by a surrogate: of many mutants the one that promises most improvement is scored.

A policy is mutated by moving units between decisions (EvoPress's swaps, Sieberling et al. 2025), by crossing it with another
good one, or by decoding new coefficients of the error curves with the exact allocation (SPDY, Frantar & Alistarh 2022). All
mutants lie on the budget, so nothing is wasted. Scoring one costs as much as predicting thousands: a Gaussian process fitted
to all episodes chooses among them by expected improvement.

A search of channels and bits together holds the searches of each alone: where one kind meets the budget without the other, it
has a line of its own, which is given up once what it found is not the best.
"""

from __future__ import annotations

import numpy as np

from sartor.agents._base import SearchContext, Trajectory, VectorAgent
from sartor.agents._lineage import Lineage
from sartor.agents._rules import knapsack, uniform
from sartor.machine import FloatArray

#: Proposals of a line of one kind before it may be given up.
_TRIAL = 12


class EvolutionAgent(VectorAgent):
    """Elitist evolution with a surrogate; starts from the exact allocation or from whatever policies it is shown."""

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context)
        alone = Lineage.of_kinds(context)
        start = alone[0].start if alone else context.problem.execute(uniform(context))
        self._all = Lineage(context, np.ones(len(context.problem), dtype=np.bool_), start)
        self._lines = [self._all, *alone]
        self._turn = self._all
        self._untried = [line.start for line in alone]

    def propose(self) -> FloatArray:
        """Of the line whose turn it is."""
        sizes = self.context.problem.sizes
        if not self._all.size:
            return knapsack(self.context)
        if self._untried:
            return self._untried.pop(0) / sizes
        self._turn = min(self._lines, key=lambda line: line.proposed)
        return self._turn.propose() / sizes

    def learn(self, trajectory: Trajectory, *, own: bool) -> None:
        """Remember the executed policy, whoever proposed it; go on with the lines that are worth it."""
        counts = np.rint(trajectory.executed * self.context.problem.sizes).astype(np.int64)
        self._turn.proposed += own
        for line in self._lines:
            line.learn(counts, trajectory.reward)
        self._lines = [line for line in self._lines if line is self._all or self._goes_on(line)]

    def _goes_on(self, line: Lineage) -> bool:
        """Whether a line of one kind is on trial still, or holds the best policy of all."""
        return line.proposed < _TRIAL or line.best >= self._all.best
