"""A budget held against policies: how much of it they use up, and whether it can be met at all."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NoReturn

import numpy as np

from sartor.budget import QUANTITIES, RATES, RESOURCES, Bound, Bounded, Budget
from sartor.errors import BudgetError
from sartor.machine import BoolArray, FloatArray, IntArray
from sartor.problem._corners import cheapest, ends
from sartor.problem._decisions import Decision

#: Sums of floats err by less, relative to a bound.
_ROUNDING = 1e-12
#: More than any share of a bound on latency, so that it puts one policy behind all others.
_BEYOND = 1e9

#: One quantity of many policies, given as counts (policies, decisions).
Total = Callable[[Bounded, IntArray], FloatArray]


class BudgetLimits:
    """The bounds of a budget for some decisions.

    ``total`` gives what policies cost, ``original`` what the original network does.
    """

    def __init__(
        self,
        budget: Budget,
        decisions: Sequence[Decision],
        total: Total,
        original: Callable[[Bounded], float],
    ) -> None:
        self._budget = budget
        self._decisions = decisions
        self._total = total
        self._original = original
        self._quantizes = any(decision.quantizes for decision in decisions)
        self._cheapest: IntArray | None = None

        self._values: dict[Bound, float] = {}
        for bound in budget.bounds:
            original_value = original(bound.quantity)
            self._values[bound] = bound.limit(original_value)

        # In the order of the values, which is that of the rows of shares.
        counted = [bound.quantity != "latency" for bound in self._values]
        self._counted = np.array(counted, dtype=np.bool_)

    def __bool__(self) -> bool:
        return bool(self._values)

    def usage(self, counts: IntArray) -> FloatArray:
        """Largest share of any bound that each policy uses up (policies,).

        1 is just affordable; 0 without a budget.
        """
        return self._shares(counts).max(0, initial=0.0)

    def excess(self, counts: IntArray) -> FloatArray:
        """As `usage`, but beyond all else where a counted bound does not hold.

        Latency is only predicted, so a policy that is too slow comes before one that is too large.
        """
        shares = self._shares(counts)
        usage = shares.max(0, initial=0.0)
        counted = shares[self._counted].max(0, initial=0.0)

        return np.where(affordable(counted), usage, _BEYOND + counted)

    def cheapest(self) -> IntArray:
        """Counts (decisions,) that use up least of the budget, as latency is predicted now.

        Counted bounds hold if they can.
        """
        if self._cheapest is None:
            self._cheapest = self._find_cheapest()
        return self._cheapest

    def tighten(self, factor: float) -> None:
        """Aim lower than the budget on latency, because it was missed by ``factor`` > 1."""
        for bound in self._values:
            if bound.quantity == "latency":
                self._values[bound] /= factor
        self.forget()

    def forget(self) -> None:
        """Drop what was found with predictions of latency that have changed since."""
        if self._budget.bounds_latency:
            self._cheapest = None

    def require_reachable(self, doubt: float) -> None:
        """Raise `BudgetError` if bounds cannot be met, each alone or all at once.

        Those on latency may be missed by a share of ``doubt``.
        """
        # Bound by bound first: that one of them alone cannot be met is the clearer message.
        for bound, limit in self._values.items():
            nearest = self._nearest(bound)
            share = _share(bound, limit, nearest)
            slack = doubt if bound.quantity == "latency" else 0.0
            if share > 1 + slack + _ROUNDING:
                self._refuse_bound(bound, nearest)

        # A policy that keeps each bound may break another one: ask the best compromise too.
        least = self.cheapest()[None]
        (excess,) = self.excess(least)
        if excess > 1 + doubt + _ROUNDING:
            self._refuse_all(least)

    def _refuse_bound(self, bound: Bound, nearest: float) -> NoReturn:
        reached = _reached(bound.quantity, nearest)
        end = "largest" if bound.is_floor else "smallest"
        raise BudgetError(
            f"budget {bound} cannot be met: the {end} reachable value is "
            f"{reached}{self._percent(bound, nearest)} with the allowed choices",
            smallest={bound.quantity: nearest},
        )

    def _percent(self, bound: Bound, value: float) -> str:
        """A value as a share, in brackets; nothing of a rate."""
        if bound.is_floor:
            return ""
        percent = 100 * value / self._original(bound.quantity)
        whose = "device" if bound.quantity in RESOURCES else "original"
        return f" ({percent:.1f}% of the {whose}'s)"

    def _refuse_all(self, least: IntArray) -> NoReturn:
        values: dict[str, float] = {}
        reached: dict[str, str] = {}
        for bound in self._values:
            quantity = bound.quantity
            (value,) = self._total(quantity, least)
            values[quantity] = float(value)
            reached[quantity] = _reached(quantity, value)

        nearest = ", ".join(reached.values())
        raise BudgetError(
            f"budget {self._budget} cannot be met: its bounds can, but not all at once; "
            f"nearest is {nearest}",
            smallest=values,
        )

    def _shares(self, counts: IntArray) -> FloatArray:
        """What is used up of every bound (bounds, policies)."""
        bounds = len(self._values)
        policies = len(counts)
        shares = np.empty((bounds, policies))

        # Not stacked from a list, because there may be no bounds at all.
        for row, (bound, limit) in enumerate(self._values.items()):
            total = self._total(bound.quantity, counts)
            shares[row] = _shares(bound, limit, total)

        return shares

    def _find_cheapest(self) -> IntArray:
        for bound in self._values:
            if not self._is_least_when_smallest(bound.quantity):
                return cheapest(self._decisions, self.excess)
        return self._lowest()

    def _nearest(self, bound: Bound) -> float:
        """What comes nearest to a bound, or lies furthest within it, in the quantity's own unit."""
        total = functools.partial(self._total, bound.quantity)
        if self._is_least_when_smallest(bound.quantity):
            counts = self._lowest()
        elif bound.is_floor:
            counts = cheapest(self._decisions, lambda rows: -total(rows))
        else:
            counts = cheapest(self._decisions, total)

        (value,) = total(counts[None])
        return float(value)

    def _lowest(self) -> IntArray:
        lowest, _ = ends(self._decisions)
        return lowest

    def _is_least_when_smallest(self, quantity: Bounded) -> bool:
        """Whether all smallest choices are the cheapest.

        Not with pairs of bits, of which each may be the smaller in one way; neither latency nor
        what a design takes need rise with width.
        """
        return quantity in QUANTITIES and not self._quantizes


