"""What was measured, and where it is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from sartor.errors import RunError
from sartor.machine import FloatArray, read_json, write_text
from sartor.policy import FULL_WIDTH

Parameter = Literal["channels", "weight_bits", "activation_bits"]
#: Ω by parameter, by name of a group or layer, by value.
Table = dict[Parameter, dict[str, dict[float, float]]]

SCHEMA = 2


@dataclass(frozen=True)
class Grid:
    """What is tried of every group and layer; the other parameters stay at their widest.

    Attributes:
        keep: Keep ratios of groups, in (0, 1].
        bits: Bits of weights and of activations, 1 to 8.
    """

    keep: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    bits: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)


@dataclass
class Sensitivity:
    """Ω of the groups and layers of a network, one compression parameter at a time.

    >>> found = Sensitivity(images=64, table={"channels": {"conv1": {0.5: 0.2}}})
    >>> found.at("channels", "conv1", np.array([0.5, 0.75, 1.0])).tolist()
    [0.2, 0.1, 0.0]

    Attributes:
        images: How many images it was measured on.
        identity: Digest of the network, the images and the way of rounding it was measured with.
        table: ``table[parameter][name][value]`` is Ω in nats; value is a keep ratio or a number of
            bits.
    """

    images: int
    identity: str = ""
    table: Table = field(default_factory=dict)

    def row(self, parameter: Parameter, name: str) -> dict[float, float]:
        """What is measured of one group or layer, to be added to."""
        rows = self.table.setdefault(parameter, {})
        return rows.setdefault(name, {})

    def at(self, parameter: Parameter, name: str, values: FloatArray) -> FloatArray:
        """Ω at any values, linear between those measured; 0 where nothing is changed."""
        rows = self.table.get(parameter, {})
        points = dict(rows.get(name, {}))

        # Of bits, no measured value is this wide; the line has to end where nothing is rounded.
        unchanged = 1.0 if parameter == "channels" else float(FULL_WIDTH)
        points[unchanged] = 0.0

        ascending = sorted(points)
        omegas = [points[value] for value in ascending]
        return np.interp(values, ascending, omegas)

    def save(self, path: Path) -> None:
        """Write as JSON."""
        content = {"schema": SCHEMA, **asdict(self)}
        write_text(path, json.dumps(content, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Sensitivity:
        """What `save` wrote. Raises `RunError` for anything else."""
        missing = f"{path} does not exist; make it with sartor sensitivity"
        content = read_json(path, missing=missing, error=RunError)
        if content.get("schema") != SCHEMA:
            raise RunError(f"{path} is not a sensitivity of schema {SCHEMA}")

        try:
            return cls(
                images=content["images"],
                identity=content["identity"],
                table=_table(content["table"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(
                f"{path} is not a sensitivity: {error!r}; measure it again with sartor sensitivity"
            ) from error


def _table(content: Mapping[str, Any]) -> Table:
    """A table of which JSON made text of all values."""
    table: Table = {}
    for key, rows in content.items():
        parameter = cast("Parameter", key)
        by_name = table.setdefault(parameter, {})
        for name, row in rows.items():
            by_name[name] = _numbers(row)
    return table


def _numbers(row: Mapping[str, Any]) -> dict[float, float]:
    numbers = {}
    for value, omega in row.items():
        numbers[float(value)] = float(omega)
    return numbers
