"""``sartor verify``: whether an exported file keeps what was promised."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from sartor.cli._next import after_verify
from sartor.cli._original import Original
from sartor.errors import VerificationError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sartor.export import Verification


@dataclass(frozen=True)
class Verify:
    """Run an exported file in its own runtime and measure accuracy, latency, size and memory.

    Fails if the accuracy differs, the output of a layer drifts (ONNX), or it is slower or larger
    than the budget allows.

    Attributes:
        folder: Folder of the run.
        format: Which export: onnx, openvino or executorch.
        artifact: The file, if it is not where sartor export writes it.
        threads: Threads of the runtime; those of the search if not given.
        original: What the run was made from, where its folder does not say it.
    """

    folder: tyro.conf.Positional[Path]
    format: str = "onnx"
    artifact: Path | None = None
    threads: int | None = None
    original: tyro.conf.OmitArgPrefixes[Original] = field(default_factory=Original)

    def run(self, console: Console) -> None:
        """Print what was measured.

        Raises `VerificationError`, after all of it, if something is not as promised.
        """
        run = self.original.run_in(self.folder)
        checked = run.verify(self.format, artifact=self.artifact, threads=self.threads)
        console.print(_table(checked.found))
        for sentence in checked.unchecked:
            console.print(sentence)
        console.print(f"report in {checked.report}")
        if checked.faults:
            raise VerificationError("; ".join(checked.faults))
        console.print(after_verify(self.folder))


def _table(found: Verification) -> Table:
    from rich.table import Table

    from sartor.runs import counted, in_bytes, milliseconds, percent

    latency = found.latency
    interval = f"{latency.low:.3f} to {latency.high:.3f}"
    of_batch = f" of {found.batch} images" if found.batch > 1 else ""

    threads = counted(found.threads, "thread")
    table = Table(title=f"{found.artifact} in {found.runtime}, {threads}")
    table.add_column("")
    table.add_column("measured", justify="right")
    table.add_row(f"accuracy on {found.images:,} test images", percent(found.accuracy))
    table.add_row("the same, simulated in PyTorch", percent(found.simulated))
    table.add_row(f"latency{of_batch}", milliseconds(latency.candidate.median_s))
    table.add_row("relative to the original's", f"{latency.relative:.3f} ({interval})")
    table.add_row("size", in_bytes(found.size_bytes))
    table.add_row("relative to the original's", f"{found.relative_size:.3f}")
    table.add_row("peak memory", in_bytes(found.peak_memory_bytes))
    return table
