"""``sartor finetune``: train what a search found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import tyro
from rich.console import Console

from sartor.cli._progress import finetune_progress
from sartor.finetune import FinetuneOptions, Teacher
from sartor.runs import members_words, run_finetune


@dataclass(frozen=True)
class Finetune:
    """Fine-tune what a finished run found; writes RUN/finetuned, which sartor.load reads.

    Several processes share the work with: torchrun --nproc-per-node N -m sartor finetune RUN
    """

    folder: tyro.conf.Positional[Path]
    """Folder of the run."""
    options: tyro.conf.OmitArgPrefixes[FinetuneOptions] = field(default_factory=FinetuneOptions)
    teacher: Teacher = field(default_factory=Teacher)
    resume: bool = False
    """Go on after the last whole epoch of a fine-tuning that was interrupted."""
    threads: int | None = None
    """Threads of PyTorch; those of the search if not given."""

    def run(self, console: Console) -> None:
        """Train with progress, then say what came of it."""
        with finetune_progress(console, self.options.epochs) as show:
            out, report = run_finetune(
                self.folder,
                self.options,
                show,
                resume=self.resume,
                threads=self.threads,
                teacher=self.teacher,
            )
        for part in ("validation", "test"):
            if report[part] is not None:
                line = ", ".join(
                    f"{name} {100 * value:.2f} %" for name, value in report[part].items()
                )
                console.print(f"{part}: {line}", highlight=False)
        console.print(members_words(report["members"]), highlight=False)
        console.print(
            f"{len(report['epochs'])} epochs in {report['seconds']:.0f} s, results in {out}",
            highlight=False,
        )
