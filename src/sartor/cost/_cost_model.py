"""Costs of policies, from the numbers of units and weights that they keep."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from sartor.budget import QUANTITIES, Quantity
from sartor.cost._costs import Cost, LayerCost
from sartor.cost._layer_settings import LayerSettings
from sartor.cost._parameters import ParameterCounts
from sartor.cost._widths import Widths
from sartor.errors import PolicyError
from sartor.graph import LayerSpec, Network, Slot
from sartor.machine import FloatArray, IntArray
from sartor.policy import FULL_WIDTH, Policy, kept_count

#: Bytes of everything that is not rounded.
_FULL_BYTES = FULL_WIDTH / 8
_AS_IT_IS = LayerSettings()


class CostModel:
    """Costs of all policies of one network.

    Counts are given per group, in the order of ``network.groups``; `LayerSettings` per layer, in
    the order of ``network.layers``.

    >>> import torch
    >>> from sartor import Policy, trace
    >>> layers = [torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)]
    >>> model = CostModel(trace(torch.nn.Sequential(*layers), torch.zeros(1, 4)))
    >>> model.original.macs, model.original.params
    (48, 58)
    >>> model.cost(Policy(channels={"0": 0.5})).macs
    24
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.sizes = np.array([group.size for group in network.groups], dtype=np.int64)

        # Each layer has weights for what it reads times what it writes.
        layers = [network.slot_by_name[layer.name] for layer in network.layers]
        self._in = Widths(network, [(slot.in_units, slot.in_heads) for slot in layers])
        self._out = _outputs(network, layers)
        norms = [slot for slot in network.slots if slot.kind == "norm"]
        self._norm = _outputs(network, norms)
        self._parameters = ParameterCounts.of(network, layers, norms)
        products = [(product.units, product.heads) for product in network.products]
        self._product = Widths(network, products)
        self._macs_of_products = np.array(
            [product.macs for product in network.products],
            dtype=np.float64,
        )

        self._depthwise = np.array(
            [layer.kind == "depthwise" for layer in network.layers],
            dtype=np.bool_,
        )
        self._positions = np.array(
            [layer.positions for layer in network.layers],
            dtype=np.float64,
        )
        self._taps = np.array([_weights_per_pair(layer) for layer in network.layers])

        # Last, because it is computed from all of these.
        self.original = self.cost(Policy())

    def channels(self, counts: FloatArray | IntArray) -> tuple[FloatArray, FloatArray]:
        """Input and output channels, both (policies, layers), for counts (policies, groups)."""
        return self._in.channels(counts), self._out.channels(counts)

    def weights(self, counts: FloatArray | IntArray) -> FloatArray:
        """Weights of each layer, (policies, layers), for counts (policies, groups)."""
        inputs, outputs = self.channels(counts)
        # A depthwise filter reads one channel, however many there are.
        read = np.where(self._depthwise, 1.0, inputs)
        return outputs * read * self._taps

    def total(
        self, quantity: Quantity, counts: FloatArray | IntArray, settings: LayerSettings = _AS_IT_IS
    ) -> FloatArray:
        """One quantity, (policies,), for counts (policies, groups) and settings of layers."""
        weights = self.weights(counts)
        products = self._products(counts)
        if quantity == "macs":
            return weights @ self._positions + products
        if quantity == "bops":
            weight_bits = _or_full(settings.weight_bits)
            bits = weight_bits * _or_full(settings.activation_bits)
            return (weights * bits) @ self._positions + products * FULL_WIDTH**2

        stored = self._stored_once(weights, settings)
        nonzero = _nonzero(stored, settings.densities)
        others = self._other_parameters(counts)
        if quantity == "params":
            return nonzero.sum(1) + others

        weight_bytes = nonzero * _or_full(settings.weight_bits) / 8
        size = weight_bytes.sum(1) + others * _FULL_BYTES
        # Where weights are zero, it is stored which ones.
        return size + _bitmaps(stored, settings.densities)

    def _products(self, counts: FloatArray | IntArray) -> FloatArray:
        """Multiply-accumulates of what has no weights of a layer, (policies,)."""
        if not len(self._product):
            return np.zeros(len(counts))
        return self._product.channels(counts) @ self._macs_of_products

    def _stored_once(self, weights: FloatArray, settings: LayerSettings) -> FloatArray:
        """Weights of each layer; 0 where those of an earlier one, treated alike, are the same."""
        shared = self._parameters.shared
        if not shared:
            return weights

        stored = weights.copy()
        for layer, owner in shared:
            is_alike = np.ones(len(weights), dtype=np.bool_)
            # Bits of activations change nothing of what is stored.
            for table in (settings.densities, settings.weight_bits):
                if table is not None:
                    is_alike &= table[:, layer] == table[:, owner]
            stored[is_alike, layer] = 0

        return stored

    def _other_parameters(self, counts: FloatArray | IntArray) -> FloatArray:
        """Parameters that are no weights of layers, (policies,)."""
        parameters = self._parameters
        biases = self._out.channels(counts) @ parameters.biases
        others = biases + parameters.fixed

        if not len(self._norm):
            return others

        # Scale and shift of every channel that is left.
        norms = self._norm.channels(counts) @ parameters.per_channel
        return others + norms

    def cost(self, policy: Policy) -> Cost:
        """Cost of one policy. Raises `PolicyError` for a group or layer the network lacks."""
        counts, settings = self.row(policy)

        totals = {}
        for quantity in QUANTITIES:
            # One row, of one policy.
            (total,) = self.total(quantity, counts, settings)
            totals[quantity] = round(float(total))
        return Cost(**totals)

    def by_layer(self, policy: Policy) -> list[LayerCost]:
        """What each layer is left with, in forward order."""
        counts, settings = self.row(policy)
        inputs, outputs = self.channels(counts)
        (weights,) = self.weights(counts)
        macs = weights * self._positions
        # A row has all settings, whether a policy names them or not.
        assert settings.densities is not None

        costs = []
        for index, layer in enumerate(self.network.layers):
            weight_bits, activation_bits = policy.bits(layer.name)
            cost = LayerCost(
                name=layer.name,
                kind=layer.kind,
                in_channels=round(inputs[0, index]),
                out_channels=round(outputs[0, index]),
                macs=round(macs[index]),
                density=float(settings.densities[0, index]),
                weight_bits=weight_bits,
                activation_bits=activation_bits,
            )
            costs.append(cost)

        return costs

    def row(self, policy: Policy) -> tuple[IntArray, LayerSettings]:
        """One policy as counts (1, groups) and `LayerSettings` of rows (1, layers).

        Raises `PolicyError` for a group or layer the network does not have.
        """
        by_group = list(self.counts(policy).values())
        counts = np.array([by_group], dtype=np.int64)

        names = [layer.name for layer in self.network.layers]
        _require_known(policy.weight_bits, names, "layer")
        _require_known(policy.activation_bits, names, "layer")

        # Shaped, because a network without layers would have no columns either.
        pairs = [policy.bits(name) for name in names]
        bits = np.array(pairs, dtype=np.int64).reshape(1, len(names), 2)

        densities = self.densities(policy)
        settings = LayerSettings(
            densities=densities[None],
            weight_bits=bits[:, :, 0],
            activation_bits=bits[:, :, 1],
        )
        return counts, settings

    def counts(self, policy: Policy) -> dict[str, int]:
        """Units kept of every group."""
        groups = self.network.groups
        names = [group.name for group in groups]
        _require_known(policy.channels, names, "group")

        counts = {}
        for group in groups:
            ratio = policy.channels.get(group.name, 1.0)
            counts[group.name] = kept_count(ratio, group.size)

        return counts

    def densities(self, policy: Policy) -> FloatArray:
        """Share of single weights kept in every layer."""
        names = [layer.name for layer in self.network.layers]
        _require_known(policy.weights, names, "layer")
        return np.array([policy.weights.get(name, 1.0) for name in names])


