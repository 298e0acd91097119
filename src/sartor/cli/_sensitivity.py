"""``sartor sensitivity``: how much each layer minds being compressed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from sartor import sensitivity
from sartor.cli._progress import bar
from sartor.compression import CompressOptions, Compressor, keep_safe_groups
from sartor.errors import UsageError
from sartor.graph import trace
from sartor.machine import require_seed
from sartor.runs import load_subject, require_threads
from sartor.sensitivity import Parameter, Sensitivity

_TITLES: dict[Parameter, str] = {
    "channels": "share of channels kept",
    "weight_bits": "weight bits",
    "activation_bits": "activation bits",
}


@dataclass(frozen=True)
class MeasureSensitivity:
    """Measure how much each layer minds being compressed; writes sensitivity.json and, where altair is, a figure."""

    model: str
    """Zoo name, timm:NAME, or package.module:callable."""
    data: str
    """Folder of Parquet files or images, or digits."""
    out: Path
    """Folder of the results; what is there already is not measured again."""
    weights: Path | None = None
    """A .safetensors file with the trained weights."""
    images: int = 256
    """Calibration images that outputs are compared on."""
    keep: tuple[float, ...] = sensitivity.Grid.keep
    """Keep ratios tried of every group."""
    bits: tuple[int, ...] = sensitivity.Grid.bits
    """Widths tried of every layer."""
    threads: int | None = None
    """Threads of PyTorch; all cores if not given."""
    seed: int = 0
    """Chooses the images."""

    def run(self, console: Console) -> None:
        """Measure what is missing, then print a table per parameter."""
        if self.images < 1:
            raise UsageError(f"--images is {self.images}; it must be at least 1")
        if any(not 0 < keep <= 1 for keep in self.keep) or any(
            bits not in range(1, 9) for bits in self.bits
        ):
            raise UsageError(
                f"--keep is {self.keep} and --bits {self.bits}; allowed are (0, 1] and 1 to 8"
            )
        require_seed(self.seed, "--seed")
        require_threads(self.threads)
        if self.threads:
            torch.set_num_threads(self.threads)
        model, data, _ = load_subject(
            self.model, self.weights, self.data, calibration=self.images, seed=self.seed
        )
        images = data.calibration.normalized()
        network = keep_safe_groups(trace(model, images[:1]))
        compressor = Compressor(network, None, CompressOptions(), self.seed)
        path = self.out / sensitivity.SENSITIVITY_FILE
        grid = sensitivity.Grid(self.keep, self.bits)
        with bar(console, "measuring") as advance:
            found = sensitivity.measure(
                compressor,
                images,
                grid=grid,
                path=path,
                on_progress=lambda done, total: advance(done, total, ""),
            )
        for parameter in found.table:
            console.print(_table(found, parameter))
        console.print(f"Ω in {path}", highlight=False)
        if (figure := sensitivity.draw(found, self.out)) is not None:
            console.print(f"figure in {figure}", highlight=False)


def _table(found: Sensitivity, parameter: Parameter) -> Table:
    rows = found.table[parameter]
    values = sorted({value for row in rows.values() for value in row})
    table = Table(title=f"Ω by {_TITLES[parameter]} (nats, {found.images} images)")
    table.add_column("group" if parameter == "channels" else "layer")
    for value in values:
        table.add_column(f"{value:g}", justify="right")
    for name, row in rows.items():
        table.add_row(name, *(f"{row[value]:.2g}" if value in row else "–" for value in values))
    return table
