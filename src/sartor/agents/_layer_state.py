"""What Galen's agent sees of a layer: features of the partly compressed network of its step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sartor.agents._base import SearchContext
from sartor.agents._degrees import LayerStep
from sartor.cost import LayerCost
from sartor.graph import LayerSpec
from sartor.machine import FloatArray, IntArray
from sartor.problem import Decision

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
        rows = [_static(context, index, step, len(steps)) for index, step in enumerate(steps)]
        self._static = np.array(rows, dtype=np.float64)
        layers = context.problem.cost_model.network.layers
        self._places = {layer.name: place for place, layer in enumerate(layers)}

    @property
    def features(self) -> int:
        """Length of a row."""
        whole = self._problem.highest[:0]
        return len(self.row(0, whole))

    def row(self, index: int, decided: IntArray) -> FloatArray:
        """Features (features,) of the step ``index``, after the counts ``decided`` so far."""
        problem = self._problem
        counts = np.concatenate([decided, problem.highest[len(decided) :]])
        layers = problem.cost_model.by_layer(problem.policy(counts))
        place = self._places[_layer_of(problem.decisions, self._steps[index]).name]
        dynamic = _of_layer(layers[place]) + self._around(layers, place)
        return np.concatenate([self._static[index], dynamic])

    def _around(self, layers: Sequence[LayerCost], place: int) -> list[float]:
        """MACs and BOPs before and after a layer, as shares of the original's."""
        original = self._problem.original
        before = layers[:place]
        after = layers[place + 1 :]
        return [
            sum(layer.macs for layer in before) / original.macs,
            sum(layer.macs for layer in after) / original.macs,
            sum(map(_bops, before)) / original.bops,
            sum(map(_bops, after)) / original.bops,
        ]


def _of_layer(layer: LayerCost) -> list[float]:
    sizes = (layer.in_channels, layer.out_channels, layer.macs, _bops(layer))
    return [float(np.log(size)) for size in sizes]


def _bops(layer: LayerCost) -> int:
    return layer.macs * layer.weight_bits * layer.activation_bits


def _layer_of(decisions: Sequence[Decision], step: LayerStep) -> LayerSpec:
    return decisions[step.columns[0]].layer


def _static(context: SearchContext, index: int, step: LayerStep, steps: int) -> list[float]:
    """What does not change during a search."""
    layer = _layer_of(context.problem.decisions, step)
    place = index / max(1, steps - 1)
    kinds = [float(layer.kind == kind) for kind in ("depthwise", "linear")]
    window = [float(layer.kernel[0]), float(layer.stride[0])]
    has = [float(column is not None) for column in (step.width, step.bits)]
    row = [place, *kinds, *window, *has]
    if context.sensitivity is not None:
        row += _omega(context.sensitivity, step.width)
        row += _omega(context.sensitivity, step.bits)
    if context.latency is not None:
        shares = context.latency[step.columns[0]]
        row += [float(np.log10(max(share, _LEAST_SHARE))) for share in shares]
    return row


def _omega(curves: Sequence[FloatArray], column: int | None) -> list[float]:
    """Logarithms of points of a decision's curve; zeros where the layer lacks the decision."""
    if column is None:
        return [0.0] * SENSITIVITY_POINTS
    last = len(curves[column]) - 1
    places = np.arange(SENSITIVITY_POINTS) * last // SENSITIVITY_POINTS
    points = np.maximum(curves[column][places], _LEAST_OMEGA)
    return [float(point) for point in np.log10(points)]
