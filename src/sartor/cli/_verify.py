"""``sartor verify``: whether an exported file keeps what was promised."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from sartor.cli._next import after_verify
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
    """

    folder: tyro.conf.Positional[Path]
    format: str = "onnx"
    artifact: Path | None = None
    threads: int | None = None

    def run(self, console: Console) -> None:
        """Print what was measured.

        Raises `VerificationError`, after all of it, if something is not as promised.
        """
        from sartor.runs import Run

        run = Run(self.folder)
        checked = run.verify(self.format, artifact=self.artifact, threads=self.threads)
        console.print(_table(checked.found))
        for sentence in checked.unchecked:
            console.print(sentence, highlight=False)
        console.print(f"report in {checked.report}", highlight=False)
        if checked.faults:
            raise VerificationError("; ".join(checked.faults))
        console.print(after_verify(self.folder), highlight=False)


def _table(found: Verification) -> Table:
    from rich.table import Table

    from sartor.runs import counted

    threads = counted(found.threads, "thread")
    table = Table(title=f"{found.artifact} in {found.runtime}, {threads}")
    table.add_column("")
    table.add_column("measured", justify="right")
    for name, value in _rows(found):
        table.add_row(name, value)
    return table


def _rows(found: Verification) -> list[tuple[str, str]]:
    latency = found.latency
    relative = f"{latency.relative:.3f} ({latency.low:.3f} to {latency.high:.3f})"
    of_batch = f" of {found.batch} images" if found.batch > 1 else ""
    memory = "unknown"
    if found.peak_memory_bytes is not None:
        memory = f"{found.peak_memory_bytes:,} bytes"
    return [
        (f"accuracy on {found.images:,} test images", f"{100 * found.accuracy:.2f} %"),
        ("the same, simulated in PyTorch", f"{100 * found.simulated:.2f} %"),
        (f"latency{of_batch}", f"{1e3 * latency.candidate.median_s:.3f} ms"),
        ("relative to the original's", relative),
        ("size", f"{found.size_bytes:,} bytes"),
        ("relative to the original's", f"{found.relative_size:.3f}"),
        ("peak memory", memory),
    ]
