"""What a search may decide: the methods, how far each may go, and the decisions that follow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sartor.cost import CostModel
from sartor.errors import UsageError
from sartor.graph import Network
from sartor.machine import FloatArray, IntArray
from sartor.policy import Policy
from sartor.problem._decisions import (
    BitsDecision,
    ChannelDecision,
    Decision,
    Precision,
    WeightDecision,
)
from sartor.problem._methods import Granularity, Method
from sartor.problem._multiples import Multiples

#: Fine-grained keep ratios are whole percents.
_PERCENT = 100
#: AMC's a_max for fine-grained pruning: at most this share of the weights that a layer has, or that
#: a base left it, is removed.
_FINE_GRAINED_LIMIT = {"conv": 0.8, "depthwise": 0.8, "linear": 0.98}


@dataclass(frozen=True)
class SearchSpace:
    """What may be decided on a network, and how far each decision may go.

    Raises `UsageError` for a ``min_keep`` outside of (0, 1] and a ``multiple`` below 1.

    Attributes:
        methods: Prune, quantize, or both.
        granularity: Whether pruning removes channels of groups or single weights of layers.
        min_keep: Smallest keep ratio of a group, in (0, 1].
        multiple: Channel counts are multiples of it, or all channels of a group; `Multiples` are
            smaller in small groups.
        precisions: Weight and activation bits that a target has for each layer.

    """

    methods: Sequence[Method] = ("prune",)
    granularity: Granularity = "channels"
    min_keep: float = 0.2
    multiple: int | Multiples = 1
    precisions: Mapping[str, Sequence[Precision]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.min_keep <= 1:
            raise UsageError(f"min_keep is {self.min_keep}; it must lie in (0, 1]")
        if self._largest_multiple < 1:
            raise UsageError(f"multiple is {self._largest_multiple}; it must be at least 1")

    def decisions(self, cost_model: CostModel, base: Policy) -> list[Decision]:
        """All decisions in forward order; none keeps more channels or weights than ``base``."""
        network = cost_model.network
        names = [layer.name for layer in network.layers]

        decisions: list[Decision] = []
        if "prune" in self.methods:
            decisions += self._pruning(cost_model, base)
        if "quantize" in self.methods:
            decisions += self._of_bits(network)

        # The order is kept where two are about one layer: it is pruned before it is quantized.
        return sorted(
            decisions,
            key=lambda decision: names.index(decision.layer.name),
        )

    def _pruning(self, cost_model: CostModel, base: Policy) -> list[Decision]:
        network = cost_model.network
        if self.granularity == "channels":
            kept_channels = cost_model.counts(base)
            return self._of_channels(network, kept_channels)
        kept_weights = cost_model.densities(base)
        return _of_weights(network, kept_weights)

    def _of_channels(self, network: Network, most: Mapping[str, int]) -> list[Decision]:
        decisions: list[Decision] = []
        for group in network.groups:
            highest = most[group.name]
            # Kernels work on several channels at a time, not on several heads.
            multiple = 1 if group.of_heads else self._multiple_within(group.size)
            choices = self._channel_choices(group.size, highest, multiple)

            first_end = group.ends[0]
            decision = ChannelDecision(
                name=group.name,
                size=group.size,
                choices=choices,
                layer=network.layer_by_name[first_end],
            )
            decisions.append(decision)
        return decisions

    def _multiple_within(self, size: int) -> int:
        multiple = self.multiple
        return multiple.within(size) if isinstance(multiple, Multiples) else multiple

    def _channel_choices(self, size: int, highest: int, multiple: int) -> IntArray:
        """Counts of a group of ``size`` channels, of which at most ``highest`` are kept."""
        # A product that is a whole number may come out a little larger, and must not be rounded up.
        product = self.min_keep * size - 1e-9
        least = max(1, math.ceil(product))
        # A base may have left fewer channels than min_keep asks for.
        lowest = min(highest, least)

        choices = np.arange(lowest, highest + 1)
        is_multiple = choices % multiple == 0
        is_whole = choices == highest
        return choices[is_multiple | is_whole]

    @property
    def _largest_multiple(self) -> int:
        return self.multiple.channels if isinstance(self.multiple, Multiples) else self.multiple

    def _of_bits(self, network: Network) -> list[Decision]:
        """One for each layer that has a choice of precisions."""
        decisions: list[Decision] = []
        for layer in network.layers:
            available = self.precisions.get(layer.name, ())
            count = len(available)
            if count < 2:
                continue

            ascending = sorted(available, key=_bits_product)
            decision = BitsDecision(
                # Unlike the name of a decision that prunes the same layer.
                name=f"{layer.name} bits",
                size=count,
                choices=np.arange(1, count + 1),
                layer=layer,
                precisions=tuple(ascending),
            )
            decisions.append(decision)
        return decisions


def _of_weights(network: Network, most: FloatArray) -> list[Decision]:
    decisions: list[Decision] = []
    for layer, share in zip(network.layers, most, strict=True):
        percent = round(_PERCENT * float(share))
        highest = max(1, percent)

        # The limit is on what this decision removes, so it starts from what the base left.
        least_share = 1 - _FINE_GRAINED_LIMIT[layer.kind]
        lowest = max(1, round(highest * least_share))

        decision = WeightDecision(
            name=layer.name,
            size=_PERCENT,
            choices=np.arange(lowest, highest + 1),
            layer=layer,
        )
        decisions.append(decision)
    return decisions


def _bits_product(precision: Precision) -> tuple[int, Precision]:
    """Sorts precisions by the product of their bits, equal products by the bits of weights."""
    weight_bits, activation_bits = precision
    return weight_bits * activation_bits, precision
