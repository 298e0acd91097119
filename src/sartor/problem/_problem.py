"""The decisions of a search and what the budget leaves to each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from sartor.budget import Bounded, Budget, Quantity
from sartor.cost import Cost, CostModel, LayerSettings
from sartor.errors import TraceError, UsageError
from sartor.machine import BoolArray, FloatArray, IntArray
from sartor.policy import Policy
from sartor.problem import _corners
from sartor.problem._decisions import Decision
from sartor.problem._limits import BudgetLimits, affordable, used_up
from sartor.problem._mapping import DecisionMap
from sartor.problem._space import SearchSpace

#: The quantity that tells all choices apart, where some decisions need one and some another.
_PRECEDENCE: tuple[Quantity, ...] = ("bops", "params", "macs")


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

    ``latency`` predicts for bounds on it; ``base`` says what was decided before.
    Raises `BudgetError`, with the smallest reachable value, if the budget cannot be met. Latency is
    only predicted: a bound on it is refused if it is out of reach by more than predictions usually err.

    Attributes:
        cost_model: Counts what policies cost.
        decisions: In forward order.
        budget: What has to hold.
        latency: Predicts latency; None without a target.
        sizes: What the original has for each decision (decisions,).
        lowest: Smallest choice of each decision (decisions,).
        highest: Largest choice of each decision (decisions,).
        quantizes: Which decisions are about precision (decisions,); all others prune.

    """

    def __init__(
        self,
        cost_model: CostModel,
        decisions: Sequence[Decision],
        budget: Budget,
        *,
        latency: LatencyPredictor | None = None,
        base: Policy | None = None,
    ) -> None:
        self.cost_model = cost_model
        self.decisions = list(decisions)
        self.budget = budget
        self.latency = latency
        self.sizes = np.array([decision.size for decision in decisions], dtype=np.int64)
        self.lowest, self.highest = _corners.ends(decisions)
        self.quantizes = np.array([decision.quantizes for decision in decisions], dtype=np.bool_)
        self.original: Cost = cost_model.original
        self._map = DecisionMap(cost_model, decisions, base or Policy())
        self._limits = BudgetLimits(budget, decisions, self.total, self.of_original)
        self._limits.require_reachable(doubt=0.0 if latency is None else latency.error())

    @classmethod
    def of(
        cls,
        cost_model: CostModel,
        budget: Budget,
        space: SearchSpace | None = None,
        *,
        latency: LatencyPredictor | None = None,
        base: Policy | None = None,
    ) -> Problem:
        """The problem with all decisions of a search space; no more is kept than ``base`` kept.

        Raises `TraceError` where there is nothing to decide, `BudgetError` as the class does.
        """
        space = space or SearchSpace()
        decisions = space.decisions(cost_model, base or Policy())
        if not decisions:
            reasons = sorted({item.reason for item in cost_model.network.kept_whole})
            why = "; ".join(reasons) or "it has no Conv or Linear layer"
            raise TraceError(f"the network has nothing to prune or quantize: {why}")
        return cls(cost_model, decisions, budget, latency=latency, base=base)

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
        return self._map.split(counts[None])

    def tighten(self, factor: float) -> None:
        """Aim lower than the budget on latency, because what was aimed at was missed by ``factor`` > 1."""
        self._limits.tighten(factor)

    def total(self, quantity: Bounded, counts: IntArray) -> FloatArray:
        """One quantity of many policies, given as counts (policies, decisions); latency in seconds, as predicted."""
        groups, options = self._map.split(counts)
        if quantity == "latency":
            assert self.latency is not None
            return self.latency.seconds(groups, options)
        return self.cost_model.total(quantity, groups, options)

    def usage(self, counts: IntArray) -> FloatArray:
        """Largest share of any bound that each policy uses up; 1 is just affordable. 0 without a budget."""
        return self._limits.usage(counts)

    def fits(self, counts: IntArray) -> BoolArray:
        """Which policies (policies, decisions) use up no more than the budget; all without one."""
        return affordable(self.usage(counts))

    @property
    def cost_quantity(self) -> Quantity:
        """The quantity that tells all choices of all decisions apart."""
        needed = {decision.cost_quantity for decision in self.decisions}
        return next(quantity for quantity in _PRECEDENCE if quantity in needed)

    @property
    def kinds(self) -> list[BoolArray]:
        """Which decisions are of a kind, one mask (decisions,) for each: first bits, then pruning."""
        return [mask for mask in (self.quantizes, ~self.quantizes) if mask.any()]

    def combine(self, *, widths: IntArray, bits: IntArray) -> IntArray:
        """Counts (decisions,): ``bits`` where a decision quantizes, ``widths`` where it prunes."""
        return _corners.combine(self.decisions, widths=widths, bits=bits)

    def corners(self, widths: Sequence[IntArray]) -> list[IntArray]:
        """Each of some ``widths`` with all bits at their coarsest, then each with all at their finest."""
        return _corners.corners(self.decisions, widths)

    def cheapest(self) -> IntArray:
        """Counts that use up least of the budget, as far as latency is known now; counted bounds hold if they can."""
        return self._limits.cheapest()

    def policy(self, counts: IntArray) -> Policy:
        """The policy of one row of counts."""
        return self._map.policy(counts)

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
        fits = self.fits(rows)
        if not fits.any():
            return int(choices[self._limits.excess(rows).argmin()])
        rows[:, step + 1 :] = self.highest[step + 1 :]
        most = self.usage(rows)
        spared = (
            np.append(np.diff(most) > 2 * (1 - most[:-1]), False) if decision.quantizes else False
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