def affordable(usage: FloatArray) -> BoolArray:
    """Where no more than all is used up, but for rounding."""
    return usage <= 1 + _ROUNDING


def used_up(usage: FloatArray) -> BoolArray:
    """Where nothing is left, but for rounding."""
    return usage >= 1 - _ROUNDING


def wastes_nothing(decision: Decision, usage: FloatArray) -> BoolArray:
    """Which choices use the budget up, given what they use of it if all later ones keep everything.

    Bits have few choices, far apart: one that leaves less of the budget than the next would exceed
    it by is no waste.
    """
    full = used_up(usage)
    if decision.quantizes:
        left = 1 - usage[:-1]
        step = np.diff(usage)
        # The next choice would exceed the budget by step - left: compared with what is left.
        full[:-1] |= step > 2 * left
    return full


def _shares(bound: Bound, limit: float, total: FloatArray) -> FloatArray:
    """What is used up of a bound; a rate that is reached uses nothing up."""
    if bound.is_floor:
        return np.where(total >= limit, 0.0, limit / total)
    return total / limit


def _share(bound: Bound, limit: float, value: float) -> float:
    (share,) = _shares(bound, limit, np.array([value]))
    return float(share)


def _reached(quantity: str, value: float) -> str:
    if quantity == "latency":
        return f"latency<={1e3 * value:.3g}ms (predicted)"
    if quantity in RATES:
        return f"{quantity}>={value:.0f}"
    return f"{quantity}<={value:.0f}"
