"""What a network's call costs beside its layers, from chains of one and of two equal layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sartor.machine import FloatArray

#: Channels, and sides of the images, that enter and leave the chains.
CHANNELS, SIDES = 16, (4, 16, 64, 128)
#: The least that a layer takes within a network, as a share of what it takes alone.
_LEAST = 0.1


def chain_key(side: int, pair: tuple[int, int], length: int) -> str:
    """The name of a chain in a table of latencies."""
    return f"{length} x conv {CHANNELS}->{CHANNELS} on {side}x{side} at {pair[0]}/{pair[1]} bits"


@dataclass(frozen=True, eq=False)
class CallOverhead:
    """``costs`` are seconds for images of the `SIDES`, at one precision: the call itself, rounding, reordering."""

    costs: FloatArray

    @classmethod
    def of_chains(cls, seconds: Callable[[int, int], float]) -> CallOverhead:
        """From the ``seconds`` of a chain by its side and length: two layers take one layer more, and as much beside them."""
        one, two = (np.array([seconds(side, length) for side in SIDES]) for length in (1, 2))
        return cls(np.maximum(2 * one - two, 0.0))

    @classmethod
    def none(cls) -> CallOverhead:
        """Where latencies are sums of layers."""
        return cls(np.zeros(len(SIDES)))

    def seconds(self, numbers: FloatArray) -> FloatArray:
        """What taking or giving some ``numbers`` costs."""
        sizes = [CHANNELS * side**2 for side in SIDES]
        return np.interp(numbers, sizes, self.costs) * np.maximum(numbers / sizes[-1], 1.0)

    def within(self, alone: float, ends: FloatArray) -> float:
        """What a layer takes within a network, if it takes ``alone`` when it is one; ``ends``: numbers it reads and writes."""
        return max(_LEAST * alone, alone - float(self.seconds(ends).mean()))
