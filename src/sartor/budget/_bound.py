"""Bounds on what a candidate costs, such as ``macs<=50%`` and ``params<=300K``, and on its rate."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, get_args

from sartor.errors import BudgetError
from sartor.registry import nearest

Quantity = Literal["macs", "params", "size", "bops"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
#: What can be bounded: what is counted, latency, which is measured on a target, and what devices
#: have of which a design takes a part: look-up tables, blocks of memory, multipliers.
Bounded = Literal["macs", "params", "size", "bops", "latency", "lut", "bram", "dsp", "fps"]
_BOUNDED: tuple[Bounded, ...] = get_args(Bounded)
#: Quantities of which a share is one of what the device has.
RESOURCES: tuple[Bounded, ...] = ("lut", "bram", "dsp")
#: Quantities that are bounded from below: frames a second.
RATES: tuple[Bounded, ...] = ("fps",)

#: A quantity, a number and a unit; spaces may lie between them.
_BOUND = re.compile(
    r"^\s*([a-z]+)\s*([<>])=?\s*([0-9.]+(?:e[+-]?\d+)?)\s*([a-z%]*)\s*$", re.IGNORECASE
)

#: Units as they are printed, from the smallest, in the quantity's own unit. Decimal, because values
#: that are printed must be read as the same floats.
_THOUSANDS = {"K": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9)}
_BYTES = {"B": Decimal(1), "KB": Decimal(10**3), "MB": Decimal(10**6), "GB": Decimal(10**9)}
_BINARY_BYTES = {"KiB": Decimal(2**10), "MiB": Decimal(2**20), "GiB": Decimal(2**30)}
_SECONDS = {"us": Decimal("1e-6"), "ms": Decimal("1e-3"), "s": Decimal(1)}
_PERCENT = Decimal("0.01")

#: Bounds without a unit up to here are refused: 50 MACs are no network, 50 % may be meant.
_TOO_FEW = 100

_NOUNS = {"macs": "MACs", "params": "parameters", "size": "bytes", "bops": "BOPs"}
#: Quantities of which small whole numbers are meant as they stand.
_SMALL = (*RESOURCES, *RATES)
#: What is meant by words for which the nearest spelling is another quantity.
_MEANT = {
    "flops": "macs",
    "weights": "params",
    "parameters": "params",
    "bytes": "size",
    "memory": "size",
    "time": "latency",
    "luts": "lut",
    "brams": "bram",
    "dsps": "dsp",
    "throughput": "fps",
    "rate": "fps",
}


@dataclass(frozen=True)
class Bound:
    """One upper bound, or a lower one of a rate.

    >>> Bound("macs", 0.5, relative=True).limit(original=40e6)
    20000000.0
    >>> Bound("fps", 1000, relative=False).is_floor
    True

    Attributes:
        quantity: What is bounded.
        value: A fraction if ``relative``, else in the quantity's own unit: MACs, parameters, bytes,
            BOPs, seconds, look-up tables, blocks of 18 Kbit, DSP slices or frames a second.
        relative: Whether the bound is a share of what the original network has; of resources of
            what the device has.
    """

    quantity: Bounded
    value: float
    relative: bool

    @property
    def is_floor(self) -> bool:
        """Whether it is a lower bound."""
        return self.quantity in RATES

    def limit(self, original: float) -> float:
        """The bound in the quantity's own unit, for what the ``original`` (or device) has of it."""
        if self.relative:
            return self.value * original
        return self.value

    def __str__(self) -> str:
        """What `Budget.parse` reads as the same bound, to the last bit."""
        # `repr` has the digits that tell a float from all others, and no more.
        value = Decimal(repr(float(self.value)))

        unit = "%"
        scale = _PERCENT
        if not self.relative:
            unit, scale = _unit_for(self.quantity, value)

        number = _plain(value / scale)
        sign = ">=" if self.is_floor else "<="
        return f"{self.quantity}{sign}{number}{unit}"


def bounds_rate(text: str) -> bool:
    """Whether a text is a bound on a rate, and no goal.

    >>> bounds_rate("fps >= 100"), bounds_rate("accuracy>=90%")
    (True, False)
    """
    name, _, _ = text.partition(">")
    named = name.strip().lower()
    return named in RATES or _MEANT.get(named) in RATES


