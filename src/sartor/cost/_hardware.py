"""What a problem asks of a target that knows what policies cost there, without building them."""

from __future__ import annotations

from typing import Protocol

from sartor.budget import Bound, Bounded
from sartor.cost._band import Band
from sartor.cost._latency import LatencyPredictor
from sartor.cost._layer_settings import LayerSettings
from sartor.machine import FloatArray, IntArray


class HardwareCosts(LatencyPredictor, Protocol):
    """Costs of policies on a device, in closed form, of which latency is one.

    Nothing is learned from estimates, and they are what it will say of a candidate itself.
    """

    def total(self, quantity: Bounded, counts: IntArray, options: LayerSettings) -> FloatArray:
        """One of the device's quantities (policies,), at the worse end of what it may be."""
        ...

    def bands(self, counts: IntArray, options: LayerSettings) -> dict[str, Band]:
        """All of the device's quantities for one policy, given as rows of one."""
        ...

    def whole(self, quantity: Bounded) -> float:
        """What the device has of a resource."""
        ...

    def limits(self) -> tuple[Bound, ...]:
        """Bounds that hold whatever a budget says: no more than the whole device."""
        ...
