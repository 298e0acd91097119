"""An estimate, and between what it lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Band:
    """An estimate.

    >>> Band.around(100.0, below=0.25, above=0.5)
    Band(low=75.0, value=100.0, high=150.0)

    Attributes:
        low: What is likely the least.
        value: The estimate itself.
        high: What is likely the most.
    """

    low: float
    value: float
    high: float

    @classmethod
    def around(cls, value: float, *, below: float, above: float) -> Self:
        """From shares of the value by which it may be smaller, and larger."""
        return cls(value * (1 - below), value, value * (1 + above))
