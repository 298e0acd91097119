"""A planner: a model of whole policies, an actor trained in it, and real episodes to correct both.

Scoring a candidate takes seconds, asking a model takes microseconds. An ensemble learns from all
episodes what policies are worth; an actor, conditioned on the budget, is trained by the policy
gradient on episodes that are only imagined (as in Dyna, Sutton 1991); what it proposes is improved
by evolution within the model, and the policy that the ensemble finds best, doubts counted in its
favour, is carried out. What is learned of layers is known by their features, so that episodes of
other budgets and of other networks teach something, too (`SearchContext.experience`).
"""

from __future__ import annotations

import numpy as np
import torch

from sartor.agents._allocation import knapsack
from sartor.agents._base import SearchContext, Trajectory, VectorAgent
from sartor.agents._mutants import Breeder
from sartor.agents.planner._experience import Decisions, Experience
from sartor.agents.planner._imagination import Imagination
from sartor.agents.planner._world_model import WorldModel
from sartor.machine import FloatArray, IntArray

#: Steps of the model and updates of the actor, before the first proposal and before each later one.
_FIRST_STEPS = 200
_STEPS = 25
_FIRST_UPDATES = 60
_UPDATES = 8
#: Policies that the actor proposes and that are bred from the best, and generations of these.
_PROPOSED = 48
_BRED = 96
_GENERATIONS = 3
_PARENTS = 8
#: How much a policy's doubt counts in its favour, in standard deviations of the ensemble.
_CURIOSITY = 0.7


class PlannerAgent(VectorAgent):
    """Model-based reinforcement learning on whole policies; begins with the exact allocation."""

    weighs_errors = True

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context)
        problem = context.problem
        self._rng = np.random.default_rng(context.seed)
        self._generator = torch.Generator().manual_seed(context.seed)
        self._decisions = Decisions.of(context)
        everything = np.ones(len(problem), dtype=np.bool_)
        self._breeder = Breeder(problem, self._rng, everything)

        start = problem.execute(knapsack(context))
        self._start = start
        self._imagination = Imagination(problem, self._decisions, start, self._rng, self._generator)
        features = self._decisions.features_of(start[None]).shape[2]
        self._model = WorldModel(features, self._generator)
        self._is_new = True

        self._counts: list[IntArray] = []
        self._rewards: list[float] = []
        # Policies by the bytes of their counts: arrays have no hash.
        self._seen: set[bytes] = set()

    def propose(self) -> FloatArray:
        """The policy of most promise; the exact allocation where nothing is known yet."""
        problem = self.context.problem
        sizes = problem.sizes
        if len(self._counts) < 2:
            counts = self._start if not self._counts else self._breeder.anywhere()
            return counts / sizes

        self._learn()
        for counts in self._by_promise(self._pool()):
            executed = problem.execute(counts / sizes)
            # Scores are kept: a policy that was scored before teaches nothing.
            if executed.tobytes() not in self._seen:
                return executed / sizes
        return self._breeder.anywhere() / sizes

    def learn(self, trajectory: Trajectory, *, own: bool) -> None:
        """Remember the executed policy, whoever proposed it."""
        sizes = self.context.problem.sizes
        counts = np.rint(trajectory.executed * sizes).astype(np.int64)
        if counts.tobytes() in self._seen:
            return
        self._seen.add(counts.tobytes())
        self._counts.append(counts)
        self._rewards.append(trajectory.reward)

    def _learn(self) -> None:
        """Bring the model, then the actor, up to what is known."""
        own = Experience(self._decisions, np.array(self._counts), np.array(self._rewards))
        self._model.fit([*self.context.experience, own], _FIRST_STEPS if self._is_new else _STEPS)
        self._imagination.train(self._model, _FIRST_UPDATES if self._is_new else _UPDATES)
        self._is_new = False

    def _pool(self) -> IntArray:
        """What the actor proposes, improved within the model (policies, decisions)."""
        known = np.array(self._counts)
        proposed = self._imagination.proposals(_PROPOSED)
        best = self._by_promise(np.concatenate([known, proposed]))[:_PARENTS]
        pool = np.concatenate([proposed, self._breeder.breed(best, _BRED)])
        for _ in range(_GENERATIONS):
            best = self._by_promise(pool)[:_PARENTS]
            # Parents may stay: children need not be better.
            pool = np.concatenate([best, self._breeder.breed(best, _BRED)])
        return self._breeder.distinct(pool)

    def _by_promise(self, pool: IntArray) -> IntArray:
        """Policies, the one that may be best first."""
        badness = self._model.badness(self._decisions, pool)
        hoped = badness.mean(0) - _CURIOSITY * badness.std(0)
        return pool[np.argsort(hoped, kind="stable")]
