"""Seconds of every layer of a network at every precision, for thousands of policies at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from sartor.graph import LayerSpec
from sartor.machine import FloatArray, Step
from sartor.policy import FULL_WIDTH
from sartor.targets.prediction._layer_timings import LayerTimings
from sartor.targets.prediction._surface import terms

#: Bits of weights and of inputs.
Precision = tuple[int, int]
FULL_PRECISION: Precision = (FULL_WIDTH, FULL_WIDTH)


@dataclass(frozen=True, eq=False)
class LayerLatencies:
    """The surfaces of all layers, as arrays; a layer takes nothing at a precision it has not.

    Attributes:
        precisions: All that any layer has, in order.
        coefficients: Of the terms, for all calls of a layer: (layers, precisions, 4), in seconds.
        factors: Of widths from 0 up, of inputs and of outputs: (layers, precisions, 2, widths).
    """

    precisions: Sequence[Precision]
    coefficients: FloatArray
    factors: FloatArray

    @classmethod
    def measure(
        cls,
        timings: LayerTimings,
        layers: Sequence[LayerSpec],
        allowed: Mapping[str, Sequence[Precision]],
    ) -> Self:
        """Time the layers at full precision and at those ``allowed`` for them, by name."""
        precisions = _all_precisions(allowed)
        wider_sides = [max(layer.in_channels, layer.out_channels) for layer in layers]
        widest = max(wider_sides)

        shape = (len(layers), len(precisions))
        coefficients = np.zeros((*shape, 4))
        factors = np.ones((*shape, 2, widest + 1))

        for row, layer in enumerate(layers):
            timings.tell(Step("measuring layers", row, len(layers), layer.name))
            pairs = {FULL_PRECISION, *allowed.get(layer.name, ())}
            for column, pair in enumerate(precisions):
                if pair not in pairs:
                    continue

                surface = timings.surface(layer, pair)
                coefficients[row, column] = layer.calls * surface.coefficients
                factors[row, column] = surface.factors(widest)
        timings.tell(Step("measuring layers", len(layers), len(layers)))
        return cls(precisions, coefficients, factors)

    def seconds(self, inputs: FloatArray, outputs: FloatArray) -> FloatArray:
        """Of widths (policies, layers) at every precision: (policies, layers, precisions)."""
        # letters of einsum: policies, layers, terms (k), precisions (c)
        table = terms(inputs, outputs)
        plain = np.einsum("plk,lck->plc", table, self.coefficients)

        layers = np.arange(inputs.shape[1])
        widths_in = np.rint(inputs).astype(np.int64)
        widths_out = np.rint(outputs).astype(np.int64)

        # numpy puts what arrays index first: policies and layers come before the precisions
        of_inputs = self.factors[layers, :, 0, widths_in]
        of_outputs = self.factors[layers, :, 1, widths_out]
        return plain * of_inputs * of_outputs


def _all_precisions(allowed: Mapping[str, Sequence[Precision]]) -> list[Precision]:
    """Those of any layer, in order."""
    known = {FULL_PRECISION}
    for pairs in allowed.values():
        known.update(pairs)
    return sorted(known)
