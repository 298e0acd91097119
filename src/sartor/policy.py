"""A policy: what to keep of each group and layer. A frozen value with a JSON form."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sartor.errors import PolicyError

SCHEMA = 1

#: Bits of a weight or activation that is not quantized.
FULL_WIDTH = 32
WIDTHS = (*range(1, 9), FULL_WIDTH)


@dataclass(frozen=True)
class Policy:
    """What is kept of a network; what is not named is kept whole, in fp32.

    Raises `PolicyError` for a keep ratio outside of (0, 1], and for bits other than 1 to 8 or 32.

    >>> policy = Policy(channels={"layer1": 0.5}, weight_bits={"fc": 8})
    >>> policy.bits("fc")
    (8, 32)
    >>> Policy.from_json(policy.to_json()) == policy
    True

    Attributes:
        channels: Keep ratio of each group's channels, in (0, 1].
        weights: Keep ratio of each layer's single weights, in (0, 1].
        weight_bits: Bits of each layer's weights, 1 to 8 or 32 (not quantized).
        activation_bits: Bits of each layer's input, likewise.
    """

    channels: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    weight_bits: Mapping[str, int] = field(default_factory=dict)
    activation_bits: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_ratios("channels", self.channels)
        _require_ratios("weights", self.weights)
        _require_bits("weight_bits", self.weight_bits)
        _require_bits("activation_bits", self.activation_bits)

    @property
    def quantized(self) -> tuple[str, ...]:
        """Layers with weights or inputs of fewer than 32 bits."""
        # Not a set, which has no order.
        named = dict.fromkeys((*self.weight_bits, *self.activation_bits))
        return tuple(name for name in named if min(self.bits(name)) < FULL_WIDTH)

    def bits(self, layer: str) -> tuple[int, int]:
        """Bits of a layer's weights and of its input."""
        weight_bits = self.weight_bits.get(layer, FULL_WIDTH)
        activation_bits = self.activation_bits.get(layer, FULL_WIDTH)
        return weight_bits, activation_bits

    def to_json(self) -> str:
        """One line of JSON, the same for equal policies."""
        content: dict[str, Any] = {"schema": SCHEMA}
        for item in fields(self):
            content[item.name] = dict(getattr(self, item.name))
        return json.dumps(content, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, place: str = "policy") -> Policy:
        """The policy that `to_json` wrote.

        Raises `PolicyError` naming ``place`` for anything else.
        """
        try:
            content: Any = json.loads(text)
        except json.JSONDecodeError as error:
            raise PolicyError(f"{place} is not JSON: {error}") from error

        # Taken out, because what remains becomes the arguments of the class.
        schema = content.pop("schema", None) if isinstance(content, dict) else None
        if schema != SCHEMA:
            raise PolicyError(f"{place} is not a policy of schema {SCHEMA}")

        _require_tables(content, place)
        return cls(**content)


def kept_count(ratio: float, size: int) -> int:
    """Channels (or units) kept of ``size``: the nearest whole number, at least 1.

    >>> kept_count(0.3, 16)
    5
    """
    nearest = round(ratio * size)
    return max(1, min(size, nearest))


def _require_ratios(kind: str, ratios: Mapping[str, float]) -> None:
    for name, ratio in ratios.items():
        is_number = isinstance(ratio, int | float) and math.isfinite(ratio)
        if not is_number or not 0 < ratio <= 1:
            raise PolicyError(f"keep ratio {ratio!r} of {kind}[{name!r}] is not in (0, 1]")


def _require_bits(kind: str, widths: Mapping[str, int]) -> None:
    for name, bits in widths.items():
        # True is a bool that equals the width 1.
        if isinstance(bits, bool) or bits not in WIDTHS:
            raise PolicyError(
                f"{kind}[{name!r}] is {bits!r}; allowed are 1 to 8, and 32 for not quantized"
            )


def _require_tables(content: Mapping[str, Any], place: str) -> None:
    """Raise `PolicyError` unless there are tables of a policy, and nothing else."""
    names = [item.name for item in fields(Policy)]
    unknown = sorted(set(content) - set(names))
    values = list(content.values())
    are_tables = all(isinstance(table, dict) for table in values)
    if are_tables and not unknown:
        return

    # A wrong name says more than what is under it.
    found = unknown or values
    allowed = ", ".join(names)
    raise PolicyError(f"{place} has unexpected content {found}; allowed are {allowed}")
