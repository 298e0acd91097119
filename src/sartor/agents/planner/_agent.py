"""A planner: what it knows of whole policies, an actor trained on that, real episodes for both.

Scoring a candidate takes seconds, asking a model takes microseconds. What errors of layers tell of
whole policies is corrected by all episodes there are, of earlier searches too: layers are known by
their features, so that what is learned holds for other budgets and other networks. On the corrected
errors stand the exact allocation that comes first and the Gaussian process that says what policies
are worth. An actor, conditioned on the budget, is trained by the policy gradient on episodes that
are only imagined (Dyna, Sutton 1991); what it proposes is bred with the best that is known.
"""

from __future__ import annotations

import numpy as np
import torch

from sartor.agents._allocation import allocate
from sartor.agents._base import SearchContext, Trajectory
from sartor.agents._evolution import EvolutionAgent
from sartor.agents._experience import Decisions, Experience
from sartor.agents._lineage import Lineage
from sartor.agents.planner._corrections import Corrections
from sartor.agents.planner._imagination import Imagination
from sartor.machine import FloatArray, IntArray

#: Steps of the corrections before the first proposal, and before each later one.
_FIRST_STEPS = 300
_STEPS = 20
#: Updates of the actor before each proposal, and what it proposes.
_UPDATES = 10
_PROPOSED = 32
#: Episodes of its own that corrections need where there are none of other searches.
_ENOUGH = 16


class PlannerAgent(EvolutionAgent):
    """Model-based reinforcement learning on whole policies.

    Begins with the exact allocation over errors that earlier searches (`SearchContext.experience`)
    have corrected, or that nothing has.
    """

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context)
        self._decisions = Decisions.of(context.problem, context.errors)
        self._generator = torch.Generator().manual_seed(context.seed)
        problem = context.problem
        features = self._decisions.features_of(problem.highest[None]).shape[2]
        self._corrections = Corrections(features, len(context.experience), self._generator)
        self._counts: list[IntArray] = []
        self._rewards: list[float] = []

        if context.experience:
            self._corrections.fit(context.experience, _FIRST_STEPS)
            self._believe(self._whole.start)
        self._imagination = Imagination(
            problem,
            self._decisions,
            self._first(),
            np.random.default_rng(context.seed),
            self._generator,
        )

    def propose(self) -> FloatArray:
        """What evolution proposes over corrected errors, from the actor's proposals too."""
        if not self._counts and self.context.experience:
            return self._first() / self.context.problem.sizes
        if self.context.experience or len(self._counts) >= _ENOUGH:
            counts = np.array(self._counts)
            rewards = np.array(self._rewards)
            own = Experience(self._decisions, counts, rewards)
            self._corrections.fit([*self.context.experience, own], _STEPS)

            best = int(np.argmax(rewards))
            self._believe(counts[best])
        return super().propose()

    def learn(self, trajectory: Trajectory, *, own: bool) -> None:
        """Remember the executed policy, whoever proposed it."""
        super().learn(trajectory, own=own)
        self._counts.append(self._executed(trajectory))
        self._rewards.append(trajectory.reward)

    def _suggested(self, lineage: Lineage) -> IntArray | None:
        """The actor's proposals, once there is something to be trained on."""
        if lineage is not self._whole or not lineage.leads:
            return super()._suggested(lineage)
        self._imagination.train(lineage.hopes, _UPDATES)
        return self._imagination.proposals(_PROPOSED)

    def _believe(self, around: IntArray) -> None:
        """Correct the errors by which all lineages go."""
        corrected = self._corrections.corrected(self._decisions, around)
        for lineage in self._lineages:
            lineage.believe(corrected)

    def _first(self) -> IntArray:
        """The exact allocation over what is believed."""
        return allocate(self.context.problem, self._whole.errors, self._whole.start)
