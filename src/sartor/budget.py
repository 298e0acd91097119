"""Budgets: bounds on what a candidate costs, such as ``macs<=50%,params<=300K`` or ``latency<=0.3``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

from sartor.errors import BudgetError

Quantity = Literal["macs", "params", "size", "bops"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
#: What can be bounded: what is counted, and latency, which is measured on a target.
Bounded = Literal["macs", "params", "size", "bops", "latency"]

_BOUND = re.compile(r"^\s*([a-z]+)\s*<=?\s*([0-9.]+(?:e[+-]?\d+)?)\s*([a-z%]*)\s*$", re.IGNORECASE)
_SCALE = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_BYTES = {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30}


@dataclass(frozen=True)
class Bound:
    """One upper bound. ``value`` is a fraction of the original if ``relative``, else MACs, parameters, bytes, BOPs or seconds."""

    quantity: Bounded
    value: float
    relative: bool

    def limit(self, original: float) -> float:
        """The bound in the quantity's own unit."""
        return self.value * original if self.relative else self.value

    def __str__(self) -> str:
        """What `Budget.parse` reads as the same bound."""
        if self.relative:
            return f"{self.quantity}<={100 * self.value:.6g}%"
        return (
            f"latency<={1e3 * self.value:.6g}ms"
            if self.quantity == "latency"
            else f"{self.quantity}<={self.value:.6g}"
        )


@dataclass(frozen=True)
class Budget:
    """Bounds that must all hold."""

    bounds: tuple[Bound, ...]

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Bounds joined by commas: ``macs<=50%``, ``params<=300K``, ``size<=500KB``, ``latency<=4ms``.

        A plain number up to 1 is a fraction.

        Raises `BudgetError` for anything else.
        """
        return cls(tuple(_parse_bound(part) for part in text.split(",")) if text.strip() else ())

    def __str__(self) -> str:
        return ",".join(map(str, self.bounds))

    @property
    def bounds_latency(self) -> bool:
        """Whether a bound is on latency, which needs a target."""
        return any(bound.quantity == "latency" for bound in self.bounds)

    def ceiling(self, quantity: Bounded, original: float) -> float | None:
        """The tightest bound on a quantity, as a share of what the original has of it; None if there is none."""
        limits = [bound.limit(original) for bound in self.bounds if bound.quantity == quantity]
        return min(limits) / original if limits else None

    def without_latency(self) -> Budget:
        """All other bounds."""
        return Budget(tuple(bound for bound in self.bounds if bound.quantity != "latency"))


def _parse_bound(text: str) -> Bound:
    match = _BOUND.match(text)
    if not match:
        raise BudgetError(
            f"budget {text.strip()!r} cannot be read; write for instance macs<=50%, params<=300K or size<=500KB"
        )
    quantity, number, unit = match[1].lower(), match[2], match[3].lower()
    if quantity not in get_args(Bounded):
        raise BudgetError(
            f"budget {text.strip()!r} bounds {quantity!r}; allowed are {', '.join(get_args(Bounded))}"
        )
    try:
        value = float(number)
    except ValueError:
        raise BudgetError(f"budget {text.strip()!r}: {number!r} is not a number") from None
    relative = unit == "%" or (unit == "" and value <= 1)
    scales = (
        _SECONDS if quantity == "latency" else {**_SCALE, **(_BYTES if quantity == "size" else {})}
    )
    if quantity == "latency" and unit == "" and not relative:
        raise BudgetError(
            f"budget {text.strip()!r} needs a unit; allowed are %, {', '.join(scales)}, or a fraction up to 1"
        )
    if unit not in ("", "%") and unit not in scales:
        raise BudgetError(
            f"budget {text.strip()!r} has the unit {match[3]!r}; allowed are %, {', '.join(filter(None, scales))}"
        )
    value *= 0.01 if unit == "%" else scales.get(unit, 1.0)
    if value <= 0 or (relative and value > 1):
        raise BudgetError(
            f"budget {text.strip()!r} must lie above 0 and, if relative, be at most 100 %"
        )
    return Bound(cast("Bounded", quantity), value, relative)
