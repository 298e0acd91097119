"""``sartor repair``: mend what a search found, without labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from sartor.cli._next import after_repair
from sartor.cli._original import Original
from sartor.repair import RepairOptions

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Repair:
    """Repair what a run found, or an episode that was picked, by what the original answers.

    Labels are not looked at. Weights are trained, and ranges of what is rounded; the network is
    written to RUN/repaired, and is what the run delivers from then on.

    Attributes:
        folder: Folder of the run, or of an episode that was picked.
        options: How to repair.
        resume: Go on after the last whole round of a repair that was interrupted.
        threads: Threads of PyTorch; those of the search if not given.
        device: Where it is trained: auto, cpu, cuda, cuda:1 and so on, or mps; as the search was
            told if not given.
        original: What the run was made from, where its folder does not say it.
    """

    folder: tyro.conf.Positional[Path]
    options: tyro.conf.OmitArgPrefixes[RepairOptions] = field(default_factory=RepairOptions)
    resume: bool = False
    threads: int | None = None
    device: str | None = None
    original: tyro.conf.OmitArgPrefixes[Original] = field(default_factory=Original)

    def run(self, console: Console) -> None:
        """Repair with progress, then print what came of it."""
        from sartor.cli._progress import repair_progress
        from sartor.runs import repaired_words

        run = self.original.run_in(self.folder)
        with repair_progress(console, self.options.rounds) as show:
            report = run.repair(
                self.options,
                resume=self.resume,
                threads=self.threads,
                device=self.device,
                on_round=show,
            )
        console.print(repaired_words(report))
        console.print(f"results in {run.layout.repaired}")
        console.print(after_repair(self.folder))
