"""What rows of peers.py have in common: what is asked for, files, and how a peer is asked.

No command of its own: peers.py imports it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from safetensors.torch import save_file

from _common import SHARED, keep, weights_of
from _peer_job import Job
from _peer_stages import Bench
from _peers import Peer, RefusedError
from sartor.finetune import FinetuneOptions

Cell = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """Comparison of peers.

    Attributes:
        models: Names of networks.
        share: MACs that may be left, as a share of the original's.
        runs: Folders of searches of these networks for this share, for sartor's row.
        out: Folder of the JSON files and of the networks.
        environments: Folder of the peers' environments.
        shared: Folder of networks and data.
        images: Calibration images to choose and to refit with; with labels where a peer needs them.
        scored: Validation images that FastNAS scores by.
        rounded: Calibration images that ranges of activations are taken from.
        shown: Images of a repair.
        epochs: Of training with labels; 0 for none.
        recipe: How all are trained; its epochs are those above.
        only: Rows whose names have one of these in them; all if not given.
        seed: Fixes everything.
        threads: Of PyTorch.
        table: Only print the tables of what has been run.
    """

    models: tuple[str, ...] = ("resnet20",)
    share: float = 0.5
    runs: tuple[Path, ...] = ()
    out: Path = Path("runs/peers")
    environments: Path = Path("runs/environments")
    shared: Path = SHARED
    images: int = 2048
    scored: int = 1000
    rounded: int = 300
    shown: int = 16_384
    epochs: int = 0
    recipe: FinetuneOptions = field(
        default_factory=lambda: FinetuneOptions(distill=0.9, learning_rate=0.02, precision="bf16")
    )
    only: tuple[str, ...] = ()
    seed: int = 0
    threads: int = 1
    table: bool = False


class Rows(ABC):
    """Rows of one network, each a JSON file.

    Attributes:
        kind: What they are.
        options: What was asked for.
        bench: The network.
    """

    kind: ClassVar[str]

    def __init__(self, options: Options, bench: Bench) -> None:
        self.options = options
        self.bench = bench

    def run(self) -> None:
        """Those that are wanted and missing; what a peer refuses is its row."""
        for name, measure in self.rows():
            if self._is_wanted(name):
                keep(self.file(name), partial(self._cell, name, measure))

    @abstractmethod
    def rows(self) -> Iterator[tuple[str, Callable[[], Cell]]]:
        """Names, and what measures each; that may raise `RefusedError`."""

    def slug(self, name: str) -> str:
        """A name for files."""
        words = name.lower().replace(",", "").replace(" ", "-")
        return f"{self.bench.model}-{100 * self.options.share:g}-{self.kind}-{words}"

    def file(self, name: str) -> Path:
        """That of a row."""
        return self.options.out / f"{self.slug(name)}.json"

    def _is_wanted(self, name: str) -> bool:
        only = self.options.only
        return not only or any(part in name for part in only)

    def _cell(self, name: str, measure: Callable[[], Cell]) -> Cell:
        share = self.options.share
        row = {"kind": self.kind, "model": self.bench.model, "share": share, "name": name}
        try:
            return {**row, **measure()}
        except RefusedError as refusal:
            return {**row, "refused": str(refusal)}

    def ask(self, peer: Peer, job: Job) -> dict[str, Any]:
        """The answer of a peer. Raises `RefusedError`."""
        return peer.ask(job, self.options.environments, self.options.threads)

    def job(self, method: str, folder: Path, images: int | None = None) -> Job:
        """What a peer needs, in a folder."""
        data = self.bench.data
        count = images or self.options.images
        scored = data.validation.slice(0, self.options.scored)
        file = folder / "images.safetensors"
        tensors = {
            "calibration": self.bench.calibration[:count],
            "calibration_labels": data.calibration.labels[:count],
            "validation": scored.normalized(),
            "validation_labels": scored.labels,
        }
        save_file({name: value.contiguous() for name, value in tensors.items()}, file)
        original = self.bench.export(self.bench.network.module, folder / "original.onnx")
        return Job(
            method=method,
            model=self.bench.model,
            weights=str(weights_of(self.bench.model, self.options.shared).absolute()),
            onnx=str(original),
            images=str(file),
            folder=str(folder),
            share=self.options.share,
            whole=self.bench.whole_layers(),
        )
