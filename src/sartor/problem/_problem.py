"""The decisions of a search and what the budget leaves to each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from sartor.budget import Bounded, Budget
from sartor.cost import Cost, CostModel, LayerSettings
from sartor.errors import TraceError, UsageError
from sartor.machine import FloatArray, IntArray
from sartor.policy import Policy
from sartor.problem._decisions import (
    DecisionMap,
    Granularity,
    Method,
    Precision,
    ends,
    make_decisions,
)
from sartor.problem._limits import BudgetLimits, affordable, used_up


class LatencyPredictor(Protocol):
    """Estimates latency from what policies do to layers; ``original_s`` is what the original takes."""

    original_s: float

    def seconds(self, counts: IntArray, options: LayerSettings) -> FloatArray:
        """Seconds of policies given as counts (policies, groups) and `LayerSettings` (policies, layers)."""
        ...

    def correct(self, counts: IntArray, options: LayerSettings, seconds: float) -> None:
        """Learn from one policy, given as rows of one, that was measured as a whole."""
        ...

    def error(self) -> float:
        """Median relative error of what was predicted of whole networks just before they were measured; 0 before any was."""
        ...


class Problem:
    """All decisions in forward order, their joint cost, and the budget.

    ``min_keep`` is the smallest keep ratio of a group; ``multiple`` rounds channel counts to what a target likes;
    ``precisions`` are those a target has for each layer (with the method quantize), ``latency`` predicts for bounds on it;
    ``base`` says what was decided before; no more is kept than it kept.
    Raises `BudgetError`, with the smallest reachable value, if the budget cannot be met; a latency is only foretold, and refused
    if it is out of reach by more than foretelling usually errs.
    """

    def __init__(
        self,
        cost_model: CostModel,
        budget: Budget,
        *,
        methods: Sequence[Method] = ("prune",),
        granularity: Granularity = "channels",
        min_keep: float = 0.2,
        multiple: int = 1,
        precisions: Mapping[str, Sequence[Precision]] | None = None,
        latency: LatencyPredictor | None = None,
        base: Policy | None = None,
    ) -> None:
        if not 0 < min_keep <= 1:
            raise UsageError(f"min_keep is {min_keep}; it must lie in (0, 1]")
        if multiple < 1:
            raise UsageError(f"multiple is {multiple}; it must be at least 1")
        self.cost_model, self.budget, self.granularity = cost_model, budget, granularity
        self.latency, base = latency, base or Policy()
        self.decisions = make_decisions(
            cost_model,
            methods,
            granularity=granularity,
            min_keep=min_keep,
            multiple=multiple,
            precisions=precisions or {},
            base=base,
        )
        if not self.decisions:
            reasons = sorted({item.reason for item in cost_model.network.kept_whole})
            raise TraceError(
                f"the network has nothing to prune or quantize: {'; '.join(reasons) or 'it has no Conv or Linear layer'}"
            )
        self._columns = DecisionMap(cost_model, self.decisions, base)
        self.sizes = np.array([decision.size for decision in self.decisions], dtype=np.int64)
        self.lowest, self.highest = ends(self.decisions)
        self.original: Cost = cost_model.original
        self._limits = BudgetLimits(budget, self.decisions, self.total, self.of_original)
        self._limits.require_reachable(doubt=0.0 if latency is None else latency.error())

    def __len__(self) -> int:
        return len(self.decisions)

    def latency_ceiling(self, budget: Budget) -> float | None:
        """The bound on latency of a budget, this one's or another's, relative to the original's."""
        return (
            budget.ceiling("latency", self.of_original("latency"))
            if budget.bounds_latency
            else None
        )

    def of_original(self, quantity: Bounded) -> float:
        """A quantity of the original network."""
        if quantity != "latency":
            return float(getattr(self.original, quantity))
        if self.latency is None:
            raise UsageError(
                "a budget on latency needs a target; give for instance --target onnxruntime"
            )
        return self.latency.original_s

    def correct(self, policy_counts: IntArray, relative_latency: float) -> None:
        """Tell the latency predictor what the policy with these counts took, relative to the original."""
        if self.latency is not None:
            self.latency.correct(
                *self.split(policy_counts), relative_latency * self.latency.original_s
            )
            self._limits.forget()

    def split(self, counts: IntArray) -> tuple[IntArray, LayerSettings]:
        """What the counts of one policy do: counts per group (1, groups) and `LayerSettings` per layer (1, layers)."""
        return self._columns.split(counts[None])

    def tighten(self, factor: float) -> None:
        """Aim lower than the budget on latency, because what was aimed at was missed by ``factor`` > 1."""
        self._limits.tighten(factor)

    def total(self, quantity: Bounded, counts: IntArray) -> FloatArray:
        """One quantity of many policies, given as counts (policies, decisions); latency in seconds, as predicted."""
        groups, options = self._columns.split(counts)
        if quantity == "latency":
            assert self.latency is not None
            return self.latency.seconds(groups, options)
        return self.cost_model.total(quantity, groups, options)

    def usage(self, counts: IntArray) -> FloatArray:
        """Largest share of any bound that each policy uses up; 1 is just affordable. 0 without a budget."""
        return self._limits.usage(counts)

    def cheapest(self) -> IntArray:
        """Counts that use up least of the budget, as far as latency is known now; counted bounds hold if they can."""
        return self._limits.cheapest()

    def policy(self, counts: IntArray) -> Policy:
        """The policy of one row of counts."""
        return self._columns.policy(counts)

    def counts(self, ratios: Mapping[str, float]) -> IntArray:
        """Counts of ratios recorded by the names of the decisions."""
        return np.array(
            [round(ratios[decision.name] * decision.size) for decision in self.decisions],
            dtype=np.int64,
        )

    def choose(self, decided: IntArray, ratio: float) -> int:
        """The count executed for a proposed ratio, after the counts ``decided`` so far.

        Only choices that still allow the budget to be met, if all later decisions are those that cost least, and that do not
        waste it, if all later decisions keep everything; of these the nearest. Where all waste it, the largest. Bits have few
        choices, far apart: one that wastes less than the next would be too much is no waste.
        """
        step = len(decided)
        decision = self.decisions[step]
        choices = decision.choices
        wanted = int(decision.nearest(np.array([ratio * decision.size]))[0])
        if not self._limits:
            return int(choices[wanted])
        rows = np.repeat(
            np.concatenate([decided, [0], self.cheapest()[step + 1 :]])[None], len(choices), axis=0
        )
        rows[:, step] = choices
        fits = affordable(self.usage(rows))
        if not fits.any():
            return int(choices[self._limits.excess(rows).argmin()])
        rows[:, step + 1 :] = self.highest[step + 1 :]
        most = self.usage(rows)
        spared = (
            np.append(np.diff(most) > 2 * (1 - most[:-1]), False)
            if decision.kind == "bits"
            else False
        )
        allowed = np.flatnonzero(fits & (used_up(most) | spared))
        if not len(allowed):
            return int(choices[np.flatnonzero(fits)[-1]])
        return int(choices[allowed[np.abs(allowed - wanted).argmin()]])

    def execute(self, ratios: FloatArray) -> IntArray:
        """Counts that an episode executes when these ratios are proposed."""
        decided = np.empty(0, dtype=np.int64)
        for ratio in ratios:
            decided = np.append(decided, self.choose(decided, float(ratio)))
        return decided
