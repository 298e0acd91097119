"""``sartor show``: what a run found, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Show:
    """Show what a finished run found; then what was repaired, fine-tuned, exported and verified.

    Attributes:
        folder: Folder of the run.
    """

    folder: tyro.conf.Positional[Path]

    def run(self, console: Console) -> None:
        """Print its tables and a sentence on everything that was done since."""
        from sartor.cli._tables import policy_table, results_table
        from sartor.runs import (
            Run,
            delivered_words,
            goal_words,
            repaired_words,
            tuned_words,
            verdict_lines,
            verified_words,
        )

        run = Run(self.folder)
        report = run.require_result()
        assert run.verdict is not None
        for line in verdict_lines(run.verdict):
            console.print(line)
        console.print(results_table(report, run.networks))
        console.print(policy_table(report.policy))
        for sentence in delivered_words(report):
            console.print(sentence)
        if report.goal is not None:
            console.print(goal_words(report.goal, report.best, report.metric))
        for sentence in run.missed:
            console.print(sentence)
        if run.repaired is not None:
            sentence = repaired_words(run.repaired)
            console.print(f"{sentence} It is in {run.layout.repaired}.")
        if run.finetuned is not None:
            sentence = tuned_words(run.finetuned)
            place = run.layout.finetuned
            console.print(f"{sentence} It is in {place}.")
        for verified in run.verified:
            console.print(verified_words(verified))
            for fault in verified.faults:
                console.print(f"not as promised: {fault}")
