"""Where fine-tuning stands, as one safetensors file that is replaced whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sartor import models
from sartor.errors import RunError

_SCHEMA = "3"


def write(path: Path, parts: Mapping[str, Mapping[str, Tensor]], facts: Mapping[str, Any]) -> None:
    """Write tensors by part and name, and facts beside them.

    Raises `OSError` if the disk is full; what was there stays.
    """
    tensors = {}
    for part, table in parts.items():
        for name, item in table.items():
            tensors[f"{part}/{name}"] = item

    # Metadata of a safetensors file is text only.
    metadata = {
        "schema": _SCHEMA,
        "facts": json.dumps(facts),
    }
    models.write_tensors(path, tensors, metadata)


def read(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """What `write` wrote. Raises `RunError` for anything else."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            parts = _parts(file)
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path} cannot be read as a checkpoint: {error}") from error

    if metadata.get("schema") != _SCHEMA:
        raise RunError(f"{path} is not a checkpoint of schema {_SCHEMA}")
    facts = json.loads(metadata["facts"])
    return parts, facts


def numbers_as_tensors(numbers: Mapping[str, float]) -> dict[str, Tensor]:
    """Numbers as they go into a file: whole ones stay whole, others keep all their digits."""
    found = {}
    for name, value in numbers.items():
        kind = torch.int64 if isinstance(value, int) else torch.float64
        found[name] = torch.tensor(value, dtype=kind)
    return found


def tensors_as_numbers(tensors: Mapping[str, Tensor]) -> dict[str, float]:
    """The numbers that `numbers_as_tensors` was given."""
    return {name: item.item() for name, item in tensors.items()}


def _parts(file: Any) -> dict[str, dict[str, Tensor]]:
    """Tensors of an open file by part and name."""
    parts: dict[str, dict[str, Tensor]] = {}
    for key in file.keys():  # noqa: SIM118 - not a dictionary
        # Names of parts have no slash; names in a part may have.
        part, _, name = key.partition("/")

        table = parts.setdefault(part, {})
        table[name] = file.get_tensor(key)
    return parts
