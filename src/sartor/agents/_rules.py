"""Rules as agents: each proposes one policy, every time."""

from __future__ import annotations

from abc import abstractmethod

from sartor.agents._allocation import knapsack
from sartor.agents._base import SearchContext, Trajectory, VectorAgent
from sartor.agents._greedy import greedy
from sartor.agents._profiles import deep, shallow, uniform
from sartor.machine import FloatArray


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
