"""What the benchmarks have in common: their networks, runs that are not repeated, and how numbers are written."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from sartor.data import Data
from sartor.machine import keep_freed_memory, write_text
from sartor.runs import SubjectSource

SHARED = Path("../shared")
keep_freed_memory()


def subject(
    model: str, *, calibration: int, seed: int = 0, shared: Path = SHARED
) -> tuple[nn.Module, Data]:
    """A network trained on CIFAR-10, and CIFAR-10."""
    source = SubjectSource(model, weights_of(model, shared), str(data_in(shared)), seed)
    loaded, data = source.load_both(calibration)
    return loaded.model, data


def weights_of(model: str, shared: Path) -> Path:
    """Where the trained weights of a network are."""
    return shared / f"models/{model}-cifar10.safetensors"


def data_in(shared: Path) -> Path:
    """Where CIFAR-10 is."""
    return shared / "data/cifar10"


def keep(path: Path, run: Callable[[], dict[str, Any]]) -> None:
    """Run and leave a JSON file, unless it is there: a comparison that was interrupted goes on."""
    if not path.exists():
        write_text(path, json.dumps(run()))


def kept(folder: Path) -> list[dict[str, Any]]:
    """All runs in a folder."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def spread(values: list[float], digits: int = 2) -> str:
    """Mean and standard deviation over seeds."""
    deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{deviation}"
