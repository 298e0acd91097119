"""``sartor export`` and ``sartor verify``: a file that a runtime reads, and whether it keeps what was promised."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table

from sartor.errors import VerificationError
from sartor.export import FORMATS, FormatName, size_of
from sartor.runs import run_export, run_verify


@dataclass(frozen=True)
class Export:
    """Write what a finished run found, fine-tuned if it was, in the format of a runtime."""

    folder: tyro.conf.Positional[Path]
    """Folder of the run."""
    format: FormatName = "onnx"
    """onnx (integers as QDQ), openvino (IR), executorch (XNNPACK), or pt2 (torch.export)."""
    out: Path | None = None
    """File to write; RUN/export/model with the format's suffix if not given."""
    batch: int | None = None
    """Images per run; any number if not given, which executorch cannot."""

    def run(self, console: Console) -> None:
        """Write it, say where."""
        path = run_export(self.folder, self.format, batch=self.batch, out=self.out)
        console.print(f"{path}: {size_of(path):,} bytes", highlight=False)
        if FORMATS[self.format].target:
            elsewhere = "" if self.out is None else f" --artifact {self.out}"
            console.print(
                f"next: sartor verify {self.folder} --format {self.format}{elsewhere}",
                highlight=False,
            )


@dataclass(frozen=True)
class Verify:
    """Run an exported file in its own runtime and measure accuracy, latency, size and memory; fails if the accuracy differs, the
    output of a layer drifts (ONNX), or it is slower or larger than the budget allows.
    """

    folder: tyro.conf.Positional[Path]
    """Folder of the run."""
    format: FormatName = "onnx"
    """Which export: onnx, openvino or executorch."""
    artifact: Path | None = None
    """The file, if it is not where sartor export writes it."""
    threads: int | None = None
    """Threads of the runtime; those of the search if not given."""

    def run(self, console: Console) -> None:
        """Print what was measured. Raises `VerificationError`, after all of it, if something is not as promised."""
        checked = run_verify(self.folder, self.format, artifact=self.artifact, threads=self.threads)
        found = checked.found
        latency, memory = found.latency, found.peak_memory_bytes
        table = Table(
            title=f"{found.artifact} in {found.runtime}, {found.threads} thread{'s' * (found.threads > 1)}"
        )
        table.add_column("")
        table.add_column("measured", justify="right")
        table.add_row(f"accuracy on {found.images:,} test images", f"{100 * found.accuracy:.2f} %")
        table.add_row("the same, simulated in PyTorch", f"{100 * found.simulated:.2f} %")
        images = f" of {found.batch} images" if found.batch > 1 else ""
        table.add_row(f"latency{images}", f"{1e3 * latency.candidate.median_s:.3f} ms")
        table.add_row(
            "relative to the original's",
            f"{latency.relative:.3f} ({latency.low:.3f} to {latency.high:.3f})",
        )
        table.add_row("size", f"{found.size_bytes:,} bytes")
        table.add_row("relative to the original's", f"{found.relative_size:.3f}")
        table.add_row("peak memory", "unknown" if memory is None else f"{memory:,} bytes")
        console.print(table)
        for sentence in (*checked.unchecked, f"report in {checked.report}"):
            console.print(sentence, highlight=False)
        if checked.faults:
            raise VerificationError("; ".join(checked.faults))
