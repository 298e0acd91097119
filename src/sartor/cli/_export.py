"""``sartor export``: a file that a runtime reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from sartor.cli._next import after_export
from sartor.cli._original import Original

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Export:
    """Write what a finished run found, and trained since, in the format of a runtime.

    Attributes:
        folder: Folder of the run.
        format: onnx (integers as QDQ), openvino (IR), executorch (XNNPACK), aoti (compiled by
            AOTInductor for the device of the search's target) or pt2 (torch.export).
        out: File to write; RUN/export/model with the format's suffix if not given.
        batch: Images per run; any number if not given, which executorch and aoti
            cannot.
        original: What the run was made from, where its folder does not say it.
    """

    folder: tyro.conf.Positional[Path]
    format: str = "onnx"
    out: Path | None = None
    batch: int | None = None
    original: tyro.conf.OmitArgPrefixes[Original] = field(default_factory=Original)

    def run(self, console: Console) -> None:
        """Write the artifact, and print where it is."""
        from sartor.export import find_format
        from sartor.runs import in_bytes

        run = self.original.run_in(self.folder)
        path = run.export(self.format, batch=self.batch, out=self.out)
        form = find_format(self.format)
        size = in_bytes(form.size_bytes(path))
        console.print(f"{path}: {size}")
        if form.runtime:
            steps = after_export(self.folder, self.format, self.out)
            console.print(steps)
