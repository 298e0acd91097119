"""A policy: what to keep of each group and layer. A frozen value with a JSON form."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sartor.errors import PolicyError

SCHEMA = 1


@dataclass(frozen=True)
class Policy:
    """Keep ratios in (0, 1]: ``channels`` per group, ``weights`` (fine-grained) per layer. What is not named is kept whole."""

    channels: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, table in (("channels", self.channels), ("weights", self.weights)):
            for name, ratio in table.items():
                if not (isinstance(ratio, (int, float)) and math.isfinite(ratio) and 0 < ratio <= 1):
                    raise PolicyError(f"keep ratio {ratio!r} of {kind}[{name!r}] is not in (0, 1]")

    def to_json(self) -> str:
        """One line of JSON, the same for equal policies."""
        content = {"schema": SCHEMA, "channels": dict(self.channels), "weights": dict(self.weights)}
        return json.dumps(content, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, place: str = "policy") -> Policy:
        """The policy that `to_json` wrote. Raises `PolicyError` naming ``place`` for anything else."""
        try:
            content: Any = json.loads(text)
        except json.JSONDecodeError as error:
            raise PolicyError(f"{place} is not JSON: {error}") from error
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            raise PolicyError(f"{place} is not a policy of schema {SCHEMA}")
        unknown = set(content) - {"schema", "channels", "weights"}
        tables = [content.get(key, {}) for key in ("channels", "weights")]
        if unknown or not all(isinstance(table, dict) for table in tables):
            raise PolicyError(f"{place} has unexpected content {sorted(unknown) or tables}; allowed are channels and weights")
        return cls(*tables)


def kept_count(ratio: float, size: int) -> int:
    """Channels (or units) kept of ``size``: the nearest whole number, at least 1."""
    return max(1, min(size, round(ratio * size)))
