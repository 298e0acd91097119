"""Where fine-tuning stands, as one safetensors file that is replaced whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sartor._files import write_atomically
from sartor.errors import RunError

FILE = "finetune.checkpoint.safetensors"
_SCHEMA = "2"


def write(path: Path, parts: Mapping[str, Mapping[str, Tensor]], facts: Mapping[str, Any]) -> None:
    """Tensors by part and name, and what is known beside them."""
    tensors = {
        f"{part}/{name}": item.detach().clone().contiguous() for part, table in parts.items() for name, item in table.items()
    }
    metadata = {"format": "pt", "schema": _SCHEMA, "facts": json.dumps(facts)}
    write_atomically(path, lambda temporary: save_file(tensors, temporary, metadata))


def read(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """What `write` wrote. Raises `RunError` for anything else."""
    parts: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            for key in file.keys():  # noqa: SIM118 - not a dictionary
                part, _, name = key.partition("/")
                parts.setdefault(part, {})[name] = file.get_tensor(key)
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path} cannot be read as a checkpoint: {error}") from error
    if metadata.get("schema") != _SCHEMA:
        raise RunError(f"{path} is not a checkpoint of schema {_SCHEMA}")
    return parts, json.loads(metadata["facts"])
