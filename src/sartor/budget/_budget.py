"""Budgets: what a candidate may cost, and how good it has to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sartor.budget._bound import QUANTITIES, Bound, Bounded, bounds_rate, parse_bound
from sartor.budget._goal import Goal, parse_goal
from sartor.errors import BudgetError


@dataclass(frozen=True)
class Budget:
    """Bounds that must all hold, and how good a network has to be.

    With a goal the smallest network is sought that meets it, in what is bounded beside it; where
    nothing is, in latency if there is a target, else in MACs.

    >>> budget = Budget.parse("macs<=50%, size<=500KB")
    >>> print(budget)
    macs<=50%,size<=500KB
    >>> budget.ceiling("size", original=1e6)
    0.5
    >>> print(Budget.parse("accuracy>=-1%"))
    accuracy>=-1%
    >>> print(Budget.parse("fps>=1000, lut<=40K, bram<=80%"))
    fps>=1K,lut<=40K,bram<=80%

    Attributes:
        bounds: In the order in which they were written.
        goal: How good a network has to be; None where it shall be as good as the bounds allow.
    """

    bounds: tuple[Bound, ...]
    goal: Goal | None = None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Bounds joined by commas: ``macs<=50%``, ``params<=300K``, ``latency<=4ms``.

        A plain number up to 1 is a fraction. K, M and G are powers of 1000; sizes have B, KB, MB,
        GB, KiB, MiB and GiB, latencies s, ms and us. Of an FPGA's ``lut``, ``bram`` and ``dsp`` a
        share is one of the device, and ``fps>=1000`` is a rate. A goal is ``accuracy>=-1%``, what
        may be lost, or ``accuracy>=90%``; the metric's own name is one too, such as ``miou>=-2%``.
        Raises `BudgetError` for anything else.
        """
        text = str(text)
        if not text.strip():
            return cls(())

        bounds = []
        goals = []
        for part in text.split(","):
            part = part.strip()
            if ">" in part and not bounds_rate(part):
                goals.append(parse_goal(part))
            else:
                bounds.append(parse_bound(part))
        if len(goals) > 1:
            both = " and ".join(map(str, goals))
            raise BudgetError(f"budget {text!r} has the goals {both}; allowed is one")
        return cls(tuple(bounds), goals[0] if goals else None)

    def __str__(self) -> str:
        """What `parse` reads as the same budget."""
        goals = [] if self.goal is None else [self.goal]
        return ",".join(map(str, (*goals, *self.bounds)))

    @property
    def bounds_latency(self) -> bool:
        """Whether a bound is on latency, which needs a target."""
        return any(bound.quantity == "latency" for bound in self.bounds)

    @property
    def bounds_hardware(self) -> bool:
        """Whether a bound is on what only a target knows: latency, resources, a rate."""
        return any(bound.quantity not in QUANTITIES for bound in self.bounds)

    def floor(self, quantity: Bounded) -> float | None:
        """The largest lower bound on a rate, in its own unit; None without one."""
        limits = [bound.value for bound in self.bounds if bound.quantity == quantity]
        return max(limits, default=None)

    def ceiling(self, quantity: Bounded, original: float) -> float | None:
        """The tightest bound on a quantity, as a share of the original; None without a bound."""
        limits = [bound.limit(original) for bound in self.bounds if bound.quantity == quantity]
        if not limits:
            return None
        return min(limits) / original

    def with_ceiling(self, quantity: Bounded, share: float) -> Budget:
        """The bounds, and one more on a quantity, as a share of the original; without the goal."""
        bound = Bound(quantity, share, relative=True)
        return Budget((*self.bounds, bound))

    def also(self, bounds: Sequence[Bound]) -> Budget:
        """The same, and bounds on what it says nothing of."""
        bounded = {bound.quantity for bound in self.bounds}
        others = [bound for bound in bounds if bound.quantity not in bounded]
        return Budget((*self.bounds, *others), self.goal)

    def without_latency(self) -> Budget:
        """All other bounds, without the goal."""
        others = [bound for bound in self.bounds if bound.quantity != "latency"]
        return Budget(tuple(others))
