"""Where fine-tuning stands, as one safetensors file that is replaced whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from sartor import models
from sartor.errors import RunError

_SCHEMA = "2"


def write(path: Path, parts: Mapping[str, Mapping[str, Tensor]], facts: Mapping[str, Any]) -> None:
    """Write tensors by part and name, and facts beside them.

    Raises `OSError` if the disk is full; what was there stays.
    """
    tensors = {}
    for part, table in parts.items():
        for name, item in table.items():
            tensors[f"{part}/{name}"] = item
    models.write_tensors(path, tensors, {"schema": _SCHEMA, "facts": json.dumps(facts)})


def read(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """What `write` wrote. Raises `RunError` for anything else."""
    parts: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            for key in file.keys():  # noqa: SIM118 - not a dictionary
                part, _, name = key.partition("/")
                table = parts.setdefault(part, {})
                table[name] = file.get_tensor(key)
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path} cannot be read as a checkpoint: {error}") from error
    if metadata.get("schema") != _SCHEMA:
        raise RunError(f"{path} is not a checkpoint of schema {_SCHEMA}")
    return parts, json.loads(metadata["facts"])
