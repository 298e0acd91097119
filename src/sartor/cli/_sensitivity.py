"""``sartor sensitivity``: how far the outputs move when a layer is compressed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from sartor.errors import UsageError
from sartor.machine import require_device_name, require_seed
from sartor.models import InputOptions
from sartor.runs import require_threads
from sartor.sensitivity import Grid

if TYPE_CHECKING:
    from rich.console import Console

    from sartor.sensitivity import Sensitivity

_WIDTHS = range(1, 9)


@dataclass(frozen=True)
class MeasureSensitivity:
    """Measure how far the outputs move when one layer is compressed.

    Writes sensitivity.json and, where altair is installed, a figure.

    Attributes:
        model: Zoo name, timm:NAME, torchvision:NAME, or package.module:callable.
        data: Folder of Parquet files or images, or digits.
        out: Folder of the results; what is there already is not measured again.
        weights: Its trained weights: a .safetensors file, or one of torch.save (.pt, .pth, .ckpt).
        pretrained: Fetch the weights that timm or torchvision have for their network.
        inputs: How images become the network's inputs.
        task: What the network is for: a name, or package.module:OBJECT.
        images: Calibration images that outputs are compared on.
        keep: Keep ratios tried of every group.
        bits: Widths tried of every layer.
        threads: Threads of PyTorch; all cores if not given.
        device: Where it is computed: auto, cpu, cuda, cuda:1 and so on, or mps.
        seed: Chooses the images.
    """

    model: str
    data: str
    out: Path
    weights: Path | None = None
    pretrained: bool = False
    inputs: tyro.conf.OmitArgPrefixes[InputOptions] = field(default_factory=InputOptions)
    task: str = "classification"
    images: int = 256
    keep: tuple[float, ...] = Grid.keep
    bits: tuple[int, ...] = Grid.bits
    threads: int | None = None
    device: str = "auto"
    seed: int = 0

    def run(self, console: Console) -> None:
        """Measure what is missing, then print a table per parameter."""
        self._check()

        from sartor import sensitivity
        from sartor.cli._tables import sensitivity_table
        from sartor.machine import torch_threads

        with torch_threads(self.threads):
            found = self._measure(console)

        for parameter in found.table:
            table = sensitivity_table(found, parameter)
            console.print(table)
        console.print(f"Ω in {self._path}")
        figure = sensitivity.draw(found, self.out)
        if figure is not None:
            console.print(f"figure in {figure}")

    @property
    def _path(self) -> Path:
        from sartor.runs import Layout

        return Layout(self.out).sensitivity

    def _check(self) -> None:
        if self.images < 1:
            raise UsageError(f"--images is {self.images}; it must be at least 1")
        for keep in self.keep:
            if not 0 < keep <= 1:
                raise UsageError(f"--keep has {keep}; it must lie in (0, 1]")
        for bits in self.bits:
            if bits not in _WIDTHS:
                raise UsageError(f"--bits has {bits}; allowed are 1 to 8")
        require_seed(self.seed, "--seed")
        require_threads(self.threads)
        require_device_name(self.device)
        self.inputs.require_valid()

    def _measure(self, console: Console) -> Sensitivity:
        from sartor import sensitivity
        from sartor.cli._progress import bar
        from sartor.compression import (
            CompressOptions,
            Compressor,
            keep_safe_groups,
            network_on,
        )
        from sartor.graph import trace
        from sartor.machine import choose_device, enough_memory, reproducible
        from sartor.runs import SubjectSource
        from sartor.tasks import as_task

        device = choose_device(self.device)
        source = SubjectSource(
            self.model,
            self.weights,
            self.data,
            self.seed,
            pretrained=self.pretrained,
            inputs=self.inputs,
        )
        subject, data = source.load_both(self.images)
        for sentence in data.remarks:
            console.print(sentence)
        images = data.calibration.normalized()
        network = keep_safe_groups(trace(subject.model, images[:1]))
        compressor = Compressor(network_on(network, device), None, CompressOptions(), self.seed)
        with (
            bar(console, "measuring") as advance,
            reproducible(device),
            enough_memory(device),
        ):
            return sensitivity.measure(
                compressor,
                images,
                grid=Grid(self.keep, self.bits),
                task=as_task(self.task),
                path=self._path,
                on_progress=lambda done, total: advance(done, total, ""),
            )
