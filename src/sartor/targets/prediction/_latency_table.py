"""Latency of any policy, predicted from single layers that were measured and corrected by whole networks that were.

Each layer of each precision is measured at some widths, in turns with the original network so that a drifting machine cancels
out; its latency over all widths is a `LatencySurface`. A network is the sum of its layers, scaled per precision, plus what changing the
precision costs between layers, plus a constant; these few factors follow from whole networks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import nnls
from torch import fx

from sartor.cost import CostModel, LayerSettings
from sartor.machine import FloatArray, IntArray, digest
from sartor.policy import FULL_WIDTH
from sartor.targets._deployment import Deployment
from sartor.targets.prediction._layer_timings import LayerTimings
from sartor.targets.prediction._surface import terms

#: How far whole-network factors are trusted before any whole network was measured, in measurements.
_PRIOR = 0.3


@dataclass(frozen=True)
class MeasuredNetwork:
    """A whole network that was measured: seconds of its parts as predicted, and of all as measured."""

    parts: tuple[float, ...]
    seconds: float


class LatencyTable:
    """Predicts seconds of a deployed network. ``path`` keeps what was measured, of any networks; it is not measured again."""

    def __init__(
        self,
        cost_model: CostModel,
        deployment: Deployment,
        precisions: Mapping[str, Sequence[tuple[int, int]]],
        path: Path | None = None,
    ) -> None:
        self.cost_model, self._deployment = cost_model, deployment
        full = (FULL_WIDTH, FULL_WIDTH)
        self.precisions = sorted({full, *(pair for pairs in precisions.values() for pair in pairs)})
        network, layers = cost_model.network, cost_model.network.layers
        sizes = [tuple(item.shape) for item in network.example_inputs]
        self._name = f"network {digest(network.module.state_dict(), sizes, layers)[:12]}"
        cells = self._cells = LayerTimings(deployment, path, self._name)
        self.original_s = cells.original_s
        self._positions = np.array([np.prod(layer.input_size) for layer in layers])
        widest = max(width for layer in layers for width in (layer.in_channels, layer.out_channels))
        self._coefficients = np.zeros((len(layers), len(self.precisions), 4))
        self._bends = np.ones((len(layers), len(self.precisions), 2, widest + 1))
        for row, layer in enumerate(layers):
            for column, pair in enumerate(self.precisions):
                if pair == full or pair in precisions.get(layer.name, ()):
                    surface = cells.surface(layer, pair)
                    self._coefficients[row, column] = layer.calls * surface.coefficients
                    self._bends[row, column] = surface.factors(widest)
        self._wholes: list[MeasuredNetwork] = []
        self._misses: list[float] = []
        self._factors = np.append(np.ones(len(self.precisions) + 1), 0.0)
        self.correct(cost_model.sizes[None], LayerSettings(), self.original_s)

    def seconds(self, counts: IntArray, options: LayerSettings) -> FloatArray:
        """Seconds of policies given as counts (policies, groups) and `LayerSettings` (policies, layers)."""
        return self._parts(counts, options) @ self._factors

    def correct(self, counts: IntArray, options: LayerSettings, seconds: float) -> None:
        """Take a whole network into account: one policy, given as rows of one, and what it took."""
        parts = self._parts(counts, options)[0]
        if self._wholes:
            self._misses.append(abs(float(parts @ self._factors) / seconds - 1))
        self._wholes.append(MeasuredNetwork(tuple(parts.tolist()), seconds))
        rows = np.array([whole.parts for whole in self._wholes]) / np.array(
            [[whole.seconds] for whole in self._wholes]
        )
        spread = float(np.median(rows[:, :-2].sum(1)))
        ease = np.sqrt(_PRIOR) * np.diag(
            [*np.full(len(self.precisions), spread), float(rows[:, -2].max()) or 1.0, 1.0]
        )
        before = ease @ np.append(np.full(len(self.precisions), 1 / spread), [1.0, 0.0])
        self._factors = nnls(np.vstack([rows, ease]), np.append(np.ones(len(rows)), before))[0]

    def measure_whole(
        self,
        counts: IntArray,
        options: LayerSettings,
        name: str,
        build: Callable[[], fx.GraphModule],
    ) -> None:
        """Measure a whole network, unless its ``name`` was measured before, and take it into account."""
        seconds = self._cells.seconds(
            f"{self._name} {name}", lambda: self._deployment.measure(build())
        )
        self.correct(counts, options, seconds)

    def error(self) -> float:
        """Median relative error of what was predicted of whole networks just before they were measured; 0 before any was."""
        return float(np.median(self._misses)) if self._misses else 0.0

    def _parts(self, counts: IntArray, options: LayerSettings) -> FloatArray:
        """What is summed with a factor each, (policies, parts), in seconds.

        The layers at each precision, rounding where a layer's precision is not that of the one before, and, the same for all
        policies, what a network does beside its layers: additions, padding, the call itself.
        """
        inputs, outputs = self.cost_model.channels(counts)
        rows, widths = (
            np.arange(inputs.shape[1]),
            (np.rint(inputs).astype(np.int64), np.rint(outputs).astype(np.int64)),
        )
        factors = [self._bends[rows, :, side, widths[side]] for side in (0, 1)]
        every = (
            np.einsum("plk,lck->plc", terms(inputs, outputs), self._coefficients)
            * factors[0]
            * factors[1]
        )
        chosen = self._columns(options, inputs.shape)
        parts = [
            np.where(chosen == column, every[:, :, column], 0).sum(1)
            for column in range(len(self.precisions))
        ]
        return np.stack(
            [
                *parts,
                self._changes(chosen, inputs * self._positions),
                np.full(len(inputs), self.original_s),
            ],
            axis=1,
        )

    def _changes(self, chosen: IntArray, numbers: FloatArray) -> FloatArray:
        """Seconds of rounding what layers read, (policies,), where it changes from one to the next."""
        changed = np.diff(chosen, axis=1) != 0
        if not changed.any():
            return np.zeros(len(chosen))
        numbers, before, after = numbers[:, 1:], chosen[:, :-1], chosen[:, 1:]
        plain, rounding = (
            self._cells.boundary((FULL_WIDTH, FULL_WIDTH), numbers),
            np.zeros(numbers.shape),
        )
        for column, pair in enumerate(self.precisions):
            cost = (
                np.maximum(self._cells.boundary(pair, numbers) - plain, 0) / 2
            )  # half of it is the other end
            rounding = np.maximum(
                rounding, np.where((before == column) | (after == column), cost, 0)
            )
        return (rounding * changed).sum(1)

    def _columns(self, options: LayerSettings, shape: tuple[int, ...]) -> IntArray:
        """Which precision each layer has; pairs that were not measured count as the nearest above."""
        if options.weight_bits is None or options.activation_bits is None:
            return np.full(shape, self.precisions.index((FULL_WIDTH, FULL_WIDTH)))
        columns = np.full(shape, self.precisions.index((FULL_WIDTH, FULL_WIDTH)))
        for column, (weights, activations) in reversed(list(enumerate(self.precisions))):
            fits = (options.weight_bits <= weights) & (options.activation_bits <= activations)
            columns = np.where(fits, column, columns)
        return columns
