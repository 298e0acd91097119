"""What a policy costs, in closed form: MACs, parameters, bytes, BOPs, for thousands of policies at a time.

A layer's input width is linear in the number of units kept of each group, and so is its output width; its weights and MACs
are their product. Units: one multiply-accumulate counts once, for a batch of one; bias, batch norm and activations cost no
MACs. BOPs = MACs × weight bits × activation bits. Bytes count weights at their stored width, all else at 32 bits.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from sartor.budget import QUANTITIES, Quantity
from sartor.errors import PolicyError
from sartor.graph import KEPT, Network
from sartor.machine import FloatArray, IntArray
from sartor.policy import FULL_WIDTH, Policy, kept_count


@dataclass(frozen=True, eq=False)
class LayerSettings:
    """What policies do to single layers, each (policies, layers): ``densities`` is the share of single weights kept.

    Whatever is None is left as it is in the original network.
    """

    densities: FloatArray | None = None
    weight_bits: IntArray | None = None
    activation_bits: IntArray | None = None


_AS_IT_IS = LayerSettings()


@dataclass(frozen=True)
class Cost:
    """Cost of one candidate; ``size`` in bytes.

    ``params`` counts what is not zero. Fine-grained pruning saves parameters and bytes but no MACs: dense kernels multiply
    by zero too.
    """

    macs: int
    params: int
    size: int
    bops: int

    def ratio(self, original: Cost) -> dict[str, float]:
        """Each quantity as a fraction of the original's."""
        mine, theirs = asdict(self), asdict(original)
        return {key: mine[key] / theirs[key] if theirs[key] else 1.0 for key in mine}


@dataclass(frozen=True)
class LayerCost:
    """One layer of a candidate: channels, MACs, share of single weights kept, bits."""

    name: str
    kind: str
    in_channels: int
    out_channels: int
    macs: int
    density: float
    weight_bits: int
    activation_bits: int


