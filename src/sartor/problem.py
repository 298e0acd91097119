"""The decisions of a search and what the budget leaves to each of them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from sartor.budget import Bound, Bounded, Budget
from sartor.cost import Cost, CostModel, FloatArray, Options
from sartor.decisions import Columns, Granularity, Method, Precision, cheapest, make_decisions
from sartor.errors import BudgetError, TraceError, UsageError
from sartor.graph import IntArray
from sartor.policy import Policy

#: Sums of floats err by less, relative to a bound.
_ROUNDING = 1e-12
#: More than any share of a bound on latency.
_BEYOND = 1e9


class LatencyPredictor(Protocol):
    """Estimates latency from what policies do to layers; ``original_s`` is what the original takes."""

    original_s: float

    def seconds(self, counts: IntArray, options: Options) -> FloatArray:
        """Seconds of policies given as counts (policies, groups) and `Options` (policies, layers)."""
        ...

    def correct(self, counts: IntArray, options: Options, seconds: float) -> None:
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
            cost_model, methods, granularity=granularity, min_keep=min_keep, multiple=multiple, precisions=precisions or {},
            base=base,
        )  # fmt: skip
        if not self.decisions:
            reasons = sorted({item.reason for item in cost_model.network.kept_whole})
            raise TraceError(
                f"the network has nothing to prune or quantize: {'; '.join(reasons) or 'it has no Conv or Linear layer'}"
            )
        self._columns = Columns(cost_model, self.decisions, base)
        self.sizes = np.array([decision.size for decision in self.decisions], dtype=np.int64)
        self.lowest = np.array([decision.choices[0] for decision in self.decisions], dtype=np.int64)
        self.highest = np.array([decision.choices[-1] for decision in self.decisions], dtype=np.int64)
        self.original: Cost = cost_model.original
        self._limits = {bound: bound.limit(self.of_original(bound.quantity)) for bound in budget.bounds}
        self._cheapest: IntArray | None = None
        self._require_reachable()

    def __len__(self) -> int:
        return len(self.decisions)

    def latency_ceiling(self, budget: Budget) -> float | None:
        """The bound on latency of a budget, this one's or another's, relative to the original's."""
        return budget.ceiling("latency", self.of_original("latency")) if budget.bounds_latency else None

    def of_original(self, quantity: Bounded) -> float:
        """A quantity of the original network."""
        if quantity != "latency":
            return float(getattr(self.original, quantity))
        if self.latency is None:
            raise UsageError("a budget on latency needs a target; give for instance --target onnxruntime")
        return self.latency.original_s

    def correct(self, policy_counts: IntArray, relative_latency: float) -> None:
        """Tell the latency predictor what the policy with these counts took, relative to the original."""
        if self.latency is not None:
            self.latency.correct(*self.split(policy_counts), relative_latency * self.latency.original_s)
            if self.budget.bounds_latency:
                self._cheapest = None

    def split(self, counts: IntArray) -> tuple[IntArray, Options]:
        """What the counts of one policy do: counts per group (1, groups) and `Options` per layer (1, layers)."""
        return self._columns.split(counts[None])

    def tighten(self, factor: float) -> None:
        """Aim lower than the budget on latency, because what was aimed at was missed by ``factor`` > 1."""
        self._limits = {bound: limit / factor if bound.quantity == "latency" else limit for bound, limit in self._limits.items()}
        self._cheapest = None

    def total(self, quantity: Bounded, counts: IntArray) -> FloatArray:
        """One quantity of many policies, given as counts (policies, decisions); latency in seconds, as predicted."""
        groups, options = self._columns.split(counts)
        if quantity == "latency":
            assert self.latency is not None
            return self.latency.seconds(groups, options)
        return self.cost_model.total(quantity, groups, options)

    def usage(self, counts: IntArray) -> FloatArray:
        """Largest share of any bound that each policy uses up; 1 is just affordable. 0 without a budget."""
        return self._usage(counts, list(self._limits))

    def counted(self, counts: IntArray) -> FloatArray:
        """The same of all bounds but those on latency: these are known, latency is foretold."""
        return self._usage(counts, [bound for bound in self._limits if bound.quantity != "latency"])

    def _usage(self, counts: IntArray, bounds: Sequence[Bound]) -> FloatArray:
        shares = [self.total(bound.quantity, counts) / self._limits[bound] for bound in bounds]
        return np.max(shares, axis=0) if shares else np.zeros(len(counts))

    def _excess(self, counts: IntArray) -> FloatArray:
        """Largest share of any bound; beyond all others where a counted bound does not hold, whatever that does to latency."""
        counted = self.counted(counts)
        return np.where(counted > 1 + _ROUNDING, _BEYOND + counted, self.usage(counts))

    def cheapest(self) -> IntArray:
        """Counts that use up least of the budget, as far as latency is known now; counted bounds hold if they can."""
        if self._cheapest is None:
            smallest = all(self._is_least_when_smallest(bound.quantity) for bound in self._limits)
            self._cheapest = self.lowest if smallest else cheapest(self.decisions, self._excess)
        return self._cheapest

    def policy(self, counts: IntArray) -> Policy:
        """The policy of one row of counts."""
        return self._columns.policy(counts)

    def counts(self, ratios: Mapping[str, float]) -> IntArray:
        """Counts of ratios recorded by the names of the decisions."""
        return np.array([round(ratios[decision.name] * decision.size) for decision in self.decisions], dtype=np.int64)

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
        rows = np.repeat(np.concatenate([decided, [0], self.cheapest()[step + 1 :]])[None], len(choices), axis=0)
        rows[:, step] = choices
        usage = self.usage(rows)
        fits = usage <= 1 + _ROUNDING
        if not fits.any():
            return int(choices[self._excess(rows).argmin()])
        rows[:, step + 1 :] = self.highest[step + 1 :]
        most = self.usage(rows)
        spared = np.append(np.diff(most) > 2 * (1 - most[:-1]), False) if decision.kind == "bits" else False
        allowed = np.flatnonzero(fits & ((most >= 1 - _ROUNDING) | spared))
        if not len(allowed):
            return int(choices[np.flatnonzero(fits)[-1]])
        return int(choices[allowed[np.abs(allowed - wanted).argmin()]])

    def execute(self, ratios: FloatArray) -> IntArray:
        """Counts that an episode executes when these ratios are proposed."""
        decided = np.empty(0, dtype=np.int64)
        for ratio in ratios:
            decided = np.append(decided, self.choose(decided, float(ratio)))
        return decided

    def _require_reachable(self) -> None:
        doubt = self.latency.error() if self.latency is not None else 0.0
        for bound, limit in self._limits.items():
            smallest = self._smallest(bound.quantity)
            if smallest > limit * (1 + doubt * (bound.quantity == "latency")):
                raise BudgetError(
                    f"budget {bound} cannot be met: the smallest reachable value is {_reached(bound, smallest)} "
                    f"({100 * smallest / self.of_original(bound.quantity):.1f}% of the original's) with the allowed choices"
                )
        least = self.cheapest()[None]
        if self.counted(least)[0] > 1 + _ROUNDING or self.usage(least)[0] > 1 + doubt + _ROUNDING:
            reached = ", ".join(_reached(bound, float(self.total(bound.quantity, least)[0])) for bound in self._limits)
            raise BudgetError(f"budget {self.budget} cannot be met: its bounds can, but not all at once; nearest is {reached}")

    def _smallest(self, quantity: Bounded) -> float:
        """The least of one quantity that can be reached."""
        counts = self.lowest
        if not self._is_least_when_smallest(quantity):
            counts = cheapest(self.decisions, functools.partial(self.total, quantity))
        return float(self.total(quantity, counts[None])[0])

    def _is_least_when_smallest(self, quantity: Bounded) -> bool:
        """Whether all smallest choices are the cheapest: not with pairs of bits, of which each may be the smaller in one way."""
        return quantity != "latency" and all(decision.kind != "bits" for decision in self.decisions)


def _reached(bound: Bound, value: float) -> str:
    return (
        f"{bound.quantity}<={1e3 * value:.3g}ms (predicted)" if bound.quantity == "latency" else f"{bound.quantity}<={value:.0f}"
    )
