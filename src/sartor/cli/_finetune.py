"""``sartor finetune``: train what a search found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from sartor.cli._next import after_finetune
from sartor.cli._original import Original
from sartor.finetune import FinetuneOptions, Teacher

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Finetune:
    """Fine-tune what a finished run found; writes RUN/finetuned, which sartor.load reads.

    Several processes share the work with: torchrun --nproc-per-node N -m sartor finetune RUN

    Attributes:
        folder: Folder of the run.
        options: How to fine-tune: SGD, a warm-up, then half a cosine.
        teacher: Networks to learn from in place of the original.
        resume: Go on after the last whole epoch of a fine-tuning that was interrupted.
        threads: Threads of PyTorch; those of the search if not given.
        device: Where it is trained: auto, cpu, cuda, cuda:1 and so on, or mps; as the search was
            told if not given.
        original: What the run was made from, where its folder does not say it.
    """

    folder: tyro.conf.Positional[Path]
    options: tyro.conf.OmitArgPrefixes[FinetuneOptions] = field(default_factory=FinetuneOptions)
    teacher: Teacher = field(default_factory=Teacher)
    resume: bool = False
    threads: int | None = None
    device: str | None = None
    original: tyro.conf.OmitArgPrefixes[Original] = field(default_factory=Original)

    def run(self, console: Console) -> None:
        """Train with progress, then print what came of it."""
        from sartor.cli._progress import finetune_progress
        from sartor.runs import accuracy_words, members_words

        run = self.original.run_in(self.folder)
        with finetune_progress(console, self.options.epochs) as show:
            report = run.finetune(
                self.options,
                teacher=self.teacher,
                resume=self.resume,
                threads=self.threads,
                device=self.device,
                on_epoch=show,
            )
        console.print(f"validation {report.metric}: {accuracy_words(report.validation)}")
        if report.test is not None:
            console.print(f"test {report.metric}: {accuracy_words(report.test)}")
        console.print(members_words(report.members))
        console.print(
            f"{len(report.epochs)} epochs in {report.seconds:.0f} s, "
            f"results in {run.layout.finetuned}"
        )
        console.print(after_finetune(self.folder))
