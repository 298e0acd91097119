"""What the benchmarks share: their networks, runs that are not repeated, and tables.

No command of its own: the other files of this folder import it.
"""

from __future__ import annotations

import json
import resource
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sartor.agents import RULES
from sartor.data import Data
from sartor.machine import keep_freed_memory, write_text
from sartor.pipeline import SearchOptions
from sartor.runs import SubjectSource

#: Where trained networks and CIFAR-10 lie.
SHARED = Path("../shared")
keep_freed_memory()


def subject(
    model: str, *, calibration: int, seed: int = 0, shared: Path = SHARED
) -> tuple[nn.Module, Data]:
    """A network trained on CIFAR-10, and CIFAR-10."""
    weights = weights_of(model, shared)
    source = SubjectSource(model, weights, str(data_in(shared)), seed)
    loaded, data = source.load_both(calibration)
    return loaded.model, data


def weights_of(model: str, shared: Path) -> Path:
    """Where the trained weights of a network are."""
    return shared / f"models/{model}-cifar10.safetensors"


def data_in(shared: Path) -> Path:
    """Where CIFAR-10 is."""
    return shared / "data/cifar10"


@torch.no_grad()
def outputs_of(network: nn.Module, pixels: Tensor, batch: int) -> NDArray[np.float32]:
    """Class scores of normalised images, (images, classes), a batch at a time."""
    outputs: list[NDArray[np.float32]] = [network(part).numpy() for part in pixels.split(batch)]
    return np.concatenate(outputs)


def accuracy(outputs: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Right answers, in percent."""
    right = outputs.argmax(1) == labels
    return 100 * float(right.mean())


def search_options(agent: str, episodes: int, **others: Any) -> SearchOptions:
    """A search without baselines beside it; a rule, which has nothing to learn, has one episode."""
    rule = agent in RULES
    return SearchOptions(
        agent=agent,
        episodes=1 if rule else episodes,
        seed_with=() if rule else SearchOptions.seed_with,
        baselines=(),
        finalists=4,
        **others,
    )


def minimise(network: nn.Module, steps: int, loss: Callable[[int], Tensor]) -> None:
    """Train a network by so many steps of AdamW, given the loss of each; it is left to infer."""
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    network.train()
    for step in range(steps):
        optimizer.zero_grad()
        loss(step).backward()
        optimizer.step()
        schedule.step()
    network.eval()


def peak_bytes() -> int:
    """The most memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def write_photos(folder: Path, rows: pa.Table, column: str, suffix: str) -> None:
    """Images of a Parquet file as they are encoded, one folder a class."""
    for number, row in enumerate(rows.to_pylist()):
        path = folder / f"{row['label']:04}" / f"{number}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(row[column]["bytes"])


def keep(path: Path, run: Callable[[], dict[str, Any]]) -> None:
    """Run and leave a JSON file, unless it is there: a comparison that was interrupted goes on."""
    if not path.exists():
        write_text(path, json.dumps(run()))


def kept(folder: Path) -> list[dict[str, Any]]:
    """All runs in a folder."""
    paths = sorted(folder.glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean and standard deviation over seeds."""
    mean = f"{statistics.mean(values):.{digits}f}"
    if len(values) < 2:
        return mean
    return f"{mean} ± {statistics.stdev(values):.{digits}f}"


def print_header(*names: str) -> None:
    """The head of a Markdown table."""
    print_row(*names)
    print("|" + "---|" * len(names))


def print_row(*cells: object) -> None:
    """A row of a Markdown table, at once."""
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)
