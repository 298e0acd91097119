"""A policy: what to keep of each group and layer. A frozen value with a JSON form."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sartor.errors import PolicyError

SCHEMA = 1

#: Bits of a weight or activation that is not quantized.
FULL_WIDTH = 32
WIDTHS = (*range(1, 9), FULL_WIDTH)
_RATIOS, _BITS = ("channels", "weights"), ("weight_bits", "activation_bits")


@dataclass(frozen=True)
class Policy:
    """What is not named is kept whole, in fp32.

    Keep ratios in (0, 1]: ``channels`` per group, ``weights`` (fine-grained) per layer. Bits, 1 to 8 or 32 (not quantized), per
    layer: ``weight_bits`` of its weights, ``activation_bits`` of its input.
    """

    channels: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    weight_bits: Mapping[str, int] = field(default_factory=dict)
    activation_bits: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind in _RATIOS:
            for name, ratio in getattr(self, kind).items():
                if not (
                    isinstance(ratio, (int, float)) and math.isfinite(ratio) and 0 < ratio <= 1
                ):
                    raise PolicyError(f"keep ratio {ratio!r} of {kind}[{name!r}] is not in (0, 1]")
        for kind in _BITS:
            for name, bits in getattr(self, kind).items():
                if isinstance(bits, bool) or bits not in WIDTHS:
                    raise PolicyError(
                        f"{kind}[{name!r}] is {bits!r}; allowed are 1 to 8, and 32 for not quantized"
                    )

    @property
    def quantized(self) -> tuple[str, ...]:
        """Layers with weights or inputs of fewer than 32 bits."""
        named = dict.fromkeys((*self.weight_bits, *self.activation_bits))
        return tuple(name for name in named if min(self.bits(name)) < FULL_WIDTH)

    def bits(self, layer: str) -> tuple[int, int]:
        """Bits of a layer's weights and of its input."""
        return self.weight_bits.get(layer, FULL_WIDTH), self.activation_bits.get(layer, FULL_WIDTH)

    def to_json(self) -> str:
        """One line of JSON, the same for equal policies."""
        return json.dumps(
            {"schema": SCHEMA, **{kind: dict(getattr(self, kind)) for kind in (*_RATIOS, *_BITS)}},
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str, place: str = "policy") -> Policy:
        """The policy that `to_json` wrote. Raises `PolicyError` naming ``place`` for anything else."""
        try:
            content: Any = json.loads(text)
        except json.JSONDecodeError as error:
            raise PolicyError(f"{place} is not JSON: {error}") from error
        if not isinstance(content, dict) or content.pop("schema", None) != SCHEMA:
            raise PolicyError(f"{place} is not a policy of schema {SCHEMA}")
        allowed = (*_RATIOS, *_BITS)
        unknown = sorted(set(content) - set(allowed))
        if unknown or not all(isinstance(table, dict) for table in content.values()):
            found = unknown or list(content.values())
            raise PolicyError(
                f"{place} has unexpected content {found}; allowed are {', '.join(allowed)}"
            )
        return cls(**content)


def kept_count(ratio: float, size: int) -> int:
    """Channels (or units) kept of ``size``: the nearest whole number, at least 1."""
    return max(1, min(size, round(ratio * size)))
