"""The decisions of a search, and what their counts do to groups and layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sartor.cost import CostModel, LayerSettings
from sartor.graph import LayerSpec, Network
from sartor.machine import FloatArray, IntArray
from sartor.policy import Policy

Granularity = Literal["channels", "weights"]
Method = Literal["prune", "quantize"]
Kind = Literal["channels", "weights", "bits"]
#: Weight and activation bits of a layer.
Precision = tuple[int, int]

#: Fine-grained keep ratios are whole percents.
_PERCENT = 100
#: AMC's a_max for fine-grained pruning: at most this share of the weights a layer has, or a base left it, is removed.
_FINE_GRAINED_LIMIT = {"conv": 0.8, "depthwise": 0.8, "linear": 0.98}


@dataclass(frozen=True, eq=False)
class Decision:
    """One step of an episode: how many of ``size`` to keep, out of the ascending ``choices``.

    Kept are channels of a group, percents of a layer's weights, or precision: then choice k of a layer is the k-th of its
    ``precisions``, coarsest first.
    """

    name: str
    size: int
    choices: IntArray
    layer: LayerSpec
    kind: Kind = "channels"
    precisions: tuple[Precision, ...] = ()

    def nearest(self, counts: FloatArray) -> IntArray:
        """Which choices, by their places, are nearest to some counts; the smaller of two that are equally near."""
        places: IntArray = np.abs(self.choices - counts[:, None]).argmin(1)
        return places


def make_decisions(
    cost_model: CostModel,
    methods: Sequence[Method],
    *,
    granularity: Granularity,
    min_keep: float,
    multiple: int,
    precisions: Mapping[str, Sequence[Precision]],
    base: Policy,
) -> list[Decision]:
    """All decisions that the methods leave open, in forward order; none keeps more channels or weights than ``base``."""
    network, decisions = cost_model.network, []
    if "prune" in methods and granularity == "channels":
        decisions += _channel_decisions(network, min_keep, multiple, cost_model.counts(base))
    elif "prune" in methods:
        decisions += _weight_decisions(network, cost_model.densities(base))
    if "quantize" in methods:
        decisions += _bit_decisions(network, precisions)
    position = {layer.name: index for index, layer in enumerate(network.layers)}
    return sorted(decisions, key=lambda decision: position[decision.layer.name])


def ends(decisions: Sequence[Decision]) -> tuple[IntArray, IntArray]:
    """The smallest and the largest choice of every decision, both (decisions,)."""
    lowest, highest = (
        np.array([decision.choices[end] for decision in decisions], dtype=np.int64)
        for end in (0, -1)
    )
    return lowest, highest


def cheapest(decisions: Sequence[Decision], cost: Callable[[IntArray], FloatArray]) -> IntArray:
    """Counts (decisions,) that no single decision makes cheaper; ``cost`` takes rows of them. By coordinate descent.

    The smallest choices are the cheapest but for latency: some kernels are slower with fewer bits or channels. Changing the
    precision between layers takes time too, so all corners are descended from: all layers narrow or wide, coarse or fine.
    """
    lowest, highest = ends(decisions)
    bits = np.array([decision.kind == "bits" for decision in decisions])
    corners = [
        np.where(bits, precision, width)
        for width in (lowest, highest)
        for precision in (lowest, highest)
    ]
    found = [_descend(decisions, cost, corner) for corner in corners]
    return found[int(cost(np.array(found)).argmin())]


def _descend(
    decisions: Sequence[Decision], cost: Callable[[IntArray], FloatArray], counts: IntArray
) -> IntArray:
    least = np.inf
    while (now := float(cost(counts[None])[0])) < least:
        least = now
        for index, decision in enumerate(decisions):
            rows = np.repeat(counts[None], len(decision.choices), axis=0)
            rows[:, index] = decision.choices
            counts = rows[cost(rows).argmin()]
    return counts


class DecisionMap:
    """What counts per decision mean: a policy, or counts per group and options per layer. All else is as in ``base``."""

    def __init__(self, cost_model: CostModel, decisions: Sequence[Decision], base: Policy) -> None:
        self._decisions, self._base = decisions, base
        self._groups, self._options = cost_model.row(base)
        self._shares = cost_model.densities(base)[None]
        groups = {group.name: index for index, group in enumerate(cost_model.network.groups)}
        layers = {layer.name: index for index, layer in enumerate(cost_model.network.layers)}
        self._channels = [
            (column, groups[d.name]) for column, d in enumerate(decisions) if d.kind == "channels"
        ]
        self._weights = [
            (column, layers[d.name]) for column, d in enumerate(decisions) if d.kind == "weights"
        ]
        self._bits = [
            (column, layers[d.layer.name], np.array(d.precisions))
            for column, d in enumerate(decisions)
            if d.kind == "bits"
        ]

    def split(self, counts: IntArray) -> tuple[IntArray, LayerSettings]:
        """Counts (policies, groups) and `LayerSettings` (policies, layers) of counts (policies, decisions)."""
        groups = np.repeat(self._groups, len(counts), axis=0)
        for column, group in self._channels:
            groups[:, group] = counts[:, column]
        return groups, LayerSettings(self._densities(counts), *self._precisions(counts))

    def _densities(self, counts: IntArray) -> FloatArray | None:
        if not self._weights and not self._base.weights:
            return None
        densities = np.repeat(self._shares, len(counts), axis=0)
        for column, layer in self._weights:
            densities[:, layer] = counts[:, column] / _PERCENT
        return densities

    def _precisions(self, counts: IntArray) -> tuple[IntArray | None, IntArray | None]:
        if not self._bits and not self._base.quantized:
            return None, None
        bits = np.repeat(
            [self._options.weight_bits, self._options.activation_bits], len(counts), axis=1
        )
        for column, layer, precisions in self._bits:
            bits[:, :, layer] = precisions[counts[:, column] - 1].T
        return bits[0], bits[1]

    def policy(self, counts: IntArray) -> Policy:
        """The policy of one row of counts."""
        channels, weights = dict(self._base.channels), dict(self._base.weights)
        weight_bits, activation_bits = (
            dict(self._base.weight_bits),
            dict(self._base.activation_bits),
        )
        for decision, count in zip(self._decisions, counts, strict=True):
            if decision.kind == "bits":
                name = decision.layer.name
                weight_bits[name], activation_bits[name] = decision.precisions[int(count) - 1]
            else:
                (channels if decision.kind == "channels" else weights)[decision.name] = (
                    int(count) / decision.size
                )
        return Policy(channels, weights, weight_bits, activation_bits)


def _channel_decisions(
    network: Network, min_keep: float, multiple: int, most: Mapping[str, int]
) -> list[Decision]:
    decisions = []
    for group in network.groups:
        highest = most[group.name]
        lowest = min(highest, max(1, int(np.ceil(min_keep * group.size - 1e-9))))
        choices = np.arange(lowest, highest + 1)
        choices = choices[(choices % multiple == 0) | (choices == highest)]
        decisions.append(
            Decision(group.name, group.size, choices, network.layer_by_name[group.consumers[0]])
        )
    return decisions


def _weight_decisions(network: Network, most: FloatArray) -> list[Decision]:
    decisions = []
    for layer, share in zip(network.layers, most, strict=True):
        highest = max(1, round(_PERCENT * float(share)))
        lowest = max(1, round(highest * (1 - _FINE_GRAINED_LIMIT[layer.kind])))
        decisions.append(
            Decision(layer.name, _PERCENT, np.arange(lowest, highest + 1), layer, "weights")
        )
    return decisions


def _bit_decisions(
    network: Network, precisions: Mapping[str, Sequence[Precision]]
) -> list[Decision]:
    """One per layer with a choice, its precisions ordered by the product of their widths."""
    decisions = []
    for layer in network.layers:
        ordered = tuple(
            sorted(precisions.get(layer.name, ()), key=lambda pair: (pair[0] * pair[1], pair))
        )
        if len(ordered) > 1:
            choices = np.arange(1, len(ordered) + 1)
            decisions.append(
                Decision(f"{layer.name} bits", len(ordered), choices, layer, "bits", ordered)
            )
    return decisions
