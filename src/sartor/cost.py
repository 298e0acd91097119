"""What a policy costs, in closed form: MACs, parameters, bytes, BOPs, for thousands at a time.

A layer's input width is linear in the number of units kept of each group, and so is its output
width; its weights and MACs are their product. Units: one multiply-accumulate counts once, for a
batch of one; bias, batch norm and activations cost no MACs. BOPs = MACs × weight bits ×
activation bits. Bytes count weights at their stored width, all else at 32 bits. Parameters that
modules share are counted once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from sartor.budget import QUANTITIES, Quantity
from sartor.errors import PolicyError
from sartor.graph import KEPT, Network, Slot
from sartor.machine import FloatArray, IntArray
from sartor.policy import FULL_WIDTH, Policy, kept_count

#: Bytes of everything that is not rounded.
_FULL_BYTES = FULL_WIDTH / 8


@dataclass(frozen=True, eq=False)
class LayerSettings:
    """What policies do to single layers; None where all is as in the original.

    Attributes:
        densities: Share of single weights kept, (policies, layers).
        weight_bits: Bits of the weights, (policies, layers).
        activation_bits: Bits of what each layer reads, (policies, layers).
    """

    densities: FloatArray | None = None
    weight_bits: IntArray | None = None
    activation_bits: IntArray | None = None


_AS_IT_IS = LayerSettings()


@dataclass(frozen=True)
class Cost:
    """Cost of one candidate.

    >>> half = Cost(macs=50, params=10, size=40, bops=51200)
    >>> half.ratio(Cost(macs=100, params=20, size=80, bops=102400))["macs"]
    0.5

    Attributes:
        macs: Multiply-accumulates for a batch of one.
        params: Parameters that are not zero. Fine-grained pruning saves parameters and bytes but
            no MACs: dense kernels multiply by zero too.
        size: Bytes.
        bops: MACs × weight bits × activation bits.
    """

    macs: int
    params: int
    size: int
    bops: int

    def ratio(self, original: Cost) -> dict[str, float]:
        """Each quantity as a fraction of the original's; 1 where the original has none."""
        mine = asdict(self)
        theirs = asdict(original)
        return {key: mine[key] / theirs[key] if theirs[key] else 1.0 for key in mine}


