"""``sartor report``: a page to look at instead of logs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from sartor import report
from sartor.errors import UsageError
from sartor.machine import write_text
from sartor.runs import read_facts

_PORTS = range(2**16)


@dataclass(frozen=True)
class Compare:
    """Put several runs on one page: how they went, what each found, at what cost."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of the runs, finished or not."""
    out: Path = Path("compare.html")
    """The page."""

    def run(self, console: Console) -> None:
        """Write it."""
        write_text(self.out, report.compare([read_facts(folder) for folder in self.folders]))
        console.print(f"page in {self.out}", highlight=False)


@dataclass(frozen=True)
class Report:
    """Write the report of a run: one HTML page that works offline, every figure, the episodes as CSV, a model card."""

    folder: tyro.conf.Positional[Path]
    """Folder of the run."""
    live: bool = False
    """Serve the page while the search runs, on this machine only, until Ctrl-C."""
    port: int = 8765
    """Where to serve it; 0 takes any that is free."""

    def run(self, console: Console) -> None:
        """Write everything, or serve it."""
        if not self.live:
            console.print(
                f"report in {report.write(read_facts(self.folder), self.folder / 'report')}",
                highlight=False,
            )
            return
        if self.port not in _PORTS:
            raise UsageError(f"--port is {self.port}; allowed are 0 to {_PORTS[-1]}")
        try:
            serving = report.server(self.folder, port=self.port)
        except OSError as error:
            raise UsageError(
                f"--port {self.port} cannot be served on: {error}; give another"
            ) from error
        with serving:
            console.print(f"http://127.0.0.1:{serving.server_port}/ until Ctrl-C", highlight=False)
            try:
                serving.serve_forever()
            except KeyboardInterrupt:
                console.print("served no longer", highlight=False)
