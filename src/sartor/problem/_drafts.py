"""Policies under construction, which decisions write themselves into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sartor.cost import LayerSettings
from sartor.machine import FloatArray, IntArray
from sartor.policy import Policy


@dataclass
class PolicyDraft:
    """One policy under construction, by name of group or layer.

    Attributes:
        channels: Keep ratio of each group.
        weights: Keep ratio of each layer's single weights.
        weight_bits: Bits of each layer's weights.
        activation_bits: Bits of each layer's input.

    """

    channels: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    weight_bits: dict[str, int] = field(default_factory=dict)
    activation_bits: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, policy: Policy) -> PolicyDraft:
        """A draft that begins as a policy."""
        # Copied, because a policy is not to change while a draft of it is written.
        return cls(
            channels=dict(policy.channels),
            weights=dict(policy.weights),
            weight_bits=dict(policy.weight_bits),
            activation_bits=dict(policy.activation_bits),
        )

    def policy(self) -> Policy:
        """What was written. Raises `PolicyError` for ratios and bits that no policy may have."""
        return Policy(self.channels, self.weights, self.weight_bits, self.activation_bits)


@dataclass
class CostDraft:
    """Many policies under construction, one a row, as the cost model takes them.

    Attributes:
        group_columns: Column of each group.
        layer_columns: Column of each layer.
        counts: Channels of each group (policies, groups).
        densities: Share of single weights kept (policies, layers); None where all are.
        weight_bits: Bits of weights (policies, layers); None where nothing is quantized.
        activation_bits: Bits of inputs, likewise.

    """

    group_columns: Mapping[str, int]
    layer_columns: Mapping[str, int]
    counts: IntArray
    densities: FloatArray | None = None
    weight_bits: IntArray | None = None
    activation_bits: IntArray | None = None

    def settings(self) -> LayerSettings:
        """What is done to single layers."""
        return LayerSettings(self.densities, self.weight_bits, self.activation_bits)