class CostModel:
    """Costs of all policies of one network.

    Counts are given per group, in the order of ``network.groups``; `LayerSettings` per layer, in the order of ``network.layers``.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.sizes = np.array([group.size for group in network.groups], dtype=np.int64)
        owner = np.full(
            network.units + 1, len(network.groups), dtype=np.int64
        )  # last: channels that are always kept
        for index, group in enumerate(network.groups):
            owner[group.units] = index
        layers = [network.slot_by_name[layer.name] for layer in network.layers]
        norms = [slot for slot in network.slots if slot.kind == "norm"]
        self._in = self._widths([slot.in_units for slot in layers], owner)
        self._out = self._widths([slot.out_units for slot in layers], owner)
        self._norm = self._widths([slot.out_units for slot in norms], owner)
        specs = network.layers
        self._depthwise = np.array([layer.kind == "depthwise" for layer in specs], dtype=np.bool_)
        self._taps = np.array(
            [
                np.prod(layer.kernel) / (1 if layer.kind == "depthwise" else layer.groups)
                for layer in specs
            ]
        )
        self._positions = np.array([layer.positions for layer in specs], dtype=np.float64)
        self._bias = np.array([layer.has_bias for layer in specs], dtype=np.float64)
        self._norm_params = np.array(
            [
                sum(p.numel() > 1 for p in network.module.get_submodule(slot.name).parameters())
                for slot in norms
            ],
            dtype=np.float64,
        )
        self._other_params = self._count_other_params()
        self.original = self.cost(Policy())

    def _widths(self, units: list[IntArray], owner: IntArray) -> FloatArray:
        """Row per slot: channels per kept unit of each group, and in the last column those always kept."""
        groups = len(self.network.groups)
        rows = [
            np.bincount(owner[np.where(row == KEPT, self.network.units, row)], minlength=groups + 1)
            for row in units
        ]
        return np.array(rows, dtype=np.float64).reshape(len(units), groups + 1) / np.append(
            self.sizes, 1
        )

    def _count_other_params(self) -> int:
        known = {
            f"{slot.name}.{name}" for slot in self.network.slots for name in ("weight", "bias")
        }
        return sum(
            p.numel() for name, p in self.network.module.named_parameters() if name not in known
        )

    def channels(self, counts: FloatArray | IntArray) -> tuple[FloatArray, FloatArray]:
        """Input and output channels of each layer, both (policies, layers), for counts (policies, groups)."""
        return self._channels(self._in, counts), self._channels(self._out, counts)

    def weights(self, counts: FloatArray | IntArray) -> FloatArray:
        """Weights of each layer, (policies, layers), for counts (policies, groups)."""
        inputs, outputs = self.channels(counts)
        return outputs * np.where(self._depthwise, 1.0, inputs) * self._taps

    def total(
        self, quantity: Quantity, counts: FloatArray | IntArray, options: LayerSettings = _AS_IT_IS
    ) -> FloatArray:
        """One quantity, (policies,), for counts (policies, groups) and what is done to single layers."""
        weights = self.weights(counts)
        weight_bits = (
            np.full((1, 1), FULL_WIDTH) if options.weight_bits is None else options.weight_bits
        )
        if quantity == "macs":
            return weights @ self._positions
        if quantity == "bops":
            activation_bits = (
                FULL_WIDTH if options.activation_bits is None else options.activation_bits
            )
            return (weights * weight_bits * activation_bits) @ self._positions
        densities = options.densities
        kept = (
            weights if densities is None else np.maximum(1, np.rint(weights * densities))
        )  # as they are masked
        others = self._channels(self._out, counts) @ self._bias + self._other_params
        if len(self._norm):
            others = others + self._channels(self._norm, counts) @ self._norm_params
        if quantity == "params":
            return kept.sum(1) + others
        bitmaps = (
            0.0 if densities is None else (weights * (densities < 1)).sum(1) / 8
        )  # which weights are not zero
        return (kept * weight_bits / 8).sum(1) + others * (FULL_WIDTH / 8) + bitmaps

    def cost(self, policy: Policy) -> Cost:
        """Cost of one policy. Raises `PolicyError` for a group or layer the network does not have."""
        counts, options = self.row(policy)
        return Cost(
            **{
                quantity: round(float(self.total(quantity, counts, options)[0]))
                for quantity in QUANTITIES
            }
        )

    def by_layer(self, policy: Policy) -> list[LayerCost]:
        """What each layer is left with, in forward order."""
        counts, options = self.row(policy)
        inputs, outputs = (side[0] for side in self.channels(counts))
        macs = self.weights(counts)[0] * self._positions
        assert options.densities is not None
        return [
            LayerCost(
                layer.name,
                layer.kind,
                round(inputs[i]),
                round(outputs[i]),
                round(macs[i]),
                float(options.densities[0, i]),
                *policy.bits(layer.name),
            )
            for i, layer in enumerate(self.network.layers)
        ]

    def row(self, policy: Policy) -> tuple[IntArray, LayerSettings]:
        """One policy as counts (1, groups) and `LayerSettings` of rows (1, layers).

        Raises `PolicyError` for a group or layer the network does not have.
        """
        counts = np.array([list(self.counts(policy).values())], dtype=np.int64)
        names = [layer.name for layer in self.network.layers]
        for table in (policy.weight_bits, policy.activation_bits):
            self._require_known(table, names, "layer")
        bits = np.array([[policy.bits(name) for name in names]], dtype=np.int64).reshape(
            1, len(names), 2
        )
        return counts, LayerSettings(self.densities(policy)[None], bits[:, :, 0], bits[:, :, 1])

    def counts(self, policy: Policy) -> dict[str, int]:
        """Units kept of every group."""
        self._require_known(policy.channels, [group.name for group in self.network.groups], "group")
        return {
            g.name: kept_count(policy.channels.get(g.name, 1.0), g.size)
            for g in self.network.groups
        }

    def densities(self, policy: Policy) -> FloatArray:
        """Share of single weights kept in every layer."""
        self._require_known(policy.weights, [layer.name for layer in self.network.layers], "layer")
        return np.array([policy.weights.get(layer.name, 1.0) for layer in self.network.layers])

    @staticmethod
    def _require_known(table: object, names: list[str], what: str) -> None:
        for name in table:  # type: ignore[attr-defined]
            if name not in names:
                raise PolicyError(
                    f"the policy names the {what} {name!r}, which the network lacks; it has {', '.join(names)}"
                )

    @staticmethod
    def _channels(widths: FloatArray, counts: FloatArray | IntArray) -> FloatArray:
        return counts @ widths[:, :-1].T + widths[:, -1]
