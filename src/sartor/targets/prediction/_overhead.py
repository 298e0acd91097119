"""What a network's call costs beside its layers, from chains of one and of two equal layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from sartor.machine import FloatArray

#: Channels of the chains' layers.
CHANNELS = 16
#: Sides of the images that enter and leave the chains.
SIDES = (4, 16, 64, 128)
#: The least that a layer takes within a network, as a share of what it takes alone.
_LEAST = 0.1


def chain_key(side: int, pair: tuple[int, int], length: int) -> str:
    """The name of a chain in a table of latencies.

    >>> chain_key(64, (8, 8), 2)
    '2 x conv 16->16 on 64x64 at 8/8 bits'
    """
    weights, activations = pair
    layers = f"{length} x conv {CHANNELS}->{CHANNELS}"
    precision = f"{weights}/{activations} bits"
    return f"{layers} on {side}x{side} at {precision}"


@dataclass(frozen=True, eq=False)
class CallOverhead:
    """What a network takes beside its layers: the call itself, rounding, reordering.

    Attributes:
        costs: Seconds at one precision for images of the `SIDES`.

    >>> overhead = CallOverhead.of_chains(lambda side, length: 5e-6 + length * 1e-6)
    >>> round(1e6 * overhead.within(alone=8e-6, ends=np.array([100.0, 100.0])), 3)
    3.0
    """

    costs: FloatArray

    @classmethod
    def of_chains(cls, seconds: Callable[[int, int], float]) -> Self:
        """From the ``seconds`` of a chain by its side and length.

        Two layers take one layer more than one, and as much beside their layers.
        """
        one = np.array([seconds(side, 1) for side in SIDES])
        two = np.array([seconds(side, 2) for side in SIDES])

        # 2 (beside + layer) − (beside + 2 layers)
        beside = 2 * one - two

        # noise may say that two layers take more than twice as long as one
        costs = np.maximum(beside, 0.0)
        return cls(costs)

    @classmethod
    def none(cls) -> Self:
        """Where latencies are sums of layers."""
        return cls(np.zeros(len(SIDES)))

    def seconds(self, numbers: FloatArray) -> FloatArray:
        """What taking or giving some ``numbers`` costs; in proportion beyond the largest side."""
        sizes = [CHANNELS * side**2 for side in SIDES]
        costs = np.interp(numbers, sizes, self.costs)
        beyond = np.maximum(numbers / sizes[-1], 1.0)
        return costs * beyond

    def within(self, alone: float, ends: FloatArray) -> float:
        """What a layer that takes ``alone`` as a network of its own takes within another one.

        ``ends`` are how many numbers it reads and how many it writes.
        """
        overhead = float(self.seconds(ends).mean())
        return max(_LEAST * alone, alone - overhead)
