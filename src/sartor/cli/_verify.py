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

    Accuracy is in the metric of the task, such as top-1 or mIoU. Fails if it differs, the output of
    a layer drifts (ONNX), or it is slower than the original, or slower or larger than the budget
    allows.

    Attributes:
        folder: Folder of the run.
        format: Which export: onnx, openvino, executorch, aoti or pt2.
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
        table = _table(checked.found)
        console.print(table)
        for sentence in checked.unchecked:
            console.print(sentence)
        console.print(f"report in {checked.report}")

        # Last, so that what was measured is on the terminal whatever came of it.
        if checked.faults:
            faults = "; ".join(checked.faults)
            raise VerificationError(faults)
        steps = after_verify(self.folder)
        console.print(steps)


def _table(found: Verification) -> Table:
    from rich.table import Table

    from sartor.runs import at_once, counted, in_bytes, milliseconds, percent

    latency = found.latency
    rows = {
        f"{found.metric} on {found.images:,} test images": percent(found.accuracy),
        "the same, simulated in PyTorch": percent(found.simulated),
    }
    if found.unequal is not None:
        rows["images with other outputs than simulated"] = f"{found.unequal:,}"
    if latency is not None:
        relative = f"{latency.relative:.3f} ({latency.low:.3f} to {latency.high:.3f})"
        if found.emulated:
            relative = "means nothing: the processor is emulated"
        rows[f"latency{at_once(found.batch)}"] = milliseconds(latency.candidate.median_s)
        rows["of the original's latency"] = relative
    rows["size"] = in_bytes(found.size_bytes)
    rows["of the original's size"] = f"{found.relative_size:.3f}"
    rows["peak memory"] = in_bytes(found.peak_memory_bytes)

    threads = counted(found.threads, "thread")
    title = f"{found.artifact} in {found.runtime}, {threads}"
    table = Table("", title=title)
    table.add_column("measured", justify="right")
    for name, value in rows.items():
        table.add_row(name, value)
    return table