def _outputs(network: Network, slots: Sequence[Slot]) -> Widths:
    return Widths(network, [(slot.out_units, slot.out_heads) for slot in slots])


def _weights_per_pair(layer: LayerSpec) -> float:
    """Weights for each pair of an input and an output channel, on average over all pairs."""
    taps = np.prod(layer.kernel)
    if layer.kind == "depthwise":
        return float(taps)
    # An output channel reads those of its group alone.
    return float(taps / layer.groups)


def _or_full(bits: IntArray | None) -> IntArray:
    if bits is None:
        return np.full((1, 1), FULL_WIDTH)
    return bits


def _nonzero(stored: FloatArray, densities: FloatArray | None) -> FloatArray:
    """Weights of each layer that are not zero, (policies, layers)."""
    if densities is None:
        return stored
    # As many as are masked: at least one of each layer.
    least = np.minimum(1, stored)
    kept = np.rint(stored * densities)
    return np.maximum(least, kept)


def _bitmaps(weights: FloatArray, densities: FloatArray | None) -> FloatArray | float:
    """Bytes that say which weights of sparse layers are not zero."""
    if densities is None:
        return 0.0
    # One bit for each weight, zero or not.
    bits = weights * (densities < 1)
    return bits.sum(1) / 8


def _require_known(named: Collection[str], names: list[str], what: str) -> None:
    for name in named:
        if name not in names:
            raise PolicyError(
                f"the policy names the {what} {name!r}, which the network lacks; "
                f"it has {', '.join(names)}"
            )
