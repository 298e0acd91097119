"""A budget held against policies: how much of it they use up, what uses least, whether it can be met at all."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from sartor.budget import Bound, Bounded, Budget
from sartor.errors import BudgetError
from sartor.machine import BoolArray, FloatArray, IntArray
from sartor.problem._corners import cheapest, ends
from sartor.problem._decisions import Decision

#: Sums of floats err by less, relative to a bound.
_ROUNDING = 1e-12
#: More than any share of a bound on latency.
_BEYOND = 1e9

#: One quantity of many policies, given as counts (policies, decisions).
Total = Callable[[Bounded, IntArray], FloatArray]


class BudgetLimits:
    """The bounds of a budget for some decisions; ``total`` says what policies cost, ``original`` what the original does."""

    def __init__(
        self,
        budget: Budget,
        decisions: Sequence[Decision],
        total: Total,
        original: Callable[[Bounded], float],
    ) -> None:
        self._budget, self._decisions, self._total, self._original = (
            budget,
            decisions,
            total,
            original,
        )
        self._values = {bound: bound.limit(original(bound.quantity)) for bound in budget.bounds}
        self._counted = np.array(
            [bound.quantity != "latency" for bound in self._values], dtype=np.bool_
        )
        self._lowest, _ = ends(decisions)
        self._pairs = any(decision.quantizes for decision in decisions)
        self._cheapest: IntArray | None = None

    def __bool__(self) -> bool:
        return bool(self._values)

    def usage(self, counts: IntArray) -> FloatArray:
        """Largest share of any bound that each policy (policies, decisions) uses up; 1 is just affordable. 0 without a budget."""
        return self._shares(counts).max(0, initial=0.0)

    def excess(self, counts: IntArray) -> FloatArray:
        """The same as `usage`, but beyond all else where a bound does not hold that is counted: latency is only foretold."""
        shares = self._shares(counts)
        counted = shares[self._counted].max(0, initial=0.0)
        return np.where(affordable(counted), shares.max(0, initial=0.0), _BEYOND + counted)

    def cheapest(self) -> IntArray:
        """Counts that use up least of the budget, as far as latency is known now; counted bounds hold if they can."""
        if self._cheapest is None:
            smallest = all(self._is_least_when_smallest(bound.quantity) for bound in self._values)
            self._cheapest = self._lowest if smallest else cheapest(self._decisions, self.excess)
        return self._cheapest

    def tighten(self, factor: float) -> None:
        """Aim lower than the budget on latency, because what was aimed at was missed by ``factor`` > 1."""
        self._values = {
            bound: limit / factor if bound.quantity == "latency" else limit
            for bound, limit in self._values.items()
        }
        self.forget()

    def forget(self) -> None:
        """Latency is foretold anew from now on."""
        if self._budget.bounds_latency:
            self._cheapest = None

    def require_reachable(self, doubt: float) -> None:
        """Raise `BudgetError` if bounds cannot be met, those on latency by more than a share of ``doubt``."""
        for bound, limit in self._values.items():
            smallest = self._smallest(bound.quantity)
            if smallest > limit * (1 + doubt * (bound.quantity == "latency")):
                raise BudgetError(
                    f"budget {bound} cannot be met: the smallest reachable value is {_reached(bound, smallest)} "
                    f"({100 * smallest / self._original(bound.quantity):.1f}% of the original's) with the allowed choices"
                )
        least = self.cheapest()[None]
        if self.excess(least)[0] > 1 + doubt + _ROUNDING:
            reached = ", ".join(
                _reached(bound, float(self._total(bound.quantity, least)[0]))
                for bound in self._values
            )
            raise BudgetError(
                f"budget {self._budget} cannot be met: its bounds can, but not all at once; nearest is {reached}"
            )

    def _shares(self, counts: IntArray) -> FloatArray:
        """Of every bound (bounds, policies)."""
        shares = [
            self._total(bound.quantity, counts) / limit for bound, limit in self._values.items()
        ]
        return np.array(shares, dtype=np.float64).reshape(len(shares), len(counts))

    def _smallest(self, quantity: Bounded) -> float:
        """The least of one quantity that can be reached."""
        total = functools.partial(self._total, quantity)
        counts = (
            self._lowest
            if self._is_least_when_smallest(quantity)
            else cheapest(self._decisions, total)
        )
        return float(total(counts[None])[0])

    def _is_least_when_smallest(self, quantity: Bounded) -> bool:
        """Whether all smallest choices are the cheapest: not with pairs of bits, of which each may be the smaller in one way."""
        return quantity != "latency" and not self._pairs


def affordable(usage: FloatArray) -> BoolArray:
    """Where no more than all is used up."""
    return usage <= 1 + _ROUNDING


def used_up(usage: FloatArray) -> BoolArray:
    """Where nothing is left."""
    return usage >= 1 - _ROUNDING


def _reached(bound: Bound, value: float) -> str:
    return (
        f"{bound.quantity}<={1e3 * value:.3g}ms (predicted)"
        if bound.quantity == "latency"
        else f"{bound.quantity}<={value:.0f}"
    )
