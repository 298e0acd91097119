"""``sartor show``: what a run found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Show:
    """Show what a finished run found, and what became of it.

    Attributes:
        folder: Folder of the run.
    """

    folder: tyro.conf.Positional[Path]

    def run(self, console: Console) -> None:
        """Print its tables."""
        from sartor.cli._tables import policy_table, results_table
        from sartor.runs import Run

        run = Run(self.folder)
        report = run.require_result()
        console.print(results_table(report), policy_table(report.policy))
        for missed in run.missed:
            console.print(missed, highlight=False)
