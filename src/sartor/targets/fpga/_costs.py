"""What policies of a network take on a device, as problems ask for it."""

from __future__ import annotations

import numpy as np

from sartor.budget import RESOURCES, Bound, Bounded
from sartor.cost import Band, CostModel, LayerSettings
from sartor.machine import FloatArray, IntArray
from sartor.targets.fpga._engines import FINEST
from sartor.targets.fpga._estimate import SHOWN, Estimates
from sartor.targets.fpga._estimator import Estimator

_AS_IT_IS = LayerSettings()


class FpgaCosts:
    """Designs of a network's policies.

    Attributes:
        original_s: Seconds from end to end of the network that nothing is taken from, at 8 bits.
    """

    def __init__(self, cost_model: CostModel, estimator: Estimator) -> None:
        self._cost_model = cost_model
        self._estimator = estimator
        self._last: tuple[bytes, Estimates] | None = None
        whole = self.estimate(cost_model.sizes[None], _AS_IT_IS)
        self.original_s = float(whole.latency[0])

    def estimate(self, counts: IntArray, options: LayerSettings) -> Estimates:
        """Designs of counts (policies, groups) and settings (policies, layers)."""
        weight_bits = _or_finest(options.weight_bits, counts, self._layers)
        activation_bits = _or_finest(options.activation_bits, counts, self._layers)
        key = b"|".join(item.tobytes() for item in (counts, weight_bits, activation_bits))
        # All quantities of the same policies are asked for one after the other.
        if self._last is None or self._last[0] != key:
            inputs, outputs = self._cost_model.channels(counts)
            found = self._estimator.estimate(inputs, outputs, weight_bits, activation_bits)
            self._last = (key, found)
        return self._last[1]

    def seconds(self, counts: IntArray, options: LayerSettings) -> FloatArray:
        """From end to end (policies,)."""
        return self.estimate(counts, options).latency

    def total(self, quantity: Bounded, counts: IntArray, options: LayerSettings) -> FloatArray:
        """A resource or the rate (policies,), at the worse end of its band."""
        return self.estimate(counts, options).cautious(quantity)

    def bands(self, counts: IntArray, options: LayerSettings) -> dict[str, Band]:
        """What one policy's design takes and gives."""
        found = self.estimate(counts, options)
        return {name: found.band(name) for name in SHOWN}

    def whole(self, quantity: Bounded) -> float:
        """What the device has of a resource; 1 of a rate, of which there are no shares."""
        if quantity not in RESOURCES:
            return 1.0
        return float(getattr(self._estimator.device, quantity))

    def limits(self) -> tuple[Bound, ...]:
        """The whole device, of resources that it has."""
        found = []
        for quantity in RESOURCES:
            if self.whole(quantity) > 0:
                found.append(Bound(quantity, 1.0, relative=True))
        return tuple(found)

    def correct(self, counts: IntArray, options: LayerSettings, seconds: float) -> None:
        """Nothing is learned from estimates."""

    def error(self) -> float:
        """0: candidates are estimated alike."""
        return 0.0

    @property
    def _layers(self) -> int:
        return len(self._cost_model.network.layers)


def _or_finest(bits: IntArray | None, counts: IntArray, layers: int) -> IntArray:
    if bits is None:
        return np.full((len(counts), layers), FINEST)
    return bits
