"""Latency of any policy, from single layers that were measured, corrected by whole networks.

Each layer of each precision is measured at some widths, in turns with the original network so that
a drifting machine cancels out; its latency over all widths is a `LatencySurface`. A network is the
sum of its layers, scaled per precision, plus what changing the precision costs between layers, plus
a constant; these few factors follow from whole networks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from torch import fx

from sartor.cost import CostModel, LayerSettings
from sartor.graph import Network
from sartor.machine import FloatArray, IntArray, digest
from sartor.targets._deployment import Deployment
from sartor.targets.prediction._factors import MeasuredNetwork, fit_factors
from sartor.targets.prediction._layer_latencies import FULL_PRECISION, LayerLatencies, Precision
from sartor.targets.prediction._layer_timings import LayerTimings


class LatencyTable:
    """Predicts seconds of deployed networks; made by `measure`."""

    def __init__(
        self, cost_model: CostModel, timings: LayerTimings, latencies: LayerLatencies
    ) -> None:
        self.cost_model = cost_model
        self.precisions = latencies.precisions
        self.original_s = timings.original_s
        self._timings = timings
        self._latencies = latencies
        self._measured: list[MeasuredNetwork] = []
        self._misses: list[float] = []
        self._factors = np.append(np.ones(len(self.precisions) + 1), 0.0)

    @classmethod
    def measure(
        cls,
        cost_model: CostModel,
        deployment: Deployment,
        precisions: Mapping[str, Sequence[Precision]],
        path: Path | None = None,
    ) -> Self:
        """Time all layers of a network on its target, at the ``precisions`` of each, by name.

        ``path`` keeps what was measured, of any networks; it is not measured again. Takes minutes
        on a real target.
        """
        network = cost_model.network
        timings = LayerTimings.measure(deployment, path, _name_of(network))
        latencies = LayerLatencies.measure(timings, network.layers, precisions)
        table = cls(cost_model, timings, latencies)
        table.correct(cost_model.sizes[None], LayerSettings(), timings.original_s)
        return table

    def seconds(self, counts: IntArray, options: LayerSettings) -> FloatArray:
        """Seconds of policies.

        ``counts`` are those of the groups, (policies, groups); ``options`` are of (policies,
        layers).
        """
        return self._parts(counts, options) @ self._factors

    def correct(self, counts: IntArray, options: LayerSettings, seconds: float) -> None:
        """Take a whole network into account: one policy, as rows of one, and what it took."""
        parts = self._parts(counts, options)[0]
        if self._measured:
            predicted = float(parts @ self._factors)
            self._misses.append(abs(predicted / seconds - 1))
        self._measured.append(MeasuredNetwork(tuple(parts.tolist()), seconds))
        self._factors = fit_factors(self._measured)

    def measure_whole(
        self,
        counts: IntArray,
        options: LayerSettings,
        name: str,
        build: Callable[[], fx.GraphModule],
    ) -> None:
        """Measure a network, unless its ``name`` was measured before, and take it into account."""
        self.correct(counts, options, self._timings.network_seconds(name, build))

    def error(self) -> float:
        """Median relative error of predictions of networks that were then measured; 0 of none."""
        return float(np.median(self._misses)) if self._misses else 0.0

    def _parts(self, counts: IntArray, options: LayerSettings) -> FloatArray:
        """What is summed with a factor each, (policies, parts), in seconds.

        The layers at each precision, rounding where a layer's precision is not that of the one
        before, and, the same for all policies, what a network does beside its layers: additions,
        padding, the call itself.
        """
        inputs, outputs = self.cost_model.channels(counts)
        seconds = self._latencies.seconds(inputs, outputs)
        chosen = self._columns(options, inputs.shape)
        parts = []
        for column in range(len(self.precisions)):
            at_it = np.where(chosen == column, seconds[:, :, column], 0)
            parts.append(at_it.sum(1))

        positions = [np.prod(layer.input_size) for layer in self.cost_model.network.layers]
        changes = self._changes(chosen, inputs * np.array(positions))
        beside = np.full(len(inputs), self.original_s)
        return np.stack([*parts, changes, beside], axis=1)

    def _changes(self, chosen: IntArray, numbers: FloatArray) -> FloatArray:
        """Seconds of rounding what layers read, (policies,), where the precision changes."""
        changed = np.diff(chosen, axis=1) != 0
        if not changed.any():
            return np.zeros(len(chosen))
        numbers = numbers[:, 1:]
        before = chosen[:, :-1]
        after = chosen[:, 1:]
        plain = self._timings.boundary(FULL_PRECISION, numbers)
        rounding = np.zeros(numbers.shape)
        for column, pair in enumerate(self.precisions):
            # half of what a call costs is at its other end
            cost = np.maximum(self._timings.boundary(pair, numbers) - plain, 0) / 2
            beside_it = (before == column) | (after == column)
            rounding = np.maximum(rounding, np.where(beside_it, cost, 0))
        return (rounding * changed).sum(1)

    def _columns(self, options: LayerSettings, shape: tuple[int, ...]) -> IntArray:
        """Which precision each layer has; pairs that were not measured count as the next above."""
        columns = np.full(shape, self.precisions.index(FULL_PRECISION))
        if options.weight_bits is None or options.activation_bits is None:
            return columns
        for column in reversed(range(len(self.precisions))):
            weights, activations = self.precisions[column]
            fits = (options.weight_bits <= weights) & (options.activation_bits <= activations)
            columns = np.where(fits, column, columns)
        return columns


def _name_of(network: Network) -> str:
    """What a network is called in a table: the same for the same weights, sizes and layers."""
    sizes = [tuple(item.shape) for item in network.example_inputs]
    found = digest(network.module.state_dict(), sizes, network.layers)
    return f"network {found[:12]}"
