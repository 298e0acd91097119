"""``sartor report``: a page to look at instead of logs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from sartor.errors import UsageError

if TYPE_CHECKING:
    from http.server import HTTPServer

    from rich.console import Console

_LAST_PORT = 2**16 - 1


@dataclass(frozen=True)
class WriteReport:
    """Write the report of a run: one HTML page that works offline, figures, a CSV, a model card.

    Attributes:
        folder: Folder of the run.
        live: Serve the page while the search runs, on this machine only, until Ctrl-C.
        port: Where to serve it; 0 takes any that is free.
    """

    folder: tyro.conf.Positional[Path]
    live: bool = False
    port: int = 8765

    def run(self, console: Console) -> None:
        """Write everything, or serve it."""
        from sartor.runs import Run

        if not self.live:
            page = Run(self.folder).report()
            console.print(f"report in {page}")
            return

        with self._server() as server:
            place = f"http://127.0.0.1:{server.server_port}/"
            console.print(f"{place} until Ctrl-C")
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                console.print("served no longer")

    def _server(self) -> HTTPServer:
        from sartor import report

        if not 0 <= self.port <= _LAST_PORT:
            raise UsageError(f"--port is {self.port}; allowed are 0 to {_LAST_PORT}")
        try:
            return report.server(self.folder, port=self.port)
        except OSError as error:
            raise UsageError(
                f"--port {self.port} cannot be served on: {error}; give another"
            ) from error
