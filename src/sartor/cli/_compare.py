"""``sartor compare``: several runs on one page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from sartor.machine import write_text

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Compare:
    """Put several runs on one page: how they went, what each found, at what cost.

    Attributes:
        folders: Folders of the runs, finished or not.
        out: The page.
    """

    folders: tyro.conf.Positional[tuple[Path, ...]]
    out: Path = Path("compare.html")

    def run(self, console: Console) -> None:
        """Write the page."""
        from sartor import report
        from sartor.runs import Run

        runs = [Run(folder) for folder in self.folders]
        page = report.compare(runs)
        write_text(self.out, page)
        console.print(f"page in {self.out}")
