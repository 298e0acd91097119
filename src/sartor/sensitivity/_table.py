"""What was measured, and where it is kept."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, cast

import numpy as np

from sartor.errors import RunError
from sartor.machine import FloatArray, read_json, write_text
from sartor.policy import FULL_WIDTH

Parameter = Literal["channels", "weight_bits", "activation_bits"]

SCHEMA = 2
SENSITIVITY_FILE = "sensitivity.json"


@dataclass(frozen=True)
class Grid:
    """What is tried of every group and layer; the other parameters stay at their widest."""

    keep: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    bits: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)


@dataclass
class Sensitivity:
    """``table[parameter][name][value]`` is Ω in nats, value a keep ratio or a number of bits.

    ``identity`` is a digest of the network, the images and the way of rounding it was measured with.
    """

    images: int
    identity: str = ""
    table: dict[Parameter, dict[str, dict[float, float]]] = field(default_factory=dict)

    def at(self, parameter: Parameter, name: str, values: FloatArray) -> FloatArray:
        """Ω at any values, linear between those measured; 0 above 8 bits."""
        row = self.table.get(parameter, {}).get(name, {})
        points = sorted(
            {**row, **({float(FULL_WIDTH): 0.0} if parameter != "channels" else {1.0: 0.0})}.items()
        )
        return np.interp(values, [value for value, _ in points], [omega for _, omega in points])

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_text(path, json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Sensitivity:
        """What `save` wrote. Raises `RunError` for anything else."""
        content = read_json(
            path, missing=f"{path} does not exist; make it with sartor sensitivity", error=RunError
        )
        if content.get("schema") != SCHEMA:
            raise RunError(f"{path} is not a sensitivity of schema {SCHEMA}")
        try:
            table = {
                parameter: {
                    name: {float(value): float(omega) for value, omega in row.items()}
                    for name, row in rows.items()
                }
                for parameter, rows in content["table"].items()
            }
            return cls(
                content["images"],
                content["identity"],
                cast("dict[Parameter, dict[str, dict[float, float]]]", table),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(
                f"{path} is not a sensitivity: {error!r}; measure it again with sartor sensitivity"
            ) from error
