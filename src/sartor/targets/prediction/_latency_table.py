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

        # layers and changes count once until networks say otherwise, what is beside them not at all
        counted = np.ones(len(self.precisions) + 1)
        self._factors = np.append(counted, 0.0)

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
        name = _name_of(network)
        timings = LayerTimings.measure(deployment, path, name)
        latencies = LayerLatencies.measure(timings, network.layers, precisions)

        # the original is the first whole network
        table = cls(cost_model, timings, latencies)
        table.correct(
            cost_model.sizes[None],
            LayerSettings(),
            timings.original_s,
        )
        return table

    def seconds(self, counts: IntArray, options: LayerSettings) -> FloatArray:
        """Seconds of policies.

        ``counts`` are those of the groups, (policies, groups); ``options`` are of (policies,
        layers).
        """
        return self._parts(counts, options) @ self._factors

    def correct(self, counts: IntArray, options: LayerSettings, seconds: float) -> None:
        """Take a whole network into account: one policy, as rows of one, and what it took."""
        rows = self._parts(counts, options)
        parts = rows[0]

        if self._measured:
            # what was predicted without this network, as a search relies on it
            predicted = float(parts @ self._factors)
            miss = abs(predicted / seconds - 1)
            self._misses.append(miss)

        known = tuple(parts.tolist())
        measured = MeasuredNetwork(known, seconds)
        self._measured.append(measured)
        self._factors = fit_factors(self._measured)

    def measure_whole(
        self,
        counts: IntArray,
        options: LayerSettings,
        name: str,
        build: Callable[[], fx.GraphModule],
    ) -> None:
        """Measure a network, unless its ``name`` was measured before, and take it into account."""
        seconds = self._timings.network_seconds(name, build)
        self.correct(counts, options, seconds)

    def error(self) -> float:
        """Median relative error of predictions of networks that were then measured; 0 of none."""
        if not self._misses:
            return 0.0
        return float(np.median(self._misses))

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
            of_precision = seconds[:, :, column]
            counted = np.where(chosen == column, of_precision, 0)
            parts.append(counted.sum(1))

        positions = _positions(self.cost_model.network)
        changes = self._changes(chosen, inputs * positions)
        beside = np.full(len(inputs), self.original_s)

        # `fit_factors` expects the last two there
        return np.stack([*parts, changes, beside], axis=1)

    def _changes(self, chosen: IntArray, numbers: FloatArray) -> FloatArray:
        """Seconds of rounding what layers read, (policies,), where the precision changes."""
        changed = np.diff(chosen, axis=1) != 0
        if not changed.any():
            return np.zeros(len(chosen))

        before = chosen[:, :-1]
        after = chosen[:, 1:]
        handed_over = numbers[:, 1:]
        plain = self._timings.boundary(FULL_PRECISION, handed_over)

        rounding = np.zeros(handed_over.shape)
        for column, pair in enumerate(self.precisions):
            at_both_ends = self._timings.boundary(pair, handed_over) - plain
            # half of what a call costs is at its other end
            cost = np.maximum(at_both_ends, 0) / 2
            beside_it = (before == column) | (after == column)
            cost_beside_it = np.where(beside_it, cost, 0)
            rounding = np.maximum(rounding, cost_beside_it)

        paid = rounding * changed
        return paid.sum(1)

    def _columns(self, options: LayerSettings, shape: tuple[int, ...]) -> IntArray:
        """Which precision each layer has; pairs that were not measured count as the next above."""
        full = self.precisions.index(FULL_PRECISION)
        columns = np.full(shape, full)
        if options.weight_bits is None or options.activation_bits is None:
            return columns

        # from the widest down, so that the narrowest that fits is left
        for column in reversed(range(len(self.precisions))):
            weights, activations = self.precisions[column]
            weights_fit = options.weight_bits <= weights
            inputs_fit = options.activation_bits <= activations
            columns = np.where(weights_fit & inputs_fit, column, columns)
        return columns


def _positions(network: Network) -> FloatArray:
    """At how many positions each layer reads its channels."""
    positions = [np.prod(layer.input_size) for layer in network.layers]
    return np.array(positions, dtype=np.float64)


def _name_of(network: Network) -> str:
    """What a network is called in a table: the same for the same weights, sizes and layers."""
    sizes = [tuple(item.shape) for item in network.example_inputs]
    found = digest(network.module.state_dict(), sizes, network.layers)
    return f"network {found[:12]}"
