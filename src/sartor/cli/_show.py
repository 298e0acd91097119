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
        from sartor.runs import missed_words, read_result

        report = read_result(self.folder)
        console.print(results_table(report), policy_table(report.policy))
        for missed in missed_words(report):
            console.print(missed, highlight=False)