@dataclass(frozen=True)
class LayerCost:
    """What one layer of a candidate is left with.

    Attributes:
        name: Name of the layer.
        kind: ``conv``, ``depthwise`` or ``linear``.
        in_channels: Channels it reads.
        out_channels: Channels it writes.
        macs: Its multiply-accumulates for a batch of one.
        density: Share of single weights kept.
        weight_bits: Bits of its weights.
        activation_bits: Bits of what it reads.
    """

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
        layers = [network.slot_by_name[layer.name] for layer in network.layers]
        norms = [slot for slot in network.slots if slot.kind == "norm"]
        owner = self._groups_of_units()
        self._in = self._widths([slot.in_units for slot in layers], owner)
        self._out = self._widths([slot.out_units for slot in layers], owner)
        self._norm = self._widths([slot.out_units for slot in norms], owner)

        specs = network.layers
        self._depthwise = np.array([layer.kind == "depthwise" for layer in specs], dtype=np.bool_)
        reads = [1 if layer.kind == "depthwise" else layer.groups for layer in specs]
        taps = [np.prod(layer.kernel) for layer in specs]
        self._taps = np.array([count / groups for count, groups in zip(taps, reads, strict=True)])
        self._positions = np.array([layer.positions for layer in specs], dtype=np.float64)
        self._count_parameters(layers, norms)
        self.original = self.cost(Policy())

    def _groups_of_units(self) -> IntArray:
        """The index of each unit's group; for channels that are always kept, one after the last."""
        groups = self.network.groups
        owner = np.full(self.network.units + 1, len(groups), dtype=np.int64)
        for index, group in enumerate(groups):
            owner[group.units] = index
        return owner

    def _widths(self, units: list[IntArray], owner: IntArray) -> FloatArray:
        """Row per slot: channels per kept unit of each group, and last those always kept."""
        groups = len(self.network.groups)
        rows = []
        for row in units:
            prunable = np.where(row == KEPT, self.network.units, row)
            rows.append(np.bincount(owner[prunable], minlength=groups + 1))
        counts = np.array(rows, dtype=np.float64).reshape(len(units), groups + 1)
        return counts / np.append(self.sizes, 1)

    def _count_parameters(self, layers: Sequence[Slot], norms: Sequence[Slot]) -> None:
        """Who has biases, norms' numbers per channel, and all that no policy changes."""
        seen: set[int] = set()
        weights = [self._first_seen(slot, "weight", seen) for slot in layers]
        biases = [self._first_seen(slot, "bias", seen) for slot in layers]
        per_channel = [
            sum(self._first_seen(slot, name, seen) for name in slot.per_channel) for slot in norms
        ]
        others = [p for p in self.network.module.parameters() if id(p) not in seen]
        self._bias = np.array(biases, dtype=np.float64)
        self._norm_params = np.array(per_channel, dtype=np.float64)
        self._other_params = sum(parameter.numel() for parameter in others)
        self._shared = self._find_shared([slot.name for slot in layers], weights)

    def _first_seen(self, slot: Slot, name: str, seen: set[int]) -> bool:
        """Whether a module has a parameter of this name that none before it had."""
        module = self.network.module.get_submodule(slot.name)
        parameter = module._parameters.get(name)
        if parameter is None or id(parameter) in seen:
            return False
        seen.add(id(parameter))
        return True

    def _find_shared(self, names: list[str], is_first: list[bool]) -> list[tuple[int, int]]:
        """Pairs of layers, by index: one whose weights an earlier one has, and that one."""
        module = self.network.module
        weights = [id(module.get_submodule(name)._parameters["weight"]) for name in names]
        return [
            (index, weights.index(weights[index]))
            for index, first in enumerate(is_first)
            if not first
        ]

    def channels(self, counts: FloatArray | IntArray) -> tuple[FloatArray, FloatArray]:
        """Input and output channels, both (policies, layers), for counts (policies, groups)."""
        return _channels(self._in, counts), _channels(self._out, counts)

    def weights(self, counts: FloatArray | IntArray) -> FloatArray:
        """Weights of each layer, (policies, layers), for counts (policies, groups)."""
        inputs, outputs = self.channels(counts)
        return outputs * np.where(self._depthwise, 1.0, inputs) * self._taps

    def total(
        self, quantity: Quantity, counts: FloatArray | IntArray, settings: LayerSettings = _AS_IT_IS
    ) -> FloatArray:
        """One quantity, (policies,), for counts (policies, groups) and settings of layers."""
        weights = self.weights(counts)
        if quantity == "macs":
            return weights @ self._positions
        if quantity == "bops":
            bits = _or_full(settings.weight_bits) * _or_full(settings.activation_bits)
            return (weights * bits) @ self._positions
        stored = self._stored_once(weights, settings)
        nonzero = stored
        if settings.densities is not None:
            # as many as are masked: at least one of each layer
            least = np.minimum(1, stored)
            nonzero = np.maximum(least, np.rint(stored * settings.densities))
        others = self._other_parameters(counts)
        if quantity == "params":
            return nonzero.sum(1) + others
        size = (nonzero * _or_full(settings.weight_bits) / 8).sum(1) + others * _FULL_BYTES
        return size + _bitmaps(stored, settings.densities)

    def _stored_once(self, weights: FloatArray, settings: LayerSettings) -> FloatArray:
        """Weights of each layer; 0 where those of an earlier one, treated alike, are the same."""
        if not self._shared:
            return weights
        stored = weights.copy()
        for layer, owner in self._shared:
            is_alike = np.ones(len(weights), dtype=np.bool_)
            for table in (settings.densities, settings.weight_bits):
                if table is not None:
                    is_alike &= table[:, layer] == table[:, owner]
            stored[is_alike, layer] = 0
        return stored

    def _other_parameters(self, counts: FloatArray | IntArray) -> FloatArray:
        """Parameters that are no weights of layers, (policies,)."""
        others = _channels(self._out, counts) @ self._bias + self._other_params
        if len(self._norm):
            others = others + _channels(self._norm, counts) @ self._norm_params
        return others

    def cost(self, policy: Policy) -> Cost:
        """Cost of one policy. Raises `PolicyError` for a group or layer the network lacks."""
        counts, settings = self.row(policy)
        totals = {
            quantity: round(float(self.total(quantity, counts, settings)[0]))
            for quantity in QUANTITIES
        }
        return Cost(**totals)

    def by_layer(self, policy: Policy) -> list[LayerCost]:
        """What each layer is left with, in forward order."""
        counts, settings = self.row(policy)
        inputs, outputs = self.channels(counts)
        macs = self.weights(counts)[0] * self._positions
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
        counts = np.array([list(self.counts(policy).values())], dtype=np.int64)
        names = [layer.name for layer in self.network.layers]
        _require_known(policy.weight_bits, names, "layer")
        _require_known(policy.activation_bits, names, "layer")
        pairs = [policy.bits(name) for name in names]
        bits = np.array(pairs, dtype=np.int64).reshape(1, len(names), 2)
        densities = self.densities(policy)[None]
        return counts, LayerSettings(densities, bits[:, :, 0], bits[:, :, 1])

    def counts(self, policy: Policy) -> dict[str, int]:
        """Units kept of every group."""
        groups = self.network.groups
        _require_known(policy.channels, [group.name for group in groups], "group")
        return {
            group.name: kept_count(policy.channels.get(group.name, 1.0), group.size)
            for group in groups
        }

    def densities(self, policy: Policy) -> FloatArray:
        """Share of single weights kept in every layer."""
        names = [layer.name for layer in self.network.layers]
        _require_known(policy.weights, names, "layer")
        return np.array([policy.weights.get(name, 1.0) for name in names])


def _or_full(bits: IntArray | None) -> IntArray:
    return np.full((1, 1), FULL_WIDTH) if bits is None else bits


def _bitmaps(weights: FloatArray, densities: FloatArray | None) -> FloatArray | float:
    """Bytes that say which weights of sparse layers are not zero."""
    if densities is None:
        return 0.0
    return (weights * (densities < 1)).sum(1) / 8


def _channels(widths: FloatArray, counts: FloatArray | IntArray) -> FloatArray:
    return counts @ widths[:, :-1].T + widths[:, -1]


def _require_known(named: Collection[str], names: list[str], what: str) -> None:
    for name in named:
        if name not in names:
            raise PolicyError(
                f"the policy names the {what} {name!r}, which the network lacks; "
                f"it has {', '.join(names)}"
            )