def parse_bound(text: str) -> Bound:
    """A bound as it is written. Raises `BudgetError` for anything else."""
    match = _BOUND.match(text)
    if not match:
        example = "write for instance macs<=50%, params<=300K or size<=500KB"
        raise BudgetError(f"budget {text!r} cannot be read; {example}")

    quantity = _known_quantity(match[1].lower(), text)
    _require_direction(quantity, match[2], text)
    unit = match[4]
    number = _number(match[3], text)

    is_share = unit == "" and number <= 1 and quantity not in _SMALL
    relative = unit == "%" or is_share
    if relative and quantity in RATES:
        raise BudgetError(
            f"budget {text!r} has a share of {quantity}; allowed are frames a second, such as "
            f"{quantity}>=1000"
        )
    if relative:
        scale = _PERCENT if unit == "%" else Decimal(1)
    else:
        scale = _scale(quantity, unit, number, text)
    value = _product(number, scale)

    if value <= 0 or not math.isfinite(value) or (relative and value > 1):
        raise BudgetError(
            f"budget {text!r} must lie above 0, be finite and, if relative, be at most 100 %"
        )
    return Bound(quantity, value, relative)


def _known_quantity(name: str, text: str) -> Bounded:
    # The item itself, whose type is known to be that of quantities.
    for quantity in _BOUNDED:
        if name == quantity:
            return quantity

    allowed = ", ".join(_BOUNDED)
    near = _nearest_quantity(name)
    meant = f"did you mean {near!r}? " if near else ""
    raise BudgetError(f"budget {text!r} bounds {name!r}; {meant}allowed are {allowed}")


def _require_direction(quantity: Bounded, sign: str, text: str) -> None:
    wanted = ">" if quantity in RATES else "<"
    if sign != wanted:
        raise BudgetError(
            f"budget {text!r} bounds {quantity} from the wrong side; allowed is {quantity}{wanted}="
        )


def _nearest_quantity(name: str) -> str | None:
    if name in _MEANT:
        return _MEANT[name]
    return nearest(name, _BOUNDED)


def _number(digits: str, text: str) -> Decimal:
    try:
        return Decimal(digits)
    except ArithmeticError:
        raise BudgetError(f"budget {text!r}: {digits!r} is not a number") from None


def _product(number: Decimal, scale: Decimal) -> float:
    """The float nearest to a product."""
    try:
        return float(number * scale)
    except ArithmeticError:  # more digits than any float has
        return math.inf


def _scale(quantity: Bounded, unit: str, number: Decimal, text: str) -> Decimal:
    """What an absolute number is multiplied by.

    Raises `BudgetError` for a unit that the quantity does not have.
    """
    units = _units(quantity)
    allowed = ", ".join(units)
    # A plain number does not say whether seconds or milliseconds are meant.
    if unit == "" and quantity == "latency":
        raise BudgetError(
            f"budget {text!r} needs a unit; allowed are %, {allowed}, or a fraction up to 1"
        )
    if unit == "" and number <= _TOO_FEW and quantity not in _SMALL:
        plain = _plain(number)
        raise BudgetError(
            f"budget {text!r} bounds {plain} {_NOUNS[quantity]}; for a share of the original write "
            f"{quantity}<={plain}%, else a unit: {allowed}"
        )
    if unit == "":
        return Decimal(1)

    # No two units of a quantity differ only in upper and lower case.
    for name, scale in units.items():
        if name.lower() == unit.lower():
            return scale
    raise BudgetError(f"budget {text!r} has the unit {unit!r}; allowed are %, {allowed}")


def _units(quantity: Bounded) -> dict[str, Decimal]:
    """All units that are read, from the smallest of a kind."""
    if quantity == "latency":
        return _SECONDS
    if quantity == "size":
        return {**_BYTES, **_BINARY_BYTES, **_THOUSANDS}
    return _THOUSANDS


def _unit_for(quantity: Bounded, value: Decimal) -> tuple[str, Decimal]:
    """The unit that a value is printed in: the largest that leaves a number of at least 1."""
    units = _THOUSANDS
    if quantity == "latency":
        units = _SECONDS
    elif quantity == "size":
        units = _BYTES
    elif _TOO_FEW < value < 1000 or (quantity in _SMALL and value < 1000):
        # Larger than what is refused without a unit, so that it is read back.
        return "", Decimal(1)

    smallest, *larger = units.items()
    best = smallest
    for unit, scale in larger:
        if value >= scale:
            best = unit, scale
    return best


def _plain(value: Decimal) -> str:
    """Digits without an exponent or trailing zeros."""
    return f"{value.normalize():f}"
