"""What Galen's agent sees of a layer: features of the partly compressed network of its step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sartor.agents._base import SearchContext
from sartor.agents._degrees import LayerStep
from sartor.agents._layer_features import kind_and_window
from sartor.cost import LayerCost
from sartor.graph import LayerSpec
from sartor.machine import FloatArray, IntArray
from sartor.problem import Decision, Problem

#: Points of a curve of Ω, evenly from the least precise choice towards the whole one.
SENSITIVITY_POINTS = 10
#: Ω and shares of latency below these are shown as these, before the logarithm.
_LEAST_OMEGA = 1e-12
_LEAST_SHARE = 1e-6


class LayerState:
    """Features of layers, one row for each step of an episode.

    Static ones: place in the network, kind, window, which decisions there are (which says for
    each curve below whether it means anything), log₁₀ of Ω at ten points of the choices of each
    decision, log₁₀ of the shares of the latency. Those that were not measured are left out.

    Those of the network as far as it is compressed, where the decisions to come keep everything:
    logarithms of the layer's channels, MACs and BOPs; MACs and BOPs of the layers before it and
    after it, as shares of the original's.
    """

    def __init__(self, context: SearchContext, steps: Sequence[LayerStep]) -> None:
        self._problem = context.problem
        self._steps = steps
        self._static = _static_table(context, steps)
        self._places = _places(context.problem)

    @property
    def features(self) -> int:
        """Length of a row."""
        whole = self._problem.highest[:0]
        return len(self.row(0, whole))

    def row(self, index: int, decided: IntArray) -> FloatArray:
        """Features (features,) of the step ``index``, after the counts ``decided`` so far."""
        static = self._static[index]
        step = self._steps[index]
        layer = _layer_of(self._problem.decisions, step)
        place = self._places[layer.name]

        layers = self._layers(decided)
        own = _of_layer(layers[place])
        around = self._around(layers, place)
        return np.concatenate([static, own, around])

    def _layers(self, decided: IntArray) -> Sequence[LayerCost]:
        """Costs of all layers, where the decisions to come keep everything."""
        problem = self._problem
        to_come = problem.highest[len(decided) :]
        counts = np.concatenate([decided, to_come])
        policy = problem.policy(counts)
        return problem.cost_model.by_layer(policy)

    def _around(self, layers: Sequence[LayerCost], place: int) -> list[float]:
        """MACs and BOPs before and after a layer, as shares of the original's."""
        original = self._problem.original
        before = layers[:place]
        after = layers[place + 1 :]
        return [
            _total_macs(before) / original.macs,
            _total_macs(after) / original.macs,
            _total_bops(before) / original.bops,
            _total_bops(after) / original.bops,
        ]


def _of_layer(layer: LayerCost) -> list[float]:
    sizes = (layer.in_channels, layer.out_channels, layer.macs, _bops(layer))
    return [float(np.log(size)) for size in sizes]


def _bops(layer: LayerCost) -> int:
    return layer.macs * layer.weight_bits * layer.activation_bits


def _total_macs(layers: Sequence[LayerCost]) -> int:
    return sum(layer.macs for layer in layers)


def _total_bops(layers: Sequence[LayerCost]) -> int:
    return sum(map(_bops, layers))


def _layer_of(decisions: Sequence[Decision], step: LayerStep) -> LayerSpec:
    return decisions[step.columns[0]].layer


def _places(problem: Problem) -> dict[str, int]:
    """The place of each layer in the network, by its name."""
    layers = problem.cost_model.network.layers
    return {layer.name: place for place, layer in enumerate(layers)}


def _static_table(context: SearchContext, steps: Sequence[LayerStep]) -> FloatArray:
    """What does not change during a search, one row for each step."""
    rows = []
    # A single step is the first one.
    last = max(1, len(steps) - 1)

    for index, step in enumerate(steps):
        place = index / last
        rows.append([place, *_static(context, step)])

    return np.array(rows)


def _static(context: SearchContext, step: LayerStep) -> list[float]:
    """What does not change during a search, of one step but for its place."""
    layer = _layer_of(context.problem.decisions, step)
    row = kind_and_window(layer)
    row.append(float(step.width is not None))
    row.append(float(step.bits is not None))

    if context.sensitivity is not None:
        row += _omega(context.sensitivity, step.width)
        row += _omega(context.sensitivity, step.bits)

    if context.latency is not None:
        # All decisions on a layer have its shares.
        column = step.columns[0]
        row += _log_shares(context.latency[column])
    return row


def _log_shares(shares: Sequence[float]) -> list[float]:
    visible = [max(share, _LEAST_SHARE) for share in shares]
    return [float(np.log10(share)) for share in visible]


def _omega(curves: Sequence[FloatArray], column: int | None) -> list[float]:
    """Logarithms of points of a decision's curve; zeros where the layer lacks the decision."""
    if column is None:
        return [0.0] * SENSITIVITY_POINTS

    curve = curves[column]
    last = len(curve) - 1
    # The whole choice is left out: it changes nothing, whatever the layer.
    places = np.arange(SENSITIVITY_POINTS) * last // SENSITIVITY_POINTS

    # Ω may be 0, which has no logarithm.
    points = np.maximum(curve[places], _LEAST_OMEGA)
    logarithms = np.log10(points)
    return [float(logarithm) for logarithm in logarithms]
